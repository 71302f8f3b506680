import base64
import json
import os
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from prescreen.cli.main import main

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
NAMES = [f"{number:03d}.jpg" for number in range(1, 13)]


@pytest.fixture(scope="module")
def store(demo):
    """MLflow, pointed at the demo's store as a colleague would."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
            patch.setenv(name, "true")
        import mlflow

        uri = f"sqlite:///{demo}/mlruns/mlflow.db"
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        yield mlflow
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        os.environ.pop("MLFLOW_REGISTRY_URI", None)


@pytest.fixture(scope="module")
def pictures():
    texts = [base64.b64encode((SAMPLE / "candidates" / name).read_bytes()).decode() for name in NAMES]
    return pd.DataFrame({"image": texts})


@pytest.mark.filterwarnings("ignore")  # MLflow warns about its own dependencies
def test_mlflow_evaluates_the_model_on_one_of_its_traits(store, demo, pictures):
    scores = pd.read_csv(demo / "scores.csv").set_index("image").loc[NAMES]
    usable = (scores["status"] == "ok").to_numpy()
    votes = pd.read_csv(SAMPLE / "candidates_votes.csv").query("trait == 'influence'")
    rated = votes.groupby("image")["vote"].mean().reindex(NAMES)
    data = pictures.assign(influence_rated=rated.to_numpy())[usable & rated.notna().to_numpy()]
    done = store.models.evaluate(
        "models:/prescreen@champion",
        data,
        targets="influence_rated",
        predictions="influence_raw",
        model_type="regressor",
        evaluator_config={"log_model_explainability": False},
    )
    expected = scores["influence_raw"].to_numpy()[usable & rated.notna().to_numpy()] - data["influence_rated"]
    assert done.metrics["example_count"] == len(data) >= 10
    assert done.metrics["mean_absolute_error"] == pytest.approx(expected.abs().mean(), abs=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_a_server_of_the_model_scores_its_example_and_what_a_client_sends(store, demo):
    from mlflow.pyfunc import scoring_server
    from starlette.testclient import TestClient

    model = store.pyfunc.load_model("models:/prescreen@champion")
    example = Path(store.artifacts.download_artifacts("models:/prescreen@champion")) / "serving_input_example.json"
    scores = pd.read_csv(demo / "scores.csv").set_index("image")
    sent = {
        "dataframe_records": [{"image": base64.b64encode((SAMPLE / "candidates" / "027.jpg").read_bytes()).decode()}]
    }
    with TestClient(scoring_server.init(model)) as client:
        (first,) = client.post("/invocations", json=json.loads(example.read_text())).json()["predictions"]
        (second,) = client.post("/invocations", json=sent).json()["predictions"]
    assert first["status"] == "ok"
    for trait in ("competence", "likeability", "influence"):
        assert second[trait] == pytest.approx(scores.loc["027.jpg", trait], abs=1e-3)


def test_the_demo_left_a_run_that_tells_its_story(store, demo):
    client = store.MlflowClient()
    experiment = client.get_experiment_by_name("demo")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    kinds = pd.Series([run.data.tags.get("prescreen.kind") for run in runs]).value_counts()
    assert kinds["fold"] == 10
    assert kinds["candidate"] >= 3
    assert any(name.startswith("system/cpu") for name in parent.data.metrics)
    own = [name for name in parent.data.metrics if not name.startswith("system/")]
    assert {"mean/pearson", "all_traits/coverage_share", "influence/pearson"} <= set(own)
    assert len(own) <= 16  # each is a chart on the page
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith(f"Mean r {parent.data.metrics['mean/pearson']:.3f} [")
    assert "simulated votes" in note
    card = store.artifacts.load_text(f"{parent.info.artifact_uri}/model_card.md")
    assert "**simulated**" in card
    assert json.loads((demo / "models" / "sample" / "manifest.json").read_text())["data"]["sha256"] in card
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_models_are_listed_compared_and_promoted(store):
    def run(*words):
        return CliRunner().invoke(main, ["models", *words])

    listed = run("list").stdout.splitlines()
    assert listed[0].split()[:3] == ["version", "aliases", "name"]
    assert listed[1].split()[:3] == ["1", "champion", "sample"]
    compared = run("compare", "1", "champion")
    assert "+0.000" in compared.stdout
    assert "version 1 is not better" in compared.stderr
    missing = run("promote")
    assert missing.exit_code == 1
    assert "challenger: no such version or alias" in missing.stderr
    assert "is the champion already" in run("promote", "1").stderr


def test_a_shortlist_and_its_page_are_logged_on_request_only(store, demo, tmp_path):
    def rank(*words):
        page, table = tmp_path / "page.html", tmp_path / "short.csv"
        places = ["--predictor", str(demo / "models" / "sample"), "--output", str(table), "--report", str(page)]
        done = CliRunner().invoke(main, ["rank", str(demo / "scores.csv"), *places, *words])
        assert done.exit_code == 0, done.output
        return done

    client = store.MlflowClient()
    baseline = ("--baseline", str(SAMPLE / "baseline.jpg"))
    assert "MLflow" not in rank(*baseline).stderr
    assert client.get_experiment_by_name("shortlists") is None
    assert "MLflow     run" in rank(*baseline, "--experiment", "shortlists").stderr
    (run,) = client.search_runs([client.get_experiment_by_name("shortlists").experiment_id])
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"page.html", "short.csv"}
    assert run.data.metrics["all_traits/best_chance"] == pd.read_csv(tmp_path / "short.csv")["p_better"].max()
    (used,) = client.get_run(run.info.run_id).inputs.model_inputs
    assert client.get_logged_model(used.model_id).name == "predictor"
