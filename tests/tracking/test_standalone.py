"""A model in MLflow stands alone: it is loaded and asked where prescreen is not installed."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest

from prescreen import tracking, workflow
from prescreen.tracking.standalone import DISTRIBUTIONS, pinned

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "sample" / "training"
NAMES = [f"{number:03d}.jpg" for number in range(1, 13)]


@pytest.fixture(scope="module")
def trained(clip_folder, tmp_path_factory):
    """Return the folder of a training on a few portraits, with its store, while that is the store in force."""
    folder = tmp_path_factory.mktemp("trained")
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
        workflow.train(
            folder / "votes.csv",
            images=folder / "images",
            encoder=f"clip:tiny@{clip_folder}",
            output=folder / "models" / "first",
            simulated=True,
        )
        yield folder


@pytest.fixture(scope="module")
def logged(trained):
    """Return the folder of the model as MLflow keeps it."""
    return tracking.fetch_predictor("models:/prescreen/1").parents[1]


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
    assert {"sqlalchemy", "huggingface-hub", "joblib"} <= names  # of MLflow, open_clip and scikit-learn
    assert not names & {"portrait-prescreen", "pytest", "ruff", "mypy", *DISTRIBUTIONS}


def test_a_model_names_no_prescreen_and_no_address_in_its_requirements(logged):
    text = "\n".join((logged / name).read_text() for name in ("requirements.txt", "constraints.txt", "conda.yaml"))
    assert "prescreen" not in text
    assert "://" not in text
    assert "torch==" in text
    own, carried = Path(workflow.__file__).parent, logged / "code" / "prescreen"
    for file in own.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert (carried / file.relative_to(own)).read_bytes() == file.read_bytes()
    assert not list(logged.rglob("__pycache__"))


def test_a_project_in_the_working_directory_does_not_get_into_a_model(logged):
    assert not list(logged.rglob("uv.lock"))
    assert not list(logged.rglob("pyproject.toml"))


ASK = """
import json, sys
place, pictures, sys.path[:] = json.loads(sys.argv[1])
import importlib.util
assert importlib.util.find_spec("prescreen") is None
import mlflow, pandas
model = mlflow.pyfunc.load_model(place)
import prescreen
assert prescreen.__file__.startswith(place), prescreen.__file__
scores = model.predict(pandas.DataFrame({"image": pictures}))
print(json.dumps(scores[["status", "competence"]].values.tolist()))
"""


def test_a_model_scores_where_prescreen_is_not_installed(trained, logged):
    example = json.loads((logged / "input_example.json").read_text())["data"][0][0]
    sent = base64.b64encode((trained / "images" / NAMES[3]).read_bytes()).decode()
    path = [place for place in sys.path if place and not (Path(place) / "prescreen" / "__init__.py").is_file()]
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-W", "ignore", "-c", ASK, json.dumps([str(logged), [example, sent], path])],
        cwd=trained,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (drawn, _), (status, found) = json.loads(done.stdout)
    assert (drawn, status) == ("ok", "ok")
    scores = workflow.score_table([trained / "images" / NAMES[3]], _loaded(trained))
    assert found == pytest.approx(scores["competence"][0], abs=1e-3)


def _loaded(trained):
    from prescreen.predictor import Predictor

    return Predictor.load(trained / "models" / "first")


def test_no_rated_portrait_is_in_the_store(trained):
    portraits = [(trained / "images" / name).read_bytes() for name in NAMES]
    wanted = [part for data in portraits for part in (data[200:400], base64.b64encode(data[201:402]))]
    stored = [file for file in (trained / "mlruns").rglob("*") if file.is_file()]
    assert any(file.name == "serving_input_example.json" for file in stored)
    for file in stored:
        content = file.read_bytes()
        assert not any(part in content for part in wanted), file
        assert file.suffix not in (".jpg", ".jpeg", ".webp")
    figures = {file.name for file in stored if file.suffix == ".png"}
    assert "calibration.png" in figures


def test_the_example_of_a_model_is_the_drawn_face(logged):
    from prescreen.canaries import draw_canaries

    example = json.loads((logged / "serving_input_example.json").read_text())["dataframe_split"]["data"][0][0]
    assert base64.b64decode(example) == draw_canaries()[0]
