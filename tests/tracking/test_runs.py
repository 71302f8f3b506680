import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
import pandas as pd
import pytest
from matplotlib.figure import Figure

from prescreen.errors import StoreError
from prescreen.text import masked
from prescreen.tracking import RunRecord, safe_name, store_below, store_uri, track
from prescreen.tracking.run_list import describe_runs_page, show_figures


@pytest.fixture
def record():
    return RunRecord(
        experiment="trial",
        name="mine on votes.csv",
        parameters={"encoder": "bundled"},
        tags={"prescreen.kind": "evaluation", "prescreen.simulated": "True"},
        metrics={"odd, name/pearson": 0.5} | {f"many/{number}": float(number) for number in range(1500)},
        figures={"accuracy.png": Figure()},
        documents={"evaluation.json": {"n": 12}},
    )


def test_everything_of_a_record_is_in_its_run(record, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with store_below(tmp_path):
        run_id = track(record)
        client = mlflow.MlflowClient(store_uri())
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "trial"
    assert run.data.params == {"encoder": "bundled"}
    assert run.data.tags["prescreen.kind"] == "evaluation"
    assert run.data.tags["prescreen.simulated"] == "True"
    assert len(run.data.metrics) == 1501
    assert run.data.metrics[safe_name("odd, name/pearson")] == 0.5
    names = {file.path for folder in ("", "figures") for file in client.list_artifacts(run_id, folder)}
    assert {"evaluation.json", "figures/accuracy.png"} <= names
    artifacts = tmp_path / "mlruns" / "artifacts" / "trial" / run_id / "artifacts"
    assert json.loads((artifacts / "evaluation.json").read_text()) == {"n": 12}


DIES = """
import os, signal
from matplotlib.figure import Figure
from mlflow.tracking import MlflowClient
from prescreen.tracking import RunRecord, track
MlflowClient.log_figure = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
track(RunRecord(experiment="trial", name="dies", parameters={}, tags={}, metrics={}, figures={"a.png": Figure()}))
"""


def test_a_run_that_broke_or_was_killed_is_closed(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))
    assert subprocess.run([sys.executable, "-c", DIES]).returncode == -signal.SIGKILL
    client = mlflow.MlflowClient(store_uri())
    assert states(client) == ["RUNNING"]
    with pytest.raises(TypeError):
        track(replace(record, figures={"broken.png": None}))
    assert states(client) == ["FAILED", "KILLED"]


def states(client):
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return sorted(run.info.status for run in client.search_runs(experiments))


def test_no_secret_of_the_environment_gets_into_a_run(record, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_AbCdEfGhIjKl")
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))
    told = replace(
        record, parameters={"from": "https://a:b@host/hf_AbCdEfGhIjKl"}, tags={"by": "hf_AbCdEfGhIjKl"}, metrics={}
    )
    with store_below(tmp_path):
        run = mlflow.MlflowClient(store_uri()).get_run(track(told))
    assert run.data.params == {"from": "https://***@host/***"}
    assert run.data.tags["by"] == "***"


@pytest.fixture(scope="module")
def linked(tmp_path_factory):
    """A store with a run that made a model, and one that measured it; with the ids of both runs."""
    folder = tmp_path_factory.mktemp("linked")
    (folder / "mine").mkdir()
    (folder / "mine" / "manifest.json").write_text("{}")
    made = RunRecord(
        name="mine",
        parameters={"encoder": "bundled"},
        tags={"prescreen.after": "f" * 64},
        metrics={f"{name}/pearson": 0.6 for name in ("mean", "all_traits", "warm")}
        | {"all_traits/coverage_share": 0.9, "warm/rmse": 1.0},
        predictor=folder / "mine",
        output=pd.DataFrame({"status": ["ok"], "warm": [5.0]}),
        example="aGVsbG8=",
    )
    measured = RunRecord(
        name="mine on votes.csv",
        parameters={},
        tags={},
        metrics={"warm/pearson": 0.5, "cold/pearson": 0.4},
        data=pd.DataFrame({"image": ["a.jpg", "b.jpg"], "trait": "warm", "mean": [1.0, 2.0]}),
        data_source="votes.csv",
        data_context="evaluation",
        measured="f" * 64,
    )
    with pytest.MonkeyPatch.context() as patch, store_below(folder):
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("PRESCREEN_CACHE", str(folder / "cache"))
        ids = track(made), track(measured)
        client = mlflow.MlflowClient(store_uri())
        mlflow.set_tracking_uri(store_uri())
        yield client, *ids
        mlflow.set_tracking_uri(None)


