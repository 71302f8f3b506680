"""The shortlist: candidates checked, compared with the baseline, and without near-copies of better ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.encoders import IDENTITY_BLOCK, EncoderSpecification
from prescreen.predictor.predictor import Predictor
from prescreen.ranking.checks import Candidates, References, exclude
from prescreen.ranking.comparison import MAX_CANDIDATES, Comparison
from prescreen.ranking.options import RankingOptions
from prescreen.ranking.ranked_table import best_first, check_scored, numeric_columns, ranked_table
from prescreen.ranking.selection import Selection
from prescreen.ranking.stopping import Advice
from prescreen.ranking.two_rounds import TwoRounds
from prescreen.ranking.vote_plan import VotePlan, best_plan, describe_plan
from prescreen.shortlist.baseline import NO_FACE, Baseline, noise_of_one_vote
from prescreen.shortlist.comparison import Vectors, compare
from prescreen.shortlist.pending_plan import PendingPlan
from prescreen.text import OK


@dataclass(frozen=True)
class Shortlist:
    """Candidates in their order.

    Parameters
    ----------
    table : DataFrame
        As from `prescreen.ranking.ranked_table.ranked_table`.
    advice : Advice
        Whether to send the selected pictures to people, and the chance that at least one of them meets all goals.
    plans : sequence of VotePlan
        How the votes could be spent on finding one picture, by number of pictures; empty without votes.
    rounds : TwoRounds or None
        How they are spent where a list is wanted.
    tested : frozenset of str
        Names of the candidates that people have scored.
    """

    table: pd.DataFrame
    advice: Advice
    plans: Sequence[VotePlan] = ()
    rounds: TwoRounds | None = None
    tested: frozenset[str] = frozenset()

    @property
    def plan(self) -> VotePlan | None:
        """How the votes are spent."""
        return best_plan(self.plans) if self.plans else None

    def describe_plan(self) -> str:
        """Say how the votes are spent, and what to expect of it; the empty text without votes."""
        if self.rounds is not None:
            return self.rounds.describe()
        return "" if self.plan is None else describe_plan(self.plan)

    def describe_excluded(self) -> str:
        """Count what checks exclude, the most frequent first: ``12 of 39 pictures: copies 9, person 4``."""
        excluded = self.table.loc[self.table["gates"] != "", "gates"]
        counts = excluded.str.split(",").explode().value_counts()
        listed = ", ".join(f"{check} {count}" for check, count in counts.items())
        return f"{len(excluded)} of {len(self.table)} pictures: {listed}" if len(excluded) else ""


def make_shortlist(
    scores: pd.DataFrame,
    predictor: Predictor,
    baseline: Baseline | None,
    options: RankingOptions,
    vectors: Vectors,
    references: References,
    rejected: Collection[str] = (),
    pending: PendingPlan | None = None,
) -> Shortlist:
    """Rank the candidates; doubtful ones and near-copies of better ones are excluded, with the reason in their row.

    Parameters
    ----------
    scores : DataFrame
        A table of scores by this predictor.
    predictor : Predictor
        Which may have learned from people.
    baseline : Baseline or None
        The current photo. Without one the candidates are ranked by the mean of their predicted scores on the traits
        that have a goal.
    options : RankingOptions
        What should improve, which checks exclude, and how many pictures or votes there are.
    vectors : mapping of str to ndarray
        Vectors of the candidates by name.
    references : References
        What the candidates are checked against.
    rejected : collection of str
        Names of pictures that the user does not want.
    pending : PendingPlan, optional
        What is left of a plan for a list: its next round is proposed, or the list. Tested pictures may be in both.

    Raises
    ------
    UsageError
        If columns or baseline scores are missing, or a name would stand for two columns.
    """
    check_scored(scores, predictor.traits)
    goals = options.goals(predictor.traits)
    names = scores["image"].tolist()
    if baseline is None:
        comparison, levels = None, np.full(len(predictor.traits), np.nan)
        merit = numeric_columns(scores, goals.traits).mean(axis=1)
        merit[(scores["status"] != OK).to_numpy()] = np.nan
    else:
        levels = baseline.known_levels(predictor.traits, goals)
        comparison = compare(scores, predictor, baseline, goals, vectors)
        merit = comparison.chance.joint
    seen = predictor.was_tested(scores["content"].tolist())
    candidates = Candidates(
        scores,
        stack_faces(names, face_descriptors(vectors, predictor.manifest.encoder)),
        references,
        seen,
        np.array([name in rejected for name in names], dtype=bool),
    )
    ranked = best_first(names, merit)
    off = options.gates_off if pending is None else {*options.gates_off, "tested"}  # a list may hold tested pictures
    excluded = exclude(candidates, ranked, off)
    because = excluded.because
    free = np.array([row for row in ranked if not because[row]], dtype=np.intp)
    unusable = predictor.usability.describe(goals.traits)
    if unusable:
        sent = _Proposal(np.zeros(0, dtype=np.intp))
    elif comparison is None:
        sent = _Proposal(free[: options.most])
    else:
        sent = _propose(comparison, free, options, noise_of_one_vote(predictor), pending)
    chosen = sent.chosen
    advice = Advice(len(chosen), np.nan, np.nan, np.nan, unusable)
    if comparison is not None and not unusable:
        advice = _advise(comparison, sent)
        if advice.verdict == "keep":  # then no votes are spent
            sent = replace(sent, votes=(), plans=(), rounds=None)
    table = ranked_table(
        scores,
        predictor.traits,
        goals=goals,
        merit=merit,
        chance=None if comparison is None else comparison.chance,
        levels=levels,
        excluded=excluded,
        chosen=chosen,
        votes=sent.votes if sent.votes or options.votes is not None else None,
    )
    tested = frozenset(name for name, was_seen in zip(names, seen, strict=True) if was_seen)
    return Shortlist(table, advice, sent.plans, sent.rounds, tested)


@dataclass(frozen=True)
class _Proposal:
    """The pictures to send in their order, their votes if these are planned, and the plans."""

    chosen: NDArray[np.intp]
    selection: Selection | None = None
    votes: Sequence[int] = ()
    plans: Sequence[VotePlan] = ()
    rounds: TwoRounds | None = None


def _advise(comparison: Comparison, sent: _Proposal) -> Advice:
    if sent.selection is None or not len(sent.chosen):
        return Advice(0, 0.0, 0.0, 0.0)
    count = len(sent.chosen)
    return Advice(count, float(sent.selection.chance[-1]), *comparison.interval(sent.selection, count))


def _propose(
    comparison: Comparison,
    free: NDArray[np.intp],
    options: RankingOptions,
    noise: NDArray[np.float64],
    pending: PendingPlan | None,
) -> _Proposal:
    """Choose pictures among free rows, the most likely first: for one picture together, for a list each by itself."""
    most = options.most or len(free)
    if pending is None and options.wanted is None:
        if options.votes is None:
            selection = comparison.choose(free, most)
            return _Proposal(selection.chosen, selection)
        selection, plans = comparison.plan(free, options.votes, options.budget, noise)
        selection = selection.first(best_plan(plans).pictures if plans else 0)
        return _Proposal(selection.chosen, selection, best_plan(plans).votes_each if plans else (), plans)
    votes: Sequence[int] = ()
    rounds = None
    if pending is not None:
        most = pending.wanted
        if pending.pictures and len(free):
            votes = pending.next_round(len(free)).votes_each
    elif options.wanted is not None and options.votes is not None:
        rounds = comparison.plan_list(free, options.votes, options.wanted, options.budget, noise)
        votes = rounds.first.votes_each if rounds else ()
    listed = free[: len(votes) or most][:MAX_CANDIDATES]
    return _Proposal(listed, comparison.choose(listed, len(listed)), votes, rounds=rounds)


def face_descriptors(vectors: Vectors, specification: EncoderSpecification) -> dict[str, NDArray[np.float32]]:
    """Return the face descriptor, shape (128,), in each vector."""
    block = specification.blocks[IDENTITY_BLOCK]
    return {name: vector[block].astype(np.float32) for name, vector in vectors.items()}


def stack_faces(names: Sequence[str], descriptors: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return the descriptors of n pictures as rows, shape (n, 128); NaN where a picture has none."""
    rows = [descriptors.get(name, NO_FACE) for name in names]
    return np.array(rows, dtype=np.float64).reshape(len(names), NO_FACE.size)
