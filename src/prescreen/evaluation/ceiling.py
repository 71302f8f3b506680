"""What the noise of the ratings allows: the reliability ceiling, and how many votes a predictor is worth."""

import math
from dataclasses import dataclass

from prescreen.evaluation.metrics import Estimate


def spearman_brown(icc1: float, votes: float) -> float:
    """Reliability of a mean of votes: nρ / (1 + (n − 1)ρ).

    Parameters
    ----------
    icc1 : float
        ICC(1) of single votes, ρ; below zero (by chance) counts as zero.
    votes : float
        Independent votes behind each mean, n ≥ 0; may be an average.

    References
    ----------
    C. Spearman, W. Brown, British Journal of Psychology 3, 1910.
    """
    rho = min(max(icc1, 0.0), 1.0)
    return votes * rho / (1 + (votes - 1) * rho) if rho > 0 else 0.0


def true_score_correlation(pearson: float, reliability: float) -> float | None:
    """Correlation with the mean of infinitely many raters, r / √reliability, at most 1; None without reliability."""
    if reliability <= 0:
        return None
    return max(-1.0, min(1.0, pearson / math.sqrt(reliability)))


def worth_in_votes(true_score_r: float | None, icc1: float) -> float | None:
    """Votes whose mean would correlate as highly with the true mean: k = r*²(1 − ρ) / (ρ(1 − r*²)).

    Returns
    -------
    float or None
        0 for a correlation of zero or less; None where no number of votes can be named: without reliability, or
        where r* is 1.
    """
    if true_score_r is None or not 0 < icc1 <= 1 or true_score_r >= 1:
        return None
    explained = max(true_score_r, 0.0) ** 2
    return explained * (1 - icc1) / (icc1 * (1 - explained))


@dataclass(frozen=True)
class Ceiling:
    """A trait's accuracy against what its ratings allow.

    Attributes
    ----------
    icc1 : float
        Reliability of a single vote, ρ.
    reliability : float
        Reliability of the ratings as means of votes; the highest R² that perfect predictions can reach.
    highest_r : float
        √reliability, the highest correlation that perfect predictions can reach.
    true_score_r : Estimate
        Correlation with the true mean, r / √reliability, at most 1.
    r_share, r2_share : float or None
        Share of the ceiling reached: r / √reliability and R² / reliability, not capped.
    votes : Estimate
        Worth in votes; None, also as an upper end, where no number can be named.
    """

    icc1: float
    reliability: float
    highest_r: float
    true_score_r: Estimate
    r_share: float | None
    r2_share: float | None
    votes: Estimate


def ceiling(pearson: Estimate, r2: Estimate, icc1: float, reliability: float) -> Ceiling:
    """Compare a trait's accuracy with its ceiling; intervals come from the interval of r, reliability as given.

    Parameters
    ----------
    pearson, r2 : Estimate
        Accuracy against the ratings.
    icc1 : float
        Reliability of a single vote; may be zero or below by chance.
    reliability : float
        Reliability of the ratings as means of votes; see :func:`spearman_brown`.
    """
    usable = reliability if math.isfinite(reliability) else 0.0

    def true_score(r: float | None) -> float | None:
        return None if r is None else true_score_correlation(r, usable)

    corrected = Estimate(*(true_score(r) for r in (pearson.value, pearson.low, pearson.high)))
    return Ceiling(
        icc1=icc1,
        reliability=reliability,
        highest_r=math.sqrt(max(usable, 0.0)),
        true_score_r=corrected,
        r_share=_share(pearson.value, math.sqrt(max(usable, 0.0))),
        r2_share=_share(r2.value, usable),
        votes=Estimate(*(worth_in_votes(r, icc1) for r in (corrected.value, corrected.low, corrected.high))),
    )


def _share(value: float | None, highest: float) -> float | None:
    return None if value is None or highest <= 0 else value / highest
