"""How reliable ratings are: ICC(1) of single votes, and Spearman-Brown for the mean of several.

Everything is computed from each picture's mean, sample standard deviation and number of votes, so that a file of
votes and a file of ready means give the same figures.

References
----------
Shrout & Fleiss (1979), Intraclass correlations: uses in assessing rater reliability, Psychological Bulletin 86(2).
Searle, Casella & McCulloch (1992), Variance Components, chapter 3 (unbalanced one-way ANOVA).
"""

import math
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Number = TypeVar("Number", float, Floats)


@dataclass(frozen=True)
class Reliability:
    """What the votes say about a trait's reliability; None is what they cannot say.

    Parameters
    ----------
    icc1 : float or None
        ICC(1), the reliability of one vote, from 0 to 1: an estimate below 0 is given as 0.
    votes_per_image : float or None
        Harmonic mean of the votes per rated picture, the n at which Spearman-Brown is evaluated. It is the right
        average for it because the noise of a mean goes with 1/n.
    of_mean : float or None
        Spearman-Brown reliability of a picture's mean at that n, from 0 to 1.
    """

    icc1: float | None
    votes_per_image: float | None
    of_mean: float | None


def spearman_brown(icc1: Number, votes: Number) -> Number:
    """Return the reliability of the mean of several votes: n rho / (1 + (n - 1) rho).

    Parameters
    ----------
    icc1 : float or ndarray of float64
        Reliability of one vote, 0 to 1.
    votes : float or ndarray of float64
        Number of votes in the mean, above 0.

    References
    ----------
    C. Spearman, W. Brown, British Journal of Psychology 3, 1910.
    """
    return votes * icc1 / (1 + (votes - 1) * icc1)


def pooled_variance(stds: Floats, votes: Floats, counts: Floats | None = None) -> Floats:
    """Return the variance of votes around their picture's mean, pooled over pictures.

    Parameters
    ----------
    stds, votes : ndarray of float64, shape (n,)
        Sample standard deviation and number of each picture's votes; NaN where unknown.
    counts : ndarray of float64, shape (n_resamples, n), optional
        How often each picture is in each resample.

    Returns
    -------
    ndarray of float64, shape (), or (n_resamples,) with ``counts``
        In squared units of the scale; NaN if no picture has both a known spread and two votes.
    """
    usable = np.isfinite(stds) & (votes > 1)
    freedom = votes[usable] - 1
    freedom = freedom if counts is None else counts[:, usable] * freedom
    total = freedom.sum(axis=-1)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        return np.asarray(freedom @ stds[usable] ** 2 / total)


def icc1(means: Floats, stds: Floats, votes: Floats, counts: Floats | None = None) -> Floats:
    """Estimate ICC(1) by the unbalanced one-way analysis of variance.

    Parameters
    ----------
    means, stds, votes : ndarray of float64, shape (n,)
        Mean, sample standard deviation and number of each picture's votes; NaN where unknown.
    counts : ndarray of float64, shape (n_resamples, n), optional
        How often each picture is in each resample.

    Returns
    -------
    ndarray of float64, shape (), or (n_resamples,) with ``counts``
        At most 1, below 0 where pictures differ less than chance would have them differ; NaN if fewer than two
        pictures have a known number of votes, or the spread of votes is unknown.
    """
    within = pooled_variance(stds, votes, counts)
    known = np.isfinite(means) & np.isfinite(votes)
    n, means = votes[known], means[known]
    counts = np.ones(n.size) if counts is None else counts[:, known]
    weights, pictures = counts * n, counts.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):  # of fewer than two pictures nothing is known: NaN
        total = weights.sum(axis=-1)
        deviations = means - (weights @ means / total)[..., None]
        between_mean_square = np.vecdot(weights, deviations**2) / (pictures - 1)
        votes_of_anova = (total - weights @ n / total) / (pictures - 1)
        between = (between_mean_square - within) / votes_of_anova
        return np.where(between + within > 0, between / (between + within), math.nan)


def reliability(means: Floats, stds: Floats, votes: Floats) -> Reliability:
    """Sum up the reliability of one trait's ratings.

    Parameters
    ----------
    means, stds, votes : ndarray of float64, shape (n,)
        Mean, sample standard deviation and number of each rated picture's votes; NaN where unknown.
    """
    if means.size == 0 or not np.isfinite(votes).all():
        return Reliability(None, None, None)
    per_image = float(votes.size / np.sum(1 / votes))
    single = float(icc1(means, stds, votes))
    if math.isnan(single):
        return Reliability(None, per_image, None)
    single = max(single, 0.0)
    return Reliability(single, per_image, spearman_brown(single, per_image))


DEFAULT_ICC: Final = 0.25
"""ICC(1) of single votes that is assumed where the spread of votes is not known."""
