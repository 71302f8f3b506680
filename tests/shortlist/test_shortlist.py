"""Candidates on the way to the shortlist, with scores and faces made for the purpose."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from prescreen.embeddings.pipeline import Quality
from prescreen.encoders import IDENTITY_BLOCK
from prescreen.errors import UsageError
from prescreen.evaluation.usability import Usability
from prescreen.predictor.calibration import Calibration
from prescreen.predictor.human_scores import Errors, HumanResults, Pictures
from prescreen.predictor.scores_table import score_columns
from prescreen.ranking.checks import CHECKS, References
from prescreen.ranking.options import RankingOptions
from prescreen.ranking.posterior import HumanScores
from prescreen.ratings.vote_noise import score_to_z
from prescreen.shortlist.baseline import Baseline
from prescreen.shortlist.pending_plan import PendingPlan
from prescreen.shortlist.shortlist import make_shortlist

FACE, OTHER = np.eye(2, 128, dtype=np.float32)
VECTORS = {
    "a.jpg": FACE,
    "copy.jpg": FACE + 0.01 * OTHER,
    "c.jpg": 0.3 * OTHER + FACE,
    "d.jpg": -0.3 * OTHER + FACE,
}
TABLE = (
    pd.DataFrame(0.0, index=range(4), columns=score_columns(["warm"]))
    .astype(dict.fromkeys(("image", "status", "reason", "face_detector", "content"), object))
    .assign(
        image=list(VECTORS), status="ok", reason="", content=list("acde"), warm=[8.0, 7.0, 6.0, 4.0],
        warm_raw=[8.0, 7.0, 6.0, 4.0], warm_low=3.0, warm_high=9.0,
        faces=1, width=900, height=900, face_share=0.2, face_margin=0.5, sharpness=20.0,
    )
)  # fmt: skip
TOLD = HumanScores(np.zeros(1, np.intp), np.zeros((1, 1)), np.full((1, 1), 0.05), np.full(1, 0.0625))
BASELINE = Baseline("now", {"warm": 5.0}, {}, {}, None, human=TOLD)


class Predictor:
    """What a shortlist asks of a predictor: features are face descriptors, and all pictures show one person."""

    traits = ("warm",)
    results = None
    manifest = SimpleNamespace(
        encoder=SimpleNamespace(blocks={IDENTITY_BLOCK: slice(0, 128)}), reliability={"warm": {"icc1": 0.3}}
    )
    calibration = Calibration(
        np.linspace(0, 10, 20)[:, None], np.ones(1), np.array([[0.3]]), True, similar_share=0.4, similar_gamma=2.0
    )

    usability = Usability({"warm": ""})

    def __init__(self, tested=()):
        self.tested = tested

    def scored(self):
        none = HumanResults.none(128, 1)
        return Pictures(np.zeros((0, 1)), none.vectors, none.vectors, none.keys), none

    def errors(self, *references):
        return Errors(self.calibration, np.array(references).reshape(-1, 128))

    def featurize(self, vectors, contents, raw=None):
        z = score_to_z([TABLE.loc[TABLE["content"] == content, "warm"].iloc[0] for content in contents])[:, None]
        return Pictures(z, vectors, vectors, np.array([ord(content) for content in contents], dtype=np.uint64))

    def was_tested(self, contents):
        return np.array([content in self.tested for content in contents])


def shortlist(table=TABLE, tested=(), rejected=(), baseline=BASELINE, kept=(), only_kept=False, **options):
    options = RankingOptions(improve=["warm"], **options)
    return make_shortlist(
        table, Predictor(tested), baseline, options, VECTORS, References(), rejected, kept=kept, only_kept=only_kept
    )


def make(pending, tested=(), rejected=()):
    options = RankingOptions(improve=["warm"])
    return make_shortlist(TABLE, Predictor(tested), BASELINE, options, VECTORS, References(), rejected, pending)


def test_the_table_has_what_the_checks_read():
    assert set(Quality.__dataclass_fields__) <= set(TABLE.columns)


def test_a_near_copy_is_excluded_and_named_once():
    ranked = shortlist().table.set_index("image")
    copy = ranked.loc["copy.jpg"]
    assert (copy["demoted"], copy["duplicate_of"], copy["gates"]) == ("near-copy of a.jpg", "a.jpg", "copies")
    assert copy["why"].startswith("near-copy of a.jpg; warm +1.")
    assert ranked.loc[["a.jpg", "c.jpg"], "gates"].tolist() == ["", ""]


def test_what_was_tested_or_rejected_is_not_sent_and_a_check_that_is_off_excludes_nothing():
    done = shortlist(tested=("a",), rejected=("c.jpg",), budget=9)
    assert done.table.loc[done.table["selected"], "image"].tolist() == ["copy.jpg", "d.jpg"]
    assert done.describe_excluded() == "2 of 4 pictures: tested 1, copies 1, rejected 1"
    off = shortlist(tested=("a",), budget=9, gates_off=("tested", "copies"))
    assert off.table["selected"].all()
    assert off.describe_excluded() == ""


def test_what_was_rejected_stays_out_when_every_check_is_off():
    off = shortlist(rejected=("c.jpg",), budget=9, gates_off=tuple(CHECKS))
    assert off.table.loc[~off.table["selected"], "image"].tolist() == ["c.jpg"]


def test_the_chance_of_any_is_at_least_that_of_the_best_and_below_that_of_independent_pictures():
    done = shortlist()
    chances = done.table.loc[done.table["selected"], "p_better"].to_numpy()
    assert len(chances) == 3
    assert chances[0] < done.advice.chance < 1 - np.prod(1 - chances)
    assert done.plan is None


def test_where_nothing_can_be_sent_the_chance_of_any_is_0():
    done = shortlist(rejected=tuple(VECTORS), votes=100)
    assert (done.advice.verdict, done.advice.chance, done.plan) == ("keep", 0.0, None)
    assert not done.table["selected"].any()


def test_votes_decide_how_many_are_sent_and_each_of_them_gets_its_share():
    done = shortlist(votes=90)
    assert done.table["votes"].sum() == 90
    assert (done.table["votes"] > 0).tolist() == done.table["selected"].tolist()
    assert done.plan.pictures == done.table["selected"].sum()
    assert shortlist(votes=90, budget=1).table["votes"].tolist() == [90, 0, 0, 0]


def selected(done):
    return done.table.loc[done.table["selected"], "image"].tolist()


def test_for_a_list_the_best_single_chances_count_and_votes_are_planned_in_two_rounds():
    done = shortlist(votes=60, wanted=2, gates_off=("copies",))
    assert done.plan is None
    assert (done.rounds.wanted, done.rounds.votes) == (2, 60)
    assert selected(done) == ["a.jpg", "copy.jpg", "c.jpg", "d.jpg"][: done.rounds.first.pictures]
    assert done.table["votes"].tolist() == [*done.rounds.first.votes_each, 0, 0, 0][:4]
    assert done.describe_plan().startswith(f"Round 1: send these {done.rounds.first.pictures} pictures")
    assert 0 < done.rounds.before <= done.rounds.hits < 2
    assert shortlist(votes=60, wanted=2, budget=1).rounds.first.pictures == 1


def test_a_list_without_votes_has_the_pictures_with_the_best_chances():
    assert selected(shortlist(wanted=3, gates_off=("copies",))) == ["a.jpg", "copy.jpg", "c.jpg"]
    assert selected(shortlist(wanted=2)) == ["a.jpg", "c.jpg"]
    assert selected(shortlist(wanted=3, budget=1)) == ["a.jpg"]
    assert shortlist(wanted=3).describe_plan() == ""


def test_the_next_round_of_a_plan_may_send_tested_pictures_and_no_more_than_are_left():
    done = make(PendingPlan(2, 2, 31), tested=("a",))
    assert selected(done) == ["a.jpg", "c.jpg"]
    assert done.table["votes"].tolist() == [16, 15, 0, 0]
    few = make(PendingPlan(2, 3, 31, current_photo=True), tested=("a",), rejected=("c.jpg", "d.jpg"))
    assert (selected(few), few.table["votes"].max()) == (["a.jpg"], 16)
    listed = make(PendingPlan(3), tested=("a", "c"))
    assert selected(listed) == ["a.jpg", "c.jpg", "d.jpg"]
    assert "votes" not in listed.table
    nothing = make(PendingPlan(2, 2, 31), rejected=tuple(VECTORS))
    assert (selected(nothing), nothing.advice.verdict) == ([], "keep")


@pytest.mark.parametrize("wanted", [0, 1, 101])
def test_a_list_has_2_to_100_pictures(wanted):
    with pytest.raises(UsageError, match=f"wanted {wanted}: expected a list of 2 to 100 pictures"):
        RankingOptions(wanted=wanted)


@pytest.mark.parametrize("levels", [{}, {"warm": 11.0}, {"warm": float("nan")}])
def test_a_goal_needs_a_score_of_the_current_photo(levels):
    with pytest.raises(UsageError, match=r"baseline: no score from 0 to 10 for warm"):
        shortlist(baseline=Baseline("now", levels, {}, {}, None, human=TOLD))


@pytest.mark.parametrize("name", ["budget", "votes", "baseline_votes"])
def test_zero_is_a_number_and_not_nothing(name):
    with pytest.raises(UsageError, match=f"{name} 0: expected at least 1"):
        RankingOptions(**{name: 0})
    assert getattr(RankingOptions(**{name: 1}), name) == 1


def test_a_predictor_that_cannot_be_used_for_a_goal_proposes_nothing_and_plans_no_votes(monkeypatch):
    good = shortlist(votes=30)
    assert good.plan is not None
    assert good.advice.verdict == "test"
    monkeypatch.setattr(Predictor, "usability", Usability({"warm": "r -0.10", "smart": "r 0.05"}))
    bad = shortlist(votes=30)
    assert (bad.plan, bad.advice.verdict, bad.advice.unusable) == (None, "unclear", "not usable for warm: r -0.10")
    assert not bad.table["selected"].any()
    pd.testing.assert_series_equal(bad.table["p_better"], good.table["p_better"])


def test_a_trait_without_a_goal_may_be_one_that_cannot_be_used(monkeypatch):
    monkeypatch.setattr(Predictor, "usability", Usability({"warm": "", "smart": "r 0.05"}))
    assert shortlist(votes=30).advice.verdict == "test"


def test_without_a_current_photo_the_best_predicted_come_first_and_nothing_is_said_of_chances():
    done = shortlist(baseline=None, budget=2, rejected=("a.jpg",))
    assert done.advice.verdict == "ranked"
    assert done.table["image"].tolist() == ["copy.jpg", "c.jpg", "a.jpg", "d.jpg"]
    assert done.table["selected"].tolist() == [True, True, False, False]
    assert done.table["why"].iloc[0] == "predicted warm 7.0"
    assert not [column for column in done.table.columns if column.startswith("p_")]


def chosen(done):
    return set(done.table.loc[done.table["selected"], "image"])


def test_what_is_kept_is_proposed_beside_the_others_and_counts_for_the_chance():
    usual = shortlist(budget=1)
    done = shortlist(budget=1, kept=("d.jpg", "copy.jpg", "nobody.jpg"))
    assert chosen(usual) == {"a.jpg"}
    assert chosen(done) == {"a.jpg", "copy.jpg", "d.jpg"}
    assert done.advice.pictures == 3
    assert done.advice.chance > usual.advice.chance


def test_an_exported_list_is_proposed_as_it_is():
    done = shortlist(kept=("c.jpg", "d.jpg"), only_kept=True)
    assert chosen(done) == {"c.jpg", "d.jpg"}
    assert done.advice.pictures == 2


def test_votes_are_planned_for_an_exported_list():
    done = shortlist(kept=("c.jpg", "d.jpg"), only_kept=True, votes=80)
    votes = done.table.set_index("image")["votes"]
    assert votes[["c.jpg", "d.jpg"]].min() > 0
    assert votes.sum() == 80
    assert "the test shows it" in done.describe_plan()
    assert shortlist(kept=("c.jpg", "d.jpg"), only_kept=True).describe_plan() == ""


def test_of_what_is_left_the_chances_stay_when_others_are_rejected():
    """A page draws once: what its user rejects then changes the choice, and no chance of the same pictures."""
    first = shortlist(budget=1)
    again = shortlist(budget=1, kept=("a.jpg",), rejected=("d.jpg",), only_kept=True)
    assert again.advice.chance == first.advice.chance
    assert shortlist(budget=1, rejected=("a.jpg",)).contenders.images == first.contenders.images


def test_votes_are_shared_out_among_all_where_some_were_kept():
    done = shortlist(votes=120, kept=("d.jpg",))
    votes = done.table.loc[done.table["selected"], "votes"]
    assert votes.sum() == 120
    assert votes.min() > 0
    assert "the test shows it" in done.describe_plan()


def test_contenders_are_those_that_can_be_proposed_with_their_near_copies():
    found = shortlist(kept=("d.jpg",), tested=("e",)).contenders
    assert found.images == ("a.jpg", "copy.jpg", "c.jpg", "d.jpg")
    usual = shortlist(tested=("e",)).contenders
    np.testing.assert_array_equal(found.draws.met[..., :3], usual.draws.met)
    assert found.doubtful.tolist() == [False, False, False, True]
    assert np.argwhere(found.copies).tolist() == [[1, 0]]
    assert found.count == 3
    assert found.draws.met.shape[2] == 4
    assert shortlist(baseline=None).contenders.draws is None
