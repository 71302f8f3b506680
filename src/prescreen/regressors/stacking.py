"""Stacks regressors for each trait, and cross-validates the stack.

:func:`fit_final` fits all candidates and weighs them for each trait by their errors on left-out groups.
:func:`cross_validate` repeats that in each training part of an outer grouped split.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from prescreen.errors import PredictorError
from prescreen.regressors.base import BlockRegressor, State, below, check_targets
from prescreen.regressors.blocks import (
    CHUNK,
    SMALL,
    BlockDesign,
    Blocks,
    BlockScaler,
    Float32,
    Float64,
    blas_threads,
    in_chunks,
)
from prescreen.regressors.boosting import BoostedTrees
from prescreen.regressors.folds import grouped_folds, require_groups
from prescreen.regressors.kernel_ridge import BlockKernelRidge
from prescreen.regressors.kernel_solver import PENALTIES
from prescreen.regressors.multitask_kernel_ridge import SharedKernelRidge, add_auxiliary
from prescreen.regressors.shares import stack_shares, weighted_mse
from prescreen.regressors.threads import Step, run_all

PriorOf = Callable[[NDArray[np.intp]], NDArray[Any]]
"""From the rows of a training part to what other predictors say of all rows."""

STACK = "stack"
BASE = "base"
_KINDS: dict[str, type[BlockRegressor]] = {
    kind.__name__: kind for kind in (BlockKernelRidge, SharedKernelRidge, BoostedTrees)
}
_MOST_THREADS = 4  # each holds a copy of the features: 1.1 GB of 3000 pictures and 28,000 features
_LARGEST_CHUNK = 1000  # rows that are predicted at once; each chunk converts all training rows
_BASE_PENALTIES = tuple(penalty for penalty in PENALTIES if penalty > 0.3)  # smaller ones overfit 30 pictures


def candidates(seed: int, *, hold_rows: bool = True, trees: bool = False) -> dict[str, BlockRegressor]:
    """Return the regressors that are stacked for each trait, unfitted, by name.

    Parameters
    ----------
    seed : int
        For the trees and the inner folds.
    hold_rows : bool
        Whether to include regressors that hold whole training rows.
    trees : bool
        Whether to include LightGBM; without `hold_rows` it is always included.
    """
    found: dict[str, BlockRegressor] = {"ridge": BlockKernelRidge()}
    if hold_rows:
        found["shared_kernel_ridge"] = SharedKernelRidge(seed=seed)
    if trees or not hold_rows:
        found["lightgbm"] = BoostedTrees(seed=seed)
    return found


def steps_of_fold(*, hold_rows: bool = True, trees: bool = False) -> int:
    """Return how many steps a fold of :func:`cross_validate` reports."""
    return 2 + sum(candidate.steps for candidate in candidates(0, hold_rows=hold_rows, trees=trees).values())


@dataclass(frozen=True)
class TraitRegressors:
    """One model of all traits: for each trait a weighted mean of the candidates.

    Attributes
    ----------
    scaler : BlockScaler
        Standardisation, shared by all regressors.
    regressors : dict of str to BlockRegressor
        The candidates that some trait uses.
        ``"base"``, a ridge on the predictions of other predictors, has a scaler of its own.
    weights : ndarray of float64, shape (len(regressors), t)
        Share of each regressor in the prediction of each trait; columns sum to 1.
    choices : tuple of str
        For each trait, the name of the only candidate with a share, or ``"stack"``.
    inner_errors : dict of str to ndarray, shape (t,)
        Weighted mean squared error of each candidate, and of the stack, on left-out groups of the training rows. They
        flatter a little, since all rows decided which features are relevant, and the shares; :func:`cross_validate`
        does not.
    """

    scaler: BlockScaler
    regressors: dict[str, BlockRegressor]
    weights: Float64
    choices: tuple[str, ...]
    inner_errors: dict[str, Float64]

    @property
    def rows_held(self) -> int:
        """Number of training rows that it holds whole."""
        return max(regressor.rows_held for regressor in self.regressors.values())

    @property
    def needs_prior(self) -> bool:
        """Whether some trait uses predictions of other predictors."""
        return BASE in self.regressors

    def predict(self, X: NDArray[Any], prior: NDArray[Any] | None = None, *, size: int = CHUNK) -> Float64:
        """Predict ``X`` (n, d); returns (n, t). A row's prediction does not depend on the other rows.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Features.
        prior : ndarray of shape (n, k), optional
            As in `fit_final`, for these rows.
        size : int
            As in `prescreen.regressors.blocks.in_chunks`.

        Raises
        ------
        ValueError
            If there is no prior, and some trait needs it.
        """
        predictions = in_chunks(self._predict_standardised, self.scaler, X, size)
        if self.needs_prior:
            if prior is None:
                raise ValueError("these regressors need the predictions of their bases")
            base = self.regressors[BASE]
            share = self.weights[list(self.regressors).index(BASE)]
            predictions += share * in_chunks(base.predict_standardised, base.scaler_, prior, size)
        return predictions

    def _predict_standardised(self, Z: Float32) -> Float64:
        predictions = np.zeros((len(Z), self.weights.shape[1]))
        for share, (name, regressor) in zip(self.weights, self.regressors.items(), strict=True):
            if name != BASE:
                predictions += share * regressor.predict_standardised(Z)
        return predictions

    def to_state(self) -> State:
        """Return arrays and a JSON-able configuration; the standardised training rows are in it once, as float16."""
        scaler_arrays, scaler_config = self.scaler.to_state()
        arrays = {"weights": self.weights, **{f"scaler/{name}": array for name, array in scaler_arrays.items()}}
        configs = []
        for name, regressor in self.regressors.items():
            head_arrays, head = regressor.state()
            arrays |= {f"{name}/{key}": array for key, array in head_arrays.items()}
            kind = type(regressor).__name__
            saved = {"name": name, "kind": kind, "parameters": regressor.parameters, "head": head}
            if name == BASE:
                own_arrays, saved["scaler"] = regressor.scaler_.to_state()
                arrays |= {f"{name}/scaler/{key}": array for key, array in own_arrays.items()}
            configs.append(saved)
        return arrays, {
            "scaler": scaler_config,
            "regressors": configs,
            "choices": list(self.choices),
            "inner_errors": {name: errors.tolist() for name, errors in self.inner_errors.items()},
        }

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> Self:
        """Rebuild what :meth:`to_state` returned; predictions are equal bit for bit.

        Raises
        ------
        PredictorError
            If something is missing or of a kind that this version does not know.
        """
        try:
            scaler = BlockScaler.from_state(below("scaler/", arrays), config["scaler"])
            regressors = {}
            for saved in config["regressors"]:
                found = below(f"{saved['name']}/", arrays)
                own = BlockScaler.from_state(below("scaler/", found), saved["scaler"]) if "scaler" in saved else scaler
                kind = _KINDS[saved["kind"]]
                regressors[saved["name"]] = kind.from_state(own, saved["parameters"], found, saved["head"])
            errors = {name: np.array(values) for name, values in config["inner_errors"].items()}
            return cls(scaler, regressors, arrays["weights"], tuple(config["choices"]), errors)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise PredictorError(
                f"the saved regressors are incomplete or of another version ({error}); train the predictor again"
            ) from error


def fit_final(
    X: NDArray[Any],
    Y: NDArray[Any],
    groups: NDArray[Any] | None,
    blocks: Blocks | None,
    *,
    sample_weight: NDArray[Any] | None = None,
    auxiliary: NDArray[Any] | None = None,
    prior: NDArray[Any] | None = None,
    prior_blocks: Blocks | None = None,
    seed: int = 0,
    hold_rows: bool = True,
    trees: bool = False,
    step: Step = lambda: None,
) -> TraitRegressors:
    """Fit all candidates and weigh them for each trait so that left-out groups are predicted best.

    The shares are not negative, sum to 1 and minimise the mean squared error of the stack. Half of the matrix of error
    products is the trait's own and half the mean over all traits, each in units of the trait's variance: the errors of
    one trait alone are too noisy.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Features, finite.
    Y : ndarray of shape (n, t)
        Ratings; NaN where a picture was not rated. Each trait is fitted on its own rated rows.
    groups : ndarray of shape (n,) or None
        Person or near-duplicate group of each row; without it every row is a group.
    blocks : mapping of str to slice or None
        Named column ranges that tile the features.
    sample_weight : ndarray of shape (n,) or (n, t), optional
        Not negative; only the ratios within a trait count.
    auxiliary : ndarray of shape (n, a), optional
        Ratings of other traits, NaN where there are none. They are not predicted; `SharedKernelRidge` learns from them
        which pictures are alike.
    prior : ndarray of shape (n, k), optional
        What other predictors say of the pictures, on any traits and scales; without columns it is none. A ridge on it
        is one more candidate. What they say of a picture must not come from a model that has seen its ratings.
    prior_blocks : mapping of str to slice, optional
        The columns of each of these predictors.
    seed : int
        For the trees and their inner folds.
    hold_rows, trees : bool
        As in :func:`candidates`.
    step : callable
        Called after the standardisation and after each part of a candidate's fit.

    Raises
    ------
    RatingsError
        If a trait has ratings from fewer than two groups.

    References
    ----------
    L. Breiman, Stacked regressions, Machine Learning 24, 1996.
    """
    Y, weight, codes = check_targets(Y, sample_weight, groups, len(X))
    weight = _mean_one(weight)
    competitors = candidates(seed, hold_rows=hold_rows, trees=trees)
    has_prior = prior is not None and prior.shape[1] > 0
    everything = add_auxiliary(Y, weight, codes, auxiliary)
    with blas_threads(len(X)):
        # Left-out errors have seen the relevance of features. They would take shares from what other predictors say.
        design = BlockDesign.fit(X, blocks, None if has_prior else (*everything, codes))
        step()
        fitted = {}
        for name, candidate in competitors.items():
            learned = Y, weight
            if isinstance(candidate, SharedKernelRidge):
                learned, candidate.n_targets = everything, Y.shape[1]
            fitted[name] = candidate.fit(design, *learned, codes, step)
        if prior is not None and has_prior:
            ridge = BlockKernelRidge(penalties=_BASE_PENALTIES)
            fitted[BASE] = ridge.fit(BlockDesign.fit(prior, prior_blocks), Y, weight, codes)
    left_out = {name: regressor.cv_predictions_ for name, regressor in fitted.items()}
    errors = {name: weighted_mse(predictions, Y, weight) for name, predictions in left_out.items()}
    predictions = np.stack(list(left_out.values()))
    weights = stack_shares(predictions, Y, weight)
    errors[STACK] = weighted_mse((weights[:, None] * predictions).sum(axis=0), Y, weight)
    names = list(fitted)
    choices = tuple(names[share.argmax()] if share.max() == 1 else STACK for share in weights.T)
    used = [bool(share.any()) for share in weights]
    return TraitRegressors(
        scaler=design.scaler,
        regressors={name: regressor for (name, regressor), kept in zip(fitted.items(), used, strict=True) if kept},
        weights=weights[used],
        choices=choices,
        inner_errors=errors,
    )


def _mean_one(weight: Float64) -> Float64:
    """Scale each column to mean 1 over its rated rows, so that penalties mean the same for every trait."""
    rated = np.maximum((weight > 0).sum(axis=0), 1)
    total = weight.sum(axis=0)
    factor = np.divide(rated, total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(weight * factor, np.float64)


@dataclass(frozen=True)
class CrossValidation:
    """Results of nested cross-validation.

    Attributes
    ----------
    predictions : ndarray of shape (n, t)
        For each row, rated or not, by models that saw nothing of the row's group.
    naive : ndarray of shape (n, t)
        Mean rating of the training folds: the prediction to beat.
    folds : ndarray of int, shape (n,)
        Fold in which the row was tested.
    choices : tuple of tuple of str
        ``choices[fold][trait]``: as in :class:`TraitRegressors`, for the training part.
    inner_errors : tuple of dict of str to ndarray, shape (t,)
        For each fold, as in :class:`TraitRegressors`, for the training part.
    """

    predictions: Float64
    naive: Float64
    folds: NDArray[np.intp]
    choices: tuple[tuple[str, ...], ...]
    inner_errors: tuple[dict[str, Float64], ...]

    @property
    def n_splits(self) -> int:
        """Folds used; fewer than asked for when there are fewer groups."""
        return len(self.choices)


def cross_validate(
    X: NDArray[Any],
    Y: NDArray[Any],
    groups: NDArray[Any] | None,
    blocks: Blocks | None,
    *,
    sample_weight: NDArray[Any] | None = None,
    auxiliary: NDArray[Any] | None = None,
    prior: NDArray[Any] | PriorOf | None = None,
    prior_blocks: Blocks | None = None,
    n_splits: int = 10,
    seed: int = 0,
    hold_rows: bool = True,
    trees: bool = False,
    threads: int = 1,
    step: Step = lambda: None,
) -> CrossValidation:
    """Nested grouped cross-validation of :func:`fit_final`.

    Each training part has its own standardisation, components, penalties and shares; the test fold is only predicted.

    Parameters
    ----------
    X, Y, groups, blocks, sample_weight, auxiliary, prior_blocks, hold_rows, trees
        As in :func:`fit_final`.
    prior : ndarray of shape (n, k) or callable, optional
        As in :func:`fit_final`, or what returns it for the rows of a training part: of all n rows, learned without any
        of the groups that are not in the training part.
    n_splits : int
        Outer folds; fewer when there are fewer groups.
    seed : int
        For the folds and the candidates.
    threads : int
        How many folds are fitted at once, 4 at most; one with more than 3000 pictures, whose matrix products use all
        processors, with trees, which cannot be interrupted, and with a callable ``prior``, which trains predictors of
        any size. Predictions do not depend on it.
    step : callable
        Called in this thread `steps_of_fold` times for each fold.

    Raises
    ------
    RatingsError
        With fewer than three groups, or if a trait has ratings from fewer than two groups in some training part.
    """
    X = np.asarray(X, np.float32)
    Y, weight, codes = check_targets(Y, sample_weight, groups, len(X))
    require_groups(len(np.unique(codes)), 3)
    splits = grouped_folds(codes, n_splits, seed)
    predictions, naive = np.zeros(Y.shape), np.zeros(Y.shape)
    folds = np.zeros(len(X), np.intp)

    def test_fold(fold: int, step: Step) -> tuple[tuple[str, ...], dict[str, Float64]]:
        train, test = splits[fold]
        said = prior(train) if callable(prior) else prior
        model = fit_final(
            X[train],
            Y[train],
            codes[train],
            blocks,
            sample_weight=weight[train],
            auxiliary=None if auxiliary is None else auxiliary[train],
            prior=None if said is None else said[train],
            prior_blocks=prior_blocks,
            seed=seed,
            hold_rows=hold_rows,
            trees=trees,
            step=step,
        )
        size = min(max(len(test), CHUNK), _LARGEST_CHUNK)
        predictions[test] = model.predict(X[test], None if said is None else said[test], size=size)
        naive[test] = np.average(np.nan_to_num(Y[train]), axis=0, weights=weight[train])
        folds[test] = fold
        step()
        return model.choices, model.inner_errors

    alone = len(X) > SMALL or trees or not hold_rows or callable(prior)
    at_once = 1 if alone else min(threads, _MOST_THREADS)
    with blas_threads(len(X)):  # around all threads, since the limit is one of the process
        found = run_all([partial(test_fold, fold) for fold in range(len(splits))], at_once, step)
    choices, inner_errors = zip(*found, strict=True)
    return CrossValidation(predictions, naive, folds, choices, inner_errors)
