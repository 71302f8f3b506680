"""The note beside scores by which `review` compares as the last `rank` did."""

import json
from pathlib import Path

import pytest

from prescreen.errors import PrescreenError, UsageError
from prescreen.ranking.options import DEFAULT_OPTIONS, RankingOptions
from prescreen.reports.decisions import NOTHING_DECIDED
from prescreen.workflow import review as reviewing
from prescreen.workflow.last_rank import LastRank
from prescreen.workflow.rank import rank


def test_options_come_back_and_files_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "now.jpg").write_bytes(b"")
    (tmp_path / "me").mkdir()
    options = RankingOptions(improve=["warm"], keep=(), budget=5, references=(Path("me"),), gates_off={"nose", "eyes"})
    LastRank.of("now.jpg", options, "models:/mine@champion", ["me"]).write(tmp_path / "scores.csv")
    last = LastRank.read(tmp_path / "scores.csv")
    assert last.baseline == str(tmp_path / "now.jpg")
    assert last.predictor == "models:/mine@champion"
    assert last.images == (str(tmp_path / "me"),)
    assert (list(last.options.improve), list(last.options.keep), last.options.budget) == (["warm"], [], 5)
    assert last.options.references == [tmp_path / "me"]
    assert last.options.gates_off == ["eyes", "nose"]


def test_scores_that_were_never_ranked_have_none(tmp_path):
    assert LastRank.read(tmp_path / "scores.csv") is None


@pytest.mark.parametrize("change", [{"baseline": 3}, {"images": [1]}, {"options": {}}, {"predictor": []}])
def test_a_note_that_is_none_is_refused_in_one_line(tmp_path, change):
    scores = tmp_path / "scores.csv"
    LastRank.of(None, DEFAULT_OPTIONS, None, ()).write(scores)
    note = LastRank.beside(scores)
    note.write_text(json.dumps(json.loads(note.read_text()) | change))
    with pytest.raises(PrescreenError, match="rank the scores again") as raised:
        LastRank.read(scores)
    assert "\n" not in str(raised.value)


class Asked(Exception):
    pass


@pytest.fixture
def asked(monkeypatch):
    """Return a function that starts a review and returns what would be compared."""

    def compare(*arguments):
        raise Asked(arguments)

    monkeypatch.setattr(reviewing, "compare_candidates", compare)

    def start(scores, **options):
        with pytest.raises(Asked) as raised:
            reviewing.review(scores, **options)
        return raised.value.args[0]

    return start


def test_review_of_scores_alone_compares_as_the_last_rank(tmp_path, asked):
    scores = tmp_path / "scores.csv"
    options = RankingOptions(votes=300, wanted=10)
    LastRank.of("warm=5", options, "models/mine", ()).write(scores)
    _, baseline, found, predictor, images, _, decided = asked(scores)
    assert (baseline, predictor, images) == ("warm=5", "models/mine", ())
    assert (found.wanted, found.votes) == (10, None)  # review plans no votes for a list
    assert decided == NOTHING_DECIDED
    _, baseline, found, predictor, *_ = asked(scores, options=RankingOptions(budget=2))
    assert (baseline, found.budget, predictor) == (None, 2, None)


def test_review_draws_what_was_kept_before_and_saves_into_no_exported_list(tmp_path, asked):
    scores = tmp_path / "scores.csv"
    (tmp_path / "scores.decisions.csv").write_text("image,decision,tags\na.jpg,keep,\nb.jpg,reject,\n")
    *_, decided = asked(scores)
    assert (decided.kept, decided.rejected) == ({"a.jpg"}, frozenset())  # the page may take a rejection back
    exported = tmp_path / "shortlist.csv"
    exported.write_text("order,file,image,decision\n1,01_a.jpg,a.jpg,\n")
    with pytest.raises(UsageError, match="a list that the page exported"):
        reviewing.review(scores, decisions=exported)


def test_rank_plans_no_list_in_two_rounds_for_a_list_that_the_page_exported(tmp_path):
    exported = tmp_path / "shortlist.csv"
    exported.write_text("order,file,image,decision\n1,1-a.jpg,a.jpg,\n")
    with pytest.raises(UsageError, match="--votes with --wanted: .* leave out --wanted"):
        rank(
            tmp_path / "scores.csv",
            options=RankingOptions(votes=80, wanted=5),
            decisions=exported,
            output=tmp_path / "ranked.csv",
        )
