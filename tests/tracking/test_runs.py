import json
import signal
import subprocess
import sys
from dataclasses import replace

import mlflow
import pytest
from matplotlib.figure import Figure

from prescreen.tracking import RunRecord, safe_name, store_below, store_uri, track


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
