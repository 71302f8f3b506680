"""Votes to ratings: plain means, or means freed of the raters' own levels and spreads.

Raters differ in level (some are kind to everybody) and in spread (some use the whole scale, some a part of it, some
answer at random). With few votes a picture, that is noise worth removing. The two-way model of one trait is ::

    vote = mean + spread_r * quality_i + bias_r + noise

with quality, bias and spread - 1 drawn from normal distributions of variances that are estimated from the same votes.
A rater's bias and spread are therefore shrunk toward 0 and 1, more for raters with fewer votes, and when
raters do not differ the result is the plain mean.

References
----------
Searle, Casella & McCulloch (1992), Variance Components, chapter 5 (Henderson's method 1 for crossed effects).
Robinson (1991), That BLUP is a good thing: the estimation of random effects, Statistical Science 6(1).
DerSimonian & Laird (1986), Meta-analysis in clinical trials (variance of the spreads).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prescreen.ratings.reliability import pooled_variance

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

MIN_MEDIAN_VOTES = 3
"""Raters with fewer votes than this say too little about themselves (median over raters)."""

_LOWEST_SPREAD = 0.1  # who answers at random counts for nearly nothing, and nobody counts in reverse
_MAX_ROUNDS = 50
_TOLERANCE = 1e-4  # of the range of the qualities


@dataclass(frozen=True, eq=False)
class PictureVotes:
    """The votes of one trait, summed up by picture.

    Parameters
    ----------
    means : ndarray of float64, shape (n_images,)
        On the scale of the votes; NaN for a picture without votes.
    stds : ndarray of float64, shape (n_images,)
        Sample standard deviation of the votes; NaN below two votes.
    votes : ndarray of float64, shape (n_images,)
        Number of votes.
    """

    means: Floats
    stds: Floats
    votes: Floats


def plain_means(images: Codes, votes: Floats, n_images: int) -> PictureVotes:
    """Average each picture's votes.

    Parameters
    ----------
    images : ndarray of int, shape (n_votes,)
        Picture of each vote, 0 to ``n_images - 1``.
    votes : ndarray of float64, shape (n_votes,)
    n_images : int
    """
    count = np.bincount(images, minlength=n_images).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.bincount(images, votes, n_images) / count
    return PictureVotes(means, _stds(images, votes - means[images], count), count)


def _stds(images: Codes, deviations: Floats, count: Floats) -> Floats:
    """Return the sample standard deviation of each picture's votes; NaN below two votes."""
    squares = np.bincount(images, deviations**2, count.size)
    return np.asarray(np.sqrt(np.divide(squares, count - 1, out=np.full(count.size, np.nan), where=count > 1)))


def raters_overlap(images: Codes, raters: Codes) -> bool:
    """Whether the votes of one trait can tell raters from pictures.

    They can if the median rater gave at least three votes and most votes are on pictures that others judged too.

    Parameters
    ----------
    images, raters : ndarray of int, shape (n_votes,)
        Picture and rater of each vote.
    """
    by_rater = np.bincount(raters)
    shared = np.bincount(images)[images] > 1
    return bool(np.median(by_rater[by_rater > 0]) >= MIN_MEDIAN_VOTES and shared.mean() > 0.5)


def two_way_means(
    images: Codes, raters: Codes, votes: Floats, n_images: int, n_raters: int
) -> tuple[PictureVotes, Floats, Floats]:
    """Average each picture's votes after taking out what belongs to the raters.

    Parameters
    ----------
    images, raters : ndarray of int, shape (n_votes,)
        Picture of each vote, 0 to ``n_images - 1``, and its rater, 0 to ``n_raters - 1``.
    votes : ndarray of float64, shape (n_votes,)
    n_images, n_raters : int

    Returns
    -------
    ratings : PictureVotes
        ``means`` are on the scale of the votes, and such that shrinking each by its number of votes, as for any mean of
        independent votes, gives the model's best prediction of the picture's quality: votes of raters with little
        spread count less. ``stds`` is the noise that is left in single votes.
    bias : ndarray of float64, shape (n_raters,)
        In units of the scale, shrunk toward 0.
    spread : ndarray of float64, shape (n_raters,)
        Factor on the differences between pictures, shrunk toward 1.
    """
    count = np.bincount(images, minlength=n_images).astype(np.float64)
    by_rater = np.bincount(raters, minlength=n_raters).astype(np.float64)
    grand = float(votes.mean())
    centred = votes - grand
    quality_variance, bias_variance, noise = _variance_components(images, raters, centred, count, by_rater)
    if quality_variance <= 0:  # the pictures do not differ, so there is nothing to tell raters by
        return plain_means(images, votes, n_images), np.zeros(n_raters), np.ones(n_raters)

    ratio = noise / quality_variance
    bias, spread, spread_gain = _fit_raters(images, raters, centred, count, by_rater, ratio, bias_variance / noise)

    # With spreads of mean square 1 a vote carries, on average, the information of a plain vote.
    unit = float(np.sqrt(by_rater @ spread**2 / by_rater.sum()))
    a = spread[raters] / unit
    information = np.bincount(images, a**2, n_images)
    freed = centred - bias[raters]
    evidence = np.bincount(images, a * freed, n_images)
    ratio /= unit**2
    with np.errstate(invalid="ignore", divide="ignore"):
        deviations = evidence / (information + ratio) * (count + ratio) / count
        stds = _stds(images, freed - a * (evidence / information)[images], count)
    # What is left of the noise of a vote: less what the spreads explain, plus what is not known of the biases. The
    # residuals themselves say too little, for the raters' effects were fitted to them.
    left = noise - quality_variance * float(by_rater @ spread_gain) / votes.size
    left += bias_variance * float(by_rater @ (noise / (by_rater * bias_variance + noise))) / votes.size
    left = max(left, 0.1 * noise)
    raw = float(pooled_variance(stds, count))
    stds *= np.sqrt(left / raw) if raw > 0 else 1.0
    return PictureVotes(grand + deviations / unit, stds / unit, count), bias, spread


