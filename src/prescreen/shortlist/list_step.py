"""What to do after a round of a plan for a list: send the pictures of the next round, or take the list."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from prescreen.predictor.predictor import Predictor
from prescreen.ranking.checks import References
from prescreen.ranking.options import RankingOptions
from prescreen.ranking.stopping import Advice, Decision
from prescreen.ranking.two_rounds import spending
from prescreen.ranking.vote_plan import VotePlan
from prescreen.shortlist.baseline import Baseline
from prescreen.shortlist.comparison import Vectors
from prescreen.shortlist.pending_plan import PendingPlan
from prescreen.shortlist.shortlist import make_shortlist


@dataclass(frozen=True)
class ListStep:
    """The next round of a plan for a list, or the list.

    Parameters
    ----------
    pending : PendingPlan
        What was left of the plan before this step.
    ranked : DataFrame
        As from `prescreen.ranking.ranked_table.ranked_table`; the pictures of the round, or of the list, are
        ``selected``.
    advice : Advice
        On these pictures.
    tested : int
        How many of them people have scored.
    """

    pending: PendingPlan
    ranked: pd.DataFrame
    advice: Advice
    tested: int

    @property
    def proposal(self) -> pd.DataFrame:
        """Rows of the pictures of the round, or of the list."""
        return self.ranked[self.ranked["selected"]]

    @property
    def votes(self) -> VotePlan | None:
        """The votes of the round; None for the list, and where none is sent."""
        if self.advice.verdict == "keep":
            return None
        return self.pending.next_round(len(self.proposal)) if self.pending.pictures and len(self.proposal) else None

    @property
    def left(self) -> PendingPlan | None:
        """What is left of the plan after this step, all of it where nothing is proposed; None after the list."""
        if not len(self.proposal) or self.advice.verdict == "keep":
            return self.pending
        return PendingPlan(self.pending.wanted) if self.pending.pictures else None

    @property
    def name(self) -> str:
        """The first of the pictures, or the empty text."""
        return str(self.proposal["image"].iloc[0]) if len(self.proposal) else ""

    @property
    def decision(self) -> Decision:
        """Test the pictures, or take them as the list."""
        first = len(self.proposal) > 0
        chance = float(self.proposal["p_better"].iloc[0]) if first else 0.0
        if self.advice.unusable:
            return Decision("unclear", None, np.nan)
        if self.advice.verdict == "keep":
            return Decision("stay", 0 if first else None, chance)
        return Decision("test" if self.pending.pictures else "list", 0 if first else None, chance)

    @property
    def chance(self) -> float | None:
        """Chance that at least one of the pictures beats the current photo; None if it is not known."""
        return None if np.isnan(self.advice.chance) else self.advice.chance

    def describe(self) -> str:
        """Say it in a sentence or two."""
        if self.advice.verdict == "keep":
            return self.advice.describe()
        if self.votes is not None:
            these = "them" if self.advice.pictures > 1 else "it"
            plan = f"Round 2: send {these}{spending(self.votes)}; prescreen learn --plan then makes the list."
            return f"{self.advice.describe()} {plan}"
        if not self.advice.pictures:
            return self.advice.describe()
        number, hits = self.advice.pictures, self.proposal["p_better"].sum()
        seen = f"people have seen {self.tested} of them" if self.tested < number else "people have seen all of them"
        return (
            f"The list is ready: {number} picture{'s' if number > 1 else ''}, of which {hits:.1f} are expected to beat "
            f"your current photo; {seen}."
        )


def next_of_list(
    pending: PendingPlan,
    scores: pd.DataFrame,
    predictor: Predictor,
    baseline: Baseline,
    options: RankingOptions,
    vectors: Vectors,
    references: References,
    rejected: Collection[str] = (),
) -> ListStep:
    """Continue a plan after a round; arguments after the first as in `prescreen.shortlist.shortlist.make_shortlist`."""
    found = make_shortlist(scores, predictor, baseline, options, vectors, references, rejected, pending=pending)
    proposed = found.table.loc[found.table["selected"], "image"]
    return ListStep(pending, found.table, found.advice, len(found.tested.intersection(proposed)))
