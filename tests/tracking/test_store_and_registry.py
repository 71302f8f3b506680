import base64
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import matplotlib.figure
import pandas as pd
import pytest

from prescreen import tracking
from prescreen.errors import PredictorError, StoreError, UsageError
from prescreen.tracking import fetching, registry
from prescreen.tracking.artifacts import check_artifacts, kept_within

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
def record(tmp_path, tmp_path_factory, monkeypatch, empty_store):
    """A record of a run whose store and predictor lie in a folder of the test."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.chdir(tmp_path)
    predictor = tmp_path / "models" / "first"
    predictor.mkdir(parents=True)
    (predictor / "manifest.json").write_text('{"made": "for a test"}')
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_store, tmp_path / "mlruns")
    with tracking.store_below(tmp_path):
        yield replace(RECORD, predictor=predictor)


def part_of_run(kind, name, parameters, metrics):
    return tracking.RunRecord(name=name, parameters=parameters, tags={"prescreen.kind": kind}, metrics=metrics)


def fetched(uri):
    with tracking.fetch_predictor(uri) as folder:
        return folder


def trained(record, finish=lambda: None):
    with tracking.watched_run(record.experiment, record.name) as run_id:
        return tracking.track_training(record, run_id, finish)


def scored(record, value):
    return trained(replace(record, metrics={"mean/pearson": value}))


@pytest.fixture
def client(record):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking.store_uri())


def test_a_run_holds_what_was_recorded(record, client, tmp_path):
    run = trained(record)
    stored = client.get_run(run.run_id)
    assert run.store == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    own = {name: value for name, value in stored.data.metrics.items() if not name.startswith("system/")}
    assert own == record.metrics
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
    trained(record)
    other = trained(replace(record, tags={"prescreen.data_sha256": "bb"}))
    assert "measured on other ratings" in other.comparison


def test_ratings_without_some_raters_are_other_ratings(record):
    trained(record)
    fewer = replace(record, tags=record.tags | {"prescreen.raters_left_out": "2"})
    assert "measured on other ratings" in trained(fewer).comparison
    better = replace(fewer, metrics={"mean/pearson": 0.6})
    trained(better)
    assert "measured on other ratings" not in trained(better).comparison


@pytest.mark.parametrize("uri", ["models:/prescreen@champion", "models:/prescreen/1", "runs:/{run}/predictor"])
def test_a_registered_predictor_comes_back(record, uri):
    run = trained(record)
    folder = fetched(uri.format(run=run.run_id))
    assert (folder / "manifest.json").read_text() == '{"made": "for a test"}'


def test_the_model_holds_no_pickle_and_says_what_it_takes(record, client):
    trained(record)
    import mlflow

    folder = fetched("models:/prescreen/1").parents[1]
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib")]
    model = mlflow.models.Model.load(folder)
    assert model.signature.inputs.input_names() == ["image"]
    assert model.signature.outputs.input_names() == ["status", "competence"]
    assert model.flavors["python_function"]["loader_module"] == "prescreen.serving"


SIMULATED = {"prescreen.simulated": "True"}
REAL = {"prescreen.simulated": "False"}


def crowned(record, *runs):
    """Whether each run, given by its metric and tags, became champion; and the last comparison in words."""
    done = [trained(replace(record, metrics={"mean/pearson": value}, tags=tags)) for value, tags in runs]
    return [run.champion for run in done], done[-1].comparison


def test_simulated_votes_never_take_the_alias_from_real_ones(record):
    champions, comparison = crowned(record, (0.2, SIMULATED), (0.3, REAL), (0.9, SIMULATED), (0.4, REAL))
    assert champions == [True, True, False, True]
    _, comparison = crowned(record, (0.9, SIMULATED))
    assert "learned from simulated votes" in comparison


def test_real_votes_take_the_alias_from_simulated_ones_whatever_the_metric(record):
    champions, comparison = crowned(record, (0.9, SIMULATED), (0.3, REAL))
    assert champions == [True, True]
    assert "learned from simulated votes; this one learned from real votes" in comparison


def test_a_predictor_of_other_traits_does_not_take_the_alias(record):
    tags = [{"prescreen.traits": traits} for traits in ("warm,smart", "warm", "smart,warm")]
    champions, _ = crowned(record, (0.2, tags[0]), (0.9, tags[1]), (0.3, tags[2]))
    assert champions == [True, False, True]
    assert "predicts other traits and cannot be compared" in crowned(record, (0.9, tags[1]))[1]


UNUSABLE = {"prescreen.unusable": "not usable for warm: r -0.10 on 40 pictures, not above 0"}


def test_a_predictor_that_cannot_be_used_does_not_become_champion_where_there_is_none(record):
    champions, comparison = crowned(record, (0.9, UNUSABLE))
    assert champions == [False]
    assert comparison == UNUSABLE["prescreen.unusable"]
    assert aliases() == {"1": ()}
    assert scored(record, 0.1).champion


def test_a_champion_and_its_challenger_stay_when_one_comes_that_cannot_be_used(record):
    champions, _ = crowned(record, (0.3, SIMULATED), (0.2, SIMULATED), (0.9, UNUSABLE | REAL))
    assert champions == [True, False, False]
    assert aliases() == {"1": ("champion",), "2": ("challenger",), "3": ()}


def test_a_predictor_that_cannot_be_used_is_promoted_by_force_only_and_gives_way_to_one_that_can(record):
    trained(replace(record, metrics={"mean/pearson": 0.9}, tags=UNUSABLE))
    with pytest.raises(UsageError, match="not usable for warm.*--force promotes it anyway"):
        tracking.promote("1")
    assert tracking.promote("1", force=True)[0].aliases == ("champion",)
    usable = scored(record, 0.3)
    assert usable.champion
    assert usable.comparison.endswith("version 1, which is not usable")


def test_a_champion_from_before_the_tag_has_its_traits_among_the_parameters(record):
    old = replace(record, parameters={"traits": "smart,warm"}, metrics={"mean/pearson": 0.2})
    assert trained(old).champion
    new = replace(record, tags={"prescreen.traits": "smart,warm"}, metrics={"mean/pearson": 0.3})
    assert trained(new).champion


def test_names_that_mlflow_refuses_are_made_safe_and_stay_apart(record, client):
    names = ["a_b/r", "a+b/r", "a(b/r", "../r", "..x", "smart//r", "/r", "", "läuft/r", "x" * 300, "x" * 301, "/" * 300]
    metrics = {"mean/pearson": 0.5} | {name: float(place) for place, name in enumerate(names)}
    parameters = {name: str(place) for place, name in enumerate(names)}
    run = trained(replace(record, metrics=metrics, parameters=parameters))
    stored = client.get_run(run.run_id).data
    own = [value for name, value in stored.metrics.items() if not name.startswith("system/")]
    assert sorted(own) == sorted(metrics.values())
    assert sorted(stored.params.values()) == sorted(parameters.values())
    assert (stored.metrics["a_b/r"], stored.metrics["läuft/r"], stored.metrics["mean/pearson"]) == (0, 8, 0.5)


@pytest.mark.parametrize("name", ["faces/young", "..", "../../outside", "50 % more", "f" * 200])
def test_artifacts_stay_inside_the_store_whatever_the_experiment_is_called(record, client, tmp_path, name):
    run = trained(replace(record, experiment=name))
    (inside,) = (tmp_path / "mlruns" / "artifacts").iterdir()
    assert inside.is_dir()
    assert list(inside.rglob("calibration.png"))
    assert {path.name for path in tmp_path.iterdir()} == {"mlruns", "models"}
    assert {path.name for path in (tmp_path / "mlruns").iterdir()} == {"mlflow.db", "artifacts"}
    assert fetched(f"runs:/{run.run_id}/predictor").is_dir()
    assert client.get_experiment_by_name(name) is not None


def test_an_alias_becomes_the_version_it_stands_for_now(record):
    scored(record, 0.5)
    assert tracking.resolve_uri("models:/prescreen@champion") == "models:/prescreen/1"
    scored(record, 0.6)
    assert tracking.resolve_uri("models:/prescreen@champion") == "models:/prescreen/2"
    for uri in ("models:/prescreen/1", "runs:/abc/predictor"):
        assert tracking.resolve_uri(uri) == uri
    with pytest.raises(StoreError, match="no such model"):
        tracking.resolve_uri("models:/prescreen@nobody")


@pytest.mark.parametrize("read", [fetched, tracking.resolve_uri])
@pytest.mark.parametrize("variable", [None, "sqlite:///elsewhere.db"])
def test_reading_makes_no_store(tmp_path, monkeypatch, read, variable):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if variable:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    with pytest.raises(StoreError, match=r"no such model, there is no MLflow store .*MLFLOW_TRACKING_URI"):
        read("models:/prescreen@champion")
    assert not list(tmp_path.iterdir())


def test_reading_from_a_store_elsewhere_leaves_the_working_directory_alone(record, tmp_path, monkeypatch):
    scored(record, 0.5)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    assert fetched(tracking.resolve_uri("models:/prescreen@champion")).is_dir()
    assert not list(here.iterdir())


def test_what_mlflow_and_the_process_were_set_to_is_set_again(record, tmp_path, empty_store):
    before = dict(os.environ)
    first = scored(record, 0.5)
    import mlflow

    assert dict(os.environ) == before
    chosen = f"sqlite:///{tmp_path}/chosen.db"
    mlflow.set_tracking_uri(chosen)
    try:
        del os.environ["MLFLOW_TRACKING_URI"]
        assert fetched(f"runs:/{first.run_id}/predictor").is_dir()
        assert mlflow.get_tracking_uri() == chosen
    finally:
        mlflow.set_tracking_uri(None)
    shutil.copytree(empty_store.parent, tmp_path / "other" / "mlruns")
    with tracking.store_below(tmp_path / "other"):
        assert scored(record, 0.5).store == f"sqlite:///{tmp_path}/other/mlruns/mlflow.db"


def test_mlflow_reports_no_usage_and_is_not_imported_before_it_is_needed(tmp_path):
    code = """
