"""Ridge regression on features in blocks, in closed form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from prescreen.regressors.base import BlockRegressor, State, rated_together
from prescreen.regressors.blocks import BlockDesign, Float32, Float64, product
from prescreen.regressors.kernel_solver import PENALTIES, solve
from prescreen.regressors.threads import Step


@dataclass(eq=False)
class BlockKernelRidge(BlockRegressor):
    """Ridge regression of several columns at once, solved with inner products of rows.

    The inner product is the mean over blocks of the mean product of standardised features, so a block of 128 features
    counts as much as one of 3000. The penalty of each column has the smallest exact leave-one-out error or, where
    groups have several members, leave-group-out error. Only the standardisation has seen the rows left out.

    Parameters
    ----------
    kernel, gammas
        Part of the saved form; ``gammas`` has no effect.
    penalties : sequence of float
        Candidates for the penalty λ in Σ w e² + λ‖f‖². The kernel is about 1 on the diagonal, so λ is in units of the
        weight of one row.

    Attributes
    ----------
    penalty_ : ndarray of shape (1, t)
        As chosen.
    intercept_ : ndarray of shape (t,)
    coef_ : ndarray of float32, shape (d, t)
        Coefficients of the standardised, weighed features.
    """

    kernel: Literal["linear"] = "linear"
    gammas: Sequence[float] = (0.03, 0.1, 0.3, 1.0)
    penalties: Sequence[float] = PENALTIES

    def __post_init__(self) -> None:
        if self.kernel != "linear":
            raise ValueError(f"kernel {self.kernel!r}: expected 'linear'")

    def _fit(self, design: BlockDesign, Y: Float64, weight: Float64, codes: NDArray[np.intp], step: Step) -> None:
        dual = np.zeros(Y.shape)
        self.penalty_, self.intercept_ = np.zeros((1, Y.shape[1])), np.zeros(Y.shape[1])
        self.cv_predictions_ = np.full(Y.shape, np.nan)
        for columns, rows, row_weight in rated_together(weight, codes):
            cells = np.ix_(rows, columns)
            kernel = design.gram if len(rows) == len(design) else design.gram[np.ix_(rows, rows)]
            fit = solve(kernel, Y[cells], self.penalties, weight=row_weight, groups=codes[rows])
            dual[cells], self.cv_predictions_[cells] = fit.dual, fit.cv_predictions
            self.intercept_[columns], self.penalty_[0, columns] = fit.intercept, fit.penalty
        self.coef_ = np.asarray(design.features.T @ dual.astype(np.float32), np.float32)

    def predict_standardised(self, Z: Float32) -> Float64:
        """Predict standardised rows (m, d); returns (m, t)."""
        return np.asarray(product(Z, self.coef_), np.float64) + self.intercept_

    def state(self) -> State:
        """Return the coefficients."""
        return {"intercept": self.intercept_, "penalty": self.penalty_, "coef": self.coef_}, {}

    def _set_state(self, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> None:
        self.intercept_, self.penalty_, self.coef_ = arrays["intercept"], arrays["penalty"], arrays["coef"]
