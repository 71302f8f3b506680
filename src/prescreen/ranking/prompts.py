"""Candidates in the order in which a CLIP model's words put them: no ratings, no calibration.

Each trait is a few captions of people who have it and of people who have the opposite. A picture is as much of the
trait as it is more like the first than like the second. The number has no unit; it is given in standard deviations of
the candidates, and says nothing about how people would score them.

References
----------
Wang, Chan & Loy (2023), Exploring CLIP for assessing the look and feel of images, AAAI 37(2) (pairs of captions that
are each other's opposite).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from prescreen.ranking.goals import Goals
from prescreen.ranking.probability import Floats


@dataclass(frozen=True)
class Captions:
    """What pictures of somebody with a trait, and with its opposite, might be captioned.

    Parameters
    ----------
    more, less : tuple of str
        Captions, as many of each.
    """

    more: tuple[str, ...]
    less: tuple[str, ...]


CAPTIONS: Final[Mapping[str, Captions]] = {
    "competence": Captions(
        (
            "a portrait of a competent and intelligent person",
            "a photo of a skilled expert at work",
            "a professional headshot of somebody who looks capable",
        ),
        (
            "a portrait of an incompetent and foolish person",
            "a photo of a clumsy beginner at work",
            "an amateur snapshot of somebody who looks confused",
        ),
    ),
    "likeability": Captions(
        (
            "a portrait of a likeable and friendly person",
            "a photo of somebody with a warm, genuine smile",
            "a picture of somebody who looks kind and easy to talk to",
        ),
        (
            "a portrait of an unlikeable and unfriendly person",
            "a photo of somebody with a cold, hostile stare",
            "a picture of somebody who looks mean and hard to talk to",
        ),
    ),
    "influence": Captions(
        (
            "a portrait of an influential and confident leader",
            "a photo of a powerful executive whom people follow",
            "a picture of somebody with authority speaking on a stage",
        ),
        (
            "a portrait of an insignificant and insecure follower",
            "a photo of a powerless employee whom nobody notices",
            "a picture of somebody timid hiding in a crowd",
        ),
    ),
}
"""The three traits in words."""


def captions() -> tuple[str, ...]:
    """Return all captions, in the order in which `contrasts` expects their likenesses."""
    return tuple(caption for trait in CAPTIONS.values() for side in (trait.more, trait.less) for caption in side)


def contrasts(likeness: NDArray[np.floating], count: int | None = None) -> Floats:
    """Return how much more pictures are like each trait's captions than like their opposites.

    Parameters
    ----------
    likeness : ndarray (m, n)
        Of m captions (`captions`) and n pictures, NaN where not known.
    count : int, optional
        The first so many pictures decide mean and standard deviation; by default all.

    Returns
    -------
    ndarray (n, 3)
        In standard deviations of the pictures around their mean; 0 where all are alike.
    """
    columns, start = [], 0
    for trait in CAPTIONS.values():
        more, less = len(trait.more), len(trait.less)
        middle, end = start + more, start + more + less
        columns.append(likeness[start:middle].mean(axis=0) - likeness[middle:end].mean(axis=0))
        start = end
    found = np.column_stack(columns).astype(np.float64)
    among = found[:count]
    among = among[np.isfinite(among).all(axis=1)]
    if not len(among):
        return np.full(found.shape, np.nan)
    spread = among.std(axis=0)
    return np.asarray((found - among.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def fit(contrast: Floats, traits: Sequence[str], goals: Goals, level: Floats) -> Floats:
    """Return by how much candidates serve the goals, shape (n,), for their order and for nothing else.

    The mean of the traits to improve (with ``any_of`` the highest), less what the traits to keep fall below the level.

    Parameters
    ----------
    contrast : ndarray (n, t)
        From `contrasts`.
    traits : sequence of str
        Names of the columns.
    goals : Goals
        What to improve and what to keep.
    level : ndarray (t,)
        The current photo's contrasts, or 0, the candidates' mean.
    """
    above = contrast - level
    improve = above[:, [traits.index(name) for name in goals.improve]]
    keep = above[:, [traits.index(name) for name in goals.keep]]
    gained = improve.max(axis=1) if goals.any_of else improve.mean(axis=1)
    return np.asarray(gained + np.minimum(keep, 0).sum(axis=1))
