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
_BLOCK: Final = 300
"""Dimensions that are spread evenly together: as many as 100 candidates have on three traits."""
_JITTER: Final = 1e-10
"""Share of the variance that is added to it: near-copies are nearly a combination of others."""
KNOWN: Final = 0.01
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


@dataclass(frozen=True)
class Draws:
    """In which joint draws which candidates meet all goals.

    Attributes
    ----------
    rows : ndarray (m,), intp
        The candidates.
    weights : ndarray (g,), 0 to 1
        How likely each Gaussian of the mixture is; sums to 1.
    met : ndarray (g, d, m), bool
        d draws of each Gaussian.
    """

    rows: NDArray[np.intp]
    weights: Floats
    met: NDArray[np.bool_]

    def choose(self, k: int, among: NDArray[np.intp] | None = None) -> Selection:
        """Choose k candidates of which, as likely as possible, at least one meets all goals.

        Which others were drawn with them changes nothing: of the same draws the same choice has the same chance.

        Parameters
        ----------
        k : int
            How many; fewer where there are fewer.
        among : ndarray of int, optional
            Those of ``rows`` that may be chosen; all of them without it.
        """
        free = np.ones(len(self.rows), dtype=bool) if among is None else np.isin(self.rows, among)
        alone = self._chance(self.met)
        left = np.ones(self.met.shape[:2], dtype=bool)
        chosen: list[int] = []
        for _ in range(min(k, int(free.sum()))):
            gain = self._chance(self.met & left[..., None])
            # Of gains that differ by less than they are known, that of the better picture is taken.
            best = int(np.where(free, np.round(gain + KNOWN * alone, 12), -1.0).argmax())
            free[best] = False
            left &= ~self.met[..., best]
            chosen.append(best)
        return self.together(self.rows[chosen])

    def together(self, rows: NDArray[np.intp]) -> Selection:
        """Return the chance of candidates that were chosen already; ``rows`` are some of those drawn."""
        places = {row: place for place, row in enumerate(self.rows.tolist())}
        found = self.met[..., [places[row] for row in rows.tolist()]]
        by_model = np.logical_or.accumulate(found, axis=2).mean(axis=1)
        return Selection(rows, self.weights @ by_model, by_model)

    def _chance(self, met: NDArray[np.bool_]) -> Floats:
        return np.asarray(self.weights @ (met.sum(axis=1) / met.shape[1]))


def draw_together(
    differences: Sequence[tuple[Floats, Floats]],
    weights: Floats,
    baseline_z: Floats,
    traits: Sequence[str],
    goals: Goals,
    *,
    rows: NDArray[np.intp] | None = None,
    seed: int = 0,
) -> Draws:
    """Draw candidates jointly, and say in which draws each meets all goals.

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
    rows : ndarray (m,), int, optional
        What the candidates are called; 0 to m - 1 without it.
    seed : int
        Of the scrambled Sobol points; the same seed draws the same.
    """
    goals.check(traits)
    margins = thresholds(baseline_z, traits, goals) - baseline_z
    points = max(_POINTS, _ALL // 2 ** int(np.ceil(np.log2(len(differences)))))
    normal = _normal_points(points, differences[0][0].size, seed)
    met = np.stack([_meets(mean, covariance, margins, traits, goals, normal) for mean, covariance in differences])
    return Draws(np.arange(met.shape[2]) if rows is None else rows, weights, met)


def _meets(
    difference: Floats,
    covariance: Floats,
    margins: Floats,
    traits: Sequence[str],
    goals: Goals,
    normal: Floats,
) -> NDArray[np.bool_]:
    """Draw the candidates jointly, and say in which draws each meets all goals: (d, m); ``normal`` is (d, m * t)."""
    m, t = difference.shape
    # Triangular: draws of a candidate depend on those before it alone, and smoothly on the covariance. Eigenvectors do
    # not: their signs, and their directions where values are equal, are those that the machine happens to find.
    size = float(np.diag(covariance).max(initial=0.0))
    root = np.linalg.cholesky(covariance + _JITTER * max(size, 1e-300) * np.eye(m * t))
    drawn = (normal @ root.T).reshape(-1, m, t) + difference
    improved = (drawn > margins)[:, :, [traits.index(name) for name in goals.improve]]
    kept = (drawn >= margins)[:, :, [traits.index(name) for name in goals.keep]].all(axis=2)
    return np.asarray((improved.any(axis=2) if goals.any_of else improved.all(axis=2)) & kept)


def _normal_points(count: int, dimensions: int, seed: int) -> Floats:
    """Return evenly spread normal draws (count, dimensions); the first dimensions are the same for more of them."""
    blocks = []
    for block in range(-(-dimensions // _BLOCK)):
        points = qmc.Sobol(_BLOCK, rng=np.random.default_rng([seed, block])).random(count)
        blocks.append(ndtri(np.clip(points, 1e-12, 1 - 1e-12)))
    return np.concatenate(blocks, axis=1)[:, :dimensions] if blocks else np.zeros((count, 0))
