import base64
from dataclasses import replace
from pathlib import Path

import matplotlib.figure
import pandas as pd
import pytest

from prescreen import tracking
from prescreen.errors import PredictorError, StoreError

RECORD = tracking.TrainingRecord(
    experiment="faces",
    name="first",
    parameters={"encoder": "bundled"},
    tags={"prescreen.data_sha256": "aa"},
    metrics={"mean/pearson": 0.5, "competence/pearson": 0.5},
    compared_on="mean/pearson",
    data=pd.DataFrame({"image": ["a.jpg"], "trait": ["competence"], "mean": [1.5]}),
    data_source="votes.csv",
    figures={"calibration.png": matplotlib.figure.Figure()},
    predictor=Path("set by the fixture"),
    output=pd.DataFrame({"status": ["ok"], "competence": [5.0]}),
    example=base64.b64encode(b"a picture").decode(),
    documents={"evaluation.json": {"n": 1}},
)


@pytest.fixture
def record(tmp_path, monkeypatch):
    """A record of a run whose store and predictor lie in a folder of the test."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    predictor = tmp_path / "models" / "first"
    predictor.mkdir(parents=True)
    (predictor / "manifest.json").write_text('{"made": "for a test"}')
    with tracking.store_below(tmp_path):
        yield replace(RECORD, predictor=predictor)


def scored(record, value):
    return tracking.track_training(replace(record, metrics={"mean/pearson": value}))


@pytest.fixture
def client(record):
    from mlflow.tracking import MlflowClient

    tracking.check_store()
    return MlflowClient()


def test_a_run_holds_what_was_recorded(record, client, tmp_path):
    run = tracking.track_training(record)
    stored = client.get_run(run.run_id)
    assert run.store == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    assert stored.data.metrics == record.metrics
    assert stored.data.params == record.parameters
    assert stored.data.tags["prescreen.data_sha256"] == "aa"
    assert stored.info.status == "FINISHED"
    assert [entry.path for entry in client.list_artifacts(run.run_id, "figures")] == ["figures/calibration.png"]
    (given,) = stored.inputs.dataset_inputs
    assert given.dataset.name == "votes"


def test_the_champion_is_the_best_on_the_stated_metric(record, client):
    first, worse, better = scored(record, 0.5), scored(record, 0.4), scored(record, 0.6)
    assert (first.champion, worse.champion, better.champion) == (True, False, True)
    assert str(client.get_model_version_by_alias("prescreen", "champion").version) == better.version
    assert "0.400 against 0.500" in worse.comparison


def test_a_comparison_across_ratings_says_so(record):
    tracking.track_training(record)
    other = tracking.track_training(replace(record, tags={"prescreen.data_sha256": "bb"}))
    assert "measured on other ratings" in other.comparison


@pytest.mark.parametrize("uri", ["models:/prescreen@champion", "models:/prescreen/1", "runs:/{run}/predictor"])
def test_a_registered_predictor_comes_back(record, uri):
    run = tracking.track_training(record)
    folder = tracking.fetch_predictor(uri.format(run=run.run_id))
    assert (folder / "manifest.json").read_text() == '{"made": "for a test"}'


def test_the_model_holds_no_pickle_and_says_what_it_takes(record, client):
    import mlflow

    run = tracking.track_training(record)
    folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=f"runs:/{run.run_id}/predictor"))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    model = mlflow.models.Model.load(folder)
    assert model.signature.inputs.input_names() == ["image"]
    assert model.signature.outputs.input_names() == ["status", "competence"]
    assert model.flavors["python_function"]["loader_module"] == "prescreen.serving"


def test_an_unknown_model_is_one_line(record):
    with pytest.raises(StoreError, match="no such model"):
        tracking.fetch_predictor("models:/prescreen@champion")


def test_a_model_of_somebody_else_is_refused(record):
    (record.predictor / "manifest.json").unlink()
    (record.predictor / "other.json").write_text("{}")
    tracking.track_training(record)
    with pytest.raises(PredictorError, match="not one that prescreen logged"):
        tracking.fetch_predictor("models:/prescreen@champion")


def test_a_file_store_names_the_migration(record, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "old"))
    with pytest.raises(StoreError, match="migrate-filestore"):
        tracking.check_store()


def test_a_store_of_another_schema_names_the_upgrade(record, client, tmp_path, monkeypatch):
    import sqlite3

    tracking.track_training(record)
    source = tmp_path / "mlruns" / "mlflow.db"
    old = tmp_path / "old.db"
    old.write_bytes(source.read_bytes())
    with sqlite3.connect(old) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    database.close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{old}")
    with pytest.raises(StoreError, match="mlflow db upgrade sqlite:///"):
        tracking.check_store()