import os, sys
from prescreen import tracking
before = dict(os.environ)
assert "mlflow" not in sys.modules
tracking.check_store()
from mlflow.telemetry import get_telemetry_client
assert get_telemetry_client() is None
changed = {name for name, _ in set(os.environ.items()) ^ set(before.items())}
assert not changed, changed
"""
    hide = ("MLFLOW", "_MLFLOW", "DO_NOT_TRACK", "PYTEST", "CI", "GITHUB")  # where MLflow sees a test it is silent
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hide)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_model_is_one_line(record):
    with pytest.raises(StoreError, match="no such model"):
        fetched("models:/prescreen@champion")


def test_a_model_of_somebody_else_is_refused(record):
    (record.predictor / "manifest.json").unlink()
    (record.predictor / "other.json").write_text("{}")
    trained(record)
    with pytest.raises(PredictorError, match="not one that prescreen logged"):
        fetched("models:/prescreen@champion")


EVIL = "open({mark!r}, 'w').close()\n"


@pytest.mark.filterwarnings("ignore")  # MLflow warns about its own dependencies
def test_a_model_of_another_program_is_refused_though_a_predictor_lies_in_it(record, tmp_path):
    mark = tmp_path / "ran"
    loader = tmp_path / "stranger.py"
    loader.write_text(EVIL.format(mark=str(mark)) + "def _load_pyfunc(path): return None\n")
    tracking.check_store()
    import mlflow

    mlflow.set_tracking_uri(tracking.store_uri())
    try:
        with mlflow.start_run(
            experiment_id=mlflow.create_experiment("theirs", str(tmp_path / "mlruns" / "theirs"))
        ) as run:
            made = mlflow.pyfunc.log_model(
                name="predictor",
                loader_module="stranger",
                data_path=str(record.predictor),
                code_paths=[str(loader)],
                pip_requirements=[],
            )
    finally:
        mlflow.set_tracking_uri(None)
    for uri in (f"runs:/{run.info.run_id}/predictor", made.model_uri):
        with pytest.raises(PredictorError, match="not one that prescreen logged"):
            fetched(uri)
    assert not mark.exists()


@pytest.mark.parametrize("text", ["", "[", "flavors: {python_function: 3}", "flavors: {sklearn: {}}", "- 1", "\0"])
def test_a_model_whose_description_is_damaged_is_refused(record, text):
    trained(record)
    folder = fetched("models:/prescreen/1").parents[1]
    (folder / "MLmodel").write_text(text)
    with pytest.raises(PredictorError, match="not one that prescreen logged"):
        fetched("models:/prescreen/1")


def test_the_code_in_a_model_is_neither_fetched_nor_run(record, tmp_path):
    run = trained(record)
    carried = fetched("models:/prescreen/1").parents[1] / "code" / "prescreen"
    mark = tmp_path / "ran"
    for name in ("__init__.py", "serving.py"):
        (carried / name).write_text(EVIL.format(mark=str(mark)))
    code = f"""
