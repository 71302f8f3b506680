"""Base class of the regressors: targets with gaps, weights and groups, and a state without pickle."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from prescreen.regressors.blocks import BlockDesign, BlockScaler, Float32, Float64
from prescreen.regressors.folds import group_codes, require_groups
from prescreen.regressors.threads import Step

State = tuple[dict[str, NDArray[Any]], dict[str, Any]]


@dataclass(eq=False)
class BlockRegressor(ABC):
    """A regressor of several columns on features in blocks; the fields of a subclass are its parameters.

    Attributes
    ----------
    scaler_ : BlockScaler
        Standardisation learned from the training rows.
    cv_predictions_ : ndarray of float64, shape (n, t)
        Prediction for each training row by a fit that did not see the row's group, but for the scaler; NaN where it has
        no rating.
    steps : int
        How many steps a fit reports.
    """

    steps: ClassVar[int] = 1

    def __post_init__(self) -> None:
        self.scaler_: BlockScaler
        self.cv_predictions_: Float64

    def fit(
        self,
        design: BlockDesign,
        Y: NDArray[Any],
        sample_weight: NDArray[Any] | None = None,
        groups: NDArray[Any] | None = None,
        step: Step = lambda: None,
    ) -> Self:
        """Fit every column of ``Y`` on the rows that have a rating in it.

        Parameters
        ----------
        design : BlockDesign
            The n training rows.
        Y : ndarray of shape (n, t)
            NaN where there is no rating.
        sample_weight : ndarray of shape (n,) or (n, t), optional
            Not negative; zero leaves the row out.
        groups : ndarray of shape (n,), optional
            Rows of one group are left out together when the fit is evaluated.
        step : callable
            Called `steps` times.

        Raises
        ------
        ValueError
            If shapes or values do not fit.
        RatingsError
            If a column has ratings from fewer than two groups.
        """
        self.scaler_ = design.scaler
        self._fit(design, *check_targets(Y, sample_weight, groups, len(design)), step)
        step()
        return self

    @abstractmethod
    def _fit(self, design: BlockDesign, Y: Float64, weight: Float64, codes: NDArray[np.intp], step: Step) -> None:
        """Fit checked targets and weights (n, t) of rows in numbered groups (n,); call ``step`` `steps` - 1 times."""

    @abstractmethod
    def predict_standardised(self, Z: Float32) -> Float64:
        """Predict rows (m, d) that ``scaler_`` has transformed; returns (m, t)."""

    @property
    def rows_held(self) -> int:
        """Number of whole training rows that it keeps."""
        return len(getattr(self, "support_", ()))

    @property
    def parameters(self) -> dict[str, Any]:
        """Its parameters by name, in alphabetical order."""
        return {name: getattr(self, name) for name in sorted(field.name for field in fields(self))}

    @classmethod
    def from_state(
        cls,
        scaler: BlockScaler,
        parameters: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        config: Mapping[str, Any],
    ) -> Self:
        """Rebuild a regressor from its scaler, its parameters and what :meth:`state` returned."""
        regressor = cls(**parameters)
        regressor.scaler_ = scaler
        regressor._set_state(arrays, config)
        return regressor

    @abstractmethod
    def state(self) -> State:
        """Return the arrays and JSON-able values that it learned, without the scaler."""

    @abstractmethod
    def _set_state(self, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> None:
        """Restore what :meth:`state` returned."""


def below(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names start with a prefix, named without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def check_targets(
    Y: NDArray[Any], sample_weight: NDArray[Any] | None, groups: NDArray[Any] | None, n: int
) -> tuple[Float64, Float64, NDArray[np.intp]]:
    """Return targets and weights (n, t) and group numbers (n,); a row counts where its weight is above zero."""
    Y = np.asarray(Y, np.float64)
    if Y.ndim != 2 or len(Y) != n or Y.shape[1] == 0:
        raise ValueError(f"targets have shape {Y.shape}; expected ({n}, t)")
    if np.isinf(Y).any():
        raise ValueError("targets are infinite; expected numbers, or NaN where there is no rating")
    weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if weight.shape not in ((n,), Y.shape):
        raise ValueError(f"sample_weight has shape {weight.shape}; expected ({n},) or {Y.shape}")
    weight = np.where(np.isnan(Y), 0.0, weight if weight.ndim == 2 else weight[:, None])
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError("sample_weight must be finite and not negative")
    return Y, weight, group_codes(groups, n)


def rated_together(
    weight: Float64, groups: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], Float64]]:
    """Yield columns that have the same weights, with their rated rows and these rows' weights.

    Raises
    ------
    RatingsError
        If a column has ratings from fewer than two groups.
    """
    patterns: dict[bytes, list[int]] = {}
    for column in range(weight.shape[1]):
        patterns.setdefault(np.ascontiguousarray(weight[:, column]).tobytes(), []).append(column)
    for columns in patterns.values():
        rows = np.flatnonzero(weight[:, columns[0]])
        require_groups(len(np.unique(groups[rows])), 2, f"the ratings of trait {columns[0] + 1}")
        yield np.array(columns, np.intp), rows, weight[rows, columns[0]]
