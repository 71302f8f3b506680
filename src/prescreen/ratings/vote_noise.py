r"""How noisy the mean of votes is at its level, in z: more toward the ends of the scale than in its middle.

Votes are steps (No, Somewhat, Yes, Very), and a scale has ends. Near an end nearly all votes are the last step: their
mean hardly varies, but it hardly moves with the picture either. A vote is modelled as the step in which ``q + e``
falls. The quality q is standard normal among all pictures (that is z), e is normal with variance ν, and the steps are
such that all are taken equally often. With the expected vote m(q) and the variance v(q) of votes, the mean of n votes
tells q with the variance

.. math:: \frac{v(q)}{n\, m'(q)^2}.

With usual votes (ν = 3) that is a fifth more than the average at a score of 9.8, and three quarters more at 9.99.

References
----------
Samejima (1969), Estimation of latent ability using a response pattern of graded scores, Psychometrika Monograph 17.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]

STEPS: Final = 4
"""Answers that a voter can choose from, as on Photofeeler."""

SCORE_LIMIT: Final = 0.005
"""Score points from 0 and from 10 at which z is taken; at the ends themselves it would be infinite."""

_GRID: Final = np.linspace(-4, 4, 161)
_LEAST_MODELLED: Final = 0.5
"""Noise below which votes differ by level as at it: votes more exact would only tell between which steps z lies."""


def score_to_z(score: npt.ArrayLike) -> Floats:
    """Turn scores from 0 to 10 into standard normal deviates; the ends count as `SCORE_LIMIT` away from the end."""
    clipped = np.clip(np.asarray(score, dtype=np.float64), SCORE_LIMIT, 10 - SCORE_LIMIT)
    return np.asarray(ndtri(clipped / 10))


def score_slope(z: npt.ArrayLike) -> Floats:
    """Return how many score points one unit of z is, at z."""
    return np.asarray(10 * _density(np.asarray(z, dtype=np.float64)))


def noise_of_vote(z: npt.ArrayLike, noise: float) -> Floats:
    """Return the noise variance of one vote in z at given levels.

    Parameters
    ----------
    z : array-like of float
        Levels: scores as z.
    noise : float, above 0
        Noise variance of one vote in z, averaged over all pictures: (1 - ICC) / ICC.
    """
    levels = np.clip(np.asarray(z, dtype=np.float64), _GRID[0], _GRID[-1])
    modelled = max(noise, _LEAST_MODELLED)
    cuts = np.sqrt(1 + modelled) * ndtri(np.arange(1, STEPS) / STEPS)
    above = (_GRID[:, None] - cuts) / np.sqrt(modelled)
    reached = ndtr(above)
    mean = reached.sum(axis=1)
    variance = reached @ (2 * np.arange(1, STEPS) - 1) - mean**2
    slope = _density(above).sum(axis=1) / np.sqrt(modelled)
    single = variance / slope**2
    return np.asarray(noise * np.interp(levels, _GRID, single / np.average(single, weights=_density(_GRID))))


def _density(z: Floats) -> Floats:
    return np.asarray(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))


def z_to_score(z: npt.ArrayLike) -> Floats:
    """Turn standard normal deviates into scores from 0 to 10."""
    return np.asarray(10 * ndtr(np.asarray(z, dtype=np.float64)))
