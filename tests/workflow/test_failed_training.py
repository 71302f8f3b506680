"""A training that fails at any of its last steps leaves a run that says so, and nothing else."""

import contextlib
import hashlib
import os
import shutil
import warnings
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from prescreen.errors import PredictorError
from prescreen.predictor.predictor import Predictor
from prescreen.reports import figures
from prescreen.tracking import list_versions, registry, runs, store_uri
from prescreen.workflow import run_records
from prescreen.workflow import train as workflow

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "training"
STEPS = {
    "figures": (figures, "evaluation_figures"),
    "card": (run_records, "model_card"),
    "model_logged": (runs, "_save_model"),
    "registered": (registry, "update_aliases"),
}
"""What some of the last steps call, in their order; the rest is in `tests/tracking`."""


class Broken(Exception):
    """What no step expects."""


def broken(*given, **options):
    raise Broken


@pytest.fixture(scope="module")
def place(tmp_path_factory, clip_folder):
    """A folder with ratings of twelve pictures, an empty store and a cache of its own."""
    folder = tmp_path_factory.mktemp("failing")
    votes = pd.read_csv(SAMPLE / "votes.csv")
    votes = votes[votes["image"].isin([f"{number:03}.jpg" for number in range(1, 13)])]
    votes.to_csv(folder / "votes.csv", index=False)
    (folder / "images").mkdir()
    for image in votes["image"].unique():
        shutil.copy(SAMPLE / "images" / image, folder / "images")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    kept["PRESCREEN_CACHE"] = str(folder / "cache")
    with contextlib.chdir(folder), patch.dict(os.environ, kept, clear=True):
        yield folder


@pytest.fixture(scope="module")
def train(place, clip_folder):
    def run(seed=0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of MLflow's libraries
            return workflow.train(
                workflow.TrainingOptions(
                    Path("votes.csv"), encoder=f"clip:tiny@{clip_folder}", output=Path("mine"), seed=seed
                )
            )

    return run


def run_statuses():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow

        client = mlflow.MlflowClient(store_uri())
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        return {run.info.run_id: run.info.status for run in client.search_runs(experiments, max_results=1000)}


def contents(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(folder).iterdir()}


def aliases():
    return [(version.version, version.aliases) for version in list_versions()]


def fails(train, step, seed=0):
    """Break a step of a training; return the status of the training's run."""
    before = run_statuses()
    with patch.object(*STEPS[step], broken), pytest.raises(Broken):
        train(seed)
    new = [status for run, status in run_statuses().items() if run not in before]
    assert "RUNNING" not in new
    return new[-1] if new else None  # the latest first, so that parts come before the training


def test_a_first_training_that_fails_leaves_a_failed_run_and_nothing_else(train, place):
    assert fails(train, "registered") == "FAILED"
    assert not (place / "mine").exists()
    assert list_versions() == []


@pytest.mark.filterwarnings("ignore")  # of MLflow's libraries
def test_an_empty_working_directory_that_gets_the_store_is_refused_before_the_work(place, clip_folder):
    (place / "empty").mkdir()
    with contextlib.chdir(place / "empty"):
        with pytest.raises(PredictorError, match="has other files in it; choose another place with --output"):
            workflow.train(
                workflow.TrainingOptions(place / "votes.csv", encoder=f"clip:tiny@{clip_folder}", output=Path("."))
            )
        assert run_statuses() == {}


@pytest.fixture(scope="module")
def trained(place, train):
    """What a training that went well left in its directory and in the registry."""
    train()
    return contents("mine"), aliases()


@pytest.mark.parametrize("step", STEPS)
def test_a_later_training_that_fails_leaves_predictor_and_versions_as_they_were(train, trained, step):
    assert fails(train, step, seed=1) == "FAILED"
    assert (contents("mine"), aliases()) == trained


def test_a_directory_that_cannot_be_written_at_the_end_is_not_registered(train, trained):
    saved = Predictor.save

    def save(self, directory):
        if Path(directory) == Path("mine"):
            raise PredictorError("mine: cannot be written (No space left on device)")
        saved(self, directory)

    with patch.object(Predictor, "save", save), pytest.raises(PredictorError, match="No space left"):
        train(seed=1)
    assert (contents("mine"), aliases()) == trained
