"""How a number of votes is spent: on how many pictures, how many each, and what the test can then tell.

More pictures raise the chance that a better one is among them; more votes each raise the chance that the test shows it.
What counts is both at once: the chance that after the test the posterior of some picture says that it meets all goals.
Posterior means are linear in the votes' means, so their distribution before the test is known and is drawn from.

References
----------
Raiffa & Schlaifer (1961), Applied Statistical Decision Theory, chapter 5 (preposterior analysis).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from prescreen.errors import UsageError
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import subtract_last
from prescreen.ranking.probability import Floats, p_better, thresholds
from prescreen.ranking.stopping import SWITCH_ABOVE
from prescreen.text import percent

MINIMUM_VOTES: Final = 20
"""Votes below which a picture's score says too little."""

DRAWS: Final = 10  # 2 ** 10 outcomes of a test: a chance is known to about 1 %

AS_GOOD: Final = 0.01
"""Chances that differ less are the same: they are known no better."""


@dataclass(frozen=True)
class VotePlan:
    """How a number of votes is spent.

    Parameters
    ----------
    votes_each : tuple of int
        Votes of each picture to send, the first one's first.
    present : int
        Votes of the current photo; 0 where it is not part of the test.
    better : float or None, 0 to 1
        Chance that at least one of the pictures meets all goals; None where it was not computed.
    shown : float or None, 0 to 1
        Chance that the test shows it: that afterwards some picture's chance is high enough to take it.
    """

    votes_each: tuple[int, ...]
    present: int = 0
    better: float | None = None
    shown: float | None = None

    @property
    def pictures(self) -> int:
        """How many pictures are sent, the current photo not counted."""
        return len(self.votes_each)

    @property
    def votes(self) -> int:
        """How many votes are spent."""
        return sum(self.votes_each) + self.present

    def describe(self) -> str:
        """Return for instance ``send 3 pictures and your current photo, 30 votes each``."""
        least, most = (find([*self.votes_each, *([self.present] if self.present else [])]) for find in (min, max))
        each = f"{most} votes each" if least == most else f"{least} or {most} votes each"
        what = f"{self.pictures} picture{'s' if self.pictures > 1 else ''}"
        also = " and your current photo" if self.present else ""
        return f"send {what}{also}, {each if self.pictures > 1 or also else f'{most} votes'}"


def plan_votes(
    votes: int, budget: int | None = None, minimum: int = MINIMUM_VOTES, *, with_present: bool = False
) -> VotePlan:
    """Share votes out between as many pictures as get enough of them.

    Parameters
    ----------
    votes : int
        Votes that can be had in all.
    budget : int, optional
        Most pictures to send, at least 1.
    minimum : int
        Votes that each has to get.
    with_present : bool
        Whether the current photo is part of the test and gets as many votes as the others.

    Raises
    ------
    UsageError
        If the votes are too few for one picture, or the budget is below 1.
    """
    if budget is not None and budget < 1:
        raise UsageError(f"budget {budget}: expected at least 1 picture to send")
    beside = 1 if with_present else 0
    if minimum < 1 or votes < minimum * (1 + beside):
        needed = (
            f"one picture and your current photo need at least {2 * minimum}"
            if with_present
            else f"one picture needs at least {minimum}"
        )
        raise UsageError(f"{votes} votes: {needed}; collect more, or send no picture")
    pictures = votes // minimum - beside
    return share_votes(votes, pictures if budget is None else min(budget, pictures), with_present=with_present)


def share_votes(votes: int, pictures: int, *, with_present: bool) -> VotePlan:
    """Give pictures, and the current photo if it is part of the test, equal votes; those left over go to the first."""
    beside = 1 if with_present else 0
    each, left = divmod(votes, pictures + beside)
    shares = [each + (k < left) for k in range(pictures + beside)]
    return VotePlan(tuple(shares[:pictures]), shares[-1] if with_present else 0)


