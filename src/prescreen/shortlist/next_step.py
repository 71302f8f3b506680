"""What to do after a round of tests: take a tested picture, test others, or keep the current photo."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.encoders.encoder import IDENTITY_BLOCK
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import content_keys
from prescreen.ranking.checks import References
from prescreen.ranking.options import RankingOptions
from prescreen.ranking.stopping import TEST_FROM, Advice, Decision, decide
from prescreen.shortlist.baseline import Baseline
from prescreen.shortlist.comparison import Vectors
from prescreen.shortlist.shortlist import make_shortlist
from prescreen.text import percent, shown


@dataclass(frozen=True)
class NextStep:
    """What to do now.

    Parameters
    ----------
    decision : Decision
        Its row is that of ``ranked``.
    ranked : DataFrame
        As from `prescreen.ranking.ranked_table.ranked_table`; those to send next are ``selected``.
    baseline : Baseline
        The current photo.
    advice : Advice
        On sending the best pictures left: against the current photo, or after a switch against the picture taken.
    tested : (str, float) or None
        The best tested picture and its chance, where that is high enough to test it again.
    """

    decision: Decision
    ranked: pd.DataFrame
    baseline: Baseline
    advice: Advice
    tested: tuple[str, float] | None = None

    @property
    def name(self) -> str:
        """The picture that it is about, or the empty text."""
        return "" if self.decision.row is None else str(self.ranked["image"].iloc[self.decision.row])

    @property
    def proposal(self) -> pd.DataFrame:
        """Rows of the pictures to send next."""
        return self.ranked[self.ranked["selected"]]

    @property
    def chance(self) -> float | None:
        """Chance that one of the pictures to send beats the current photo; 0 where none is sent, None if not known."""
        if self.decision.verdict != "test":
            return None if self.decision.verdict == "unclear" else 0.0
        return self.decision.chance if self.decision.again else self.advice.chance

    def describe(self) -> str:
        """Say it in a sentence or two."""
        chance = percent(self.decision.chance)
        if self.decision.verdict == "switch":
            few = f"at least one of the {self.advice.pictures} best" if self.advice.pictures > 1 else "the best"
            others = f"; the chance that {few} of the pictures left beats it is {percent(self.advice.chance)}"
            return (
                f"Take {shown(self.name)}: people have seen it, and it beats {shown(self.baseline.name)} with a chance "
                f"of {chance}{others if self.advice.pictures and not self.advice.unusable else ''}."
            )
        if self.decision.again:
            left, best = self.advice.pictures, percent(self.advice.chance)
            others = f"the {left} best pictures left have {best} together" if left > 1 else f"the best left has {best}"
            return (
                f"Test {shown(self.name)} again, with your current photo: its scores so far give it a chance of "
                f"{chance}; {others if left else 'no other picture is left'}."
            )
        if self.tested is not None:
            name, so_far = self.tested
            return f"{self.advice.describe()} Of the tested pictures {shown(name)} is the best, with {percent(so_far)}."
        return self.advice.describe()


def decide_next(
    scores: pd.DataFrame,
    predictor: Predictor,
    baseline: Baseline,
    options: RankingOptions,
    vectors: Vectors,
    references: References,
    rejected: Collection[str] = (),
) -> NextStep:
    """Rank what is left against the current photo and decide; all arguments as in `make_shortlist`."""
    found = make_shortlist(scores, predictor, baseline, options, vectors, references, rejected)
    ranked = found.table
    tested = ranked["image"].isin(found.tested).to_numpy(dtype=bool)
    if found.advice.unusable:  # then people's own scores alone can settle it
        tested = tested & _settled(ranked["image"].tolist(), scores, baseline, options, predictor)
    selected = ranked["selected"].to_numpy(dtype=bool)
    chances = ranked["p_better"].to_numpy(np.float64)
    decision = decide(chances, tested, selected, found.advice)
    if decision.verdict == "test" and not decision.again:
        promising = np.flatnonzero(tested & (chances >= TEST_FROM))  # in the order of the table, the best first
        best = (str(ranked["image"].iloc[promising[0]]), float(chances[promising[0]])) if len(promising) else None
        return NextStep(decision, ranked, baseline, found.advice, best)
    again = np.arange(len(ranked)) == decision.row
    step = NextStep(decision, ranked.assign(selected=again & decision.again), baseline, found.advice)
    if decision.verdict != "switch":
        return step
    taken = _as_baseline(step.name, scores, predictor, vectors)
    beyond = replace(references, baseline=taken.descriptor)
    return replace(step, advice=make_shortlist(scores, predictor, taken, options, vectors, beyond, rejected).advice)


def _settled(
    names: Sequence[str], scores: pd.DataFrame, baseline: Baseline, options: RankingOptions, predictor: Predictor
) -> NDArray[np.bool_]:
    """Tell which pictures people have scored on all traits with a goal, as they have the current photo."""
    columns = [predictor.traits.index(trait) for trait in options.goals(predictor.traits).traits]
    _, results = predictor.scored()
    scored = results.complete_on(columns)
    photo = baseline.human is not None or np.isin(content_keys([baseline.content]), scored)[0]
    contents = dict(zip(scores["image"], scores["content"], strict=True))
    return np.asarray(photo & np.isin(content_keys([contents[name] for name in names]), scored), dtype=bool)


def _as_baseline(name: str, scores: pd.DataFrame, predictor: Predictor, vectors: Vectors) -> Baseline:
    """Return a candidate as what the others have to beat."""
    (row,) = scores[scores["image"] == name].to_dict("records")
    score, low, high = (
        {trait: float(row[f"{trait}{part}"]) for trait in predictor.traits} for part in ("", "_low", "_high")
    )
    vector = vectors[name]
    descriptor = vector[predictor.manifest.encoder.blocks[IDENTITY_BLOCK]].astype(np.float32)
    return Baseline(name, score, low, high, None, descriptor, vector=vector, content=str(row["content"]))
