"""Kernel ridge regression whose distances are learned from all traits together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prescreen.regressors.base import BlockRegressor, State, rated_together
from prescreen.regressors.blocks import BlockDesign, Float16, Float32, Float64, squared_distances
from prescreen.regressors.folds import grouped_folds
from prescreen.regressors.kernel_solver import PENALTIES, penalty_path, solve

GAMMAS = (0.1, 0.3)
PULLS = (1.0, 2.0)


@dataclass(eq=False)
class SharedKernelRidge(BlockRegressor):
    """Kernel ridge regression in two stages; the second stage measures distances that matter to the raters.

    The first stage predicts all columns from the distances of the features. In the second stage the squared distance
    of two pictures is that of the features plus ``pull`` times the mean squared difference of their first predictions,
    in standard deviations of the ratings. Pictures that should make the same impression in every respect come closer,
    and so a trait learns from the ratings of the others. The first prediction of a training row is made without the
    row's group. The kernel is the mean over all γ, and in the second stage over all pulls.

    A left-out rating moves the first predictions of the other rows, and with them the distances. So there is no closed
    form: the penalty of each column is chosen by repeating both stages without each of a few folds.

    Parameters
    ----------
    gammas : sequence of float
        γ of the kernels exp(−γ · distance²).
    pulls : sequence of float
        Weights of the first predictions in the second distance, not negative.
    penalties : sequence of float
        Candidates for the penalty of each column, in both stages.
    cv_splits : int
        Grouped folds that choose the penalty of the second stage.
    seed : int
        For the folds.
    n_targets : int, optional
        Only the first so many columns are predicted; the others are auxiliary tasks, whose ratings decide with those
        of the targets which pictures are alike. By default all columns are targets.

    Attributes
    ----------
    support_ : ndarray of float16, shape (m, d)
        Standardised training rows.
    first_dual_ : ndarray of shape (m, t)
        Coefficients of the support rows in the first stage, for all columns.
    first_intercept_ : ndarray of shape (t,)
    dual_ : ndarray of shape (m, n_targets)
        Coefficients of the support rows in the second stage.
    intercept_, penalty_ : ndarray of shape (n_targets,)
        Of the second stage.
    centre_, scale_ : ndarray of shape (t,)
        Weighted mean and standard deviation of the ratings.
    anchors_ : ndarray of float32, shape (m, t)
        First predictions of the support rows, in standard deviations.

    References
    ----------
    R. Caruana, Multitask learning, Machine Learning 28, 1997, for auxiliary tasks;
    L. Breiman, J. Friedman, Predicting multivariate responses in multiple linear regression, JRSS B 59, 1997, for what
    responses can lend each other; K. Weinberger, G. Tesauro, Metric learning for kernel regression, AISTATS 2007, for
    distances learned from the target.
    """

    gammas: Sequence[float] = GAMMAS
    pulls: Sequence[float] = PULLS
    penalties: Sequence[float] = PENALTIES
    cv_splits: int = 10
    seed: int = 0
    n_targets: int | None = None

    def _fit(self, design: BlockDesign, Y: Float64, weight: Float64, codes: NDArray[np.intp]) -> None:
        if not len(self.gammas) or not len(self.pulls) or min(self.pulls) < 0:
            raise ValueError(f"gammas {self.gammas}, pulls {self.pulls}: expected one or more, and pulls from 0 up")
        list(rated_together(weight, codes))  # refuses columns rated in one group only
        targets = np.arange(Y.shape[1] if self.n_targets is None else self.n_targets)
        if not 0 < len(targets) <= Y.shape[1]:
            raise ValueError(f"n_targets is {self.n_targets}; expected 1 to {Y.shape[1]}, the columns of the ratings")
        kept = np.flatnonzero((weight > 0).any(axis=1))
        distances = design.distances[np.ix_(kept, kept)]
        first = self._mean_rbf(distances)
        Y, weight, codes = Y[kept], weight[kept], codes[kept]

        wanted, wanted_weight = Y[:, targets], weight[:, targets]
        mean, _ = _centre_and_scale(wanted, wanted_weight)
        left_out = np.zeros((len(self.penalties), *wanted.shape))
        for train, test in grouped_folds(codes, self.cv_splits, self.seed):
            fold_mean, _ = _centre_and_scale(wanted[train], wanted_weight[train])
            left_out[:, test] = np.where(wanted_weight[train].any(axis=0), fold_mean, mean)
            usable = in_two_groups(weight[train], codes[train])
            known = usable[usable < len(targets)]
            if not known.size:
                continue
            cells = np.ix_(train, usable)
            stages = _first_stage(first[np.ix_(train, train)], Y[cells], weight[cells], codes[train], self.penalties)
            predicted = stages.standardise(first[np.ix_(test, train)] @ stages.dual + stages.intercept)
            kernels = [
                self._second(distances[np.ix_(rows, train)], points, stages.anchors)
                for rows, points in ((train, stages.anchors), (test, predicted))
            ]
            cells = np.ix_(train, known)
            dual, intercept = _paths(kernels[0], Y[cells], weight[cells], codes[train], self.penalties)
            left_out[:, test[:, None], known] = kernels[1] @ dual + intercept[:, None]
        squares = np.where(wanted_weight > 0, (left_out - wanted) ** 2, 0.0)
        best = (wanted_weight * squares).sum(axis=1).argmin(axis=0), targets

        stages = _first_stage(first, Y, weight, codes, self.penalties)
        second = self._second(distances, stages.anchors, stages.anchors)
        dual, intercept = _paths(second, wanted, wanted_weight, codes, self.penalties)
        self._set_support(design.standardised[kept])
        self.first_dual_, self.first_intercept_, self.anchors_ = stages.dual, stages.intercept, stages.anchors
        self.centre_, self.scale_ = stages.centre, stages.scale
        self.dual_, self.intercept_ = dual[best[0], :, best[1]].T, intercept[best]
        self.penalty_ = np.asarray(self.penalties, np.float64)[best[0]]
        self.cv_predictions_ = np.full((len(design), len(targets)), np.nan)
        self.cv_predictions_[kept] = np.where(wanted_weight > 0, left_out[best[0], :, best[1]].T, np.nan)

    def predict_standardised(self, Z: Float32) -> Float64:
        """Predict standardised rows (m, d); returns (m, t)."""
        distances = squared_distances(Z, self._support_features)
        first = self._mean_rbf(distances) @ self.first_dual_ + self.first_intercept_
        points = np.asarray((first - self.centre_) / self.scale_, np.float32)
        return np.asarray(self._second(distances, points, self.anchors_) @ self.dual_ + self.intercept_, np.float64)

    def state(self) -> State:
        """Return coefficients and support rows of both stages."""
        return {name: getattr(self, f"{name}_") for name in (*_ARRAYS, "support")}, {}

    def _set_state(self, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> None:
        for name in _ARRAYS:
            setattr(self, f"{name}_", arrays[name])
        self._set_support(arrays["support"])

    def _set_support(self, support: Float16) -> None:
        self.support_ = support
        self._support_features = self.scaler_.weigh(support)

    def _mean_rbf(self, distances: Float32) -> Float64:
        """Mean of exp(−γ · distance²) over all γ, for squared distances of any shape."""
        kernels = [np.exp(np.float32(-gamma) * distances).astype(np.float64) for gamma in self.gammas]
        return np.asarray(sum(kernels) / len(kernels), np.float64)

    def _second(self, distances: Float32, points: Float32, anchors: Float32) -> Float64:
        """Kernel of rows by their distances to the support (k, m) and their first predictions (k, t)."""
        apart = squared_distances(points, anchors) / np.float32(anchors.shape[1])
        kernels = [self._mean_rbf(distances + np.float32(pull) * apart) for pull in self.pulls]
        return np.asarray(sum(kernels) / len(kernels), np.float64)


_ARRAYS = ("first_dual", "first_intercept", "dual", "intercept", "penalty", "centre", "scale", "anchors")


@dataclass(frozen=True)
class _FirstStage:
    """Kernel ridge regression of all columns, and what it says of the training rows without their groups."""

    dual: Float64
    intercept: Float64
    centre: Float64
    scale: Float64
    anchors: Float32

    def standardise(self, predictions: Float64) -> Float32:
        """Express predictions in standard deviations of the ratings."""
        return np.asarray((predictions - self.centre) / self.scale, np.float32)


def _first_stage(
    kernel: Float64, Y: Float64, weight: Float64, codes: NDArray[np.intp], penalties: Sequence[float]
) -> _FirstStage:
    dual, intercept, left_out = np.zeros(Y.shape), np.zeros(Y.shape[1]), np.full(Y.shape, np.nan)
    for columns, rows, row_weight in rated_together(weight, codes):
        cells = np.ix_(rows, columns)
        fit = solve(kernel[np.ix_(rows, rows)], Y[cells], penalties, weight=row_weight, groups=codes[rows])
        dual[cells], intercept[columns], left_out[cells] = fit.dual, fit.intercept, fit.cv_predictions
    # Where a row is not rated the fit has not seen it, and its prediction is like that of a new picture.
    seen = np.where(np.isnan(left_out), kernel @ dual + intercept, left_out)
    centre, scale = _centre_and_scale(Y, weight)
    return _FirstStage(dual, intercept, centre, scale, np.asarray((seen - centre) / scale, np.float32))


def _paths(
    kernel: Float64, Y: Float64, weight: Float64, codes: NDArray[np.intp], penalties: Sequence[float]
) -> tuple[Float64, Float64]:
    """Coefficients (penalties, n, t), zero where a row is not rated, and intercepts (penalties, t)."""
    dual = np.zeros((len(penalties), *Y.shape))
    intercept = np.zeros((len(penalties), Y.shape[1]))
    for columns, rows, row_weight in rated_together(weight, codes):
        found, intercept[:, columns] = penalty_path(
            kernel[np.ix_(rows, rows)], Y[np.ix_(rows, columns)], penalties, weight=row_weight
        )
        dual[:, rows[:, None], columns] = found
    return dual, intercept


def in_two_groups(weight: Float64, codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Columns that have ratings from at least two groups."""
    enough = [len(np.unique(codes[weight[:, column] > 0])) > 1 for column in range(weight.shape[1])]
    return np.flatnonzero(enough)


def _centre_and_scale(Y: Float64, weight: Float64) -> tuple[Float64, Float64]:
    """Weighted mean and standard deviation of the rated rows of each column; 0 without ratings, 1 if constant."""
    total = np.maximum(weight.sum(axis=0), np.finfo(float).tiny)
    known = np.where(weight > 0, Y, 0.0)
    centre = (weight * known).sum(axis=0) / total
    scale = np.sqrt((weight * (known - centre) ** 2).sum(axis=0) / total)
    return centre, np.where(scale > 1e-9 * np.abs(centre), scale, 1.0)
