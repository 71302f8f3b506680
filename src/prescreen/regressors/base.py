"""What all regressors have in common: blocks, missing ratings, weights, groups, state without pickle."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from prescreen.errors import PredictorError
from prescreen.regressors.blocks import BlockDesign, Blocks, BlockScaler, Float32, Float64, in_chunks
from prescreen.regressors.folds import group_codes, require_groups
from prescreen.regressors.threads import blas_threads

State = tuple[dict[str, NDArray[Any]], dict[str, Any]]
_SCALER = "scaler/"


class BlockRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn regressor of several columns on features in blocks.

    Subclasses implement :meth:`fit_design`, :meth:`predict_standardised`, :meth:`head_state` and :meth:`_set_head`.

    Attributes
    ----------
    scaler_ : BlockScaler
        Standardisation learned from the training rows.
    cv_predictions_ : ndarray of float64, shape (n, t)
        Prediction for each training row by a fit that did not see the row's group; NaN where it has no rating.
    n_features_in_ : int
    """

    blocks: Blocks | None
    scaler_: BlockScaler
    cv_predictions_: Float64
    n_features_in_: int

    _one_column = False  # whether fit was given a single column without a second dimension

    def fit(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        sample_weight: NDArray[Any] | None = None,
        groups: NDArray[Any] | None = None,
    ) -> Self:
        """Fit every column of ``y`` on the rows that have a rating in it.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        y : ndarray of shape (n,) or (n, t)
            NaN where there is no rating.
        sample_weight : ndarray of shape (n,) or (n, t), optional
            Not negative; zero leaves the row out.
        groups : ndarray of shape (n,), optional
            Rows of one group are left out together when the fit is judged.

        Raises
        ------
        ValueError
            If shapes do not fit, features are not finite or all weights are zero.
        RatingsError
            If a column has ratings from fewer than two groups.
        """
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        X = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)
        Y = check_array(y, dtype=np.float64, ensure_2d=False, ensure_all_finite="allow-nan", input_name="y")
        if sample_weight is not None and not np.any(sample_weight := np.asarray(sample_weight, np.float64)):
            raise ValueError("every sample_weight is zero; expected a weight above zero for some rows")
        self._one_column = Y.ndim == 1
        with blas_threads(len(X)):
            return self.fit_design(
                BlockDesign.fit(X, self.blocks), Y[:, None] if self._one_column else Y, sample_weight, groups
            )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags

    @abstractmethod
    def fit_design(
        self,
        design: BlockDesign,
        Y: NDArray[Any],
        sample_weight: NDArray[Any] | None = None,
        groups: NDArray[Any] | None = None,
    ) -> Self:
        """Fit on rows that are standardised already, and shared with other regressors."""

    def predict(self, X: NDArray[Any]) -> Float64:
        """Predict ``X`` (n, d); returns (n, t), or (n,) after a fit of one column without a second dimension.

        A row's prediction does not depend on the other rows.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False, ensure_min_samples=0)
        predictions = in_chunks(self.predict_standardised, self.scaler_, X)
        return predictions[:, 0] if self._one_column else predictions

    @property
    def rows_held(self) -> int:
        """Number of training rows that it holds whole."""
        return len(getattr(self, "support_", ()))

    @abstractmethod
    def predict_standardised(self, Z: Float32) -> Float64:
        """Predict rows that ``scaler_`` has transformed."""

    def to_state(self) -> State:
        """Return arrays and a JSON-able configuration that :meth:`from_state` turns into an equal regressor."""
        arrays, config = self.head_state()
        scaler_arrays, scaler_config = self.scaler_.to_state()
        return arrays | {_SCALER + name: array for name, array in scaler_arrays.items()}, {
            "parameters": {name: value for name, value in self.get_params().items() if name != "blocks"},
            "head": config,
            "scaler": scaler_config,
        }

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> Self:
        """Rebuild what :meth:`to_state` returned; predictions are equal bit for bit.

        Raises
        ------
        PredictorError
            If something is missing or does not fit together.
        """
        try:
            scaled = {name.removeprefix(_SCALER): array for name, array in arrays.items() if name.startswith(_SCALER)}
            scaler = BlockScaler.from_state(scaled, config["scaler"])
            return cls.with_head(scaler, arrays, config["parameters"], config["head"])
        except (KeyError, TypeError) as error:
            raise PredictorError(f"the saved {cls.__name__} is incomplete ({error}); train it again") from error

    @classmethod
    def with_head(
        cls,
        scaler: BlockScaler,
        arrays: Mapping[str, NDArray[Any]],
        parameters: Mapping[str, Any],
        head: Mapping[str, Any],
    ) -> Self:
        """Rebuild a regressor from its :meth:`head_state` around a scaler that exists already."""
        regressor = cls(blocks=scaler.blocks, **parameters)
        regressor._set_scaler(scaler)
        regressor._set_head(arrays, head)
        return regressor

    @abstractmethod
    def head_state(self) -> State:
        """Return what was learned beyond the scaler."""

    @abstractmethod
    def _set_head(self, arrays: Mapping[str, NDArray[Any]], head: Mapping[str, Any]) -> None:
        """Take over what :meth:`head_state` returned."""

    def _set_scaler(self, scaler: BlockScaler) -> None:
        self.scaler_ = scaler
        self.n_features_in_ = scaler.n_features


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
