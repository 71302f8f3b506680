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
    assert "baseline.jpg was not among the pictures that people scored" in first.stderr
    lines = first.stdout.splitlines()
    assert lines[0].split() == [
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
    assert [line.split()[:2] for line in lines[1:4]] == [[t, "3"] for t in ("competence", "likeability", "influence")]
    assert lines[4].split()[0] in {"Take", "Test", "Keep", "What"}


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
    assert {"inside/influence", "person_offset/competence", "best_chance"} <= metrics.keys()
    (document,) = place.folder.glob("mlruns/artifacts/**/round.json")
    content = json.loads(document.read_text("utf-8"))
    assert content["round"] == 1
    assert metrics["inside/influence"] == content["agreement"][2]["inside"]
    assert list(document.parent.glob("next.csv"))


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
    with pytest.warns(UserWarning, match=r"baseline\.jpg was not among the pictures that people scored"):
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
