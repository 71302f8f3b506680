"""Candidates against the baseline: single chances, which few to send together, and how to spend votes on them.

Everything known goes in at once: the predictions, how their errors go together (one person, similar pictures, traits),
human scores of the person's pictures so far, the current photo's among them, and how uncertain the baseline itself is.
What one person's pictures share is not known (`prescreen.ranking.within_person`): every chance is an average over what
it may be, and the range of that stands beside it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Posterior, Prior, condition, subtract_last
from prescreen.ranking.probability import Floats, p_better
from prescreen.ranking.selection import Draws, Selection, draw_together
from prescreen.ranking.stopping import SWITCH_ABOVE
from prescreen.ranking.two_rounds import Believed, TwoRounds, best_rounds, plans_to_try
from prescreen.ranking.vote_plan import VotePlan, chance_to_show, plan_votes, share_votes, sizes_to_try
from prescreen.ranking.within_person import WithinPerson
from prescreen.ratings.vote_noise import noise_of_vote

Rows = NDArray[np.intp]

MAX_CANDIDATES: Final = 100
"""Candidates with the best single chances among which some are chosen together."""

_CHUNK: Final = 512
_LEAST_WEIGHT: Final = 0.01
"""Beliefs less likely than this are left out of the expected hits of a plan."""


@dataclass(frozen=True)
class Chances:
    """Chances of n candidates against one baseline; NaN without a prediction.

    Attributes
    ----------
    joint : ndarray (n,), 0 to 1
        That all goals are met at once.
    low, high : ndarray (n,), 0 to 1
        Middle 90 % of that chance over what one person's pictures may share.
    per_trait : ndarray (n, t), 0 to 1
        That the goal of one trait is met; for a trait without a goal, that it is above the baseline.
    difference : ndarray (n, t)
        Expected difference to the baseline in z.
    """

    joint: Floats
    low: Floats
    high: Floats
    per_trait: Floats
    difference: Floats


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
    usable : ndarray (n,), bool
        Candidates with a prediction.
    beliefs : WithinPerson
        What is believed of the person's pictures before ``scores``.
    priors : callable
        From rows of usable candidates, and whether their errors are asked about together, to the priors of the anchors
        and then of these candidates, one for each of the beliefs. Anchors are pictures with human scores, and last the
        baseline where it is a picture.
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
    usable: NDArray[np.bool_]
    beliefs: WithinPerson
    priors: Callable[[Rows, bool], Iterable[Prior]]
    scores: HumanScores
    anchors: int
    given: Floats | None = None

    @cached_property
    def within_person(self) -> WithinPerson:
        """What is believed of the person's pictures after the human scores."""
        nobody = np.zeros(0, dtype=np.intp)
        return self.beliefs.updated(np.array([found.log_evidence for found in self._posteriors(nobody, False)]))

    @cached_property
    def chance(self) -> Chances:
        """Chances of all candidates, each by itself."""
        n, t = len(self.usable), len(self.traits)
        joint, low, high = np.full((3, n), np.nan)
        per_trait, expected = np.full((2, n, t), np.nan)
        rows, within = np.flatnonzero(self.usable), self.within_person
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            differences = [self._differences(posterior) for posterior in self._posteriors(part, False)]
            found = [p_better(*each, self.level, self.traits, self.goals) for each in differences]
            joint[part], low[part], high[part] = within.summarize(np.stack([each.joint for each in found], axis=1))
            per_trait[part] = np.tensordot(within.weight, [each.per_trait for each in found], 1)
            expected[part] = np.tensordot(within.weight, [mean for mean, _ in differences], 1)
        return Chances(joint, low, high, per_trait, expected)

    def _posteriors(self, rows: Rows, jointly: bool) -> Iterable[Posterior]:
        """Yield the posterior of the anchors and of these candidates by each belief."""
        return (condition(prior, self.scores) for prior in self.priors(rows, jointly))

    def _differences(self, posterior: Posterior) -> tuple[Floats, Floats]:
        """Return candidate minus baseline in z, (n, t), and the covariance of each, (n, t, t)."""
        if self.given is None:
            mean, covariance = posterior.difference(self.anchors - 1)
        else:
            mean, covariance = posterior.difference_from(self.level, self.given)
        return mean[self.anchors :], covariance[self.anchors :]

    def draw(self, rows: Rows, *, seed: int = 0) -> Draws:
        """Draw usable candidates jointly, a few hundred at most, the most likely first.

        ``seed`` is as in `prescreen.ranking.selection.draw_together`.
        """
        level, traits = self._counted
        parts = [subtract_last(*self._joint(posterior)) for posterior in self._posteriors(rows, True)]
        return draw_together(parts, self.within_person.weight, level, traits, self.goals, rows=rows, seed=seed)

    def choose(self, rows: Rows, k: int, *, draws: Draws | None = None, seed: int = 0) -> Selection:
        """Choose k candidates of which, as likely as possible, at least one meets all goals.

        Parameters
        ----------
        rows : ndarray of int
            Usable ones that may be sent, the most likely first. The choice is among the first `MAX_CANDIDATES`.
        k : int
            How many; fewer where there are fewer.
        draws : Draws, optional
            Of candidates drawn already; the choice is then among those of ``rows`` that it has.
        seed : int
            As in `draw`.

        Returns
        -------
        Selection
            Of ``rows``.
        """
        if draws is not None:
            return draws.choose(k, rows)
        among = rows[:MAX_CANDIDATES]
        return self.draw(among, seed=seed).choose(k) if len(among) else Selection(among, np.zeros(0), np.zeros((1, 0)))

    def interval(self, selection: Selection, count: int) -> tuple[float, float]:
        """Return the middle 90 % of the chance that one of the first ``count`` meets all goals, as in `Chances`."""
        _, low, high = self.within_person.summarize(selection.by_model[:, count - 1])
        return float(low), float(high)

    def plan(
        self,
        rows: Rows,
        votes: int,
        budget: int | None,
        noise: Floats,
        *,
        draws: Draws | None = None,
        seed: int = 0,
    ) -> tuple[Selection, Sequence[VotePlan]]:
        """Choose candidates for a number of votes, and say for each possible number of them what the test can tell.

        A current photo takes part in the test. What it can tell is computed for one Gaussian with the mean and the
        covariance of the mixture.

        Parameters
        ----------
        rows, draws, seed
            As in `choose`.
        votes, budget
            As in `prescreen.ranking.vote_plan.plan_votes`.
        noise : ndarray (t,)
            Noise variance of one vote in z, averaged over all pictures.

        Returns
        -------
        selection : Selection
            As many of ``rows`` as the votes pay for: a plan for k sends the first k.
        plans : sequence of VotePlan
            By number of pictures; none where there is no picture to send.
        """
        is_picture = self.given is None
        largest = plan_votes(votes, budget, with_present=is_picture)
        selection = self.choose(rows, min(largest.pictures, len(rows), MAX_CANDIDATES), draws=draws, seed=seed)
        count = len(selection.chosen)
        if not count:
            return selection, []
        known = self._believed(self._moments(selection.chosen), noise)
        tried = (plan_votes(votes, k, with_present=is_picture) for k in sizes_to_try(count))
        return selection, [self._expect(plan, selection, known, seed) for plan in tried]

    def plan_for(self, selection: Selection, votes: int, noise: Floats, *, seed: int = 0) -> VotePlan:
        """Share votes out among pictures that were chosen already, at least one, and say what the test can tell.

        ``votes``, ``noise`` and ``seed`` are as in `plan`; few votes for many pictures are shared out all the same.
        """
        known = self._believed(self._moments(selection.chosen), noise)
        shared = share_votes(votes, len(selection.chosen), with_present=self.given is None)
        return self._expect(shared, selection, known, seed)

    def _expect(self, plan: VotePlan, selection: Selection, known: Believed, seed: int) -> VotePlan:
        """Complete a plan for the first pictures of a selection; ``known`` is about all of them and the baseline."""
        entries = np.append(np.arange(plan.pictures), len(selection.chosen))  # the first ones, and the baseline
        pick = (entries[:, None] * len(known.traits) + np.arange(len(known.traits))).ravel()
        shown = chance_to_show(
            known.mean[entries],
            known.covariance[np.ix_(pick, pick)],
            known.noise,
            plan,
            known.level,
            known.traits,
            self.goals,
            SWITCH_ABOVE,
            seed=seed,
        )
        return replace(plan, better=float(selection.chance[plan.pictures - 1]), shown=shown)

    def plan_list(
        self, rows: Rows, votes: int, wanted: int, budget: int | None, noise: Floats, *, seed: int = 0
    ) -> TwoRounds | None:
        """Plan two rounds of votes after which a list of candidates has as many as possible that meet all goals.

        The first round sends the first of ``rows``, those with the highest chances by themselves. They are not chosen
        together as in `choose`: each picture of a list counts, so the list's expected hits are the sum of the single
        chances, whatever the pictures share.

        Parameters
        ----------
        rows : ndarray of int
            Usable ones that may be sent, the most likely first. At most `MAX_CANDIDATES` of them are sent.
        votes, wanted, budget
            As in `prescreen.ranking.two_rounds.plans_to_try`.
        noise, seed
            As in `plan`.

        Returns
        -------
        TwoRounds or None
            None where there is no picture to send.
        """
        among = rows[:MAX_CANDIDATES]
        if not len(among):
            return None
        plans = plans_to_try(votes, min(wanted, len(among)), len(among), budget, with_present=self.given is None)
        contenders = among[: max(2 * wanted, *(plan.first.pictures for plan in plans), 0)]
        likely = self.within_person.weight >= _LEAST_WEIGHT
        weight = self.within_person.weight * likely / self.within_person.weight[likely].sum()
        worlds = [
            (float(part), self._believed(self._joint(posterior), noise))
            for part, posterior in zip(weight, self._posteriors(contenders, True), strict=True)
            if part
        ]
        known = self._believed(self._moments(contenders), noise)
        return best_rounds(plans, known, worlds, float(self.chance.joint[among[:wanted]].sum()), seed=seed)

    def _believed(self, moments: tuple[Floats, Floats], noise: Floats) -> Believed:
        """Return what is believed, as in `_joint`, with what a test needs to know."""
        level, traits = self._counted
        at_level = [noise_of_vote(z, noise[self.traits.index(name)]) for z, name in zip(level, traits, strict=True)]
        return Believed(*moments, np.array(at_level), level, traits, self.goals)

    def _moments(self, rows: Rows) -> tuple[Floats, Floats]:
        """Return the mean and the covariance of the mixture, as in `_joint`."""
        weight = self.within_person.weight
        means, covariances = zip(*(self._joint(posterior) for posterior in self._posteriors(rows, True)), strict=True)
        mean = np.tensordot(weight, means, 1)
        moved = (np.array(means) - mean).reshape(len(weight), -1)
        return mean, np.tensordot(weight, covariances, 1) + (weight * moved.T) @ moved

    @property
    def _counted(self) -> tuple[Floats, Sequence[str]]:
        """The baseline on the traits that have a goal, and their names; others do not count and may be unknown."""
        return self.level[[self.traits.index(name) for name in self.goals.traits]], self.goals.traits

    def _joint(self, posterior: Posterior) -> tuple[Floats, Floats]:
        """Return the mean of the candidates and last the baseline on the traits that have a goal, and its covariance.

        Shapes (k + 1, c) and ((k + 1) * c, (k + 1) * c), the traits of one picture side by side.
        """
        places = np.arange(self.anchors, len(posterior.mean), dtype=np.intp)
        if self.given is None:
            mean, covariance = posterior.joint(np.append(places, self.anchors - 1))
        else:
            mean, covariance = posterior.joint(places)
            mean, covariance = np.vstack([mean, self.level]), block_diag(covariance, self.given)
        counted = [self.traits.index(name) for name in self.goals.traits]
        pick = (np.arange(len(mean))[:, None] * len(self.traits) + counted).ravel()
        return mean[:, counted], covariance[np.ix_(pick, pick)]
