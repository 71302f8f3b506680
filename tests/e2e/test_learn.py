import json
import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from prescreen.predictor.predictor import Predictor
from prescreen.workflow import learn, rank, score

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
BASELINE = SAMPLE / "baseline.jpg"


@pytest.fixture(scope="module")
def place(demo, shell, tmp_path_factory):
    """A copy of the demo's folder, so that its store has the rounds only."""
    folder = tmp_path_factory.mktemp("learn")
    for name in ("scores.csv", "scores.csv.meta.json"):
        shutil.copy(demo / name, folder / name)
    shutil.copytree(demo / "models" / "sample", folder / "models" / "sample")
    return type(shell)(folder, shell.cache)


@pytest.fixture(scope="module")
def first(place):
    done = place(
        "learn", SAMPLE / "results.csv", "--predictor", "models/sample", "--output", "models/me",
        "--scores", "scores.csv", "--baseline", BASELINE, "--shortlist", "next.csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def inside(place, monkeypatch):
    """Run in this process, with the folder and the cache of the shell."""
    monkeypatch.chdir(place.folder)
    monkeypatch.setenv("PRESCREEN_CACHE", str(place.cache))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return place.folder


def test_the_round_is_told(first):
    assert "simulated votes" in first.stderr
    assert "baseline.jpg was not in this test" in first.stderr
    verdict, *lines = first.stdout.splitlines()
    assert verdict.split()[0] in {"Take", "Test", "Keep", "What"}
    head = next(place for place, line in enumerate(lines) if line.startswith("round 1"))
    assert lines[head].split() == [
        "round",
        "1",
        "pictures",
        "r",
        "human",
        "-",
        "predicted",
        "inside",
        "person",
        "[90",
        "%]",
    ]
    rows = [line.split()[:2] for line in lines[head + 1 : head + 4]]
    assert rows == [[t, "3"] for t in ("competence", "likeability", "influence")]


def test_tested_pictures_are_held_back_and_named(first, place):
    table = pd.read_csv(place.folder / "next.csv", keep_default_na=False).set_index("image")
    tested = pd.read_csv(SAMPLE / "results.csv")["image"]
    assert (table.loc[tested, "demoted"].str.contains("people have scored it")).all()
    assert not table.loc[tested, "selected"].any()
    assert len(table) == 40


def test_the_round_is_a_run_with_its_numbers(first, place):
    with sqlite3.connect(place.folder / "mlruns" / "mlflow.db") as store:
        tags = dict(store.execute("SELECT key, value FROM tags").fetchall())
        metrics = dict(store.execute("SELECT key, value FROM latest_metrics").fetchall())
    assert tags["prescreen.kind"] == "round"
    assert {"influence/coverage_share", "competence/person_offset", "all_traits/best_chance"} <= metrics.keys()
    (document,) = place.folder.glob("mlruns/artifacts/**/round.json")
    content = json.loads(document.read_text("utf-8"))
    assert content["round"] == 1
    assert metrics["influence/coverage_share"] == content["agreement"][2]["inside"]
    assert list(document.parent.glob("next.csv"))
    (described,) = place.folder.glob("mlruns/artifacts/**/MLmodel")
    assert '"name": "influence_raw"' in described.read_text("utf-8")  # the signature
    assert (described.parent / "serving_input_example.json").is_file()


def test_predictions_move_toward_what_people_said(first, place, inside):
    before, after = (Predictor.load(Path("models") / name) for name in ("sample", "me"))
    assert after.fingerprint != before.fingerprint
    typed = pd.read_csv(SAMPLE / "results.csv").set_index("image")
    old = pd.read_csv("scores.csv").set_index("image")
    new = pd.read_csv("next.csv").set_index("image")
    for trait in before.traits:
        gap = (typed[trait] - old.loc[typed.index, trait]).abs().mean()
        assert (typed[trait] - new.loc[typed.index, trait]).abs().mean() < gap
    assert len(after.results) == 3


def test_scored_again_and_ranked_says_the_same_as_learn(first, place, inside):
    score.score([SAMPLE / "candidates"], predictor="models/me", output=Path("again.csv"))
    ranked = rank.rank(Path("again.csv"), baseline=str(BASELINE), output=Path("ranked.csv")).table
    told = pd.read_csv("next.csv").set_index("image")
    same = ranked.set_index("image").loc[told.index, "p_better"]
    pd.testing.assert_series_equal(same, told["p_better"], atol=1e-3)


def test_low_scores_end_in_staying(first, inside):
    lines = ["image,competence,likeability,influence,votes"]
    lines += [f"{number:03d}.jpg,0.6,0.6,0.6,200" for number in (3, 5, 6, 27, 28, 31)]
    lines += ["baseline.jpg,9.5,9.5,9.5,200"]
    Path("bad.csv").write_text("\n".join(lines), "utf-8")
    done = learn.learn(
        Path("bad.csv"), predictor="models/me", output=Path("models/worse"),
        scores=Path("scores.csv"), baseline=str(BASELINE), shortlist=Path("none.csv"),
    )  # fmt: skip
    assert done.answer.startswith("Keep your current photo")
    assert done.content["round"] == 2
    assert done.content["decision"]["p"] < 0.05
    assert not pd.read_csv("none.csv")["selected"].any()


def test_without_scores_the_folder_of_the_pictures_is_enough(inside):
    done = learn.learn(
        SAMPLE / "results.csv", predictor="models/sample", output=Path("models/plain"), images=SAMPLE / "candidates"
    )
    assert done.answer == ""
    assert done.proposal is None
    assert len(Predictor.load(done.output).results) == 3


def test_a_second_test_on_one_trait_leaves_the_scores_on_the_others(first, place):
    typed = pd.read_csv(SAMPLE / "results.csv")
    typed[["image", "influence", "votes"]].assign(votes=33).to_csv(place.folder / "second.csv", index=False)
    learn = ("--traits", "influence", "--scores", "scores.csv", "--predictor", "models/me", "--output", "models/twice")
    done = place("learn", "second.csv", *learn)
    assert done.returncode == 0, done.stderr
    before, after = (Predictor.load(place.folder / "models" / name).results for name in ("me", "twice"))
    assert before.told.sum(axis=0).tolist() == [3, 3, 3]
    assert after.told.sum(axis=0).tolist() == [3, 3, 6]
    again = place("learn", "second.csv", *learn[:-3], "models/twice", "--output", "models/thrice")
    assert "these scores are in the predictor already" in again.stderr
    assert len(Predictor.load(place.folder / "models" / "thrice").results) == len(after)


@pytest.mark.parametrize("output", ["models/sample", "models/../models/sample"])
def test_the_predictor_is_not_written_over(place, output):
    before = Predictor.load(place.folder / "models" / "sample").fingerprint
    done = place(
        "learn", SAMPLE / "results.csv", "--predictor", "models/sample", "--output", output, "--images", SAMPLE
    )
    assert done.returncode == 2
    assert f"--output {output}: would write over --predictor" in done.stderr
    assert Predictor.load(place.folder / "models" / "sample").fingerprint == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--baseline", BASELINE), "--scores"),
        (("--scores", "scores.csv", "--shortlist", "n.csv"), "--baseline"),
        (("--images", "models"), "no pictures"),
    ],
)
def test_requests_that_lack_something(place, words, message):
    done = place("learn", SAMPLE / "results.csv", "--predictor", "models/sample", "--output", "models/x", *words)
    assert done.returncode in {2, 3}
    assert message in done.stderr
    assert not (place.folder / "models" / "x").exists()


