"""The note by which `learn` continues a plan."""

import json

import pytest

from prescreen.errors import PrescreenError, UsageError
from prescreen.ranking.two_rounds import TwoRounds
from prescreen.ranking.vote_plan import VotePlan
from prescreen.shortlist.pending_plan import PendingPlan


def test_what_is_left_of_a_plan_is_read_as_it_was_written(tmp_path):
    table = tmp_path / "shortlist.csv"
    left = PendingPlan.after_first(TwoRounds(10, VotePlan((3,) * 25, 3), VotePlan((15,) * 14 + (14,), 14)))
    assert left == PendingPlan(10, 15, 238, True)
    PendingPlan.note(table, left)
    assert (tmp_path / "shortlist.csv.plan.json").exists()
    assert PendingPlan.read(table) == left
    assert left.next_round(40) == VotePlan((15,) * 14 + (14,), 14)
    assert left.next_round(3).pictures == 3
    PendingPlan.note(table, None)
    PendingPlan.note(table, None)
    assert list(tmp_path.iterdir()) == []


def test_without_a_note_the_remedy_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"s.csv.plan.json is not beside it; give the table that prescreen rank"):
        PendingPlan.read(tmp_path / "s.csv")


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", '{"wanted": "10"}', '{"wanted": 0}', '{"wanted": 2, "pictures": 3, "votes": 2}',
        '{"wanted": 2, "pictures": -1}', '{"wanted": 2, "current_photo": 1}', '{"wanted": 2, "other": 1}',
        json.dumps({"wanted": 2, "pictures": 3, "votes": 3, "current_photo": True}), '{"wanted": true}',
    ],
)  # fmt: skip
def test_a_note_that_is_no_plan_is_refused(tmp_path, content):
    (tmp_path / "s.csv.plan.json").write_text(content, "utf-8")
    with pytest.raises(PrescreenError, match=r"s.csv.plan.json: cannot be read \(\w+\); rank again"):
        PendingPlan.read(tmp_path / "s.csv")