def chance_to_show(
    mean: Floats,
    covariance: Floats,
    noise: Floats,
    plan: VotePlan,
    baseline_z: Floats,
    traits: Sequence[str],
    goals: Goals,
    switch_above: float,
    *,
    seed: int = 0,
) -> float:
    """Return the chance that a test shows a picture that meets all goals.

    Parameters
    ----------
    mean : ndarray (k + 1, t)
        What is known before the test of the k pictures to send, then of the current photo, in z.
    covariance : ndarray ((k + 1) * t, (k + 1) * t)
        Its covariance, traits of one picture side by side.
    noise : ndarray (t,)
        Noise variance of one vote in z at the current photo's level; one vote scores all traits.
    plan : VotePlan
        Votes of each.
    baseline_z : ndarray (t,)
        The current photo in z, where the margins are turned into z.
    traits, goals
        As in :func:`prescreen.ranking.probability.p_better`.
    switch_above : float, 0 to 1
        Chance from which a tested picture is taken for better.
    seed : int
        Of the scrambled Sobol points.
    """
    k, t = plan.pictures, len(traits)
    if mean.shape != (k + 1, t) or covariance.shape != ((k + 1) * t,) * 2:
        raise ValueError(f"{k} pictures and the current photo: got means {mean.shape}, covariance {covariance.shape}")
    votes = np.repeat([*plan.votes_each, plan.present], t)
    told = np.flatnonzero(votes)
    observed = covariance[np.ix_(told, told)] + np.diag(np.tile(noise, k + 1)[told] / votes[told])
    difference, before = subtract_last(mean, covariance)
    # What the test will explain is how the posterior means vary; the rest stays open.
    explained = subtract_last(mean, covariance[:, told] @ np.linalg.solve(observed, covariance[told]))[1]
    left = before - explained
    values, vectors = np.linalg.eigh(explained)
    points = qmc.Sobol(k * t, rng=np.random.default_rng(seed)).random_base2(DRAWS)
    normal = ndtri(np.clip(points, 1e-12, 1 - 1e-12))
    root = vectors * np.sqrt(np.maximum(values, 0))
    # The directions of most variance stand last; the first Sobol coordinates are the most even ones.
    moved = (normal @ root[:, ::-1].T).reshape(-1, k, t) + difference
    open_ = np.stack([left[i * t : (i + 1) * t, i * t : (i + 1) * t] for i in range(k)])
    # No chance is higher than that of one of the goals: most outcomes need no joint chance.
    needed = [traits.index(name) for name in ((() if goals.any_of else goals.improve) + goals.keep)]
    bounds = moved - (thresholds(baseline_z, traits, goals) - baseline_z)
    spread = np.sqrt(np.maximum(np.diagonal(open_, axis1=1, axis2=2), 1e-300))
    hopeful = (ndtr(bounds / spread)[..., needed] >= switch_above).all(axis=2)
    draw, picture = np.nonzero(hopeful)
    chance = p_better(moved[hopeful], open_[picture], baseline_z, traits, goals).joint
    return float(len(np.unique(draw[chance >= switch_above])) / len(moved))


def sizes_to_try(most: int) -> list[int]:
    """Return the numbers of pictures to compare: all up to ten, then fewer and fewer, and the largest."""
    return [k for k in (*range(1, 11), 12, 15, 20, 25, 30, 40, 50, 60, 80) if k < most] + [most] * (most > 0)


def best_plan(plans: Sequence[VotePlan]) -> VotePlan:
    """Return the plan most likely to show a better picture; of plans as good as that, the one with most pictures.

    Of two tests that show one equally often, the one with more pictures leaves more to follow up in another round.
    """
    highest = max(plan.shown or 0.0 for plan in plans)
    return max((plan for plan in plans if (plan.shown or 0.0) >= highest - AS_GOOD), key=lambda plan: plan.pictures)


def describe_plan(plan: VotePlan) -> str:
    """Say how the votes are spent, and what to expect of it."""
    sentence = plan.describe()
    if plan.better is None or plan.shown is None:
        return f"{sentence}; what the test can tell is not known, the pictures cannot be compared"
    return (
        f"{sentence}; the chance that at least one meets the goals is {percent(plan.better)}, "
        f"that the test shows it {percent(plan.shown)} (a picture then has a chance of {percent(SWITCH_ABOVE)} or more)"
    )
