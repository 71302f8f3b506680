r"""How likely a candidate is to beat the baseline on all goals at once.

Scores s (0-10) are shares of a population, so all sums are done in :math:`z = \Phi^{-1}(s/10)`, where prediction
errors are close to normal. The difference candidate minus baseline is then normal around the difference of the
predictions, and the chance is one orthant probability of a multivariate normal, the same covariance for all
candidates. It is computed with the separation of variables of Genz (1992) on shared Sobol points: without noise
between candidates, and accurate relative to its size, so that even hopeless candidates keep an order.

References
----------
Genz, A. (1992). Numerical computation of multivariate normal probabilities. Journal of Computational and Graphical
Statistics 1(2), 141-149.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from prescreen.ranking.goals import Goals
from prescreen.ratings.vote_noise import z_to_score

Floats = NDArray[np.float64]

_CHUNK = 1 << 16  # numbers in one working array: small enough for the processor's cache
_ZERO = 1e-6  # below this share of its deviation an error is a combination of the errors before it


@dataclass(frozen=True)
class BetterChance:
    """Chances of n candidates against one baseline.

    Attributes
    ----------
    joint : ndarray (n,), float64, 0 to 1
        That all goals are met at once; NaN where a prediction is NaN.
    per_trait : ndarray (n, t), float64, 0 to 1
        That the goal of one trait is met; for a trait without a goal, that it is above the baseline. NaN where the
        prediction or the baseline is NaN.
    """

    joint: Floats
    per_trait: Floats


def p_better(
    difference: Floats, covariance: Floats, baseline_z: Floats, traits: Sequence[str], goals: Goals
) -> BetterChance:
    """Return the chances of candidates of which the difference to the baseline is known, each with its covariance.

    Parameters
    ----------
    difference : ndarray (n, t)
        Candidate minus baseline in z.
    covariance : ndarray (t, t) or (n, t, t)
        Covariance of that difference between traits, one for all candidates or one for each.
    baseline_z : ndarray (t,)
        The baseline in z, where the margins are turned into z; NaN for a trait whose baseline is not known.
    traits, goals
        As in :func:`p_better`.

    Raises
    ------
    UsageError
        If a goal names an unknown trait.
    ValueError
        If shapes do not fit, or the baseline lacks a trait that has a goal.
    """
    goals.check(traits)
    count = len(traits)
    if difference.ndim != 2 or difference.shape[1] != count or covariance.shape[-2:] != (count, count):
        raise ValueError(f"{count} traits: got differences {difference.shape} with covariance {covariance.shape}")
    improve, keep = ([traits.index(name) for name in names] for names in (goals.improve, goals.keep))
    if np.isnan(baseline_z[improve + keep]).any():
        raise ValueError("the baseline lacks a trait that has a goal")

    improves = np.array([name in goals.improve for name in traits])
    bounds = difference - (thresholds(baseline_z, traits, goals) - baseline_z)
    variance = np.broadcast_to(np.diagonal(covariance, axis1=-2, axis2=-1), bounds.shape)
    sigma = np.sqrt(np.maximum(variance, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        per_trait: Floats = ndtr(bounds / sigma)
    certain = np.where(improves, bounds > 0, bounds >= 0).astype(np.float64)
    per_trait = np.where(sigma > 0, per_trait, certain)
    per_trait[np.isnan(bounds)] = np.nan

    if not goals.any_of:
        joint = _all_met(bounds, covariance, per_trait, sigma, improve + keep)
        return BetterChance(joint=joint, per_trait=per_trait)
    # Either the first is met, or it is not and the second is, and so on: events that exclude each other.
    joint = np.zeros(len(bounds))
    for k in range(len(improve)):
        missed = improve[:k]
        signs = np.ones(count)
        signs[missed] = -1
        turned = np.where(signs < 0, 1 - per_trait, per_trait)
        columns = [*missed, improve[k], *keep]
        joint = joint + _all_met(bounds * signs, covariance * np.outer(signs, signs), turned, sigma, columns)
    most = np.minimum(per_trait[:, keep].min(axis=1, initial=1.0), per_trait[:, improve].sum(axis=1))
    return BetterChance(joint=np.minimum(joint, most), per_trait=per_trait)


def _all_met(bounds: Floats, covariance: Floats, per_trait: Floats, sigma: Floats, columns: list[int]) -> Floats:
    """Return the chance (n,) that X_j <= bounds_ij for all columns, X ~ N(0, covariance); some may be certain."""
    joint = np.empty(len(bounds))
    patterns, group = np.unique(sigma[:, columns] > 0, axis=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        rows = np.flatnonzero(group.ravel() == k)
        uncertain, known = (np.array(columns, dtype=np.intp)[free] for free in (pattern, ~pattern))
        chance = np.prod(per_trait[np.ix_(rows, known)], axis=1)
        if len(uncertain) == 1:
            chance = chance * per_trait[rows, uncertain[0]]
        elif len(uncertain):
            spread = covariance if covariance.ndim == 2 else covariance[rows]
            spread = spread[..., uncertain, :][..., uncertain]
            chance = chance * _below_all(bounds[np.ix_(rows, uncertain)], spread)
            chance = np.minimum(chance, per_trait[rows][:, columns].min(axis=1))
        joint[rows] = chance
    return joint


def thresholds(baseline_z: Floats, traits: Sequence[str], goals: Goals) -> Floats:
    """Return the z (t,) that a candidate has to pass: the baseline's, moved by the margins."""
    margins = [
        goals.improve_margin if name in goals.improve else -goals.keep_margin if name in goals.keep else 0.0
        for name in traits
    ]
    moved: Floats = ndtri(np.clip((z_to_score(baseline_z) + margins) / 10, 0, 1))
    return np.where(np.array(margins) == 0, baseline_z, moved)


