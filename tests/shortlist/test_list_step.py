"""What `learn` says after a round of a plan for a list."""

import pandas as pd
import pytest

from prescreen.ranking.stopping import Advice
from prescreen.shortlist.list_step import ListStep
from prescreen.shortlist.pending_plan import PendingPlan

RANKED = pd.DataFrame(
    {
        "image": ["a.jpg", "b.jpg", "c.jpg"],
        "p_better": [0.9, 0.6, 0.1],
        "selected": [True, True, False],
    }
)
ADVICE = Advice(2, 0.95, 0.9, 0.98)
NONE = RANKED.assign(selected=False)


def test_the_second_round_is_said_with_its_votes_and_leaves_the_list():
    step = ListStep(PendingPlan(5, 2, 60, current_photo=True), RANKED, ADVICE, 1)
    assert step.describe() == (
        "Test these 2 pictures: the chance that at least one beats your current photo is 95 % (90 % to 98 %). "
        "Round 2: send them and your current photo, 20 votes each (60 votes); prescreen learn --plan then makes the "
        "list."
    )
    assert step.left == PendingPlan(5)
    assert (step.decision.verdict, step.name, step.chance) == ("test", "a.jpg", 0.95)
    assert step.proposal["image"].tolist() == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(("tested", "seen"), [(2, "people have seen all of them"), (1, "people have seen 1 of them")])
def test_the_list_is_said_with_the_pictures_that_are_expected_to_be_better_and_ends_the_plan(tested, seen):
    step = ListStep(PendingPlan(2), RANKED, ADVICE, tested)
    expected = f"The list is ready: 2 pictures, of which 1.5 are expected to beat your current photo; {seen}."
    assert step.describe() == expected
    assert (step.left, step.votes, step.decision.verdict) == (None, None, "list")


@pytest.mark.parametrize("pending", [PendingPlan(2), PendingPlan(2, 2, 60)])
def test_where_no_picture_is_left_the_current_photo_is_kept(pending):
    step = ListStep(pending, NONE, Advice(0, 0.0, 0.0, 0.0), 0)
    assert step.describe() == "Keep your current photo: no picture is left to test."
    assert (step.name, step.votes, step.decision.row, step.decision.chance) == ("", None, None, 0.0)
