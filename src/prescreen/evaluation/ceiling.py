"""What the noise of the ratings allows: the reliability ceiling, and how many votes a predictor is worth."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prescreen.evaluation.metrics import Estimate, Float64, Resampled, ratio
from prescreen.ratings.reliability import spearman_brown


@dataclass(frozen=True, eq=False)
class VoteNoise:
    """What is known of the votes behind n ratings of one trait.

    Parameters
    ----------
    spreads : ndarray of float64, shape (n,)
        Sample standard deviation of each picture's votes; NaN where unknown.
    votes : ndarray of float64, shape (n,)
        Number of each picture's independent votes; NaN where unknown.
    """

    spreads: Float64
    votes: Float64

    def __getitem__(self, rows: NDArray[Any]) -> "VoteNoise":
        """Return the part that belongs to some rows."""
        return VoteNoise(self.spreads[rows], self.votes[rows])

    @property
    def known(self) -> bool:
        """Whether reliability can be estimated: all numbers of votes are known, and some spread of two votes."""
        return bool(np.isfinite(self.votes).all() and (np.isfinite(self.spreads) & (self.votes > 1)).any())

    @property
    def variance(self) -> Float64:
        """Variance of the noise in each rating, from the pooled spread of single votes, shape (n,)."""
        return np.asarray(_pooled(self, np.ones((1, len(self.votes))))[0] / self.votes, np.float64)


@dataclass(frozen=True)
class Ceiling:
    """A trait's accuracy against what its ratings allow.

    Attributes
    ----------
    icc1 : float or None
        Reliability of a single vote, ρ; an estimate below 0 is given as 0.
    reliability : float or None
        Reliability of the ratings as means of votes; the highest R² that perfect predictions can reach.
    highest_r : float or None
        √reliability, the highest correlation that perfect predictions can reach.
    true_score_r : Estimate
        Correlation with the true mean, r / √reliability, at most 1.
    r_share, r2_share : Estimate
        Share of the ceiling reached: r / √reliability and R² / reliability, not capped.
    votes : Estimate
        Worth in votes; None, also as an upper end, where no number can be named.

    The intervals hold the uncertainty of the reliability too: it is estimated anew in each resample.
    """

    icc1: float | None = None
    reliability: float | None = None
    highest_r: float | None = None
    true_score_r: Estimate = Estimate()
    r_share: Estimate = Estimate()
    r2_share: Estimate = Estimate()
    votes: Estimate = Estimate()


@dataclass(frozen=True, eq=False)
class ResampledCeiling:
    """The figures of :class:`Ceiling` with their resamples."""

    icc1: Resampled
    reliability: Resampled
    true_score_r: Resampled
    r_share: Resampled
    r2_share: Resampled
    votes: Resampled

    def summary(self) -> Ceiling:
        """Sum the resamples up."""
        reliable = self.reliability.value
        return Ceiling(
            icc1=self.icc1.value,
            reliability=reliable,
            highest_r=math.sqrt(reliable),
            true_score_r=self.true_score_r.estimate(),
            r_share=self.r_share.estimate(),
            r2_share=self.r2_share.estimate(),
            votes=self.votes.estimate(),
        )


def ceiling(
    pearson: Resampled, r2: Resampled, truth: Float64, noise: VoteNoise | None, counts: Float64
) -> ResampledCeiling | None:
    """Compare a trait's accuracy with its ceiling.

    Parameters
    ----------
    pearson, r2 : Resampled
        Accuracy against the ratings, from ``counts``.
    truth : ndarray of shape (n,)
        The ratings.
    noise : VoteNoise or None
        What is known of the votes behind them.
    counts : ndarray of shape (n_resamples, n)

    Returns
    -------
    ResampledCeiling or None
        None where the votes do not tell their reliability.
    """
    if noise is None or not noise.known or len(truth) < 2:
        return None
    all_counts = np.vstack([np.ones((1, len(truth))), counts])
    rho = np.clip(icc1(truth, noise, all_counts), 0.0, 1.0)
    per_picture = ratio(all_counts.sum(axis=1), all_counts @ (1 / noise.votes))
    reliable = spearman_brown(rho, per_picture)
    r, explained = (np.append(figure.value, figure.draws) for figure in (pearson, r2))
    true_score = np.clip(_over(r, np.sqrt(reliable)), -1.0, 1.0)
    figures = [true_score, _over(r, np.sqrt(reliable)), _over(explained, reliable), _worth(true_score, rho)]
    for values in figures:  # by a resample that is not reliable at all there is no upper limit, but the data must be
        values[0] = values[0] if reliable[0] > 0 else np.nan
    spans = (1.0, 1.0, 2.0, math.inf, math.inf, math.inf)
    parts = zip((rho, reliable, *figures), spans, strict=True)
    return ResampledCeiling(*(Resampled(float(values[0]), values[1:], span) for values, span in parts))


def icc1(means: NDArray[Any], noise: VoteNoise, counts: Float64) -> Float64:
    """Estimate ICC(1) of single votes in each resample, by the unbalanced one-way analysis of variance.

    Parameters
    ----------
    means : ndarray of shape (n,)
        Ratings.
    noise : VoteNoise
    counts : ndarray of shape (n_resamples, n)

    Returns
    -------
    ndarray of shape (n_resamples,)
        Below 0 where pictures differ less than chance would have them differ; NaN where it cannot be estimated.
    """
    votes = noise.votes
    within = _pooled(noise, counts)
    centred = means - means.mean()
    pictures, total = counts.sum(axis=1), counts @ votes
    squares = counts @ (votes * centred**2) - ratio((counts @ (votes * centred)) ** 2, total)
    between_mean_square = ratio(squares, pictures - 1)
    votes_of_anova = ratio(total - ratio(counts @ votes**2, total), pictures - 1)
    between = ratio(between_mean_square - within, votes_of_anova)
    return ratio(between, between + within)


def _pooled(noise: VoteNoise, counts: Float64) -> Float64:
    """Variance of votes around their picture's mean, pooled over the pictures of each resample."""
    usable = np.isfinite(noise.spreads) & (noise.votes > 1)
    freedom = np.where(usable, noise.votes - 1, 0.0)
    return ratio(counts @ (freedom * np.where(usable, noise.spreads, 0.0) ** 2), counts @ freedom)


def _over(values: Float64, limit: Float64) -> Float64:
    """Divide; infinite with the sign of the value where the limit is zero."""
    return np.divide(values, limit, out=np.copysign(np.inf, values) + 0 * values, where=limit > 0)


def _worth(true_score_r: Float64, rho: Float64) -> Float64:
    """Worth in votes; infinite where r* is 1, NaN where it is not defined or ρ is not above zero."""
    explained = np.maximum(true_score_r, 0.0) ** 2
    below = (explained < 1) & (rho > 0)
    votes = np.divide(explained * (1 - rho), rho * (1 - explained), out=np.full(rho.shape, np.nan), where=below)
    return np.where(true_score_r >= 1, np.inf, np.where(explained == 0, 0.0, votes))
