"""How votes are spent when a list of good pictures is wanted: a few votes for many, then more for the best of them.

What counts for a list is how many of its pictures meet all goals. How many a plan gives is computed before any vote:
truths and votes are drawn from what is believed, each round moves the beliefs as `prescreen learn` would, and the list
is what they say then. The plan that gives most is taken.

References
----------
Raiffa & Schlaifer (1961), Applied Statistical Decision Theory, chapter 5 (preposterior analysis).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from prescreen.errors import UsageError
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import subtract_last
from prescreen.ranking.probability import Floats, p_better, thresholds
from prescreen.ranking.vote_plan import VotePlan, share_votes

FIRST_SIZES: Final = (1.0, 1.5, 2.5, 4.0, 6.0)
"""Pictures of the first round to try, as multiples of the list."""

SECOND_SIZES: Final = (1.5, 2.5)
"""Pictures of the second round to try, as multiples of the list."""

FIRST_SHARES: Final = (0.25, 0.5)
"""Shares of the votes to try for the first round."""

DRAWS: Final = 64
"""Pairs of opposite outcomes: the hits of two plans are compared to about a tenth of a picture."""

LEAST_DRAWS: Final = 4
"""Pairs in each of many worlds, at least."""

_CHUNK: Final = 32


@dataclass(frozen=True)
class TwoRounds:
    """How votes are spent in two rounds when a list of good pictures is wanted.

    Parameters
    ----------
    wanted : int
        Pictures of the list.
    first, second : VotePlan
        The rounds; the second one's pictures are the best after the first.
    hits : float or None
        How many pictures of the list are expected to meet all goals after both rounds; None where not computed.
    before : float or None
        The same for a list by predictions alone.
    """

    wanted: int
    first: VotePlan
    second: VotePlan
    hits: float | None = None
    before: float | None = None

    @property
    def votes(self) -> int:
        """How many votes are spent."""
        return self.first.votes + self.second.votes

    def describe(self) -> str:
        """Say how the votes are spent, and what to expect of it."""
        these = f"these {self.first.pictures} pictures" if self.first.pictures > 1 else "this picture"
        best, them = (f"the best {self.second.pictures}", "them") if self.second.pictures > 1 else ("the best", "it")
        plan = (
            f"Round 1: send {these}{spending(self.first)}. "
            f"Round 2: prescreen learn --plan names {best}; send {them}{spending(self.second)}."
        )
        if self.hits is None or self.before is None:
            return plan
        return (
            f"{plan} Of the {self.wanted} pictures in the list after that, {self.hits:.1f} are expected to meet the "
            f"goals; {self.before:.1f} without votes."
        )


def spending(plan: VotePlan) -> str:
    """Say what the pictures of a round get, after their name: `` and your current photo, 3 votes each (78 votes)``."""
    least, most = min(plan.votes_each), max(plan.votes_each)  # the current photo's are among the least
    least = min(least, plan.present) if plan.present else least
    each = f"{least} or {most} votes" if least < most else f"{most} vote{'s' if most > 1 else ''}"
    total = f"{plan.votes} vote{'s' if plan.votes > 1 else ''}"
    return f"{' and your current photo' if plan.present else ''}, {each} each ({total})"


def plans_to_try(
    votes: int, wanted: int, most: int, budget: int | None = None, *, with_present: bool = False
) -> list[TwoRounds]:
    """Return plans in two rounds that spend these votes; each picture of a round gets at least one.

    Parameters
    ----------
    votes : int
        Votes that can be had in all.
    wanted : int
        Pictures of the list.
    most : int
        Candidates that can be sent.
    budget : int, optional
        Most pictures to send in a round.
    with_present : bool
        Whether the current photo is part of both tests and gets as many votes as the others.

    Raises
    ------
    UsageError
        If the votes are too few for one picture in each of two rounds.
    """
    beside = 1 if with_present else 0
    if votes < 2 * (1 + beside):
        photo = " and of your current photo" if with_present else ""
        raise UsageError(
            f"{votes} votes: two rounds need at least {2 * (1 + beside)}, one of a picture{photo} in each; collect more"
        )
    most = most if budget is None else min(most, budget)
    plans = {}
    for share in FIRST_SHARES:
        affordable = min(most, int(votes * share) - beside)
        for first in _sizes(FIRST_SIZES, wanted, affordable):
            spent = int(votes * share) // (first + beside) * (first + beside)
            for second in _sizes(SECOND_SIZES, wanted, min(first, votes - spent - beside)):
                plans[spent, first, second] = TwoRounds(
                    wanted,
                    share_votes(spent, first, with_present=with_present),
                    share_votes(votes - spent, second, with_present=with_present),
                )
    return list(plans.values())


def _sizes(multiples: Sequence[float], wanted: int, most: int) -> list[int]:
    """Return multiples of the list's length up to a limit; the limit itself where all are above it."""
    sizes = [int(np.ceil(multiple * wanted)) for multiple in multiples]
    return [size for size in sizes if size <= most] or [most] * (most > 0)


