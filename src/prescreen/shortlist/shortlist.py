"""The shortlist: candidates checked, compared with the baseline, and without near-copies of better ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.encoders import IDENTITY_BLOCK, EncoderSpecification
from prescreen.predictor.predictor import Predictor
from prescreen.ranking.checks import REJECTED, Candidates, References, exclude
from prescreen.ranking.comparison import MAX_CANDIDATES, Comparison
from prescreen.ranking.options import DEFAULT_BUDGET, RankingOptions
from prescreen.ranking.ranked_table import best_first, check_scored, numeric_columns, ranked_table
from prescreen.ranking.selection import Draws
from prescreen.ranking.stopping import Advice
from prescreen.ranking.two_rounds import TwoRounds
from prescreen.ranking.vote_plan import VotePlan, best_plan, describe_plan, plan_votes
from prescreen.shortlist.baseline import NO_FACE, Baseline, noise_of_one_vote
from prescreen.shortlist.comparison import Vectors, compare
from prescreen.shortlist.contenders import Contenders, Field
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
    contenders : Contenders or None
        Among which candidates the choice was made, for a page that makes it again.
    """

    table: pd.DataFrame
    advice: Advice
    plans: Sequence[VotePlan] = ()
    rounds: TwoRounds | None = None
    tested: frozenset[str] = frozenset()
    contenders: Contenders | None = None

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
    kept: Collection[str] = (),
    only_kept: bool = False,
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
    kept : collection of str
        Names of pictures that the user wants to be proposed in any case, beside the others.
    only_kept : bool
        Whether nothing else is proposed.

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
    off = {*options.gates_off} - {REJECTED}  # a decision, and no check
    if pending is not None:
        off.add("tested")  # a list may hold tested pictures
    excluded = exclude(candidates, ranked, off)
    because = excluded.because
    free = np.array([row for row in ranked if not because[row]], dtype=np.intp)
    unusable = predictor.usability.describe(goals.traits)
    own = np.array([row for row in ranked if names[row] in kept], dtype=np.intp)
    field = Field(ranked, free, own, excluded, candidates.faces)
    if unusable or only_kept or comparison is None:
        count = 0 if unusable or only_kept else options.most or len(free)
        rows = field.rows(count)
        draws = None if unusable or comparison is None or not len(rows) else comparison.draw(rows)
        sent = _Proposal(free[:count], count=count, rows=rows, draws=draws)
    else:
        sent = _propose(comparison, field, options, noise_of_one_vote(predictor), pending)
    sent = sent.with_kept(own, options.votes, comparison, noise_of_one_vote(predictor))
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
    contenders = field.contenders(sent.rows, names, sent.count, sent.together, sent.draws)
    return Shortlist(table, advice, sent.plans, sent.rounds, tested, contenders)


@dataclass(frozen=True)
class _Proposal:
    """The pictures to send in their order, among what they were chosen, and their votes if these are planned."""

    chosen: NDArray[np.intp]
    count: int
    rows: NDArray[np.intp]
    draws: Draws | None = None
    votes: Sequence[int] = ()
    plans: Sequence[VotePlan] = ()
    rounds: TwoRounds | None = None
    together: bool = True

    def with_kept(
        self, kept: NDArray[np.intp], votes: int | None, comparison: Comparison | None, noise: NDArray[np.float64]
    ) -> "_Proposal":
        """Add the pictures that the user kept; planned votes are then shared out among all, or among these alone."""
        more = kept[~np.isin(kept, self.chosen)]
        if not len(more):
            return self
        chosen = np.append(self.chosen, more)
        alone = votes is not None and self.together and not len(self.chosen)
        if comparison is None or self.draws is None or not (self.votes or alone):
            return replace(self, chosen=chosen)
        spent = votes if self.rounds is None else self.rounds.first.votes
        plan = comparison.plan_for(self.draws.together(chosen), spent or sum(self.votes), noise)
        if self.rounds is None:
            return replace(self, chosen=chosen, votes=plan.votes_each, plans=(plan,))
        return replace(self, chosen=chosen, votes=plan.votes_each, rounds=replace(self.rounds, first=plan))


def _advise(comparison: Comparison, sent: _Proposal) -> Advice:
    if sent.draws is None or not len(sent.chosen):
        return Advice(0, 0.0, 0.0, 0.0)
    count = len(sent.chosen)
    selection = sent.draws.together(sent.chosen)
    return Advice(count, float(selection.chance[-1]), *comparison.interval(selection, count))


def _propose(
    comparison: Comparison,
    field: Field,
    options: RankingOptions,
    noise: NDArray[np.float64],
    pending: PendingPlan | None,
) -> _Proposal:
    """Choose pictures among free rows, the most likely first: for one picture together, for a list each by itself."""
    free = field.free
    if pending is None and options.wanted is None:
        return _propose_one(comparison, field, options, noise)
    votes: Sequence[int] = ()
    rounds = None
    most = options.most or len(free)
    if pending is not None:
        most = pending.wanted
        if pending.pictures and len(free):
            votes = pending.next_round(len(free)).votes_each
    elif options.wanted is not None and options.votes is not None:
        rounds = comparison.plan_list(free, options.votes, options.wanted, options.budget, noise)
        votes = rounds.first.votes_each if rounds else ()
    listed = free[: len(votes) or most][:MAX_CANDIDATES]
    rows = field.rows(len(listed))
    draws = comparison.draw(rows) if len(rows) else None
    return _Proposal(listed, len(votes) or most, rows, draws, votes, rounds=rounds, together=False)


def _propose_one(
    comparison: Comparison, field: Field, options: RankingOptions, noise: NDArray[np.float64]
) -> _Proposal:
    """Choose pictures together, so that one of them is likely to meet all goals."""
    count = options.most or DEFAULT_BUDGET
    if options.votes is not None:
        count = plan_votes(options.votes, options.budget, with_present=comparison.given is None).pictures
    rows = field.rows(count)
    if not len(rows):
        return _Proposal(rows, count, rows)
    draws = comparison.draw(rows)
    if options.votes is None:
        return _Proposal(comparison.choose(field.free, count, draws=draws).chosen, count, rows, draws)
    selection, plans = comparison.plan(field.free, options.votes, options.budget, noise, draws=draws)
    plan = best_plan(plans) if plans else VotePlan(())
    return _Proposal(selection.first(plan.pictures).chosen, plan.pictures, rows, draws, plan.votes_each, plans)


def face_descriptors(vectors: Vectors, specification: EncoderSpecification) -> dict[str, NDArray[np.float32]]:
    """Return the face descriptor, shape (128,), in each vector."""
    block = specification.blocks[IDENTITY_BLOCK]
    return {name: vector[block].astype(np.float32) for name, vector in vectors.items()}


def stack_faces(names: Sequence[str], descriptors: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return the descriptors of n pictures as rows, shape (n, 128); NaN where a picture has none."""
    rows = [descriptors.get(name, NO_FACE) for name in names]
    return np.array(rows, dtype=np.float64).reshape(len(names), NO_FACE.size)
