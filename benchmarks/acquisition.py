"""On which picture and trait the next votes teach most, when they can be had a few at a time.

The aim is a list of the k pictures most likely to meet all goals. Votes change it only if they lift a picture into the
list or throw one out, so their worth is the expected rise of the list's summed chances (the knowledge gradient). It is
small for pictures that are surely in or surely out, however uncertain they are.

References
----------
Frazier, Powell & Dayanik (2008), A knowledge-gradient policy for sequential information collection, SIAM J. Control
and Optimization 47(5).
Frazier & Powell (2010), Paradoxes in learning and the marginal value of information, Decision Analysis 7(4) (the gain a
vote, at its best over several numbers of votes, because a single one often cannot change the list).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prescreen.ranking.goals import Goals
from prescreen.ranking.probability import Floats, p_better

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)


@dataclass(frozen=True)
class NextVotes:
    """Where the next votes go.

    Attributes
    ----------
    row : int
        Which candidate.
    trait : int
        Which trait.
    gain : float
        Expected rise of the summed chances of the best k for each vote.
    """

    row: int
    trait: int
    gain: float


def next_votes(
    difference: Floats,
    covariance: Floats,
    noise: Floats,
    baseline_z: Floats,
    traits: Sequence[str],
    goals: Goals,
    k: int,
    *,
    votes: Sequence[int] = (5, 10, 15),
    allowed: NDArray[np.bool_] | None = None,
    judged: Floats | None = None,
    considered: int = 80,
) -> NextVotes | None:
    """Find the picture and trait whose next votes raise the best k's summed chances most.

    Parameters
    ----------
    difference : ndarray (n, t)
        Candidate minus baseline in z.
    covariance : ndarray (n, t, t)
        Of that difference, for each candidate.
    noise : ndarray (n, t)
        Noise variance of one vote in z.
    baseline_z, traits, goals
        As in :func:`prescreen.ranking.probability.p_better`.
    k : int
        Length of the list.
    votes : sequence of int
        Numbers of votes to look ahead; the gain a vote at the best of them counts.
    allowed : ndarray (n, t), bool, optional
        Where votes can be had.
    judged : ndarray (n, t, t), optional
        More covariance of what the chance is about, that votes do not lower: for instance the noise of a later test.
    considered : int
        Only this many candidates with the highest chances are looked at.

    Returns
    -------
    NextVotes or None
        None where no votes are allowed.
    """
    extra = np.zeros_like(covariance) if judged is None else judged
    chance = p_better(difference, covariance + extra, baseline_z, traits, goals).joint
    order = np.argsort(-chance, kind="stable")
    rows = order[:considered]
    inside = np.isin(rows, order[:k])
    # A picture of the list competes with the first one outside it, the others with the last one inside.
    rival = np.where(inside, chance[order[k]] if k < len(order) else 0.0, chance[order[min(k, len(order)) - 1]])
    now = np.maximum(chance[rows], rival)
    choices = [(traits.index(name), number) for name in goals.traits for number in votes]
    means, left = [], []
    for trait, number in choices:
        column = covariance[rows][:, :, trait]
        total = column[:, trait] + noise[rows, trait] / number
        shift = column / np.sqrt(total)[:, None]
        means.append(difference[rows] + _NODES[:, None, None] * shift)
        left.append(covariance[rows] - shift[:, :, None] * shift[:, None, :] + extra[rows])
    # All at once: (choices, nodes, rows).
    shape = (len(choices), len(_NODES), len(rows))
    t = len(traits)
    spread = np.broadcast_to(np.stack(left)[:, None], (*shape, t, t)).reshape(-1, t, t)
    moved = p_better(np.stack(means).reshape(-1, t), spread, baseline_z, traits, goals).joint.reshape(shape)
    after = np.tensordot(_WEIGHTS / _WEIGHTS.sum(), np.maximum(moved, rival), (0, 1))
    gains = np.full((len(rows), t), -np.inf)
    for (trait, number), expected in zip(choices, after, strict=True):
        gains[:, trait] = np.maximum(gains[:, trait], (expected - now) / number)
    if allowed is not None:
        gains[~allowed[rows]] = -np.inf
    if not np.isfinite(gains).any():
        return None
    best = np.unravel_index(int(gains.argmax()), gains.shape)
    return NextVotes(int(rows[best[0]]), int(best[1]), float(gains[best]))