from prescreen import tracking
with tracking.fetch_predictor('runs:/{run.run_id}/predictor') as folder:
    print(folder)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == carried.parents[1] / "data" / "first"  # in the store, not a copy
    assert not done.stderr  # no bars of MLflow's
    assert not mark.exists()


def test_a_description_of_a_model_that_has_no_end_is_not_read(record):
    trained(record)
    description = fetched("models:/prescreen/1").parents[1] / "MLmodel"
    description.unlink()
    os.mkfifo(description)
    with pytest.raises(PredictorError, match="not one that prescreen logged"):
        fetched("models:/prescreen/1")


ELSEWHERE = [
    "s3://bucket/theirs",
    "http://127.0.0.1:9/theirs",
    "file://server/share",
    "{folder}/private",
    "file:{folder}",
    "{folder}/mlruns/../private",
    "{folder}/mlruns/%2e%2e/private",
]


@pytest.mark.parametrize("place", ELSEWHERE)
def test_only_the_folder_of_the_default_store_may_keep_artifacts(tmp_path, place):
    with kept_within(tmp_path / "mlruns"):
        check_artifacts(str(tmp_path / "mlruns" / "artifacts"))
        with pytest.raises(StoreError, match=r"outside of its own folder.*MLFLOW_TRACKING_URI=sqlite:"):
            check_artifacts(place.format(folder=tmp_path))


