"""Fits the two-way model of votes: qualities of pictures; levels, spreads and perhaps noise of raters.

Everything works on sums over votes, a few passes over them a round, so that a million votes take seconds.

References
----------
Robinson (1991), That BLUP is a good thing: the estimation of random effects, Statistical Science 6(1).
DerSimonian & Laird (1986), Meta-analysis in clinical trials (variance of the spreads).
Smyth (2004), Linear models and empirical Bayes methods, Stat. Appl. in Genetics 3 (variances of the noise).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, polygamma

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

FOLDS: Final = 5
"""Parts of the raters whose votes say whether noise of each rater's own pays."""

_LOWEST_SPREAD: Final = 0.1  # without noise of their own, raters at random count for nearly nothing, nobody in reverse
_LEAST_VARIANCE: Final = 0.05  # of the usual noise; less comes from few votes that happen to agree
_FEWEST: Final = 6  # raters
_MAX_ROUNDS: Final = 50
_TOLERANCE: Final = 1e-4  # of the range of the qualities
_SURE: Final = 2.0  # standard errors


@dataclass(frozen=True, eq=False)
class Votes:
    """The votes of one trait.

    Parameters
    ----------
    images, raters : ndarray of int, shape (n_votes,)
        Picture and rater of each vote.
    centred : ndarray of float64, shape (n_votes,)
        The votes, less their mean.
    n_images, n_raters : int
    """

    images: Codes
    raters: Codes
    centred: Floats
    n_images: int
    n_raters: int

    def chosen(self, rows: Flags) -> "Votes":
        """Return a part of the votes."""
        return Votes(self.images[rows], self.raters[rows], self.centred[rows], self.n_images, self.n_raters)

    def of_images(self, weights: Floats | None = None) -> Floats:
        """Return the number of votes, or the sum of their weights, by picture."""
        return np.bincount(self.images, weights, self.n_images).astype(np.float64)

    def of_raters(self, weights: Floats | None = None) -> Floats:
        """Return the number of votes, or the sum of their weights, by rater."""
        return np.bincount(self.raters, weights, self.n_raters).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Components:
    """Variances of quality, bias and noise, in squared units of the scale."""

    quality: float
    bias: float
    noise: float


@dataclass(frozen=True, eq=False)
class RaterFit:
    """What was fitted.

    Parameters
    ----------
    quality : ndarray of float64, shape (n_images,)
        In units of the scale, around 0, shrunk toward it.
    bias, spread : ndarray of float64, shape (n_raters,)
        Shrunk toward 0 and 1. Below 0 is the spread of a rater who votes in reverse.
    precision : ndarray of float64, shape (n_raters,)
        Usual noise variance over the rater's own; 1 where all have the same.
    freedom : ndarray of float64, shape (n_raters,)
        Degrees of freedom from which a rater's own noise is known, those of the prior included; infinite where all have
        the same.
    spread_gain : ndarray of float64, shape (n_raters,)
        By how much knowing the spreads lowers the variance of each (prior less posterior variance).
    slopes : Slopes
        What each rater's votes say of spread and noise.
    """

    quality: Floats
    bias: Floats
    spread: Floats
    precision: Floats
    freedom: Floats
    spread_gain: Floats
    slopes: "Slopes"


@dataclass(frozen=True, eq=False)
class Slopes:
    """Each rater's votes regressed on what the others make of the pictures; all arrays have shape (n_raters,)."""

    sxx: Floats
    sxy: Floats
    syy: Floats
    slope: Floats
    residual: Floats
    freedom: Floats
    telling: Flags


def components(votes: Votes) -> Components:
    """Estimate the variances of quality, bias and noise (Henderson's method 1; each rater votes once on a picture)."""
    centred, count, by_rater = votes.centred, votes.of_images(), votes.of_raters()
    total, seen_images, seen_raters = float(centred.size), np.count_nonzero(count), np.count_nonzero(by_rater)
    overall = centred.sum() ** 2 / total
    observed = np.array(
        [
            centred @ centred - overall,
            np.sum(votes.of_images(centred) ** 2 / np.maximum(count, 1)) - overall,
            np.sum(votes.of_raters(centred) ** 2 / np.maximum(by_rater, 1)) - overall,
        ]
    )
    expected = np.array(
        [
            [total, total, total],
            [total, seen_images, seen_images],
            [seen_raters, total, seen_raters],
        ]
    ) - np.array([count @ count / total, by_rater @ by_rater / total, 1.0])
    quality, bias, noise = np.linalg.lstsq(expected, observed, rcond=None)[0]
    within = max(float(noise), 0.01 * float(observed[0]) / total)
    return Components(float(quality), max(float(bias), 0.0), within)


