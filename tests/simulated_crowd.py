"""Simulated votes of raters of planted kinds."""

from collections.abc import Mapping, Sequence

import numpy as np

from prescreen.ratings.pairs import Pairs


def simulated_votes(
    seed: int,
    kinds: Mapping[str, float],
    n_images: int = 200,
    per_rater: int = 40,
    n_raters: int = 50,
    low: float = 0,
    high: float = 10,
    agree: float = 1.5,
) -> tuple[np.ndarray, ...]:
    """Simulate whole votes of raters of several kinds: {kind: share}; the others are honest, with levels and spreads.

    Kinds are ``own noise`` (honest), ``reversed``, ``random`` and ``straight``; ``agree`` is the noise of a vote over
    the standard deviation of the qualities. Returns qualities, pictures, raters, votes, and the kind of each rater.
    """
    rng = np.random.default_rng(seed)
    quality = rng.normal(0, 1, n_images)
    images = np.concatenate([rng.permutation(n_images) for _ in range(n_raters * per_rater // n_images)])
    raters = np.repeat(np.arange(n_raters), per_rater)
    kind = np.full(n_raters, "honest", dtype=object)
    kind[: sum(round(share * n_raters) for share in kinds.values())] = np.repeat(
        list(kinds), [round(share * n_raters) for share in kinds.values()]
    )
    levels, spreads = rng.normal(0, 0.8, n_raters), np.maximum(rng.normal(1, 0.3, n_raters), 0)
    noise = np.where(kind == "own noise", agree * np.exp(rng.normal(0, 0.6, n_raters)), agree)
    votes = 5 + spreads[raters] * quality[images] + levels[raters] + noise[raters] * rng.normal(0, 1, images.size)
    votes = np.where(kind[raters] == "reversed", 10 - votes, votes)
    votes = np.where(kind[raters] == "random", rng.uniform(0, 10, votes.size), votes)
    votes = np.where(kind[raters] == "straight", rng.integers(2, 9, n_raters)[raters], votes)
    return quality, images, raters, np.clip(np.round(low + votes * (high - low) / 10), low, high), kind


def simulated_pairs(
    seed: int, n_images: int = 60, n_raters: int = 30, per_rater: int | Sequence[int] = 60, agree: float = 1.5
) -> tuple[np.ndarray, Pairs, np.ndarray]:
    """Simulate which of two pictures is found better: neighbours on a circle of each rater's own, sides by chance.

    ``per_rater`` answers, for each rater another number or for all one, begin anew where a circle ends. ``agree`` is
    the noise of a look at one picture over the standard deviation of the qualities. Returns qualities, the answers, and
    whether the left picture was the better one.
    """
    rng = np.random.default_rng(seed)
    quality = rng.normal(0, 1, n_images)
    each = np.broadcast_to(per_rater, n_raters)
    circles = [rng.permutation(n_images) for _ in range(n_raters)]
    left = np.concatenate([np.resize(circle, n) for circle, n in zip(circles, each, strict=True)])
    right = np.concatenate([np.resize(np.roll(circle, -1), n) for circle, n in zip(circles, each, strict=True)])
    raters = np.repeat(np.arange(n_raters), each)
    first = quality[left] + rng.normal(0, agree, left.size) > quality[right] + rng.normal(0, agree, left.size)
    return quality, Pairs(np.where(first, left, right), np.where(first, right, left), raters, n_images), first