def test_an_evaluation_is_on_the_page_of_the_model_with_its_data(linked):
    client, made, measured = linked
    (output,) = client.get_run(made).outputs.model_outputs
    inputs = client.get_run(measured).inputs
    assert [model.model_id for model in inputs.model_inputs] == [output.model_id]
    (data,) = inputs.dataset_inputs
    assert (data.dataset.name, data.tags[0].value) == ("votes", "evaluation")
    model = client.get_logged_model(output.model_id)
    assert model.status == "READY"
    by_run = {(metric.run_id, metric.key): (metric.value, metric.dataset_name) for metric in model.metrics}
    assert by_run[made, "warm/pearson"] == (0.6, None)
    assert by_run[measured, "warm/pearson"] == (0.5, "votes")


def test_a_model_has_signature_and_example(linked):
    client, made, _ = linked
    (output,) = client.get_run(made).outputs.model_outputs
    described = mlflow.models.get_model_info(f"runs:/{made}/predictor")
    assert described.model_id == output.model_id
    assert described.signature.inputs.input_names() == ["image"]
    assert described.signature.outputs.input_names() == ["status", "warm"]
    folder = Path(unquote(urlsplit(client.get_logged_model(output.model_id).artifact_location).path))
    assert json.loads((folder / "input_example.json").read_text())["data"] == [["aGVsbG8="]]


def test_the_list_of_runs_shows_the_figures(linked):
    client, made, _ = linked
    experiment = client.get_experiment(client.get_run(made).info.experiment_id)
    view = json.loads(experiment.tags["mlflow.sharedViewState.prescreen"])
    figures = ["all_traits/coverage_share", "all_traits/pearson", "warm/pearson", "cold/pearson"]
    assert view["selectedColumns"] == [*(f"metrics.`{name}`" for name in figures), "params.`encoder`"]
    assert json.loads(view["state"])["selectedColumns"] == view["selectedColumns"]
    assert isinstance(view["createdAt"], int)


def test_a_view_of_many_traits_fits_into_a_tag(linked):
    client, made, _ = linked
    experiment = client.get_run(made).info.experiment_id
    show_figures(client, experiment, [f"trait {number:03}/pearson" for number in range(300)])
    tag = client.get_experiment(experiment).tags["mlflow.sharedViewState.prescreen"]
    assert len(tag) <= 5000
    assert "metrics.`all_traits/pearson`" in json.loads(tag)["selectedColumns"]
    client.set_experiment_tag(experiment, "mlflow.sharedViewState.prescreen", "[]")
    show_figures(client, experiment, ["warm/pearson"])
    tag = client.get_experiment(experiment).tags["mlflow.sharedViewState.prescreen"]
    assert json.loads(tag)["selectedColumns"] == ["metrics.`warm/pearson`", "params.`encoder`"]


def test_a_model_that_could_not_be_saved_is_failed(linked, record, tmp_path):
    client, made, _ = linked
    broken = replace(record, experiment=None, metrics={}, figures={}, predictor=tmp_path / "not there")
    with pytest.raises((OSError, StoreError)):
        track(broken)
    experiment = client.get_run(made).info.experiment_id
    assert sorted(str(model.status) for model in client.search_logged_models([experiment])) == ["FAILED", "READY"]


def test_the_address_of_the_list_survives_the_mask_of_secrets():
    shown = masked(describe_runs_page("https://me:secret@example.org/x/", "7"))
    assert shown == "https://***@example.org/x/#/experiments/7/runs?viewStateShareKey=prescreen"
    assert masked("https://a.org/?key=abc&viewstate.key=abc") == "https://a.org/?key=***&viewstate.key=***"
