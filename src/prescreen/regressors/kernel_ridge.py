"""Ridge and RBF kernel ridge regression on features in blocks, in closed form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from prescreen.regressors.base import BlockRegressor, State, check_targets, rated_together
from prescreen.regressors.blocks import BlockDesign, Float16, Float32, Float64, product, squared_distances
from prescreen.regressors.kernel_solver import solve

GAMMAS = (0.03, 0.1, 0.3, 1.0)
PENALTIES = tuple(float(f"{penalty:.3g}") for penalty in np.logspace(-3, 3, 19))


@dataclass(eq=False)
class BlockKernelRidge(BlockRegressor):
    """Ridge regression, linear or with kernels exp(−γ · distance²), of several columns at once.

    The squared distance is the mean over blocks of the mean squared difference a standardised feature, so a block of
    128 features counts as much as one of 3000. The prediction is the mean over all γ given, each with its own penalty,
    chosen for each column by the exact leave-one-out error or, where groups have several members, the leave-group-out
    error. The standardisation alone has seen the rows left out; their ratings have no part in it.

    Parameters
    ----------
    kernel : {"rbf", "linear"}
    gammas : sequence of float
        All γ that the prediction averages over; not used by the linear kernel.
    penalties : sequence of float
        Candidates for the penalty λ in Σ w e² + λ‖f‖². The kernels are about 1 on the diagonal, so λ is in units
        of the weight of one row.

    Attributes
    ----------
    penalty_ : ndarray of shape (number of kernels, t)
        As chosen, for each γ; one row for the linear kernel.
    intercept_ : ndarray of shape (t,)
    support_ : ndarray of float16, shape (m, d)
        Standardised training rows, once for all columns (RBF only).
    dual_ : ndarray of shape (number of kernels, m, t)
        Coefficients of the support rows (RBF only).
    coef_ : ndarray of float32, shape (d, t)
        Coefficients of the standardised, weighed features (linear only).
    """

    kernel: Literal["rbf", "linear"] = "rbf"
    gammas: Sequence[float] = GAMMAS
    penalties: Sequence[float] = PENALTIES

    def fit(
        self,
        design: BlockDesign,
        Y: NDArray[Any],
        sample_weight: NDArray[Any] | None = None,
        groups: NDArray[Any] | None = None,
    ) -> Self:
        """Fit as :meth:`BlockRegressor.fit` says."""
        Y, weight, codes = check_targets(Y, sample_weight, groups, len(design))
        patterns = list(rated_together(weight, codes))
        kernels = self._kernels(design)
        share = 1 / len(kernels)
        dual = np.zeros((len(kernels), *Y.shape))
        self.penalty_, self.intercept_ = np.zeros((len(kernels), Y.shape[1])), np.zeros(Y.shape[1])
        self.cv_predictions_ = np.where(weight > 0, 0.0, np.nan)
        for k, compute in enumerate(kernels):
            kernel = compute()
            for columns, rows, row_weight in patterns:
                own = kernel if len(rows) == len(design) else kernel[np.ix_(rows, rows)]
                fit = solve(own, Y[np.ix_(rows, columns)], self.penalties, weight=row_weight, groups=codes[rows])
                dual[k][np.ix_(rows, columns)] = share * fit.dual
                self.cv_predictions_[np.ix_(rows, columns)] += share * fit.cv_predictions
                self.intercept_[columns] += share * fit.intercept
                self.penalty_[k, columns] = fit.penalty
        self.scaler_ = design.scaler
        if self.kernel == "linear":
            self.coef_ = np.asarray(design.features.T @ dual[0].astype(np.float32), np.float32)
        else:
            kept = (weight > 0).any(axis=1)
            self._set_support(design.standardised[kept], dual[:, kept])
        return self

    def _kernels(self, design: BlockDesign) -> list[Callable[[], NDArray[Any]]]:
        """Return the kernel matrices of the training rows, each computed when it is called for."""
        if self.kernel == "linear":
            return [lambda: design.gram]
        if self.kernel == "rbf" and len(self.gammas):
            return [partial(rbf, design.distances, gamma) for gamma in self.gammas]
        raise ValueError(f"kernel {self.kernel!r} with gammas {self.gammas}: expected 'linear', or 'rbf' and a gamma")

    def predict_standardised(self, Z: Float32) -> Float64:
        """Predict as :meth:`BlockRegressor.predict_standardised` says."""
        if self.kernel == "linear":
            return np.asarray(product(Z, self.coef_), np.float64) + self.intercept_
        distances = squared_distances(Z, self._support_features)
        predictions = np.zeros((len(Z), len(self.intercept_)))
        for gamma, dual in zip(self.gammas, self.dual_, strict=True):
            predictions += rbf(distances, gamma) @ dual
        return predictions + self.intercept_

    def state(self) -> State:
        """Return coefficients, and support rows if it has them."""
        arrays: dict[str, NDArray[Any]] = {"intercept": self.intercept_, "penalty": self.penalty_}
        if self.kernel == "linear":
            return arrays | {"coef": self.coef_}, {}
        return arrays | {"support": self.support_, "dual": self.dual_}, {}

    def _set_state(self, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> None:
        self.intercept_, self.penalty_ = arrays["intercept"], arrays["penalty"]
        if self.kernel == "linear":
            self.coef_ = arrays["coef"]
        else:
            self._set_support(arrays["support"], arrays["dual"])

    def _set_support(self, support: Float16, dual: Float64) -> None:
        self.support_, self.dual_ = support, dual
        self._support_features = self.scaler_.weigh(support)


def rbf(distances: Float32, gamma: float) -> Float64:
    """Kernel exp(−γ · distance²) of squared distances of any shape."""
    return np.asarray(np.exp(np.float32(-gamma) * distances), np.float64)
