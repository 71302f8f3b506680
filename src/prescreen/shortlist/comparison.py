"""Candidates against the baseline: means and errors of the differences, and which few to send together.

Everything known goes in at once: the predictions, how their errors correlate (one person, similar pictures, traits),
human scores of the person's pictures so far, and how uncertain the baseline itself is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import block_diag

from prescreen.predictor.human_scores import Errors, HumanResults, Pictures
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.scores_table import OK
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import condition
from prescreen.ranking.probability import difference_covariance
from prescreen.ranking.selection import Selection, choose_from
from prescreen.ranking.stopping import MAX_CANDIDATES, SWITCH_ABOVE
from prescreen.ranking.vote_plan import VotePlan, best_plan, chance_to_show, plan_votes, sizes_to_try
from prescreen.ratings.vote_noise import score_to_z
from prescreen.shortlist.baseline import Baseline, noise_of_one_vote

Floats = NDArray[np.float64]
Vectors = Mapping[str, NDArray[np.float16]]

_CHUNK = 512


@dataclass(frozen=True)
class Comparison:
    """n candidates minus the baseline.

    Attributes
    ----------
    difference : ndarray of float, shape (n, t)
        Means in z.
    covariance : ndarray of float, shape (n, t, t)
        Covariance between traits of each difference.
    """

    difference: Floats
    covariance: Floats
    _anchors: Pictures
    _others: "_Others"
    _errors: Errors
    _results: HumanResults
    _level: Floats
    _given_covariance: Floats | None  # None: the baseline is a picture

    def choose(
        self, rows: NDArray[np.intp], traits: Sequence[str], goals: Goals, k: int, *, seed: int = 0
    ) -> tuple[NDArray[np.intp], Selection | None]:
        """Choose k candidates of which, as likely as possible, at least one meets all goals.

        Parameters
        ----------
        rows : ndarray of int
            Those that may be sent, the most likely first.
        traits, goals, k, seed
            As in `prescreen.ranking.selection.choose_together`.

        Returns
        -------
        chosen : ndarray of int, at most k of ``rows``
            In the order of choice.
        selection : Selection or None
            With the chance that one of them meets all goals; None where pictures have no vectors to compare.
        """
        among = rows[self._others.has[rows]][:MAX_CANDIDATES]
        if len(among) < min(k, len(rows), MAX_CANDIDATES):
            return rows[:k], None
        if not len(among):
            return rows[:0], None
        prior = self._errors.prior(self._anchors, self._others.pictures(among), jointly=True)
        posterior = condition(prior, self._results.scores())
        places = np.arange(len(among), dtype=np.intp) + len(self._anchors)
        given = self._given_covariance
        baseline = len(self._results) if given is None else (self._level, given)
        selection = choose_from(posterior, places, baseline, self._level, traits, goals, k, seed)
        chosen = among[selection.chosen]
        rest = rows[~np.isin(rows, chosen)]
        return np.concatenate([chosen, rest[: k - len(chosen)]]), selection

    def plan(
        self,
        rows: NDArray[np.intp],
        traits: Sequence[str],
        goals: Goals,
        votes: int,
        budget: int | None,
        noise: Floats,
        *,
        seed: int = 0,
    ) -> tuple[NDArray[np.intp], Sequence[VotePlan]]:
        """Choose candidates for a number of votes, and say for each possible number of them what the test can tell.

        A current photo without human scores takes part in the test.

        Parameters
        ----------
        rows, traits, goals, seed
            As in `choose`.
        votes, budget
            As in `prescreen.ranking.vote_plan.plan_votes`.
        noise : ndarray (t,)
            Noise variance of one vote in z.

        Returns
        -------
        chosen : ndarray of int
            As many of ``rows`` as the votes pay for, in the order of choice: a plan for k sends the first k.
        plans : sequence of VotePlan
            By number of pictures; a single one, without chances, where pictures have no vectors to compare, and none
            where there is no picture to send.
        """
        is_picture = self._given_covariance is None
        largest = plan_votes(votes, budget, with_present=is_picture)
        if not len(rows):
            return rows, []
        most = min(largest.pictures, len(rows), MAX_CANDIDATES)
        chosen, selection = self.choose(rows, traits, goals, most, seed=seed)
        if selection is None:
            return chosen, [plan_votes(votes, most, with_present=is_picture)]
        pictures = self._others.pictures(chosen[: len(selection.chosen)])
        posterior = condition(self._errors.prior(self._anchors, pictures, jointly=True), self._results.scores())
        level, t = self._level, len(traits)
        plans = []
        for k in sizes_to_try(len(selection.chosen)):
            places = np.arange(k, dtype=np.intp) + len(self._anchors)
            if self._given_covariance is None:
                mean, covariance = posterior.joint(np.append(places, len(self._results)))
            else:
                mean, covariance = posterior.joint(places)
                mean = np.vstack([mean, level])
                covariance = block_diag(covariance, self._given_covariance)
            # Traits whose baseline is not known have no goal and do not count.
            counted = [traits.index(name) for name in goals.traits]
            pick = (np.arange(k + 1)[:, None] * t + counted).ravel()
            plan = plan_votes(votes, k, with_present=is_picture)
            shown = chance_to_show(
                mean[:, counted],
                covariance[np.ix_(pick, pick)],
                noise[counted],
                plan,
                level[counted],
                [traits[i] for i in counted],
                goals,
                SWITCH_ABOVE,
                seed=seed,
            )
            plans.append(replace(plan, better=float(selection.chance[k - 1]), shown=shown))
        return chosen, plans


@dataclass(frozen=True)
class _Others:
    """The candidates' vectors, turned into `Pictures` a part at a time."""

    predictor: Predictor
    vectors: Sequence[NDArray[np.float16] | None]
    contents: Sequence[str]
    raw: Floats

    @property
    def has(self) -> NDArray[np.bool_]:
        """Which have a vector."""
        return np.array([vector is not None for vector in self.vectors], dtype=bool)

    def pictures(self, rows: NDArray[np.intp]) -> Pictures:
        stacked = np.stack([vector for i in rows if (vector := self.vectors[i]) is not None])
        # What an untaught predictor says stands in the table already.
        raw = None if self.predictor.results is not None else self.raw[rows]
        return self.predictor.featurize(stacked, [self.contents[i] for i in rows], raw)


