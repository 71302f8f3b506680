"""Accuracy figures with bootstrap intervals.

A resample is a row of multiplicities (how often each picture was drawn), so that a figure for a thousand resamples is
a few matrix products. All figures of an evaluation come from the same resamples, so that means over traits and
differences between figures have intervals too. `docs/metrics.md` defines every figure.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Float64 = NDArray[np.float64]
Metric = Callable[[Float64, Float64, Float64], Float64]

RESAMPLES = 1000
LEVEL = 0.95


FEWEST_GROUPS: Final = 5
"""Groups that resamples need: of fewer there are less than 40 different resamples, so none for an end at 2.5 %."""

FEWEST_PAIRS: Final = 3
"""Pairs that a correlation needs: that of two is always 1 or -1."""

_WIDEST: Final = 0.95  # of what a figure can be: an interval that leaves more of it open says nothing


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; None is what is not known, and for one end alone that there is no limit."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    def text(self, digits: int = 3, *, interval: bool = True) -> str:
        """Write it for readers: ``0.512 [0.401, 0.620]``, ``0.6 [0.0, no limit]``, ``0.512`` or ``unknown``.

        Parameters
        ----------
        digits : int
            Decimals.
        interval : bool
            Whether to write the interval, where there is one.
        """
        if self.value is None:
            return "unknown"
        text = f"{self.value:.{digits}f}"
        if not interval or (self.low is None and self.high is None):
            return text
        low, high = ("no limit" if end is None else f"{end:.{digits}f}" for end in (self.low, self.high))
        return f"{text} [{low}, {high}]"


@dataclass(frozen=True, eq=False)
class Resampled:
    """A figure on the data and on each resample; NaN where it is not defined, infinite where it has no upper limit.

    ``span`` is the difference between the highest and the lowest that the figure can be.
    """

    value: float
    draws: Float64
    span: float = math.inf

    def estimate(self) -> Estimate:
        """Return the figure with its percentile interval over the resamples in which it is defined.

        There is none where the figure is undefined in half of the resamples or more, where all of them give the same,
        and where the ends leave open nearly all that the figure can be: none of these says anything about the figure.
        """
        value = Estimate(float(self.value) if np.isfinite(self.value) else None)
        draws = self.draws[~np.isnan(self.draws)]
        if np.isnan(self.value) or 2 * len(draws) <= len(self.draws):
            return value
        tail = (1 - LEVEL) / 2
        low, high = (float(end) for end in np.quantile(draws, [tail, 1 - tail], method="inverted_cdf"))
        if low == high or high - low > _WIDEST * self.span:
            return value
        return Estimate(value.value, *(end if np.isfinite(end) else None for end in (low, high)))


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


def drawn_rows(counts: Float64, rows: NDArray[Any], groups: NDArray[Any]) -> Float64:
    """Return some rows of resamples; nothing is drawn, and no figure defined, where they are of too few groups.

    Parameters
    ----------
    counts : ndarray of shape (n_resamples, n)
    rows : ndarray of shape (m,) or of bool, shape (n,)
    groups : ndarray of shape (n,)
    """
    chosen = counts[:, rows]
    return chosen if len(np.unique(groups[rows])) >= FEWEST_GROUPS else np.zeros_like(chosen)


def resample(
    metric: Metric, truth: Float64, predictions: Float64, counts: Float64, span: float = math.inf
) -> Resampled:
    """Compute a metric on the data and on each resample; ``span`` is that of `Resampled`."""
    if len(truth) == 0:
        return Resampled(np.nan, np.full(len(counts), np.nan), span)
    on_data = float(metric(truth, predictions, np.ones((1, len(truth))))[0])
    return Resampled(on_data, metric(truth, predictions, counts), span)


def average(parts: Sequence[Resampled], how: Callable[..., Any] = np.mean) -> Resampled:
    """Average a figure over traits, on the data and on each resample; traits in which it is not defined are left out.

    Parameters
    ----------
    parts : sequence of Resampled
        One a trait, from the same resamples.
    how : callable
        `numpy.mean` or `numpy.median`.
    """
    defined = [part for part in parts if not np.isnan(part.value)]
    if not defined:
        return Resampled(np.nan, np.zeros(0))
    # A resample counts if every trait has the figure in it: otherwise traits would take turns.
    with np.errstate(invalid="ignore"):  # nor does one in which it is ∞ for one trait and −∞ for another
        draws = how(np.stack([part.draws for part in defined]), axis=0)
    return Resampled(float(how([part.value for part in defined])), np.asarray(draws, np.float64), defined[0].span)


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """Return Pearson's r of two arrays of shape (n,); None below three pairs, and where one of them does not vary."""
    varies = len(a) >= FEWEST_PAIRS and np.ptp(a) > 0 and np.ptp(b) > 0
    return float(np.corrcoef(a, b)[0, 1]) if varies else None


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
    total = counts @ centred**2 - ratio((counts @ centred) ** 2, n)
    return 1 - ratio(counts @ (truth - predictions) ** 2, np.where(total > 1e-12 * n * centred.var(), total, 0))