def _below_all(bounds: Floats, covariance: Floats) -> Floats:
    """Return P(X_j <= bounds_ij for all j), X ~ N(0, covariance), for each row i; t >= 2, variances > 0.

    The covariance is one for all rows (t, t) or one for each (n, t, t).
    """
    n, t = bounds.shape
    factors = np.broadcast_to(_triangular_root(covariance), (n, t, t))[..., None]
    deviations = np.broadcast_to(np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1)), (n, t))[..., None]
    points = qmc.Sobol(t - 1, scramble=False).random_base2(9 if t <= 3 else 11)
    points += 0.5 / len(points)  # the unshifted points start at 0, where the normal quantile is infinite
    chances = np.empty(n)
    step = max(1, _CHUNK // len(points))
    for start in range(0, n, step):
        part, factor, deviation = (rows[start : start + step] for rows in (bounds[..., None], factors, deviations))
        chance = np.ones((len(part), len(points)))
        errors: list[Floats] = []
        for j in range(t):
            moved = part[:, j] - sum((factor[:, j, k] * errors[k] for k in range(j)), start=np.zeros(1))
            free = factor[:, j, j] > _ZERO * deviation[:, j]
            below = np.where(
                free,
                ndtr(moved / np.where(free, factor[:, j, j], 1.0)),
                (moved >= -1e-9 * deviation[:, j]).astype(np.float64),
            )
            chance = chance * below
            if j < t - 1:
                errors.append(ndtri(np.clip(points[:, j] * np.where(free, below, 1.0), 1e-300, 1 - 1e-16)))
        chances[start : start + step] = chance.mean(axis=1)
    return chances


def _triangular_root(covariance: Floats) -> Floats:
    """Return lower triangular L (..., t, t), diagonal >= 0, with L @ L.T = covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    scaled = vectors * np.sqrt(np.clip(values, 0, None))[..., None, :]
    _, upper = np.linalg.qr(np.swapaxes(scaled, -1, -2))
    signs = np.where(np.diagonal(upper, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    lower: Floats = np.swapaxes(upper * signs[..., None], -1, -2)
    return lower