def fit(votes: Votes, variances: Components, *, own_noise: bool = False, start: RaterFit | None = None) -> RaterFit:
    """Fit qualities and raters in turn until the qualities stand still.

    Parameters
    ----------
    votes : Votes
    variances : Components
        Of these votes, with a quality variance above 0.
    own_noise : bool
        Whether each rater has noise of their own, and may vote in reverse.
    start : RaterFit, optional
        Of about the same votes, to need fewer rounds.
    """
    ratio, bias_ratio = variances.noise / variances.quality, variances.bias / variances.noise
    images, raters, by_rater = votes.images, votes.raters, votes.of_raters()
    quality, bias = np.zeros(votes.n_images), np.zeros(votes.n_raters)
    spread, precision, freedom = np.ones(votes.n_raters), np.ones(votes.n_raters), np.full(votes.n_raters, np.inf)
    if start is not None:
        bias, spread, precision = start.bias, start.spread, start.precision
    for _ in range(_MAX_ROUNDS):
        before, a = quality, spread[raters]
        weighted = precision[raters] * a
        freed = votes.centred - bias[raters]
        information, evidence = votes.of_images(weighted * a), votes.of_images(weighted * freed)
        quality = evidence / (information + ratio)
        # A rater's own vote must not speak for the picture against which that rater's spread is measured.
        others = (evidence[images] - weighted * freed) / (information[images] - weighted * a + ratio)
        residual = votes.of_raters(votes.centred - a * quality[images])
        bias = bias_ratio * precision * residual / (by_rater * bias_ratio * precision + 1)
        slopes = _slopes(votes, others, by_rater)
        spread, spread_gain = _spreads(slopes, precision, by_rater, lowest=-np.inf if own_noise else _LOWEST_SPREAD)
        if own_noise:
            precision, freedom = _precisions(slopes)
        if np.max(np.abs(quality - before)) <= _TOLERANCE * np.ptp(quality):
            break
    return RaterFit(quality, bias, spread, precision, freedom, spread_gain, slopes)


def raters_seem_unequal(found: RaterFit) -> bool:
    """Whether, of enough raters, noise differs more than by chance, or somebody votes in reverse."""
    slopes = found.slopes
    if np.count_nonzero(slopes.telling) < _FEWEST:
        return False
    if np.any(found.spread[slopes.telling] < _LOWEST_SPREAD * 1.5):  # at the limit, but for the mean of 1
        return True
    excess, error = _excess(slopes)
    return excess > _SURE * error


def own_noise_pays(votes: Votes, variances: Components, plainer: RaterFit, richer: RaterFit) -> bool:
    """Whether qualities of the richer model go better with the votes of raters that neither model has seen.

    The correlation of votes with estimates is in proportion to that of the truth with them, so the better model is the
    one with the higher correlation. It has to be higher by more than a standard error over the raters. All votes count
    the same: weights that either model fitted to them would favour it. ``plainer`` and ``richer`` are the models of all
    votes, and spare rounds here.
    """
    order = np.argsort(np.argsort(-votes.of_raters(), kind="stable"))  # as many votes in each part
    gains = []
    for part in range(FOLDS):
        held = (order % FOLDS == part)[votes.raters]
        test, rest = votes.chosen(held), votes.chosen(~held)
        by_rater = np.maximum(test.of_raters(), 1)
        own = test.centred - (test.of_raters(test.centred) / by_rater)[test.raters]
        sums = []
        for start in (plainer, richer):
            estimate = fit(rest, variances, own_noise=start is richer, start=start).quality[test.images]
            estimate = estimate - (test.of_raters(estimate) / by_rater)[test.raters]
            sums.append(test.of_raters(own * estimate) / max(float(np.sqrt(estimate @ estimate)), 1e-12))
        gains.append((sums[1] - sums[0])[test.of_raters() > 0])
    found = np.concatenate(gains)
    return bool(found.sum() > np.sqrt(found @ found))


