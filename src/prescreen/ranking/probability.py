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
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from prescreen.ranking.goals import Goals

Floats = NDArray[np.float64]

SCORE_LIMIT = 0.005
"""Scores within this of 0 and 10 count as this far away: z of the ends is infinite."""

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


def score_to_z(score: ArrayLike) -> Floats:
    """Turn scores (0-10) into standard normal deviates; the ends count as ``SCORE_LIMIT`` away from the end."""
    clipped = np.clip(np.asarray(score, dtype=np.float64), SCORE_LIMIT, 10 - SCORE_LIMIT)
    z: Floats = ndtri(clipped / 10)
    return z


def z_to_score(z: ArrayLike) -> Floats:
    """Turn standard normal deviates into scores (0-10)."""
    score: Floats = 10 * ndtr(np.asarray(z, dtype=np.float64))
    return score


def p_better(
    candidates_z: Floats,
    baseline_z: Floats,
    covariance: Floats,
    traits: Sequence[str],
    goals: Goals,
    *,
    baseline_covariance: Floats | None = None,
    shared: float = 0.0,
) -> BetterChance:
    """Return each candidate's chance to meet all goals at once, and each goal by itself.

    Parameters
    ----------
    candidates_z : ndarray (n, t)
        Predictions as z, columns in the order of ``traits``.
    baseline_z : ndarray (t,)
        The baseline as z; NaN for a trait whose baseline is not known (it can have no goal).
    covariance : ndarray (t, t)
        Covariance between traits of the prediction errors of one picture, in z.
    traits : sequence of str
        Names of the t columns.
    goals : Goals
        Margins are score points; they are turned into z at the baseline's score.
    baseline_covariance : ndarray (t, t) or None
        Covariance of the baseline's errors. None: the baseline is predicted as the candidates are. Zeros: it is known
        exactly. Otherwise it is measured on its own, so its errors have nothing in common with the candidates'.
    shared : float, 0 to 1
        For a predicted baseline only: the share of the error variance that candidate and baseline have in common
        because they show the same person. It cancels in the difference.

    Returns
    -------
    BetterChance

    Raises
    ------
    UsageError
        If a goal names an unknown trait.
    ValueError
        If shapes do not fit, a matrix is no covariance, or ``shared`` is out of range or without meaning.
    """
    goals.check(traits)
    candidates_z = np.asarray(candidates_z, dtype=np.float64)
    baseline_z = np.asarray(baseline_z, dtype=np.float64)
    count = len(traits)
    if candidates_z.ndim != 2 or candidates_z.shape[1] != count or baseline_z.shape != (count,):
        raise ValueError(f"{count} traits: got candidates {candidates_z.shape} and baseline {baseline_z.shape}")
    counted = [traits.index(name) for name in goals.traits]
    if np.isnan(baseline_z[counted]).any():
        raise ValueError("the baseline lacks a trait that has a goal")
    spread = difference_covariance(covariance, baseline_covariance, shared, count)

    improves = np.array([name in goals.improve for name in traits])
    bounds = candidates_z - _thresholds(baseline_z, traits, goals)
    sigma = np.sqrt(np.diag(spread))
    with np.errstate(divide="ignore", invalid="ignore"):
        per_trait: Floats = ndtr(bounds / sigma)
    certain = np.where(improves, bounds > 0, bounds >= 0).astype(np.float64)
    per_trait = np.where(sigma > 0, per_trait, certain)
    per_trait[np.isnan(bounds)] = np.nan

    uncertain = [i for i in counted if sigma[i] > 0]
    joint: Floats = np.prod(per_trait[:, [i for i in counted if sigma[i] == 0]], axis=1)
    if len(uncertain) == 1:
        joint = joint * per_trait[:, uncertain[0]]
    elif uncertain:
        joint = joint * _below_all(bounds[:, uncertain], spread[np.ix_(uncertain, uncertain)])
        joint = np.minimum(joint, per_trait[:, counted].min(axis=1))
    return BetterChance(joint=joint, per_trait=per_trait)


def difference_covariance(covariance: Floats, baseline_covariance: Floats | None, shared: float, count: int) -> Floats:
    """Return the covariance (t, t) of the errors of candidate minus baseline; arguments as in :func:`p_better`."""
    if not 0 <= shared <= 1:
        raise ValueError(f"shared {shared:g}: expected a share from 0 to 1")
    own = _checked(covariance, count)
    if baseline_covariance is None:
        return 2 * (1 - shared) * own
    if shared:
        raise ValueError("shared errors need a predicted baseline (baseline_covariance None)")
    return own + _checked(baseline_covariance, count)


def _checked(covariance: Floats, count: int) -> Floats:
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.shape != (count, count) or not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T):
        raise ValueError(f"expected a finite symmetric covariance of {count} traits, got shape {matrix.shape}")
    values = np.linalg.eigvalsh(matrix)
    if values[0] < -1e-8 * max(values[-1], 1e-300):
        raise ValueError(f"no covariance: smallest eigenvalue {values[0]:.3g}")
    return matrix


def _thresholds(baseline_z: Floats, traits: Sequence[str], goals: Goals) -> Floats:
    """Return the z (t,) that a candidate has to pass: the baseline's, moved by the margins."""
    margins = [
        goals.improve_margin if name in goals.improve else -goals.keep_margin if name in goals.keep else 0.0
        for name in traits
    ]
    moved: Floats = ndtri(np.clip((z_to_score(baseline_z) + margins) / 10, 0, 1))
    return np.where(np.array(margins) == 0, baseline_z, moved)


def _below_all(bounds: Floats, covariance: Floats) -> Floats:
    """Return P(X_j <= bounds_ij for all j) for X ~ N(0, covariance), for each row i; t >= 2, variances > 0."""
    t = bounds.shape[1]
    factor = _triangular_root(covariance)
    deviation = np.sqrt(np.diag(covariance))
    points = qmc.Sobol(t - 1, scramble=False).random_base2(9 if t <= 3 else 11)
    points += 0.5 / len(points)  # the unshifted points start at 0, where the normal quantile is infinite
    chances = np.empty(len(bounds))
    step = max(1, _CHUNK // len(points))
    for start in range(0, len(bounds), step):
        part = bounds[start : start + step, :, None]
        chance = np.ones((len(part), len(points)))
        errors: list[Floats] = []
        for j in range(t):
            moved = part[:, j] - sum((factor[j, k] * errors[k] for k in range(j)), start=np.zeros(1))
            free = factor[j, j] > _ZERO * deviation[j]
            below = ndtr(moved / factor[j, j]) if free else (moved >= -1e-9 * deviation[j]).astype(np.float64)
            chance = chance * below
            if j < t - 1:
                room = points[:, j] * below if free else points[:, j]
                errors.append(ndtri(np.clip(room, 1e-300, 1 - 1e-16)))
        chances[start : start + step] = chance.mean(axis=1)
    return chances


def _triangular_root(covariance: Floats) -> Floats:
    """Return lower triangular L with a diagonal >= 0 and L @ L.T = covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    _, upper = np.linalg.qr((vectors * np.sqrt(np.clip(values, 0, None))).T)
    signs = np.where(np.diag(upper) < 0, -1.0, 1.0)
    lower: Floats = (upper * signs[:, None]).T
    return lower
