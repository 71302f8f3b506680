"""Kernel ridge regression whose distances are learned from all traits together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from prescreen.regressors.base import BlockRegressor, State, rated_together
from prescreen.regressors.blocks import BlockDesign, Float16, Float32, Float64, squared_distances
from prescreen.regressors.folds import Fold, grouped_folds
from prescreen.regressors.kernel_solver import MANY, PENALTIES, downhill, fit_at, solve_parts
from prescreen.regressors.threads import Step

GAMMAS = (0.1, 0.3)
PULLS = (1.0, 2.0)
LARGE = 1000  # rows; with more, `FEWER` folds choose the penalty of the second stage
FEWER = 5
_ROWS = 64  # that are in the cache at a time


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
        Grouped folds that choose the penalty of the second stage; 5 at most with more than 1000 rows.
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

    steps: ClassVar[int] = 3

    gammas: Sequence[float] = GAMMAS
    pulls: Sequence[float] = PULLS
    penalties: Sequence[float] = PENALTIES
    cv_splits: int = 10
    seed: int = 0
    n_targets: int | None = None

    def _fit(self, design: BlockDesign, Y: Float64, weight: Float64, codes: NDArray[np.intp], step: Step) -> None:
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
        splits = min(self.cv_splits, FEWER) if len(kept) > LARGE else self.cv_splits
        folds = grouped_folds(codes, splits, self.seed)
        stages = _first_stages(first, Y, weight, codes, self.penalties, folds)
        step()
        left_out: dict[int, Float64] = {}

        def evaluate(numbers: Sequence[int], count: int = len(folds)) -> list[Float64]:
            tested = np.concatenate([test for _, test in folds[:count]])
            found = self._left_out(numbers, distances, wanted, wanted_weight, codes, folds[:count], stages[1:])
            left_out.update(zip(numbers, found, strict=True))
            errors = np.where(wanted_weight > 0, found - wanted, 0.0)[:, tested]
            return list((wanted_weight[tested] * errors**2).sum(axis=1))

        start = None
        if len(kept) > MANY:
            start = np.searchsorted(self.penalties, stages[0].penalty[targets])
            start, _ = downhill(partial(evaluate, count=1), start, len(self.penalties))
        step()
        best, _ = downhill(evaluate, start, len(self.penalties))
        predicted = np.stack([left_out[k][:, column] for column, k in enumerate(best)], 1)

        self.penalty_ = np.asarray(self.penalties, np.float64)[best]
        second = self._second(distances, stages[0].points, stages[0].points)
        self.dual_, self.intercept_ = _fit_columns(second, wanted, wanted_weight, codes, self.penalty_)
        self._set_support(design.standardised[kept], design.features[kept])
        self.first_dual_, self.first_intercept_, self.anchors_ = stages[0].dual, stages[0].intercept, stages[0].points
        self.centre_, self.scale_ = stages[0].centre, stages[0].scale
        self.cv_predictions_ = np.full((len(design), len(targets)), np.nan)
        self.cv_predictions_[kept] = np.where(wanted_weight > 0, predicted, np.nan)

    def _left_out(
        self,
        numbers: Sequence[int],
        distances: Float32,
        wanted: Float64,
        weight: Float64,
        codes: NDArray[np.intp],
        folds: Sequence[Fold],
        stages: Sequence["_FirstStage"],
    ) -> Float64:
        """Predict the targets of each fold from the others, with some of the penalties: (numbers, n, t)."""
        predictions = np.tile(_centre_and_scale(wanted, weight)[0], (len(numbers), len(wanted), 1))
        for (train, test), stage in zip(folds, stages, strict=False):
            some = weight[train].any(axis=0)
            predictions[:, test[:, None], some] = _centre_and_scale(wanted[train], weight[train])[0][some]
            known = in_two_groups(weight[train], codes[train])
            if not known.size:
                continue
            cells = np.ix_(train, known)
            among, towards = (
                self._second(distances[np.ix_(rows, train)], stage.points[rows], stage.points[train])
                for rows in (train, test)
            )
            for place, k in enumerate(numbers):
                penalties = np.full(len(known), self.penalties[k])
                dual, intercept = _fit_columns(among, wanted[cells], weight[cells], codes[train], penalties)
                predictions[place][np.ix_(test, known)] = towards @ dual + intercept
        return predictions

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

    def _set_support(self, support: Float16, features: Float32 | None = None) -> None:
        self.support_ = support
        self._support_features = self.scaler_.weigh(support) if features is None else features

    def _mean_rbf(self, distances: Float32) -> Float64:
        """Mean of exp(−γ · distance²) over all γ, for squared distances of any shape."""
        total = np.zeros(distances.shape)
        for gamma in self.gammas:
            total += np.exp(np.float32(-gamma) * distances)
        total /= len(self.gammas)
        return total

    def _second(self, distances: Float32, points: Float32, anchors: Float32) -> Float64:
        """Kernel of rows by their distances to the support (k, m) and their first predictions (k, t)."""
        total = np.empty(distances.shape)
        for start in range(0, len(total), _ROWS):
            rows = slice(start, start + _ROWS)
            apart = squared_distances(points[rows], anchors) / np.float32(anchors.shape[1])
            kernels = [self._mean_rbf(distances[rows] + np.float32(pull) * apart) for pull in self.pulls]
            total[rows] = sum(kernels) / len(kernels)
        return total


_ARRAYS = ("first_dual", "first_intercept", "dual", "intercept", "penalty", "centre", "scale", "anchors")


@dataclass(frozen=True)
class _FirstStage:
    """Kernel ridge regression of all columns (t) that some rows can say something of."""

    dual: Float64  # (n, t), zero where a row is not learned from
    intercept: Float64  # (t,)
    penalty: Float64  # (t,)
    centre: Float64  # (t,)
    scale: Float64  # (t,)
    points: Float32  # (n, t), predictions of all rows without their groups, in standard deviations of the ratings


def _first_stages(
    kernel: Float64,
    Y: Float64,
    weight: Float64,
    codes: NDArray[np.intp],
    penalties: Sequence[float],
    folds: Sequence[Fold],
) -> list[_FirstStage]:
    """Fit the first stage to all rows, then to the training rows of each fold."""
    everything = np.arange(len(Y))
    learned = [everything, *(train for train, _ in folds)]
    usable = [in_two_groups(weight[rows], codes[rows]) for rows in learned]
    dual, left_out = (np.full((len(learned), *Y.shape), fill) for fill in (0.0, np.nan))
    intercept, penalty = np.zeros((2, len(learned), Y.shape[1]))
    for columns, rows, row_weight in rated_together(weight, codes):
        numbers = [0] + [k for k in range(1, len(learned)) if np.isin(columns[0], usable[k])]
        inside = [np.isin(rows, learned[k]) for k in numbers]
        cells = np.ix_(rows, columns)
        fits = solve_parts(
            kernel if len(rows) == len(Y) else kernel[np.ix_(rows, rows)],
            Y[cells],
            penalties,
            weight=row_weight,
            groups=codes[rows],
            left_out=[np.flatnonzero(~part) for part in inside[1:]],
        )
        for k, part, fit in zip(numbers, inside, fits, strict=True):
            cells = np.ix_(rows[part], columns)
            dual[k][cells], left_out[k][cells] = fit.dual, fit.cv_predictions
            intercept[k, columns], penalty[k, columns] = fit.intercept, fit.penalty
    stages = []
    for k, (rows, some) in enumerate(zip(learned, usable, strict=True)):
        said = left_out[k][:, some]
        # Where a row is not rated the fit has not seen it, and its prediction is like that of a new picture.
        gaps = np.flatnonzero(np.isnan(said).any(axis=1))
        new = kernel[gaps] @ dual[k][:, some] + intercept[k, some]
        said[gaps] = np.where(np.isnan(said[gaps]), new, said[gaps])
        centre, scale = _centre_and_scale(Y[np.ix_(rows, some)], weight[np.ix_(rows, some)])
        points = np.asarray((said - centre) / scale, np.float32)
        stages.append(_FirstStage(dual[k][:, some], intercept[k, some], penalty[k, some], centre, scale, points))
    return stages


def _fit_columns(
    kernel: Float64, Y: Float64, weight: Float64, codes: NDArray[np.intp], penalties: Float64
) -> tuple[Float64, Float64]:
    """Coefficients (n, t), zero where a row is not rated, and intercepts (t,), with a penalty for each column."""
    dual, intercept = np.zeros(Y.shape), np.zeros(Y.shape[1])
    for columns, rows, row_weight in rated_together(weight, codes):
        own = kernel if len(rows) == len(Y) else kernel[np.ix_(rows, rows)]
        for penalty in np.unique(penalties[columns]):
            same = columns[penalties[columns] == penalty]
            cells = np.ix_(rows, same)
            dual[cells], intercept[same] = fit_at(own, Y[cells], float(penalty), row_weight)
    return dual, intercept


def in_two_groups(weight: Float64, codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Columns that have ratings from at least two groups."""
    enough = [len(np.unique(codes[weight[:, column] > 0])) > 1 for column in range(weight.shape[1])]
    return np.flatnonzero(enough)


def add_auxiliary(
    Y: Float64, weight: Float64, codes: NDArray[np.intp], auxiliary: NDArray[Any] | None
) -> tuple[Float64, Float64]:
    """Return the columns of the traits, then of the others that are rated in two groups, and their weights."""
    if auxiliary is None:
        return Y, weight
    helpers = np.asarray(auxiliary, np.float64)
    rated = np.isfinite(helpers).astype(np.float64)
    usable = in_two_groups(rated, codes)
    return np.hstack([Y, helpers[:, usable]]), np.hstack([weight, rated[:, usable]])


def _centre_and_scale(Y: Float64, weight: Float64) -> tuple[Float64, Float64]:
    """Weighted mean and standard deviation of the rated rows of each column; 0 without ratings, 1 if constant."""
    total = np.maximum(weight.sum(axis=0), np.finfo(float).tiny)
    known = np.where(weight > 0, Y, 0.0)
    centre = (weight * known).sum(axis=0) / total
    scale = np.sqrt((weight * (known - centre) ** 2).sum(axis=0) / total)
    return centre, np.where(scale > 1e-9 * np.abs(centre), scale, 1.0)
