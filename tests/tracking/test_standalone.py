"""A model in MLflow stands alone: it is loaded and asked where prescreen is not installed."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest

import prescreen
from heard import Heard
from prescreen import tracking
from prescreen.errors import RatingsError
from prescreen.predictor.predictor import Predictor
from prescreen.tracking.standalone import DISTRIBUTIONS, pinned
from prescreen.workflow import evaluate, score, train

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "sample" / "training"
NAMES = [f"{number:03d}.jpg" for number in range(1, 13)]


@pytest.fixture(scope="module")
def place(clip_folder, tmp_path_factory):
    """Return a folder with a few rated portraits and a store, which is the one in force."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "images").mkdir()
    for name in NAMES:
        shutil.copy(SAMPLE / "images" / name, folder / "images")
    votes = pd.read_csv(SAMPLE / "votes.csv")
    votes[votes["image"].isin(NAMES)].to_csv(folder / "votes.csv", index=False)
    (folder / "uv.lock").write_text("version = 1")  # MLflow would take these for the model's
    (folder / "pyproject.toml").write_text('[project]\nname = "a-stranger-s"\nversion = "1"\n')
    with pytest.MonkeyPatch.context() as patch, tracking.store_below(folder), contextlib.chdir(folder):
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("PRESCREEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        tracking.check_store()
        yield folder


def options(place, clip_folder, name):
    return train.TrainingOptions(
        place / "votes.csv",
        images=place / "images",
        encoder=f"clip:tiny@{clip_folder}",
        output=place / "models" / name,
        simulated=True,
    )


@pytest.fixture(scope="module")
def first(place, clip_folder):
    """Return the training."""
    return train.train(options(place, clip_folder, "first"))


@pytest.fixture(scope="module")
def logged(first):
    """Return the folder of the model as MLflow keeps it."""
    with tracking.fetch_predictor("models:/prescreen/1") as folder:
        return folder.parents[1]


def test_what_is_pinned_is_what_the_project_depends_on():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["heic"]
    assert list(DISTRIBUTIONS) == sorted(line.partition(">=")[0] for line in lines)


def test_all_that_is_needed_is_pinned_to_the_version_at_work():
    direct, others = pinned()
    for line in (*direct, *others):
        name, version = line.split("==")
        assert metadata.version(name).partition("+")[0] == version
    names = {line.partition("==")[0] for line in others}
    assert {"sqlalchemy", "timm", "joblib"} <= names  # of MLflow, open_clip and scikit-learn
    assert not names & {"portrait-prescreen", "pytest", "ruff", "mypy", *DISTRIBUTIONS}


def test_a_model_names_no_prescreen_and_no_address_in_its_requirements(logged):
    text = "\n".join((logged / name).read_text() for name in ("requirements.txt", "constraints.txt", "conda.yaml"))
    assert "prescreen" not in text
    assert "://" not in text
    assert "torch==" in text
    own, carried = Path(prescreen.__file__).parent, logged / "code" / "prescreen"
    for file in own.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert (carried / file.relative_to(own)).read_bytes() == file.read_bytes()
    assert not list(logged.rglob("__pycache__"))


def test_a_project_in_the_working_directory_does_not_get_into_a_model(logged):
    assert not list(logged.rglob("uv.lock"))
    assert not list(logged.rglob("pyproject.toml"))


ASK = """
import json, sys
model, pictures, sys.path[:] = json.loads(sys.argv[1])
import importlib.util
assert importlib.util.find_spec("prescreen") is None
import mlflow, pandas
loaded = mlflow.pyfunc.load_model(model)
import prescreen
assert prescreen.__file__.startswith(model), prescreen.__file__
scores = loaded.predict(pandas.DataFrame({"image": pictures}))
print(json.dumps(scores[["status", "competence"]].values.tolist()))
"""


def test_a_model_scores_where_prescreen_is_not_installed(place, logged):
    example = json.loads((logged / "input_example.json").read_text())["data"][0][0]
    sent = base64.b64encode((place / "images" / NAMES[3]).read_bytes()).decode()
    path = [place for place in sys.path if place and not (Path(place) / "prescreen" / "__init__.py").is_file()]
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-W", "ignore", "-c", ASK, json.dumps([str(logged), [example, sent], path])],
        cwd=place,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (drawn, _), (status, found) = json.loads(done.stdout)
    assert (drawn, status) == ("ok", "ok")
    scores = score.score_table([place / "images" / NAMES[3]], Predictor.load(place / "models" / "first"))
    assert found == pytest.approx(scores["competence"][0], abs=1e-3)


def test_no_rated_portrait_is_in_the_store(place, first):
    portraits = [(place / "images" / name).read_bytes() for name in NAMES]
    wanted = [part for data in portraits for part in (data[200:400], base64.b64encode(data[201:402]))]
    stored = [file for file in (place / "mlruns").rglob("*") if file.is_file()]
    assert any(file.name == "serving_input_example.json" for file in stored)
    for file in stored:
        content = file.read_bytes()
        assert not any(part in content for part in wanted), file
        assert file.suffix not in (".jpg", ".jpeg", ".webp")
    figures = {file.name for file in stored if file.suffix == ".png"}
    assert "calibration.png" in figures


def test_the_example_of_a_model_is_the_drawn_face(logged):
    from prescreen.predictor.canaries import draw_canaries

    example = json.loads((logged / "serving_input_example.json").read_text())["dataframe_split"]["data"][0][0]
    assert base64.b64decode(example) == draw_canaries()[0]


def card_of(run):
    import mlflow

    with tracking.store.opened_store() as client:
        uri = client.get_run(run.run_id).info.artifact_uri
        return mlflow.artifacts.load_text(f"{uri}/model_card.md")


def test_the_model_card_says_what_a_predictor_holds_of_people(first):
    held = Predictor.load(first.output).holdings
    card = card_of(first.run)
    assert "biometric data" in card
    assert sum(number == len(NAMES) for number in held.values()) >= 3
    for what, number in held.items():
        assert (f"| {what} | {number} |" in card) == (number > 0)


def test_a_predictor_that_forgets_holds_nothing_of_a_portrait_and_says_so(place, first, clip_folder):
    done = train.train(replace(options(place, clip_folder, "forgets"), forget_portraits=True))
    predictor = Predictor.load(done.output)
    assert predictor.manifest.forgets
    assert not any(predictor.holdings.values())
    card = card_of(done.run)
    assert "Trained to forget" in card
    assert "biometric" not in card
    assert "| nothing | 0 |" in card
    other = place / "others.csv"
    other.write_text((place / "votes.csv").read_text() + "\n")
    votes = pd.read_csv(other)
    votes.assign(rater=votes["rater"] + "x" if "rater" in votes else "x").to_csv(other, index=False)
    heard = Heard()
    again = evaluate.EvaluationOptions(str(done.output), other, images=place / "images")
    evaluate.evaluate(again, heard)
    assert [line for line in heard.lines if "told to forget" in line]
    remembering = Heard()
    with pytest.raises(RatingsError, match="0 unseen pictures"):
        evaluate.evaluate(replace(again, predictor=str(place / "models" / "first")), remembering)
    assert not [line for line in remembering.lines if "told to forget" in line]
