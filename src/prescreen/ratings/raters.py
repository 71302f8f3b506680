"""Votes to ratings: plain means, or means freed of the raters' own levels, spreads and noise.

Raters differ in level (some are kind to everybody), in spread (some use the whole scale, some a part of it, some answer
at random) and in noise (some look carefully). With few votes a picture, that is noise worth removing. The two-way model
of one trait is ::

    vote = mean + spread_r * quality_i + bias_r + noise

with quality, bias and spread - 1 drawn from normal distributions of variances that are estimated from the same votes.
A rater's bias and spread are therefore shrunk toward 0 and 1, more for raters with fewer votes, and when
raters do not differ the result is the plain mean. Noise has the same variance for all raters, unless left-out raters'
votes go better with a model in which each has a variance of their own and may vote in reverse.

References
----------
Searle, Casella & McCulloch (1992), Variance Components, chapter 5 (Henderson's method 1 for crossed effects).
"""

from dataclasses import dataclass

import numpy as np

from prescreen.ratings.rater_fit import (
    Codes,
    Components,
    Flags,
    Floats,
    RaterFit,
    Votes,
    components,
    fit,
    own_noise_pays,
    raters_seem_unequal,
)
from prescreen.ratings.reliability import pooled_variance

MIN_MEDIAN_VOTES = 3
"""Raters with fewer votes than this say too little about themselves (median over raters)."""


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


@dataclass(frozen=True, eq=False)
class TwoWay:
    """The votes of one trait, freed of what belongs to the raters.

    Parameters
    ----------
    ratings : PictureVotes
        ``means`` are on the scale of the votes, and such that shrinking each by its number of votes, as for any mean of
        independent votes, gives the model's best prediction of the picture's quality: votes of raters with little
        spread, or much noise, count less. ``stds`` is the noise that is left in single votes.
    bias : ndarray of float64, shape (n_raters,)
        In units of the scale, shrunk toward 0.
    spread : ndarray of float64, shape (n_raters,)
        Factor on the differences between pictures, shrunk toward 1.
    precision : ndarray of float64, shape (n_raters,)
        Usual noise variance over the rater's own, shrunk toward 1.
    own_noise : bool
        Whether raters have noise of their own; otherwise ``precision`` is 1 for all.
    """

    ratings: PictureVotes
    bias: Floats
    spread: Floats
    precision: Floats
    own_noise: bool


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
    images: Codes,
    raters: Codes,
    votes: Floats,
    n_images: int,
    n_raters: int,
    silent: Flags | None = None,
    *,
    own_noise: bool | None = None,
) -> TwoWay:
    """Average each picture's votes after taking out what belongs to the raters.

    Parameters
    ----------
    images, raters : ndarray of int, shape (n_votes,)
        Picture of each vote, 0 to ``n_images - 1``, and its rater, 0 to ``n_raters - 1``.
    votes : ndarray of float64, shape (n_votes,)
    n_images, n_raters : int
    silent : ndarray of bool, shape (n_raters,), optional
        Raters whose votes tell nothing, such as always the same. They count as votes, and for nothing else; a picture
        that nobody else saw has no mean and no standard deviation (NaN).
    own_noise : bool, optional
        Whether each rater has noise of their own; by default where left-out raters' votes say that it pays.
    """
    count = np.bincount(images, minlength=n_images).astype(np.float64)
    heard = np.ones(n_raters) if silent is None else np.where(silent, 0.0, 1.0)
    rows = heard[raters] > 0
    grand = float(votes[rows].mean())
    everything = Votes(images, raters, votes - grand, n_images, n_raters)
    told = everything if rows.all() else everything.chosen(rows)
    unheard = told.of_images() == 0  # any mean would be made up
    variances = components(told)
    if variances.quality <= 0:  # the pictures do not differ, so there is nothing to tell raters by
        plain, alike = plain_means(images, votes, n_images), np.ones(n_raters)
        plain.means[unheard] = plain.stds[unheard] = np.nan
        return TwoWay(plain, np.zeros(n_raters), alike, alike, own_noise=False)

    found = fit(told, variances)
    if own_noise or (own_noise is None and raters_seem_unequal(found)):
        richer = fit(told, variances, own_noise=True)
        own_noise = own_noise or own_noise_pays(told, variances, found, richer)
        found = richer if own_noise else found
    bias, spread, precision = found.bias, found.spread, found.precision

    # With precision * spread^2 of mean 1 a vote carries, on average, the information of a plain vote.
    by_rater, heard_votes = everything.of_raters(), told.of_raters()
    unit = float(np.sqrt(heard_votes @ (precision * spread**2) / by_rater.sum()))
    a = spread[raters] / unit
    weighted = (precision * heard)[raters] * a
    information = everything.of_images(weighted * a)
    freed = everything.centred - bias[raters]
    evidence = everything.of_images(weighted * freed)
    ratio = variances.noise / variances.quality / unit**2
    with np.errstate(invalid="ignore", divide="ignore"):
        deviations = evidence / (information + ratio) * (count + ratio) / count
        stds = _stds(images, freed - a * (evidence / information)[images], count)
    deviations[unheard] = stds[unheard] = np.nan
    left = _noise_left(told, variances, found)
    raw = float(pooled_variance(stds, count))
    stds *= np.sqrt(left / raw) if raw > 0 else 1.0
    return TwoWay(
        PictureVotes(grand + deviations / unit, stds / unit, count),
        bias,
        spread * heard,
        precision * heard,
        bool(own_noise),
    )


def _noise_left(told: Votes, variances: Components, found: RaterFit) -> float:
    """Return the noise of a vote: less what the spreads explain, plus what is not known of biases and own noise.

    The residuals themselves say too little, for the raters' effects were fitted to them.
    """
    by_rater, total = told.of_raters(), told.centred.size
    noise, bias = variances.noise, variances.bias
    left = noise - variances.quality * float(by_rater @ found.spread_gain) / total
    left += bias * float(by_rater @ (noise / (by_rater * bias + noise))) / total
    # A weighted mean is as noisy as its weights say only if these are right.
    information = by_rater * found.precision * found.spread**2
    unknown = float(information @ (2 / np.maximum(found.freedom - 2, 1)) / information.sum())
    return max(left, 0.1 * noise) * (1 + unknown)
