"""Accuracy figures with bootstrap intervals.

A resample is a row of multiplicities (how often each picture was drawn), so that a figure for a thousand resamples is
a few matrix products.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Metric = Callable[[Float64, Float64, Float64], Float64]

RESAMPLES = 1000
LEVEL = 0.95
TOP = 10
RECALL = 50


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % bootstrap interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


def multiplicities(n: int, groups: NDArray[Any] | None, seed: int, n_resamples: int = RESAMPLES) -> Float64:
    """Draw bootstrap resamples.

    Parameters
    ----------
    n : int
        Rows.
    groups : ndarray of shape (n,), optional
        Whole groups are drawn, since rows of one group are not independent.
    seed : int
    n_resamples : int

    Returns
    -------
    ndarray of shape (n_resamples, n)
        How often each row is in each resample.
    """
    generator = np.random.default_rng(seed)
    codes = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_groups = int(codes.max(initial=-1)) + 1
    drawn = generator.integers(n_groups, size=(n_resamples, n_groups))
    flat = drawn + n_groups * np.arange(n_resamples)[:, None]
    counts = np.bincount(flat.ravel(), minlength=n_resamples * n_groups).reshape(n_resamples, n_groups)
    return counts[:, codes].astype(np.float64)


def estimate(metric: Metric, truth: Float64, predictions: Float64, counts: Float64) -> Estimate:
    """Compute a metric on the data, and its percentile interval over the resamples in which it is defined."""
    if len(truth) == 0:
        return Estimate(None)
    value = _defined(metric(truth, predictions, np.ones((1, len(truth))))[0])
    resampled = metric(truth, predictions, counts)
    resampled = resampled[np.isfinite(resampled)]
    if value is None or len(resampled) == 0:
        return Estimate(value)
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return Estimate(value, float(low), float(high))


def pearson(truth: Float64, predictions: Float64, counts: Float64) -> Float64:
    """Pearson correlation in each resample."""
    return _correlation(_repeated(truth, counts), _repeated(predictions, counts), counts)


def spearman(truth: Float64, predictions: Float64, counts: Float64) -> Float64:
    """Spearman rank correlation in each resample, ties at their middle rank."""
    return _correlation(_middle_ranks(truth, counts), _middle_ranks(predictions, counts), counts)


def r2(truth: Float64, predictions: Float64, counts: Float64) -> Float64:
    """Coefficient of determination in each resample, against the resample's mean truth."""
    centred = truth - truth.mean()
    n = counts.sum(axis=1)
    total = counts @ centred**2 - (counts @ centred) ** 2 / n
    return 1 - _ratio(counts @ (truth - predictions) ** 2, np.where(total > 1e-12 * n * centred.var(), total, 0))


def mae(truth: Float64, predictions: Float64, counts: Float64) -> Float64:
    """Mean absolute error in each resample."""
    return np.asarray(counts @ np.abs(truth - predictions) / counts.sum(axis=1), np.float64)


def rmse(truth: Float64, predictions: Float64, counts: Float64) -> Float64:
    """Root mean squared error in each resample."""
    return np.asarray(np.sqrt(counts @ (truth - predictions) ** 2 / counts.sum(axis=1)), np.float64)


def hit_rate(inside: NDArray[np.bool_], counts: Float64) -> Estimate:
    """Share of rows for which something holds."""
    values = inside.astype(np.float64)
    return estimate(lambda truth, _, drawn: np.asarray(drawn @ truth / drawn.sum(axis=1)), values, values, counts)


@dataclass(frozen=True)
class Screening:
    """How well the predictions pick the best.

    Attributes
    ----------
    top : int
        Pictures picked: 10, or a quarter of fewer than 40.
    top_mean : Estimate
        Mean truth of the pictures with the highest predictions.
    best_possible, overall : float or None
        Mean truth of the truly best ``top``, and of all: a perfect pick and a blind one.
    wanted : int
        Size of the truly best set to be found again: 50, or a tenth of fewer than 500.
    recall : Estimate
        Share of the ``wanted`` truly best that are among the ``wanted`` with the highest predictions.
    recall_by_chance : float
        What a blind pick finds.
    """

    top: int
    top_mean: Estimate
    best_possible: float | None
    overall: float | None
    wanted: int
    recall: Estimate
    recall_by_chance: float


