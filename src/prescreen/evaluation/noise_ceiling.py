"""What the noise of the ratings allows: the noise ceiling, and the votes that a predictor is equivalent to."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prescreen.evaluation.metrics import Estimate, Float64, Resampled, ratio
from prescreen.ratings.reliability import icc1, pooled_variance, spearman_brown


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
        return np.asarray(pooled_variance(self.spreads, self.votes) / self.votes, np.float64)


@dataclass(frozen=True)
class NoiseCeiling:
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
        Share of the noise ceiling reached: r / √reliability and R² / reliability, not capped.
    votes : Estimate
        Equivalent number of votes; None, also as an upper end, where no number can be named.

    The intervals hold the uncertainty of the reliability too: each resample estimates it again.
    """

    icc1: float | None = None
    reliability: float | None = None
    highest_r: float | None = None
    true_score_r: Estimate = Estimate()
    r_share: Estimate = Estimate()
    r2_share: Estimate = Estimate()
    votes: Estimate = Estimate()


def noise_ceiling(
    pearson: Resampled, r2: Resampled, truth: Float64, noise: VoteNoise | None, counts: Float64
) -> tuple[NoiseCeiling, dict[str, Resampled]] | None:
    """Compare a trait's accuracy with its noise ceiling.

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
    tuple of NoiseCeiling and dict of str to Resampled, or None
        The figures, and those that have intervals with their resamples; None where the votes do not tell their
        reliability.
    """
    if noise is None or not noise.known or len(truth) < 2:
        return None
    all_counts = np.vstack([np.ones((1, len(truth))), counts])
    rho = np.clip(icc1(truth, noise.spreads, noise.votes, all_counts), 0.0, 1.0)
    per_picture = ratio(all_counts.sum(axis=1), all_counts @ (1 / noise.votes))
    reliable = spearman_brown(rho, per_picture)
    r, explained = (np.append(figure.value, figure.draws) for figure in (pearson, r2))
    r_share = _over(r, np.sqrt(reliable))
    true_score = np.clip(r_share, -1.0, 1.0)
    figures = {
        "true_score_r": true_score,
        "r_share": r_share,
        "r2_share": _over(explained, reliable),
        "votes": _equivalent_votes(true_score, rho),
    }
    # A resample may not be reliable at all: it has no upper limit. The data themselves must be.
    on_data = {name: float(values[0]) if reliable[0] > 0 else math.nan for name, values in figures.items()}
    drawn = {
        name: Resampled(on_data[name], values[1:], 2.0 if name == "true_score_r" else math.inf)
        for name, values in figures.items()
    }
    estimates = {name: figure.estimate() for name, figure in drawn.items()}
    return NoiseCeiling(float(rho[0]), float(reliable[0]), math.sqrt(reliable[0]), **estimates), drawn


def _over(values: Float64, limit: Float64) -> Float64:
    """Divide; infinite with the sign of the value where the limit is zero."""
    return np.divide(values, limit, out=np.copysign(np.inf, values) + 0 * values, where=limit > 0)


def _equivalent_votes(true_score_r: Float64, rho: Float64) -> Float64:
    """Return infinity where r* is 1, NaN where it is not defined or ρ is not above zero."""
    explained = np.maximum(true_score_r, 0.0) ** 2
    below = (explained < 1) & (rho > 0)
    votes = np.divide(explained * (1 - rho), rho * (1 - explained), out=np.full(rho.shape, np.nan), where=below)
    return np.where(true_score_r >= 1, np.inf, np.where(explained == 0, 0.0, votes))