def compare(table: pd.DataFrame, predictor: Predictor, baseline: Baseline, vectors: Vectors) -> Comparison:
    """Compare all candidates with the baseline.

    Parameters
    ----------
    table : DataFrame
        Scores of the candidates by this predictor.
    predictor : Predictor
        Which may have learned from people.
    baseline : Baseline
        The current photo.
    vectors : mapping of str to ndarray
        Vectors by name. A candidate without one is compared by its scores alone.
    """
    traits, calibration = predictor.traits, predictor.calibration
    usable = (table["status"] == OK).to_numpy()
    level = baseline.z(traits)
    given = None if baseline.is_picture else baseline.given_covariance(traits)
    shared = calibration.person_share if given is None else 0.0
    alone = difference_covariance(calibration.error_covariance, given, shared, len(traits))
    difference = score_to_z(table[list(traits)].to_numpy(np.float64)) - level
    covariance = np.repeat(alone[None], len(table), axis=0)

    scored, results = predictor.scored()
    errors = predictor.errors(*([] if baseline.descriptor is None else [baseline.descriptor]))
    anchors = scored
    if baseline.vector is not None:
        anchors = scored.concatenate(predictor.featurize(baseline.vector[None], [baseline.content]))
    raw = table[[f"{trait}_raw" for trait in traits]].to_numpy(np.float64)
    names = table["image"].tolist()
    found = [vectors.get(name) if fine else None for name, fine in zip(names, usable, strict=True)]
    others = _Others(predictor, found, table["content"].tolist(), raw)
    with_vector = np.flatnonzero(others.has)
    for start in range(0, len(with_vector), _CHUNK):
        rows = with_vector[start : start + _CHUNK]
        posterior = condition(errors.prior(anchors, others.pictures(rows)), results.scores())
        if given is None:
            means, spreads = posterior.difference(len(scored))
        else:
            means, spreads = posterior.difference_from(level, given)
        difference[rows], covariance[rows] = means[len(anchors) :], spreads[len(anchors) :]
    return Comparison(difference, covariance, anchors, others, errors, results, level, given)


@dataclass
class Chooser:
    """Takes from the rows that may be sent, best first, the few that are sent.

    Parameters
    ----------
    comparison : Comparison
        The candidates.
    predictor : Predictor
        Whose traits they are compared on.
    goals : Goals
        What counts.
    budget : int or None
        Most pictures to send.
    votes : int, optional
        Votes that can be had in all; as many pictures are sent as make it most likely that the test shows a better one.

    Attributes
    ----------
    plans : sequence of VotePlan
        What the last choice could have been, by number of pictures; empty without votes.
    """

    comparison: Comparison
    predictor: Predictor
    goals: Goals
    budget: int | None
    votes: int | None = None
    plans: Sequence[VotePlan] = ()

    @property
    def plan(self) -> VotePlan | None:
        """How the votes are spent."""
        return best_plan(self.plans) if self.plans else None

    def __call__(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Choose."""
        traits = self.predictor.traits
        if self.votes is None:
            most = len(rows) if self.budget is None else self.budget
            return self.comparison.choose(rows, traits, self.goals, most)[0]
        noise = noise_of_one_vote(self.predictor)
        chosen, self.plans = self.comparison.plan(rows, traits, self.goals, self.votes, self.budget, noise)
        return chosen if self.plan is None else chosen[: self.plan.pictures]