def screening(truth: Float64, predictions: Float64, counts: Float64) -> Screening:
    """Judge the predictions as a pick of the best; equal values keep the order of the rows."""
    n = len(truth)
    top, wanted = (min(most, max(1, n // share)) for most, share in ((TOP, 4), (RECALL, 10)))
    if n == 0:
        return Screening(top, Estimate(None), None, None, wanted, Estimate(None), 0.0)

    def over_resamples(figure: Callable[[Float64, Float64], float]) -> Metric:
        def metric(truth: Float64, predictions: Float64, counts: Float64) -> Float64:
            rows = (np.repeat(np.arange(n), count) for count in counts.astype(np.intp))
            return np.array([figure(truth[drawn], predictions[drawn]) for drawn in rows])

        return metric

    def top_mean(truth: Float64, predictions: Float64) -> float:
        return float(truth[_highest(predictions, top)].mean())

    def recall(truth: Float64, predictions: Float64) -> float:
        return len(np.intersect1d(_highest(truth, wanted), _highest(predictions, wanted))) / wanted

    return Screening(
        top=top,
        top_mean=estimate(over_resamples(top_mean), truth, predictions, counts),
        best_possible=top_mean(truth, truth),
        overall=float(truth.mean()),
        wanted=wanted,
        recall=estimate(over_resamples(recall), truth, predictions, counts),
        recall_by_chance=wanted / n,
    )


@dataclass(frozen=True)
class WithinPerson:
    """Pearson correlation of deviations from each person's mean, over persons with at least two pictures."""

    n_persons: int
    n_pictures: int
    pearson: Estimate


def within_person(
    truth: Float64, predictions: Float64, persons: NDArray[Any], seed: int, n_resamples: int = RESAMPLES
) -> WithinPerson | None:
    """Judge the order of one person's pictures, all persons pooled; resampled by person.

    Parameters
    ----------
    truth, predictions : ndarray of shape (n,)
    persons : ndarray of shape (n,)
        Person in each picture; None or NaN where unknown.
    seed : int
    n_resamples : int

    Returns
    -------
    WithinPerson or None
        None without a person with two pictures.
    """
    codes = pd.factorize(np.asarray(persons, object), use_na_sentinel=True)[0]
    sizes = np.bincount(codes[codes >= 0], minlength=1)
    kept = (codes >= 0) & (sizes[codes] >= 2)
    if not kept.any():
        return None
    frame = pd.DataFrame({"truth": truth[kept], "predictions": predictions[kept]})
    deviations = frame - frame.groupby(codes[kept]).transform("mean")
    y, p = (deviations[name].to_numpy(np.float64) for name in ("truth", "predictions"))
    counts = multiplicities(int(kept.sum()), codes[kept], seed, n_resamples)
    return WithinPerson(len(np.unique(codes[kept])), int(kept.sum()), estimate(pearson, y, p, counts))


def _highest(values: Float64, k: int) -> NDArray[np.intp]:
    return np.argsort(-values, kind="stable")[:k]


def _repeated(values: Float64, counts: Float64) -> Float64:
    return np.broadcast_to(values - values.mean(), counts.shape)


def _correlation(A: Float64, B: Float64, counts: Float64) -> Float64:
    """Pearson correlation of rows of ``A`` and ``B`` (resamples, n), each element counted so many times."""
    n = counts.sum(axis=1)
    first, second = ((counts * values).sum(axis=1) / n for values in (A, B))
    a, b = A - first[:, None], B - second[:, None]
    spread = [np.sqrt((counts * centred**2).sum(axis=1)) for centred in (a, b)]
    # A constant leaves rounding noise behind, whose correlation would be meaningless.
    floor = [1e-10 * np.sqrt(n) * np.abs(values).max() for values in (A, B)]
    valid = (spread[0] > floor[0]) & (spread[1] > floor[1])
    return _ratio((counts * a * b).sum(axis=1), np.where(valid, spread[0] * spread[1], 0))


def _middle_ranks(values: Float64, counts: Float64) -> Float64:
    """Rank of each value in each resample (resamples, n); equal values share the middle of their ranks."""
    levels, level = np.unique(values, return_inverse=True)
    order = np.argsort(level, kind="stable")
    drawn = np.add.reduceat(counts[:, order], np.searchsorted(level[order], np.arange(len(levels))), axis=1)
    middle = np.cumsum(drawn, axis=1) - drawn / 2
    return np.asarray(middle[:, level], np.float64)


def _ratio(numerator: Float64, denominator: Float64) -> Float64:
    result = np.full(np.shape(numerator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=result, where=denominator > 0), np.float64)


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