@pytest.mark.parametrize("place", ["s3://bucket/theirs", "{folder}/private"])
def test_a_store_of_the_working_directory_sends_nobody_elsewhere(record, client, tmp_path, monkeypatch, place):
    """A stranger's folder may hold a store, too: neither does a predictor leave for another place, nor is one got."""
    run = trained(record)
    place = place.format(folder=tmp_path)
    made = {f"runs:/{run.run_id}/predictor", "models:/prescreen/1", "models:/prescreen@champion"}
    for uri in made:
        assert fetched(uri).is_dir()
    with contextlib.closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ?", [place])
        database.execute("UPDATE logged_models SET artifact_location = ?", [place])
        database.execute("UPDATE model_versions SET storage_location = ?", [place])
        database.execute("UPDATE runs SET artifact_uri = ?", [place])
    for uri in made:
        with pytest.raises(StoreError, match=r"outside of its own folder.*MLFLOW_TRACKING_URI=sqlite:"):
            fetched(uri)
    with pytest.raises(StoreError, match="outside of its own folder"):
        tracking.check_store(record.experiment)
    with pytest.raises(StoreError, match="outside of its own folder"):
        trained(record)


def test_a_trigger_in_a_store_does_not_send_a_predictor_elsewhere(record, tmp_path):
    trained(record)
    away = tmp_path / "away"
    with contextlib.closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as database, database:
        database.execute(
            "CREATE TRIGGER send AFTER INSERT ON logged_models "
            f"BEGIN UPDATE logged_models SET artifact_location = '{away}' WHERE model_id = NEW.model_id; END"
        )
    with pytest.raises(StoreError, match="outside of its own folder"):
        trained(record)
    assert not away.exists()


