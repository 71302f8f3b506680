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

_POINTS: Final = 256
"""Sobol points of one Gaussian of a mixture, at least; a single one gets `_ALL`."""
_ALL: Final = 4096
_KNOWN: Final = 0.01
"""A chance is known to about this much."""


@dataclass(frozen=True)
class Selection:
    """Pictures chosen together.

    Attributes
    ----------
    chosen : ndarray (k,), intp
        Rows of the candidates, in the order of choice.
    chance : ndarray (k,), float64, 0 to 1
        That at least one of the pictures up to this one meets all goals.
    by_model : ndarray (g, k), float64, 0 to 1
        The same by each Gaussian of the mixture.
    """

    chosen: NDArray[np.intp]
    chance: Floats
    by_model: Floats

    def first(self, count: int) -> "Selection":
        """Return the choice of the first few."""
        return Selection(self.chosen[:count], self.chance[:count], self.by_model[:, :count])


def choose_together(
    differences: Sequence[tuple[Floats, Floats]],
    weights: Floats,
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
    differences : sequence of (ndarray (m, t), ndarray (m * t, m * t))
        A mixture of g Gaussians: candidates minus baseline in z, m up to a few hundred, those with the best single
        chances, and their joint covariance, traits of one picture side by side.
    weights : ndarray (g,), 0 to 1
        How likely each Gaussian is; sums to 1.
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
    m, t = differences[0][0].shape
    margins = thresholds(baseline_z, traits, goals) - baseline_z
    points = max(_POINTS, _ALL // 2 ** int(np.ceil(np.log2(len(differences)))))
    met = np.stack([_meets(mean, covariance, margins, traits, goals, points, seed) for mean, covariance in differences])
    weight = np.repeat(weights / points, points)
    flat = met.reshape(-1, m)
    alone = weight @ flat
    open_draws = np.ones(len(flat), dtype=bool)
    free = np.ones(m, dtype=bool)
    chosen, by_model = [], []
    for _ in range(min(k, m)):
        gain = weight[open_draws] @ flat[open_draws]
        # Of gains that differ by less than they are known, that of the better picture is taken.
        best = int(np.where(free, gain + _KNOWN * alone, -1.0).argmax())
        free[best] = False
        open_draws &= ~flat[:, best]
        chosen.append(best)
        by_model.append(1 - open_draws.reshape(len(differences), points).mean(axis=1))
    every = np.array(by_model).reshape(-1, len(differences)).T
    return Selection(np.array(chosen, dtype=np.intp), weights @ every, every)


def _meets(
    difference: Floats,
    covariance: Floats,
    margins: Floats,
    traits: Sequence[str],
    goals: Goals,
    count: int,
    seed: int,
) -> NDArray[np.bool_]:
    """Draw the candidates jointly, and say in which draws each meets all goals: (count, m)."""
    m, t = difference.shape
    values, vectors = np.linalg.eigh(covariance)
    used = values > 1e-10 * max(values[-1], 1e-300)
    root = vectors[:, used] * np.sqrt(values[used])
    points = qmc.Sobol(max(1, root.shape[1]), rng=np.random.default_rng(seed)).random(count)
    normal = ndtri(np.clip(points, 1e-12, 1 - 1e-12))[:, : root.shape[1]]
    # The directions of most variance stand last; the first Sobol coordinates are the most even ones.
    drawn = (normal @ root[:, ::-1].T).reshape(-1, m, t) + difference
    improved = (drawn > margins)[:, :, [traits.index(name) for name in goals.improve]]
    kept = (drawn >= margins)[:, :, [traits.index(name) for name in goals.keep]].all(axis=2)
    return np.asarray((improved.any(axis=2) if goals.any_of else improved.all(axis=2)) & kept)
