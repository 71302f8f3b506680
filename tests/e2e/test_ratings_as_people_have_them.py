"""Ratings in the files of spreadsheets and surveys, from the command line to a predictor that has learned."""

import contextlib
import json
import re
import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from prescreen.predictor.predictor import Predictor

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
NAMES = [f"{number:03d}" for number in range(1, 25)]
LEVELS = ("no", "somewhat", "yes", "very")


@pytest.fixture(scope="module")
def place(shell, tmp_path_factory):
    """A folder with 24 rated pictures, and the shell in it."""
    folder = tmp_path_factory.mktemp("survey")
    (folder / "rated").mkdir()
    for name in NAMES:
        shutil.copy(SAMPLE / "training" / "images" / f"{name}.jpg", folder / "rated")
    return type(shell)(folder, shell.cache)


@pytest.fixture(scope="module")
def votes():
    """The sample's votes on these pictures, in two traits."""
    rows = pd.read_csv(SAMPLE / "training" / "votes.csv", dtype=str).astype({"vote": int})
    rows = rows[rows["image"].isin([f"{name}.jpg" for name in NAMES]) & rows["trait"].isin(["competence", "influence"])]
    return rows.reset_index(drop=True)


@pytest.fixture(scope="module")
def trained(place, votes, clip_folder):
    """A predictor from an export of a survey: a row a rater and picture, in a workbook, names without ending."""
    clicked = pd.DataFrame(
        {"image": [f"{name}.jpg" for name in NAMES], "rater": "w99", "competence": 1, "influence": 1}
    )
    wide = pd.concat([votes.pivot_table("vote", ["image", "rater"], "trait").reset_index(), clicked])
    survey = pd.DataFrame(
        {
            "Worker Id": wide["rater"],
            "Input.picture": "uploads\\" + wide["image"].str.removesuffix(".jpg"),
            "Answer.competence": wide["competence"],
            "Answer.influence": wide["influence"],
            "Seconds": 12,
        }
    )
    survey.to_excel(place.folder / "survey.xlsx", index=False)
    done = place(
        "train", "--ratings", "survey.xlsx", "--images", "rated", "--scale", "0:3",
        "--columns", "image=Input.picture,competence=Answer.competence,influence=Answer.influence",
        "--encoder", f"clip:tiny@{clip_folder}", "--output", "models/survey",
        "--leave-out-raters",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_what_was_understood_is_told(trained):
    told = trained.stderr.splitlines()
    assert "read       an Excel workbook" in told
    assert "columns    Worker Id is the rater" in told
    assert any(
        re.fullmatch(r"ignored    column Seconds; \d+ blank scores|ignored    column Seconds", line) for line in told
    )
    assert r"matched    24 pictures by name without folder and ending: uploads\001 is 001.jpg" in told
    assert any(line.startswith("ratings    24 pictures, competence, influence") for line in told)


def test_raters_who_tell_nothing_are_named_after_training_and_left_out(place, votes, trained):
    told = trained.stderr.splitlines()
    assert f"raters     48 of {len(votes) + 48} votes left out" in told
    named = next(place for place, line in enumerate(told) if "no information" in line)
    raters = votes["rater"].nunique() + 1
    assert told[named] == (
        f"raters     1 of {raters} gives no information: w99 on competence (all 24 votes are 1; on 1 more trait)"
    )
    assert told[named + 1] == "           their votes were left out"
    assert named > next(place for place, line in enumerate(told) if line.startswith("encoder"))
    manifest = (place.folder / "models" / "survey" / "manifest.json").read_text("utf-8")
    assert json.loads(manifest)["data"]["raters_left_out"] == 1
    assert "w99" not in manifest  # a predictor names no rater
    with contextlib.closing(sqlite3.connect(place.folder / "mlruns" / "mlflow.db")) as store:
        tags = store.execute("SELECT value FROM tags WHERE key = 'prescreen.raters_left_out'").fetchall()
    assert tags == [("1",)]


def test_other_ratings_in_another_file_are_evaluated_alike(place, votes, trained):
    named = votes.rename(columns={"image": "photo", "trait": "question", "vote": "answer", "rater": "worker"})
    (place.folder / "again.csv").write_bytes(named.to_csv(index=False, sep=";").encode("utf-16"))
    done = place(
        "evaluate", "--predictor", "models/survey", "--ratings", "again.csv", "--images", "rated", "--scale", "0:3"
    )
    assert "read       semicolons, UTF-16" in done.stderr
    assert "columns    photo is the image, question is the trait, answer is a vote, worker is the rater" in done.stderr
    assert "24 of 24 pictures, or near-copies of them, were trained on" in done.stderr


@pytest.mark.parametrize(("swapped", "known"), [(False, True), (True, False)])
def test_the_same_file_is_the_same_ratings_only_with_the_same_columns(place, trained, swapped, known):
    traits = ("influence", "competence") if swapped else ("competence", "influence")
    columns = f"image=Input.picture,competence=Answer.{traits[0]},influence=Answer.{traits[1]}"
    done = place(
        "evaluate", "--predictor", "models/survey", "--ratings", "survey.xlsx", "--images", "rated", "--scale", "0:3",
        "--columns", columns,
    )  # fmt: skip
    assert ("these are the ratings it was trained on" in done.stderr) == known
    assert ("votes left out" in done.stderr) == known  # as in the training
    assert (done.returncode == 0) == known  # otherwise all pictures were trained on, and none is left


def test_answers_that_were_counted_are_learned(place, votes, trained):
    counts = votes.groupby(["image", "trait", "vote"]).size().unstack(["trait", "vote"], fill_value=0)
    counts.columns = [f"{trait} {LEVELS[vote]}" for trait, vote in counts.columns]
    few = counts.reset_index().head(3).rename(columns={"image": "File Name"})
    few.to_json(place.folder / "results.json", orient="records")
    done = place("learn", "results.json", "--predictor", "models/survey", "--output", "models/me", "--images", "rated")
    assert done.returncode == 0, done.stderr
    assert "columns    File Name is the image" in done.stderr
    means = votes[votes["image"] == "001.jpg"].groupby("trait")["vote"].mean()
    before, after = (Predictor.load(place.folder / "models" / name) for name in ("survey", "me"))
    expected = before.calibration.z(means[list(before.traits)].to_numpy(float)[None])
    assert after.results.z[0].tolist() == pytest.approx(expected[0].tolist())
    assert json.loads((place.folder / "models" / "me" / "manifest.json").read_text())["scale"] == "0:3"


def test_a_column_that_is_not_there_is_a_mistake_in_the_request(place, trained):
    done = place("train", "--ratings", "survey.xlsx", "--columns", "image=Picture", "--output", "models/x")
    assert done.returncode == 2
    assert "no column 'Picture'; did you mean 'Input.picture'?" in done.stderr
    assert not (place.folder / "models" / "x").exists()