def mae(truth: Float64, predictions: Float64, counts: Float64) -> Float64:
    """Mean absolute error in each resample."""
    return mean(np.abs(truth - predictions), counts)


def rmse(truth: Float64, predictions: Float64, counts: Float64) -> Float64:
    """Root mean squared error in each resample."""
    return np.asarray(np.sqrt(mean((truth - predictions) ** 2, counts)), np.float64)


def bias(truth: Float64, predictions: Float64, counts: Float64) -> Float64:
    """Mean of prediction less rating in each resample."""
    return mean(predictions - truth, counts)


def mean(values: Float64, counts: Float64) -> Float64:
    """Mean of values in each resample."""
    return ratio(counts @ values, counts.sum(axis=1))


def share(inside: NDArray[np.bool_], groups: NDArray[Any]) -> Estimate:
    """Share of rows for which something holds, with Wilson's score interval for as many trials as there are groups.

    A bootstrap says nothing where it holds for every row, which is common in small slices; the score interval does.
    Taking a group for one trial is cautious: rows of a group rarely go together entirely.

    References
    ----------
    E. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22, 1927.
    """
    if len(inside) == 0:
        return Estimate()
    p, n = float(inside.mean()), len(np.unique(groups))
    z2 = float(ndtri((1 + LEVEL) / 2)) ** 2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return Estimate(p, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def ratio(numerator: Float64, denominator: Float64) -> Float64:
    """Divide; NaN where the denominator is not above zero."""
    result = np.full(np.shape(numerator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=result, where=denominator > 0), np.float64)


def _repeated(values: Float64, counts: Float64) -> Float64:
    return np.broadcast_to(values - values.mean(), counts.shape)


def _correlation(A: Float64, B: Float64, counts: Float64) -> Float64:
    """Pearson correlation of rows of ``A`` and ``B`` (resamples, n), each element counted so many times.

    NaN where fewer than three different elements were drawn, or what was drawn does not vary.
    """
    n = counts.sum(axis=1)
    first, second = (ratio((counts * values).sum(axis=1), n) for values in (A, B))
    a, b = A - first[:, None], B - second[:, None]
    spread = [np.sqrt((counts * centred**2).sum(axis=1)) for centred in (a, b)]
    # A constant leaves rounding noise behind, whose correlation would be meaningless.
    floor = [1e-10 * np.sqrt(n) * np.abs(values).max() for values in (A, B)]
    valid = (spread[0] > floor[0]) & (spread[1] > floor[1]) & ((counts > 0).sum(axis=1) >= FEWEST_PAIRS)
    return ratio((counts * a * b).sum(axis=1), np.where(valid, spread[0] * spread[1], 0))


def _middle_ranks(values: Float64, counts: Float64) -> Float64:
    """Rank of each value in each resample (resamples, n); equal values share the middle of their ranks."""
    levels, level = np.unique(values, return_inverse=True)
    order = np.argsort(level, kind="stable")
    drawn = np.add.reduceat(counts[:, order], np.searchsorted(level[order], np.arange(len(levels))), axis=1)
    middle = np.cumsum(drawn, axis=1) - drawn / 2
    return np.asarray(middle[:, level], np.float64)