def test_a_store_that_was_named_may_keep_its_artifacts_anywhere(record, client, tmp_path, monkeypatch):
    client.create_experiment(record.experiment, str(tmp_path / "anywhere"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    run = trained(record)
    assert fetched(f"runs:/{run.run_id}/predictor").is_relative_to(tmp_path / "anywhere")


def test_a_predictor_that_was_copied_from_a_store_elsewhere_does_not_stay(record, tmp_path, monkeypatch):
    """What MLflow fetches by itself it leaves in the temporary folder: face vectors, once more at each score."""
    import mlflow

    trained(record)
    folder = fetched("models:/prescreen/1").parents[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    asked = []

    def download(artifact_uri, dst_path):
        asked.append(artifact_uri)
        source = folder / artifact_uri.rpartition("/")[2]
        target = Path(dst_path) / source.name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        return str(target)

    monkeypatch.setattr(fetching, "_location", lambda client, uri: "s3://bucket/model")
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", download)
    with tracking.fetch_predictor("models:/prescreen/1") as copy:
        assert (copy / "manifest.json").is_file()
    assert asked == ["s3://bucket/model/MLmodel", "s3://bucket/model/data"]
    assert not copy.parents[1].exists()


def test_a_model_from_before_models_carried_code_is_read(record):
    trained(record)
    folder = fetched("models:/prescreen/1").parents[1]
    shutil.rmtree(folder / "code")
    (folder / "constraints.txt").unlink()
    (folder / "requirements.txt").write_text("portrait-prescreen")
    description = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(description.replace("    code: code\n", ""))
    assert fetched("models:/prescreen/1") == folder / "data" / "first"


def test_a_file_store_names_the_migration(record, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "old"))
    with pytest.raises(StoreError, match="migrate-filestore"):
        tracking.check_store()


def test_a_store_of_another_schema_names_the_upgrade(record, client, tmp_path, monkeypatch):
    import sqlite3

    trained(record)
    source = tmp_path / "mlruns" / "mlflow.db"
    old = tmp_path / "old.db"
    old.write_bytes(source.read_bytes())
    with sqlite3.connect(old) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    database.close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{old}")
    with pytest.raises(StoreError, match="mlflow db upgrade sqlite:///"):
        tracking.check_store()


def test_a_watched_run_is_the_one_that_is_written_and_ends_with_the_block(record, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    with tracking.watched_run(record.experiment, record.name) as run_id:
        assert client.get_run(run_id).info.status == "RUNNING"
        for _ in range(100):
            if any(name.startswith("system/") for name in client.get_run(run_id).data.metrics):
                break
            time.sleep(0.05)
        assert tracking.track_training(record, run_id, lambda: None).run_id == run_id
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == record.name
    assert {"system/cpu_utilization_percentage", "system/system_memory_usage_percentage"} <= set(run.data.metrics)
    assert run.data.metrics["mean/pearson"] == 0.5


def test_a_run_holds_more_than_one_request_may(record, client):
    """As with ratings on a hundred traits."""
    parameters = {f"regressor/{n}": "stack" for n in range(250)}
    metrics = {f"{n}/pearson": n / 2000 for n in range(1700)} | {"mean/pearson": 0.5}
    part = part_of_run("fold", "fold 01 of 10", parameters, metrics)
    run = trained(replace(record, parameters=parameters, metrics=metrics, nested=[part]))
    for found in client.search_runs(["1"]):
        own = {name: value for name, value in found.data.metrics.items() if not name.startswith("system/")}
        assert (found.data.params, own) == (parameters, metrics)
    assert client.get_run(run.run_id).data.tags["prescreen.data_sha256"] == "aa"


def test_a_run_that_breaks_is_failed_and_registers_nothing(record, client):
    with pytest.raises(ZeroDivisionError), tracking.watched_run(record.experiment, record.name) as run_id:
        raise ZeroDivisionError
    assert client.get_run(run_id).info.status == "FAILED"
    assert client.search_registered_models() == []


def test_a_run_that_breaks_while_it_begins_is_not_left_running(record, client, monkeypatch):
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monkeypatch.setattr(SystemMetricsMonitor, "start", refuse)
    with pytest.raises(ZeroDivisionError), tracking.watched_run(record.experiment, record.name):
        pass
    assert [run.info.status for run in client.search_runs(["1"])] == ["FAILED"]


DIES = """
import os, signal, sys
from prescreen import tracking
from mlflow.tracking import MlflowClient
with tracking.watched_run("faces", "dies") as run_id:
    client = MlflowClient(tracking_uri=tracking.store_uri())
    parent = client.get_run(run_id).info
    client.create_run(parent.experiment_id, tags={"mlflow.parentRunId": run_id})
    print(run_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def refuse(*given, **options):
    raise ZeroDivisionError


@pytest.mark.parametrize("step", ["register", "update_aliases", "_move", "finish"])
def test_a_training_that_cannot_be_registered_to_its_end_leaves_no_model(record, client, monkeypatch, step):
    if step != "finish":
        monkeypatch.setattr(registry, step, refuse)
    with pytest.raises(ZeroDivisionError):
        trained(record, refuse)
    assert client.search_registered_models() == []
    (run,) = client.search_runs(["1"])
    assert run.info.status == "FAILED"


@pytest.mark.parametrize(("value", "alias"), [(0.7, "champion"), (0.3, "challenger")])
@pytest.mark.parametrize("versions", [1, 2])
def test_a_training_whose_end_fails_leaves_versions_and_aliases_as_they_were(record, versions, value, alias):
    for before in (0.4, 0.5)[-versions:]:
        scored(record, before)
    found, seen = aliases(), {}

    def finish():
        seen.update(aliases())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(replace(record, metrics={"mean/pearson": value}), finish)
    assert seen[str(versions + 1)] == (alias,)
    assert aliases() == found
    assert scored(record, 0.6).champion


def test_what_another_training_has_done_meanwhile_stays_when_the_end_fails(record, client):
    scored(record, 0.5)

    def finish():
        assert scored(record, 0.9).version == "3"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(replace(record, metrics={"mean/pearson": 0.7}), finish)
    assert aliases()["3"] == ("champion",)
    assert "2" not in aliases()


def test_a_registered_model_that_another_training_uses_stays_when_the_end_of_the_first_fails(record):
    def finish():
        assert not scored(record, 0.4).champion
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(record, finish)
    assert list(aliases()) == ["2"]
    assert scored(record, 0.3).champion


def test_a_registered_model_that_goes_before_its_version_is_made_is_made_again(record, client, monkeypatch):
    """The end of another first training has failed in this moment, and it has cleaned up."""
    from mlflow.tracking import MlflowClient

    make, gone = MlflowClient.create_model_version, []

    def create_model_version(self, *given, **options):
        if not gone:
            gone.append(client.delete_registered_model("prescreen"))
        return make(self, *given, **options)

    monkeypatch.setattr(MlflowClient, "create_model_version", create_model_version)
    assert trained(record).champion
    assert gone


def test_a_registry_that_does_not_answer_has_no_new_champion(record, client, monkeypatch):
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    scored(record, 0.5)

    def refuse_to_tell(self, *given):
        raise MlflowException("the server is busy")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "get_model_version_by_alias", refuse_to_tell)
        with pytest.raises(StoreError, match="the server is busy"):
            scored(record, 0.4)
    assert aliases() == {"1": ("champion",)}


def test_a_part_that_cannot_be_written_is_failed_too(record, client, monkeypatch):
    from mlflow.tracking import MlflowClient

    part = part_of_run("fold", "fold 01 of 10", {}, {"n": 1.0})
    write = MlflowClient.log_batch

    def log_batch(self, run_id, metrics=(), *rest, **options):
        if [metric.key for metric in metrics] == ["n"]:
            raise ZeroDivisionError
        return write(self, run_id, metrics, *rest, **options)

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    with pytest.raises(ZeroDivisionError):
        trained(replace(record, nested=[part]))
    assert [run.info.status for run in client.search_runs(["1"])] == ["FAILED", "FAILED"]
    assert client.search_registered_models() == []


def test_a_run_whose_process_was_killed_is_closed_by_the_next_one_and_a_living_one_is_not(record, client):
    with tracking.watched_run(record.experiment, "lives") as living:
        dead = subprocess.run([sys.executable, "-c", DIES], stdout=subprocess.PIPE, text=True).stdout.strip()
        assert client.get_run(dead).info.status == "RUNNING"
        with tracking.watched_run(record.experiment, "next"):
            assert client.get_run(dead).info.status == "KILLED"
            assert client.get_run(living).info.status == "RUNNING"
            (child,) = client.search_runs(
                [client.get_run(dead).info.experiment_id], f"tags.`mlflow.parentRunId` = '{dead}'"
            )
            assert child.info.status == "KILLED"
    assert client.get_run(living).info.status == "FINISHED"


def test_parts_of_a_run_stand_below_it(record, client):
    parts = [
        part_of_run("candidate", "candidate ridge", {"regressor": "ridge"}, {"competence/inner_rmse": 0.4}),
        part_of_run("fold", "fold 01 of 10", {"fold": "0"}, {"competence/pearson": 0.7}),
    ]
    run = trained(replace(record, nested=parts))
    experiment = client.get_run(run.run_id).info.experiment_id
    below = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run.run_id}'")
    found = {r.info.run_name: (r.data.params, r.data.metrics, r.data.tags["prescreen.kind"]) for r in below}
    assert found == {part.name: (part.parameters, part.metrics, part.tags["prescreen.kind"]) for part in parts}
    assert {r.info.status for r in below} == {"FINISHED"}


def test_the_model_card_is_an_artifact(record, client):
    run = trained(replace(record, model_card="# Model card: first"))
    import mlflow

    text = mlflow.artifacts.load_text(f"{client.get_run(run.run_id).info.artifact_uri}/model_card.md")
    assert text == "# Model card: first"


def aliases():
    return {version.version: version.aliases for version in tracking.list_versions()}


def test_the_challenger_is_the_other_one_of_the_last_comparison(record):
    scored(record, 0.5)
    assert aliases() == {"1": ("champion",)}
    scored(record, 0.4)
    assert aliases() == {"2": ("challenger",), "1": ("champion",)}
    scored(record, 0.6)
    assert aliases() == {"3": ("champion",), "2": (), "1": ("challenger",)}


def test_only_a_better_version_is_promoted_unless_forced(record):
    for value in (0.5, 0.4, 0.6):
        scored(record, value)
    with pytest.raises(UsageError, match=r"version 2 is not better: .*0\.400 against 0\.600 of version 3; --force"):
        tracking.promote("2")
    assert aliases()["3"] == ("champion",)
    promoted, _ = tracking.promote("2", force=True)
    assert promoted.aliases == ("champion",)
    assert aliases() == {"3": ("challenger",), "2": ("champion",), "1": ()}
    promoted, reason = tracking.promote("challenger")
    assert (promoted.version, aliases()["2"]) == ("3", ("challenger",))
    assert "0.600 against 0.400" in reason


def test_a_version_that_is_not_there_is_one_line(record):
    scored(record, 0.5)
    for which in ("7", "nobody"):
        with pytest.raises(StoreError, match=f"{which}: no such version or alias.*prescreen models list"):
            tracking.promote(which)


def test_a_store_whose_making_was_interrupted_is_made_anew(tmp_path, monkeypatch):
    from mlflow.store.db import utils

    def interrupt(engine):
        raise KeyboardInterrupt

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    odd = tmp_path / "a:b"
    odd.mkdir()
    monkeypatch.chdir(odd)
    with monkeypatch.context() as patch:
        patch.setattr(utils, "_upgrade_db", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tracking.check_store()
    assert list((odd / "mlruns").iterdir()) == []
    tracking.check_store()


def test_a_store_that_something_else_left_half_made_is_named(tmp_path, monkeypatch):
    import sqlite3

    with contextlib.closing(sqlite3.connect(tmp_path / "half.db")) as database:
        database.execute("CREATE TABLE webhooks (id INTEGER)")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/half.db")
    with pytest.raises(StoreError, match=r"half\.db was left half made; if it holds no runs"):
        tracking.check_store()