def as_people_would_score(table, votes=None):
    """Typed results of the selected pictures and the current photo, at what is predicted of them: SIMULATED."""
    chosen = table[table["selected"]]
    rows = [
        f"{row.image},{row.competence},{row.likeability},{row.influence},{row.votes}" for row in chosen.itertuples()
    ]
    return "\n".join(
        ["image,competence,likeability,influence,votes", *rows, f"baseline.jpg,6,6,6,{chosen['votes'].min()}"]
    )


def test_a_plan_for_a_list_goes_on_to_its_second_round_and_ends_with_the_list(place, inside):
    common = ("--scores", "scores.csv", "--baseline", BASELINE, "--shortlist")
    done = place("rank", "scores.csv", "--baseline", BASELINE, "--votes", "90", "--wanted", "4", "--output", "one.csv")
    assert done.returncode == 0, done.stderr
    assert "Round 1: send these " in done.stderr
    assert "prescreen learn --plan one.csv" in done.stderr
    first = pd.read_csv("one.csv")
    plan = json.loads(Path("one.csv.plan.json").read_text("utf-8"))
    assert (plan["wanted"], plan["current_photo"]) == (4, True)
    assert first["votes"].sum() + first["votes"].max() + plan["votes"] == 90
    Path("round1.csv").write_text(as_people_would_score(first), "utf-8")
    done = place(
        "learn", "round1.csv", "--predictor", "models/sample", "--output", "models/r1", "--plan", "one.csv", *common,
        "two.csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "prescreen learn --plan then makes the list" in done.stdout
    second = pd.read_csv("two.csv")
    chosen = second[second["selected"]]
    assert len(chosen) == plan["pictures"]
    assert set(chosen["image"]) & set(first.loc[first["selected"], "image"])  # tested pictures may be sent again
    assert (chosen["p_better"].diff().dropna() <= 0).all()
    assert chosen["votes"].sum() + chosen["votes"].min() == plan["votes"]
    assert json.loads(Path("two.csv.plan.json").read_text("utf-8"))["pictures"] == 0
    Path("round2.csv").write_text(as_people_would_score(second), "utf-8")
    done = place(
        "learn", "round2.csv", "--predictor", "models/r1", "--output", "models/r2", "--plan", "two.csv", *common,
        "list.csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "The list is ready: 4 pictures, of which " in done.stdout
    listed = pd.read_csv("list.csv")
    free = listed[listed["gates"].isna()]  # the check tested is off
    assert listed.loc[listed["selected"], "image"].tolist() == free.nlargest(4, "p_better")["image"].tolist()
    assert "votes" not in listed
    assert not Path("list.csv.plan.json").exists()


def test_a_plan_needs_its_note_and_a_place_for_what_comes_next(place, inside):
    common = (SAMPLE / "results.csv", "--predictor", "models/sample", "--output", "models/x", "--scores", "scores.csv",
              "--baseline", BASELINE)  # fmt: skip
    done = place("learn", *common, "--plan", "scores.csv", "--shortlist", "n.csv")
    assert (done.returncode, "scores.csv.plan.json is not beside it" in done.stderr) == (2, True)
    done = place("learn", *common, "--plan", "scores.csv")
    assert (done.returncode, "name one with --shortlist" in done.stderr) == (2, True)
    done = place("learn", *common, "--plan", "n.csv", "--shortlist", "n.csv")
    assert (done.returncode, "would write over --plan" in done.stderr) == (2, True)
    assert not Path("models/x").exists()


def test_a_ranking_without_a_plan_leaves_no_note_of_an_earlier_one(place, inside):
    Path("again.csv.plan.json").write_text("{}", "utf-8")
    rank.rank(Path("scores.csv"), baseline=str(BASELINE), output=Path("again.csv"))
    assert not Path("again.csv.plan.json").exists()
