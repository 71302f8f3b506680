"""Which pictures to send together.

Sending the k pictures with the highest single chances wastes votes when they are alike: where one fails, so do its
near-copies. What counts is the chance that at least one of the k meets all goals. Its gain shrinks with every picture
chosen (it is submodular), so that taking the best addition k times reaches at least 63 % of the best possible chance,
and in practice nearly all of it.

References
----------
Nemhauser, Wolsey & Fisher (1978), An analysis of approximations for maximizing submodular set functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from prescreen.ranking.goals import Goals
from prescreen.ranking.probability import Floats, thresholds

DRAWS: Final = 12  # 2 ** 12 joint draws: a chance is known to about 0.5 %


@dataclass(frozen=True)
class Selection:
    """Pictures chosen together.

    Attributes
    ----------
    chosen : ndarray (k,), intp
        Rows of the candidates, in the order of choice.
    chance : ndarray (j,), float64, 0 to 1
        That at least one of the pictures up to this one meets all goals, for the first j of them; the others could not
        be compared.
    """

    chosen: NDArray[np.intp]
    chance: Floats


def choose_together(
    difference: Floats,
    covariance: Floats,
    baseline_z: Floats,
    traits: Sequence[str],
    goals: Goals,
    k: int,
    *,
    seed: int = 0,
) -> Selection:
    """Choose k pictures of which, as likely as possible, at least one meets all goals.

    Parameters
    ----------
    difference : ndarray (m, t)
        Candidates minus baseline in z, m up to a few hundred: those with the best single chances.
    covariance : ndarray (m * t, m * t)
        Their joint covariance, traits of one picture side by side.
    baseline_z : ndarray (t,)
        The baseline in z, where the margins are turned into z.
    traits, goals
        As in `prescreen.ranking.probability.p_better`.
    k : int
        How many; fewer where there are fewer candidates.
    seed : int
        Of the scrambled Sobol points; the same seed chooses the same pictures.

    Returns
    -------
    Selection
    """
    goals.check(traits)
    m, t = difference.shape
    if covariance.shape != (m * t, m * t) or len(traits) != t:
        raise ValueError(f"differences {difference.shape} of {len(traits)} traits: got a covariance {covariance.shape}")
    met = _meets(difference, covariance, thresholds(baseline_z, traits, goals) - baseline_z, traits, goals, seed)
    alone = met.mean(axis=0)
    open_draws = np.ones(len(met), dtype=bool)
    free = np.ones(m, dtype=bool)
    chosen, chance = [], []
    for _ in range(min(k, m)):
        gain = met[open_draws].sum(axis=0) / len(met)
        # Where nothing is gained any more in the draws, the better picture is still the better choice.
        best = int(np.where(free, gain + 1e-6 * alone, -1.0).argmax())
        free[best] = False
        open_draws &= ~met[:, best]
        chosen.append(best)
        chance.append(1 - float(open_draws.mean()))
    return Selection(np.array(chosen, dtype=np.intp), np.array(chance))


def _meets(
    difference: Floats, covariance: Floats, margins: Floats, traits: Sequence[str], goals: Goals, seed: int
) -> NDArray[np.bool_]:
    """Draw the candidates jointly, and say in which draws each meets all goals: (draws, m)."""
    m, t = difference.shape
    values, vectors = np.linalg.eigh(covariance)
    used = values > 1e-10 * max(values[-1], 1e-300)
    root = vectors[:, used] * np.sqrt(values[used])
    points = qmc.Sobol(max(1, root.shape[1]), rng=np.random.default_rng(seed)).random_base2(DRAWS)
    normal = ndtri(np.clip(points, 1e-12, 1 - 1e-12))[:, : root.shape[1]]
    # The directions of most variance stand last; the first Sobol coordinates are the most even ones.
    drawn = (normal @ root[:, ::-1].T).reshape(-1, m, t) + difference
    improved = (drawn > margins)[:, :, [traits.index(name) for name in goals.improve]]
    kept = (drawn >= margins)[:, :, [traits.index(name) for name in goals.keep]].all(axis=2)
    return np.asarray((improved.any(axis=2) if goals.any_of else improved.all(axis=2)) & kept)