def _fit_raters(
    images: Codes, raters: Codes, centred: Floats, count: Floats, by_rater: Floats, ratio: float, bias_ratio: float
) -> tuple[Floats, Floats, Floats]:
    """Fit qualities, biases and spreads in turn until the qualities stand still.

    ``ratio`` is noise over quality variance, ``bias_ratio`` bias over noise variance. Returns biases, spreads, and what
    :func:`_spreads` says of their variances.
    """
    bias, spread, spread_gain = np.zeros(by_rater.size), np.ones(by_rater.size), np.zeros(by_rater.size)
    quality = np.zeros(count.size)
    for _ in range(_MAX_ROUNDS):
        before, a = quality, spread[raters]
        information = np.bincount(images, a**2, count.size)
        evidence = np.bincount(images, a * (centred - bias[raters]), count.size)
        quality = evidence / (information + ratio)
        # A rater's own vote must not speak for the picture against which that rater's spread is measured.
        others = (evidence[images] - a * (centred - bias[raters])) / (information[images] - a**2 + ratio)
        residual = np.bincount(raters, centred - a * quality[images], by_rater.size)
        bias = bias_ratio * residual / (by_rater * bias_ratio + 1)
        spread, spread_gain = _spreads(raters, centred, others, by_rater)
        if np.max(np.abs(quality - before)) <= _TOLERANCE * np.ptp(quality):
            break
    return bias, spread, spread_gain


def _variance_components(
    images: Codes, raters: Codes, centred: Floats, count: Floats, by_rater: Floats
) -> tuple[float, float, float]:
    """Return the variances of quality, bias and noise (Henderson's method 1; each rater votes once on a picture)."""
    total, seen_images, seen_raters = float(centred.size), np.count_nonzero(count), np.count_nonzero(by_rater)
    image_sums = np.bincount(images, centred, count.size)
    rater_sums = np.bincount(raters, centred, by_rater.size)
    overall = centred.sum() ** 2 / total
    observed = np.array(
        [
            centred @ centred - overall,
            np.sum(image_sums**2 / np.maximum(count, 1)) - overall,
            np.sum(rater_sums**2 / np.maximum(by_rater, 1)) - overall,
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
    return float(quality), max(float(bias), 0.0), within


def _spreads(raters: Codes, centred: Floats, others: Floats, by_rater: Floats) -> tuple[Floats, Floats]:
    """Regress each rater's votes on what the others make of the pictures, and shrink the slopes toward 1.

    Returns the spreads, and by how much knowing them lowers the variance of each (prior less posterior variance).
    """
    n = np.maximum(by_rater, 1)
    x = others - (np.bincount(raters, others, n.size) / n)[raters]
    y = centred - (np.bincount(raters, centred, n.size) / n)[raters]
    sxx, sxy, syy = (np.bincount(raters, product, n.size) for product in (x * x, x * y, y * y))
    common = float(sxy.sum() / sxx.sum()) if sxx.sum() > 0 else 0.0
    telling = (by_rater > 2) & (sxx > 1e-9 * sxx.max(initial=0.0))
    if common <= 0 or np.count_nonzero(telling) < 2:
        return np.ones(n.size), np.zeros(n.size)
    slopes = np.divide(sxy, sxx, out=np.zeros(n.size), where=telling)
    residual = np.sum(syy[telling] - slopes[telling] * sxy[telling])
    noise = max(float(residual / np.sum(by_rater[telling] - 2)), 1e-9 * float(y @ y) / y.size)
    weights = sxx[telling] / noise
    heterogeneity = float(weights @ (slopes[telling] - common) ** 2) - (weights.size - 1)
    variance = max(heterogeneity / float(weights.sum() - weights @ weights / weights.sum()), 0.0)
    trust = np.where(telling, variance * sxx / (variance * sxx + noise), 0.0)
    spread = np.maximum(1 + trust * (slopes / common - 1), _LOWEST_SPREAD)
    return np.asarray(spread / (by_rater @ spread / by_rater.sum())), trust * variance / common**2
