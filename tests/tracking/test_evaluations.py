import json

import mlflow
import pytest
from matplotlib.figure import Figure

from prescreen.tracking import EvaluationRecord, store_below, store_uri, track_evaluation


@pytest.fixture
def record():
    return EvaluationRecord(
        experiment="trial",
        name="mine on votes.csv",
        parameters={"encoder": "bundled"},
        tags={"prescreen.simulated": "True"},
        metrics={"odd, name/pearson": 0.5} | {f"many/{number}": float(number) for number in range(1500)},
        figures={"accuracy.png": Figure()},
        document={"n": 12},
    )


def test_everything_of_an_evaluation_is_in_its_run(record, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with store_below(tmp_path):
        run_id = track_evaluation(record)
        client = mlflow.MlflowClient(store_uri())
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "trial"
    assert run.data.params == {"encoder": "bundled"}
    assert run.data.tags["prescreen.kind"] == "evaluation"
    assert run.data.tags["prescreen.simulated"] == "True"
    assert len(run.data.metrics) == 1501
    assert run.data.metrics["odd_ name/pearson"] == 0.5
    names = {file.path for folder in ("", "figures") for file in client.list_artifacts(run_id, folder)}
    assert {"evaluation.json", "figures/accuracy.png"} <= names
    artifacts = tmp_path / "mlruns" / "artifacts" / "trial" / run_id / "artifacts"
    assert json.loads((artifacts / "evaluation.json").read_text()) == {"n": 12}