def _slopes(votes: Votes, others: Floats, by_rater: Floats) -> Slopes:
    n = np.maximum(by_rater, 1)
    x = others - (votes.of_raters(others) / n)[votes.raters]
    y = votes.centred - (votes.of_raters(votes.centred) / n)[votes.raters]
    sxx, sxy, syy = (votes.of_raters(product) for product in (x * x, x * y, y * y))
    telling = (by_rater > 2) & (sxx > 1e-9 * sxx.max(initial=0.0))
    slope = np.divide(sxy, sxx, out=np.zeros(n.size), where=telling)
    return Slopes(sxx, sxy, syy, slope, syy - slope * sxy, np.maximum(by_rater - 2, 0), telling)


def _spreads(found: Slopes, precision: Floats, by_rater: Floats, lowest: float) -> tuple[Floats, Floats]:
    """Shrink the slopes toward 1; return the spreads and what is gained by knowing them."""
    telling = found.telling
    sxx, slopes = precision * found.sxx, found.slope[telling]
    common = float((precision * found.sxy).sum() / sxx.sum()) if sxx.sum() > 0 else 0.0
    if common <= 0 or np.count_nonzero(telling) < 2:
        return np.ones(by_rater.size), np.zeros(by_rater.size)
    residual = np.sum((precision * found.residual)[telling])
    noise = max(float(residual / found.freedom[telling].sum()), 1e-9 * float(precision @ found.syy) / by_rater.sum())
    weights = sxx[telling] / noise
    heterogeneity = float(weights @ (slopes - common) ** 2) - (weights.size - 1)
    scale = float(weights.sum() - weights @ weights / weights.sum())
    variance = max(heterogeneity / scale, 0.0) if scale > 0 else 0.0  # 0 where one rater has all the weight
    trust = np.where(telling, variance * sxx / (variance * sxx + noise), 0.0)
    spread = np.maximum(1 + trust * (found.slope / common - 1), lowest)
    return np.asarray(spread / (by_rater @ spread / by_rater.sum())), trust * variance / common**2


def _mean_variance(found: Slopes) -> float:
    """Return the noise variance of all raters; above 0 even where most have no residual at all."""
    return float(found.residual[found.telling].sum() / found.freedom[found.telling].sum())


def _log_variances(found: Slopes) -> tuple[Floats, Floats]:
    """Return the logarithms of the raters' noise variances, free of bias, and the variance of each by chance."""
    half = found.freedom[found.telling] / 2
    variances = found.residual[found.telling] / (2 * half)
    logs = np.log(np.maximum(variances, max(_LEAST_VARIANCE * _mean_variance(found), 1e-12)))
    return logs + np.log(half) - digamma(half), polygamma(1, half)


def _excess(found: Slopes) -> tuple[float, float]:
    """Return the variance of log noise between raters, beyond that by chance, and its standard error without any."""
    if np.count_nonzero(found.telling) < 2:
        return 0.0, np.inf
    logs, chance = _log_variances(found)
    return float(np.var(logs, ddof=1) - chance.mean()), float(np.sqrt(2 * np.mean(chance**2) / logs.size))


def _precisions(found: Slopes) -> tuple[Floats, Floats]:
    """Return the usual noise over each rater's own, shrunk toward 1, and the degrees of freedom behind it."""
    excess, _ = _excess(found)
    if excess <= 0:
        return np.ones(found.telling.size), np.full(found.telling.size, np.inf)
    prior = 2 * _trigamma_inverse(excess)
    usual = float(np.exp(_log_variances(found)[0].mean() + digamma(prior / 2) - np.log(prior / 2)))
    own = np.where(found.telling, (prior * usual + found.residual) / (prior + found.freedom), usual)
    mean = _mean_variance(found)
    return mean / np.maximum(own, _LEAST_VARIANCE * mean), prior + found.freedom


def _trigamma_inverse(value: float) -> float:
    """Solve trigamma(x) = value by Newton's method on its inverse, which is convex (Smyth 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(20):
        trigamma = float(polygamma(1, x))
        x += trigamma * (1 - trigamma / value) / float(polygamma(2, x))
    return x