@dataclass(frozen=True)
class Believed:
    """What is known before the test of k candidates, the most likely first, and of the current photo.

    Parameters
    ----------
    mean : ndarray (k + 1, t)
        In z, the current photo last.
    covariance : ndarray ((k + 1) * t, (k + 1) * t)
        Its covariance, traits of one picture side by side.
    noise : ndarray (t,)
        Noise variance of one vote in z at the current photo's level; one vote scores all traits.
    level : ndarray (t,)
        The current photo in z, where the margins are turned into z.
    traits, goals
        As in :func:`prescreen.ranking.probability.p_better`; every trait has a goal.
    """

    mean: Floats
    covariance: Floats
    noise: Floats
    level: Floats
    traits: Sequence[str]
    goals: Goals

    def likely(self, difference: Floats, variance: Floats) -> Floats:
        """Return about the chance of differences (..., t) to meet the goals, as if errors of traits were independent.

        Inside the drawn outcomes it only puts pictures in order; the exact chances would take minutes.
        """
        bounds = difference - (thresholds(self.level, self.traits, self.goals) - self.level)
        chance = ndtr(bounds / np.sqrt(np.maximum(variance, 1e-300)))
        improve, keep = (
            chance[..., [self.traits.index(name) for name in names]] for names in (self.goals.improve, self.goals.keep)
        )
        met = 1 - np.prod(1 - improve, axis=-1) if self.goals.any_of else np.prod(improve, axis=-1)
        return np.asarray(met * np.prod(keep, axis=-1))

    def chance(self, difference: Floats, covariance: Floats) -> Floats:
        """Return the chances of differences (n, t) to meet all goals."""
        return p_better(difference, covariance, self.level, self.traits, self.goals).joint


