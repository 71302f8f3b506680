"""Candidates against the baseline: single chances, which few to send together, and how to spend votes on them.

Everything known goes in at once: the predictions, how their errors go together (one person, similar pictures, traits),
human scores of the person's pictures so far, and how uncertain the baseline itself is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Prior, condition, subtract_last
from prescreen.ranking.probability import BetterChance, Floats, p_better
from prescreen.ranking.selection import Selection, choose_together
from prescreen.ranking.stopping import SWITCH_ABOVE
from prescreen.ranking.vote_plan import VotePlan, chance_to_show, plan_votes, sizes_to_try

Rows = NDArray[np.intp]

MAX_CANDIDATES: Final = 100
"""Candidates with the best single chances among which some are chosen together."""

_CHUNK: Final = 512


@dataclass(frozen=True)
class Comparison:
    """n candidates against the baseline.

    Parameters
    ----------
    traits : sequence of str
        Names of the t columns.
    goals : Goals
        What to improve and what to keep.
    level : ndarray (t,)
        The baseline in z, where the margins are turned into z; NaN for a trait without a known score.
    alone : (ndarray (n, t), ndarray (t, t))
        Candidate minus baseline in z and its covariance, where nothing more is known of a candidate than its scores;
        NaN for one without scores.
    comparable : ndarray (n,), bool
        Candidates that `prior` knows.
    prior : callable
        From rows of comparable candidates, and whether their errors are asked about together, to the prior of the
        anchors and then of these candidates. Anchors are pictures with human scores, and last the baseline where it is
        a picture.
    scores : HumanScores
        Of the anchors.
    anchors : int
        How many there are.
    given : ndarray (t, t) or None
        Covariance of the errors of a baseline that is known by its scores; None where it is a picture.
    """

    traits: Sequence[str]
    goals: Goals
    level: Floats
    alone: tuple[Floats, Floats]
    comparable: NDArray[np.bool_]
    prior: Callable[[Rows, bool], Prior]
    scores: HumanScores
    anchors: int
    given: Floats | None = None

    @cached_property
    def chance(self) -> BetterChance:
        """Chances of all candidates, each by itself; NaN without scores."""
        difference, covariance = self.differences()
        return p_better(difference, covariance, self.level, self.traits, self.goals)

    def differences(self) -> tuple[Floats, Floats]:
        """Return candidate minus baseline in z, (n, t), and the covariance of each, (n, t, t)."""
        difference = self.alone[0].copy()
        covariance = np.repeat(self.alone[1][None], len(difference), axis=0)
        rows = np.flatnonzero(self.comparable)
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            posterior = condition(self.prior(part, False), self.scores)
            if self.given is None:
                means, spreads = posterior.difference(self.anchors - 1)
            else:
                means, spreads = posterior.difference_from(self.level, self.given)
            difference[part], covariance[part] = means[self.anchors :], spreads[self.anchors :]
        return difference, covariance

    def choose(self, rows: Rows, k: int, *, seed: int = 0) -> Selection:
        """Choose k candidates of which, as likely as possible, at least one meets all goals.

        Parameters
        ----------
        rows : ndarray of int
            Those that may be sent, the most likely first.
        k : int
            How many; fewer where there are fewer rows.
        seed : int
            As in `prescreen.ranking.selection.choose_together`.

        Returns
        -------
        Selection
            Of ``rows``; without chances where too few candidates can be compared with each other.
        """
        among = rows[self.comparable[rows]][:MAX_CANDIDATES]
        if len(among) < min(k, len(rows), MAX_CANDIDATES) or not len(among):
            return Selection(rows[:k], np.zeros(0))
        level, traits = self._counted
        found = choose_together(*subtract_last(*self._joint(among)), level, traits, self.goals, k, seed=seed)
        chosen = among[found.chosen]
        rest = rows[~np.isin(rows, chosen)]
        return Selection(np.concatenate([chosen, rest[: k - len(chosen)]]), found.chance)

    def plan(
        self, rows: Rows, votes: int, budget: int | None, noise: Floats, *, seed: int = 0
    ) -> tuple[Selection, Sequence[VotePlan]]:
        """Choose candidates for a number of votes, and say for each possible number of them what the test can tell.

        A current photo without human scores takes part in the test.

        Parameters
        ----------
        rows, seed
            As in `choose`.
        votes, budget
            As in `prescreen.ranking.vote_plan.plan_votes`.
        noise : ndarray (t,)
            Noise variance of one vote in z.

        Returns
        -------
        selection : Selection
            As many of ``rows`` as the votes pay for: a plan for k sends the first k.
        plans : sequence of VotePlan
            By number of pictures; a single one, without chances, where pictures cannot be compared with each other,
            and none where there is no picture to send.
        """
        is_picture = self.given is None
        largest = plan_votes(votes, budget, with_present=is_picture)
        if not len(rows):
            return Selection(rows, np.zeros(0)), []
        most = min(largest.pictures, len(rows), MAX_CANDIDATES)
        selection = self.choose(rows, most, seed=seed)
        if not len(selection.chance):
            return selection, [plan_votes(votes, most, with_present=is_picture)]
        count = len(selection.chance)
        mean, covariance = self._joint(selection.chosen[:count])
        level, traits = self._counted
        noise = noise[[self.traits.index(name) for name in traits]]
        plans = []
        for k in sizes_to_try(count):
            entries = np.append(np.arange(k), count)  # the first k pictures, and the baseline
            pick = (entries[:, None] * len(traits) + np.arange(len(traits))).ravel()
            plan = plan_votes(votes, k, with_present=is_picture)
            shown = chance_to_show(
                mean[entries],
                covariance[np.ix_(pick, pick)],
                noise,
                plan,
                level,
                traits,
                self.goals,
                SWITCH_ABOVE,
                seed=seed,
            )
            plans.append(replace(plan, better=float(selection.chance[k - 1]), shown=shown))
        return selection, plans

    @property
    def _counted(self) -> tuple[Floats, Sequence[str]]:
        """The baseline on the traits that have a goal, and their names; others do not count and may be unknown."""
        return self.level[[self.traits.index(name) for name in self.goals.traits]], self.goals.traits

    def _joint(self, rows: Rows) -> tuple[Floats, Floats]:
        """Return the mean of these candidates and last the baseline on the traits that have a goal, and its covariance.

        Shapes (k + 1, c) and ((k + 1) * c, (k + 1) * c), the traits of one picture side by side.
        """
        posterior = condition(self.prior(rows, True), self.scores)
        places = np.arange(len(rows), dtype=np.intp) + self.anchors
        if self.given is None:
            mean, covariance = posterior.joint(np.append(places, self.anchors - 1))
        else:
            mean, covariance = posterior.joint(places)
            mean, covariance = np.vstack([mean, self.level]), block_diag(covariance, self.given)
        counted = [self.traits.index(name) for name in self.goals.traits]
        pick = (np.arange(len(mean))[:, None] * len(self.traits) + counted).ravel()
        return mean[:, counted], covariance[np.ix_(pick, pick)]
