"""Kernel ridge regression whose distances are learned from all traits, for each trait its own."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from prescreen.regressors.base import BlockRegressor, State, rated_together
from prescreen.regressors.blocks import BlockDesign, Float16, Float32, Float64, squared_distances
from prescreen.regressors.folds import Fold, grouped_folds
from prescreen.regressors.kernel_solver import MANY, PENALTIES, downhill, fit_at, solve_parts
from prescreen.regressors.threads import Step

LARGE = 1000  # rows; with more, `FEWER` folds choose the penalty of the second stage
FEWER = 5
_ROWS = 64  # that are in the cache at a time
_STEPS = 8  # that the second stage reports, whatever the number of targets
_LEAST_EXPLAINED = 0.02  # share of variance; of traits that nothing predicts, shares would be divided by zero


@dataclass(eq=False)
class SharedKernelRidge(BlockRegressor):
    """Kernel ridge regression in two stages; the second stage measures distances that matter to the raters.

    The first stage predicts all columns from the distances of the features. In the second stage the squared distance
    of two pictures is that of the features plus ``pull`` times the mean squared difference of their first predictions,
    in standard deviations of the ratings. Pictures that should make the same impression come closer, and so a trait
    learns from the ratings of the others. Each target has its own mean: a column's share in it grows with how alike
    the first predictions of both are, and with how well the column is predicted (:func:`trait_shares`). The first
    prediction of a training row is made without the row's group, if the row is rated in that column.

    A left-out rating moves the first predictions of the other rows, and with them the distances. So there is no closed
    form: the penalty of each target is chosen by repeating both stages without each of a few folds. With more than 200
    rows half of the folds choose, those with most ratings of the target, and the others are predicted with the choice.

    Parameters
    ----------
    gamma : float
        γ of the kernel exp(−γ · distance²) in both stages.
    pull : float
        Weight of the first predictions in the second distance, not negative.
    penalties : sequence of float
        Candidates for the penalty of each column, in both stages, in ascending order.
    cv_splits : int
        Grouped folds that choose the penalty of the second stage; 5 at most with more than 1000 rows.
    seed : int
        For the folds.
    n_targets : int, optional
        Only the first so many columns are predicted; the others are auxiliary tasks, whose ratings help to decide
        which pictures are alike. By default all columns are targets.

    Attributes
    ----------
    support_ : ndarray of float16, shape (m, d)
        Standardised training rows.
    first_dual_ : ndarray of shape (m, t)
        Coefficients of the support rows in the first stage, for all columns.
    first_intercept_ : ndarray of shape (t,)
    trait_shares_ : ndarray of float32, shape (n_targets, t)
        Share of each column in the second distance of each target; rows sum to 1.
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

    steps: ClassVar[int] = 2 + _STEPS

    gamma: float = 0.2
    pull: float = 2.0
    penalties: Sequence[float] = PENALTIES
    cv_splits: int = 10
    seed: int = 0
    n_targets: int | None = None

    def __post_init__(self) -> None:
        if not (0 < self.gamma < math.inf and 0 <= self.pull < math.inf):
            raise ValueError(f"gamma {self.gamma}, pull {self.pull}: expected more than 0, and 0 or more")

    def _fit(self, design: BlockDesign, Y: Float64, weight: Float64, codes: NDArray[np.intp], step: Step) -> None:
        list(rated_together(weight, codes))  # refuses columns rated in one group only
        targets = Y.shape[1] if self.n_targets is None else self.n_targets
        if not 0 < targets <= Y.shape[1]:
            raise ValueError(f"n_targets is {self.n_targets}; expected 1 to {Y.shape[1]}, the columns of the ratings")
        kept = np.flatnonzero((weight > 0).any(axis=1))
        distances = design.distances[np.ix_(kept, kept)]
        Y, weight, codes = Y[kept], weight[kept], codes[kept]

        splits = min(self.cv_splits, FEWER) if len(kept) > LARGE else self.cv_splits
        folds = grouped_folds(codes, splits, self.seed)
        first, *others = _first_stages(self._rbf(distances), Y, weight, codes, self.penalties, folds)
        parts = list(zip(folds, others, strict=True))
        step()
        self.dual_ = np.zeros((len(kept), targets))
        self.intercept_, self.penalty_ = np.zeros((2, targets))
        self.trait_shares_ = first.shares[:targets]
        self.cv_predictions_ = np.full((len(design), targets), np.nan)
        for target in range(targets):
            y, own = Y[:, target], weight[:, target]
            start = np.searchsorted(self.penalties, first.penalty[[target]]) if len(y) > MANY else None
            penalty, predicted = self._choose_penalty(target, start, distances, y, own, parts)
            rated = np.flatnonzero(own)
            points, shares = first.points[rated], self.trait_shares_[target]
            kernel = self._second(distances[np.ix_(rated, rated)], points, points, shares)
            dual, intercept = fit_at(kernel, y[rated, None], penalty, own[rated])
            self.dual_[rated, target] = dual[:, 0]
            self.intercept_[target], self.penalty_[target] = intercept[0], penalty
            self.cv_predictions_[kept[rated], target] = predicted[rated]
            # one of eight targets reports one step, one of two reports four
            for _ in range(_STEPS * target // targets, _STEPS * (target + 1) // targets):
                step()
        self._set_support(design.standardised[kept], design.features[kept])
        self.first_dual_, self.first_intercept_, self.anchors_ = first.dual, first.intercept, first.points
        self.centre_, self.scale_ = first.centre, first.scale

    def _choose_penalty(
        self,
        target: int,
        start: NDArray[np.intp] | None,
        distances: Float32,
        y: Float64,
        weight: Float64,
        parts: Sequence["_Part"],
    ) -> tuple[float, Float64]:
        """Return the best penalty of one target, and what it predicts of each row from the other folds, (n,).

        Without a ``start`` there are so few rows that all penalties are tried, on all folds.
        """
        parts = sorted(parts, key=lambda part: -weight[part[0][1]].sum())
        count = len(parts) if start is None else (len(parts) + 1) // 2
        tested = np.concatenate([test for (_, test), _ in parts[:count]])
        left_out: dict[int, Float64] = {}

        def evaluate(numbers: Sequence[int]) -> list[Float64]:
            found = self._left_out([self.penalties[k] for k in numbers], target, distances, y, weight, parts[:count])
            left_out.update(zip(numbers, found, strict=True))
            errors = np.where(weight > 0, found - y, 0.0)[:, tested]
            return list((weight[tested] * errors**2).sum(axis=1, keepdims=True))

        (best,), _ = downhill(evaluate, start, len(self.penalties))
        penalty = float(self.penalties[best])
        predicted = self._left_out([penalty], target, distances, y, weight, parts[count:])[0]
        predicted[tested] = left_out[best][tested]
        return penalty, predicted

    def _left_out(
        self,
        penalties: Sequence[float],
        target: int,
        distances: Float32,
        y: Float64,
        weight: Float64,
        parts: Sequence["_Part"],
    ) -> Float64:
        """Predict one target in each fold from the others, with some penalties: (penalties, n)."""
        predictions = np.full((len(penalties), len(y)), np.average(np.nan_to_num(y), weights=weight))
        for (train, test), stage in parts:
            rated = train[weight[train] > 0]
            if target not in stage.columns:  # rated in one group of the training rows at most
                if len(rated):
                    predictions[:, test] = np.average(y[rated], weights=weight[rated])
                continue
            shares = stage.shares[np.searchsorted(stage.columns, target)]
            among, towards = (
                self._second(distances[np.ix_(rows, rated)], stage.points[rows], stage.points[rated], shares)
                for rows in (rated, test)
            )
            for place, penalty in enumerate(penalties):
                dual, intercept = fit_at(among, y[rated, None], penalty, weight[rated])
                predictions[place, test] = towards @ dual[:, 0] + intercept
        return predictions

    def predict_standardised(self, Z: Float32) -> Float64:
        """Predict standardised rows (m, d); returns (m, n_targets)."""
        distances = squared_distances(Z, self._support_features)
        first = self._rbf(distances) @ self.first_dual_ + self.first_intercept_
        points = np.asarray((first - self.centre_) / self.scale_, np.float32)
        columns = [
            self._second(distances, points, self.anchors_, shares) @ dual + intercept
            for shares, dual, intercept in zip(self.trait_shares_, self.dual_.T, self.intercept_, strict=True)
        ]
        return np.stack(columns, axis=1)

    def state(self) -> State:
        """Return coefficients and support rows of both stages."""
        return {name: getattr(self, f"{name}_") for name in (*_ARRAYS, "support")}, {}

    def _set_state(self, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> None:
        for name in _ARRAYS:
            setattr(self, f"{name}_", arrays[name])
        rows, traits = self.anchors_.shape
        targets = len(self.intercept_)
        shapes = self.trait_shares_.shape, self.dual_.shape, self.first_dual_.shape, arrays["support"].shape[:1]
        fitting = (targets, traits), (rows, targets), (rows, traits), (rows,)
        if shapes != fitting or not (self.trait_shares_ >= 0).all():
            raise ValueError(f"arrays of shapes {shapes} do not fit together")
        self._set_support(arrays["support"])

    def _set_support(self, support: Float16, features: Float32 | None = None) -> None:
        self.support_ = support
        self._support_features = self.scaler_.weigh(support) if features is None else features

    def _rbf(self, distances: Float32) -> Float64:
        """exp(−γ · distance²), for squared distances of any shape."""
        return np.asarray(np.exp(np.float32(-self.gamma) * distances), np.float64)

    def _second(self, distances: Float32, points: Float32, anchors: Float32, shares: Float32) -> Float64:
        """Kernel of rows and support for one target, by their distances (k, m) and first predictions (k, t), (m, t)."""
        root = np.sqrt(np.float32(self.pull) * shares)
        points, anchors = points * root, anchors * root
        kernel = np.empty(distances.shape)
        for start in range(0, len(kernel), _ROWS):
            rows = slice(start, start + _ROWS)
            kernel[rows] = self._rbf(distances[rows] + squared_distances(points[rows], anchors))
        return kernel


def trait_shares(points: Float32, explained: Float64) -> Float32:
    """Return how much each trait counts when pictures are compared for one of them.

    The share is proportional to the squared correlation of both traits' predictions, times the share of the trait's
    variance that its predictions explain. Predictions are compared, not ratings: nobody needs to have rated both.

    Parameters
    ----------
    points : ndarray of shape (n, t)
        Predictions.
    explained : ndarray of shape (t,)
        Share of the variance of each trait's ratings that its predictions explain, more than 0 and at most 1.

    Returns
    -------
    ndarray of float32, shape (t, t)
        A row for each trait that is to be predicted; rows sum to 1.
    """
    centred = np.asarray(points - points.mean(axis=0), np.float64)
    size = np.sqrt((centred**2).sum(axis=0))
    unit = np.divide(centred, size, out=np.zeros_like(centred), where=size > 1e-6 * np.sqrt(len(points)))
    alike = (unit.T @ unit) ** 2
    np.fill_diagonal(alike, 1.0)
    shares = alike * explained
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


_ARRAYS = (
    "first_dual",
    "first_intercept",
    "trait_shares",
    "dual",
    "intercept",
    "penalty",
    "centre",
    "scale",
    "anchors",
)


@dataclass(frozen=True)
class _FirstStage:
    """Kernel ridge regression of all columns (t) that some rows can say something of."""

    columns: NDArray[np.intp]  # (t,), their numbers
    dual: Float64  # (n, t), zero where a row is not learned from
    intercept: Float64  # (t,)
    penalty: Float64  # (t,)
    centre: Float64  # (t,)
    scale: Float64  # (t,)
    points: Float32  # (n, t), predictions of all rows without their groups, in standard deviations of the ratings
    shares: Float32  # (t, t), see trait_shares


_Part = tuple[Fold, _FirstStage]
"""A fold, and the first stage without its test rows."""


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
        cells = np.ix_(rows, some)
        centre, scale = _centre_and_scale(Y[cells], weight[cells])
        points = np.asarray((said - centre) / scale, np.float32)
        errors = np.where(weight[cells] > 0, (said[rows] - Y[cells]) / scale, 0.0)
        missed = (weight[cells] * errors**2).sum(axis=0) / weight[cells].sum(axis=0)
        shares = trait_shares(points[rows], np.clip(1 - missed, _LEAST_EXPLAINED, 1))
        stages.append(
            _FirstStage(
                columns=some,
                dual=dual[k][:, some],
                intercept=intercept[k, some],
                penalty=penalty[k, some],
                centre=centre,
                scale=scale,
                points=points,
                shares=shares,
            )
        )
    return stages


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