def expected_hits(worlds: Sequence[tuple[float, Believed]], plans: Sequence[TwoRounds], *, seed: int = 0) -> Floats:
    """Return how many pictures of the list are expected to meet all goals after each plan.

    Parameters
    ----------
    worlds : sequence of (float, Believed)
        What may be true of the person's pictures before the first vote, with weights that sum to 1. In each world the
        votes are read by who knows that it is the true one: they tell more of it than is assumed here.
    plans : sequence of TwoRounds
        Each sends at most as many pictures as are believed in.
    seed : int
        Of the drawn truths and votes, which are the same for all plans.

    Returns
    -------
    ndarray (number of plans,)
    """
    hits = np.zeros(len(plans))
    for number, (weight, believed) in enumerate(worlds):
        rng = np.random.default_rng(seed + number)
        half = rng.standard_normal((3, max(LEAST_DRAWS, DRAWS // len(worlds)), believed.mean.size))
        values, vectors = np.linalg.eigh(believed.covariance)
        drawn, *votes = np.concatenate([half, -half], axis=1)
        truth = believed.mean.ravel() + drawn @ (vectors * np.sqrt(np.maximum(values, 0))).T
        hits += weight * np.array([_hits(believed, plan, truth, *votes) for plan in plans])
    return hits


def _hits(believed: Believed, plan: TwoRounds, truth: Floats, first: Floats, second: Floats) -> float:
    """Return the mean over truths (s, (k + 1) * t) of the list's summed chances; votes are noise of unit variance."""
    k, t = len(believed.mean) - 1, len(believed.traits)
    entries, noise = _told(believed, np.arange(plan.first.pictures)[None], plan.first)
    told = entries[0]
    observed = believed.covariance[np.ix_(told, told)] + np.diag(noise)
    gain = np.linalg.solve(observed, believed.covariance[told])
    surprise = truth[:, told] + first[:, told] * np.sqrt(noise) - believed.mean.ravel()[told]
    mean = believed.mean.ravel() + surprise @ gain
    covariance = believed.covariance - believed.covariance[:, told] @ gain
    # From here on as differences to the current photo, which are all that counts.
    difference, across = (_from_last(values, k) for values in (mean, covariance))
    _, between = subtract_last(believed.mean, covariance)
    own = between.reshape(k, t, k, t)[np.arange(k), :, np.arange(k)]
    promising = believed.likely(difference, np.diagonal(own, axis1=1, axis2=2))
    sent = np.argsort(-promising, axis=1, kind="stable")[:, : plan.second.pictures]
    total = 0.0
    for start in range(0, len(truth), _CHUNK):
        part = slice(start, start + _CHUNK)
        told, noise = _told(believed, sent[part], plan.second)
        draw = np.arange(len(told))[:, None]
        observed = covariance[told[:, :, None], told[:, None, :]] + np.diag(noise)
        shared = across[told]  # (draws, told, k, t)
        gain = np.linalg.solve(observed, shared.reshape(*told.shape, k * t)).reshape(shared.shape)
        surprise = truth[part][draw, told] + second[part][draw, told] * np.sqrt(noise) - mean[part][draw, told]
        after = difference[part] + np.einsum("sq,sqka->ska", surprise, gain, optimize=True)
        left = own - np.einsum("sqka,sqkb->skab", shared, gain, optimize=True)
        likely = believed.likely(after, np.diagonal(left, axis1=2, axis2=3))
        listed = np.argsort(-likely, axis=1, kind="stable")[:, : plan.wanted]
        total += float(believed.chance(after[draw, listed].reshape(-1, t), left[draw, listed].reshape(-1, t, t)).sum())
    return total / len(truth)


def _from_last(values: Floats, k: int) -> Floats:
    """Return the differences of k pictures to the last one, (n, k, t), where values (n, (k + 1) * t) has both."""
    apart = values.reshape(len(values), k + 1, -1)
    return np.asarray(apart[:, :k] - apart[:, k:])


def _told(believed: Believed, pictures: NDArray[np.intp], plan: VotePlan) -> tuple[NDArray[np.intp], Floats]:
    """Return the entries (s, q) that a round tells of pictures (s, n), and the noise variance of each place (q,)."""
    t = len(believed.traits)
    votes = np.array(plan.votes_each[: pictures.shape[1]])
    if plan.present:
        pictures = np.hstack([pictures, np.full((len(pictures), 1), len(believed.mean) - 1)])
        votes = np.append(votes, plan.present)
    told = pictures[:, :, None] * t + np.arange(t)
    return told.reshape(len(pictures), -1), (believed.noise / votes[:, None]).ravel()


def best_rounds(
    plans: Sequence[TwoRounds],
    believed: Believed,
    worlds: Sequence[tuple[float, Believed]],
    before: float,
    *,
    seed: int = 0,
) -> TwoRounds:
    """Return the plan with most expected hits, with them and with those of a list by predictions alone.

    Plans are compared in one world ``believed``, with the means and covariances of all; so many plans in so many
    worlds would take half a minute. The hits that are said are those in all worlds.
    """
    best = plans[int(expected_hits([(1.0, believed)], plans, seed=seed).argmax())]
    return replace(best, hits=float(expected_hits(worlds, [best], seed=seed)[0]), before=before)
