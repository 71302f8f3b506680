"""prescreen inside programs that use MLflow themselves, and stores of all kinds."""

import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from contextlib import nullcontext

import mlflow
import pytest
import sqlalchemy

from prescreen import tracking
from prescreen.errors import StoreError
from prescreen.tracking import reaching, store

VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")
TRAINING = """
    import base64, sys
    from pathlib import Path
    import pandas as pd
    from prescreen import tracking

    tracking.check_store()
    predictor = Path("models") / sys.argv[1]
    predictor.mkdir(parents=True)
    (predictor / "manifest.json").write_text("{}")
    record = tracking.TrainingRecord(
        experiment=None, name=sys.argv[1], parameters={"encoder": "none"}, tags={"prescreen.traits": '["smart"]'},
        metrics={"mean/pearson": 0.5}, compared_on="mean/pearson",
        data=pd.DataFrame({"image": ["a.jpg"], "trait": ["smart"], "mean": [1.5]}), data_source="votes.csv",
        predictor=predictor, output=pd.DataFrame({"status": ["ok"], "smart": [5.0]}),
        example=base64.b64encode(b"a picture").decode(), documents={"evaluation.json": {"n": 1}},
    )
"""


@pytest.fixture
def place(tmp_path, monkeypatch, empty_store):
    """A working folder with an empty default store, and nothing said about MLflow."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is gone again, whatever MLflow writes there
        monkeypatch.delenv(name)
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mlflow.tracking.fluent, "_active_experiment_id", None)
    folder = tmp_path / "work"
    (folder / "mlruns").mkdir(parents=True)
    shutil.copy(empty_store, folder / "mlruns")
    monkeypatch.chdir(folder)
    yield folder
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


def trained(record):
    with tracking.watched_run(record.experiment, record.name) as run_id:
        return tracking.track_training(record, run_id, lambda: None)


@pytest.fixture
def record(place):
    scope = {}
    code = textwrap.dedent(TRAINING).replace("sys.argv[1]", "'first'")
    exec(compile(code, "training", "exec"), scope)
    return scope["record"]


@pytest.mark.parametrize("same_store", [True, False])
def test_the_caller_s_run_and_experiment_stay_as_they_are(record, place, empty_store, same_store):
    theirs = place / "mlruns" / "mlflow.db" if same_store else shutil.copy(empty_store, place / "theirs.db")
    mlflow.set_tracking_uri(f"sqlite:///{theirs}")
    if not same_store:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{place}/mlruns/mlflow.db"
    mlflow.set_experiment("theirs")
    with mlflow.start_run() as active:
        run = trained(record)
        round_id = tracking.track(
            tracking.RunRecord(
                experiment=None,
                name="round",
                parameters={"a": "b"},
                tags={},
                metrics={"hope": 0.5},
                predictor=record.predictor,
            )
        )
        assert mlflow.active_run().info.run_id == active.info.run_id
    client = mlflow.MlflowClient(f"sqlite:///{theirs}")
    data = client.get_run(active.info.run_id)
    assert (data.info.status, data.data.params, data.data.metrics) == ("FINISHED", {}, {})
    assert not data.inputs.dataset_inputs
    assert not data.outputs.model_outputs
    (experiment,) = (found for found in client.search_experiments() if found.name == "theirs")
    assert [found.info.run_id for found in client.search_runs([experiment.experiment_id])] == [active.info.run_id]
    assert not client.search_logged_models([experiment.experiment_id])
    ours = mlflow.MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")
    number = ours.get_experiment_by_name("prescreen").experiment_id
    assert {model.source_run_id for model in ours.search_logged_models([number])} == {run.run_id, round_id}
    stored = ours.get_run(run.run_id)
    assert stored.info.status == "FINISHED"
    assert stored.data.tags.get("mlflow.parentRunId") is None
    assert [given.dataset.name for given in stored.inputs.dataset_inputs] == ["votes"]


def test_autologging_is_off_while_prescreen_trains_and_on_again_afterwards(place):
    code = """
    import threading
    import mlflow, numpy as np
    from sklearn.linear_model import LinearRegression
    from prescreen import tracking

    mlflow.sklearn.autolog(silent=True)
    client = mlflow.MlflowClient()

    def fit():
        LinearRegression().fit(np.arange(8.0)[:, None], np.arange(8.0))
        return len(client.search_runs(["0"]))

    first, second = tracking.without_autologging(), tracking.without_autologging()
    first.__enter__()
    with tracking.watched_run(None, "ours"):
        assert fit() == 0
    second.__enter__()
    first.__exit__(None, None, None)
    assert fit() == 0
    second.__exit__(None, None, None)
    assert fit() == 1
    with mlflow.utils.autologging_utils.disable_autologging(), tracking.without_autologging():
        pass
    assert fit() == 2
    """
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlruns/mlflow.db"}
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_two_first_trainings_at_once_both_finish(place):
    shutil.rmtree(place / "mlruns")
    code = textwrap.dedent(TRAINING).replace("tracking.check_store()", "tracking.store._quiet().__enter__()")
    code += "import time\nimport mlflow.pyfunc\nPath(sys.argv[1] + '.ready').touch()\n"
    code += "while len(list(Path().glob('*.ready'))) < 2: time.sleep(0.01)\n"
    code += "tracking.check_store()\nwith tracking.watched_run(None, record.name) as run_id:\n"
    code += "    print(tracking.track_training(record, run_id, lambda: None).version)\n"
    command = [sys.executable, "-W", "ignore", "-c", code]
    both = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted(out.strip() for out, _ in said) == ["1", "2"]


def test_an_experiment_that_another_run_has_just_made_is_taken(place, monkeypatch):
    with tracking.store_below(place), store.opened_store() as client:
        made = store.experiment_id(client, "new")
        find, answers = client.get_experiment_by_name, [None]
        with monkeypatch.context() as patch:
            patch.setattr(client, "get_experiment_by_name", lambda name: answers.pop() if answers else find(name))
            assert store.experiment_id(client, "new") == made
        assert not answers
        client.delete_experiment(made)
    with pytest.raises(StoreError, match=f"'new' was deleted; .* restore --experiment-id {made}$"):
        tracking.check_store("new")


def test_a_data_set_that_another_training_logs_at_the_same_moment_is_taken(record, place):
    """MLflow looks whether the data set is there, and then writes it; the other training writes in between."""
    from mlflow.entities import DatasetInput
    from mlflow.store.tracking.dbmodels.models import SqlDataset

    others = []

    def write_first(mapper, connection, target):
        if others:
            return
        others.append(target.name)
        with store.opened_store() as client:
            data = mlflow.data.from_pandas(record.data, source=record.data_source, name=target.name).to_dict()
            run = client.create_run(str(target.experiment_id)).info.run_id
            client.log_inputs(run, [DatasetInput(mlflow.entities.Dataset.from_dictionary(data), [])])

    sqlalchemy.event.listen(SqlDataset, "before_insert", write_first)
    try:
        run = trained(record)
    finally:
        sqlalchemy.event.remove(SqlDataset, "before_insert", write_first)
    assert others == ["votes"]
    (given,) = mlflow.MlflowClient(tracking.store_uri()).get_run(run.run_id).inputs.dataset_inputs
    assert (given.dataset.name, [tag.value for tag in given.tags]) == ("votes", ["training"])


def test_an_error_that_another_attempt_would_not_change_is_raised_at_once():
    attempts = []

    def fail():
        attempts.append(1)
        raise mlflow.exceptions.MlflowException("the server is busy")

    with pytest.raises(mlflow.exceptions.MlflowException, match="busy"):
        store.retried(fail)
    assert attempts == [1]


def test_the_experiment_that_the_environment_names_is_used(place, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "other")
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", '{"a": 1}')
    with tracking.watched_run(None, "mine") as run_id, tracking.watched_run("named", "mine") as named:
        pass
    client = mlflow.MlflowClient(tracking.store_uri())
    names = [client.get_experiment(client.get_run(run).info.experiment_id).name for run in (run_id, named)]
    assert names == ["other", "named"]
    assert client.get_run(run_id).data.tags["a"] == "1"


def test_models_are_registered_where_the_environment_says(record, place, monkeypatch):
    registry = f"sqlite:///{place}/registry/models.db"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry)
    wanted = tracking.fetch_predictor("models:/prescreen@champion")
    with pytest.raises(StoreError, match="name the store with MLFLOW_REGISTRY_URI"), wanted:
        pass
    run = trained(record)
    assert run.champion
    assert list(mlflow.MlflowClient(registry, registry).get_registered_model("prescreen").aliases) == ["champion"]
    assert not mlflow.MlflowClient(tracking.store_uri(), tracking.store_uri()).search_registered_models()
    with tracking.fetch_predictor("models:/prescreen@champion") as folder:
        assert (folder / "manifest.json").is_file()


ADDRESSES = {
    "localhost:5000": r"^MLFLOW_TRACKING_URI=localhost:5000: http:// is missing; set .*=http://localhost:5000$",
    "mlflow.example.org:80/a": r"http:// is missing",
    "databricks-uc": r"^MLflow store databricks-uc: Detected Unity Catalog .*; another store: MLFLOW_TRACKING_URI$",
    "arn:aws:sagemaker:us-east-1:1:mlflow-tracking-server/x": r"does not know .*; .* pip install sagemaker-mlflow$",
    "ftp://host/x": r"does not know this kind of address; another store: MLFLOW_TRACKING_URI$",
    "file:///tmp/mlruns": r"no longer uses file stores; run mlflow migrate-filestore",
    "./mlruns": r"no longer uses file stores",
    "missing+driver://me:secret@host/x": r"does not know this kind of address",
}


@pytest.mark.parametrize("uri", ADDRESSES)
def test_an_address_that_cannot_work_is_named(place, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StoreError, match=ADDRESSES[uri]) as refused:
        tracking.check_store()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("module", "package"), [("psycopg", r"psycopg\[binary\]"), ("pymysql", "pymysql")])
def test_a_driver_that_is_missing_is_named(place, monkeypatch, module, package):
    def search(*args, **options):
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(mlflow.MlflowClient, "get_experiment_by_name", search)
    with pytest.raises(StoreError, match=rf"package for it is missing; install it: pip install '{package}'$"):
        tracking.check_store()


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}", nullcontext()


def silent_server():
    listener = socket.create_server(("127.0.0.1", 0))
    return f"http://127.0.0.1:{listener.getsockname()[1]}", listener


@pytest.mark.parametrize(
    ("server", "reason"), [(closed_port, "Connection refused"), (silent_server, "timed out|Read timed")]
)
def test_a_server_that_does_not_answer_is_given_up_within_seconds(place, monkeypatch, server, reason):
    uri, listener = server()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    if server is silent_server:
        monkeypatch.setitem(reaching._PATIENCE, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    before, began = dict(os.environ), time.monotonic()
    with listener, pytest.raises(StoreError, match=rf"does not answer \(.*({reason}).*\); start the server, or name"):
        tracking.check_store()
    assert time.monotonic() - began < 10
    assert dict(os.environ) == before


def test_a_server_that_has_answered_is_waited_for_as_mlflow_does(place, monkeypatch):
    asked = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path.partition("?")[0], os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES")))
            content = json.dumps({"experiment": {"experiment_id": "1", "lifecycle_stage": "active"}}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        tracking.check_store()
        tracking.check_store()
        server.shutdown()
    assert [path.rpartition("/")[2] for path, _ in asked] == ["search", "get-by-name", "get-by-name"]
    assert [retries for _, retries in asked] == ["1", None, None]


def test_places_that_cannot_be_written_are_named_with_what_moves_them(place, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(place / "gone"))
    with pytest.raises(StoreError, match=r"gone: temporary files cannot be written there .*TMPDIR$"):
        tracking.check_store()
    monkeypatch.undo()
    with tracking.store_below(place):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "access", lambda path, mode: not str(path).endswith("mlflow.db"))
            with pytest.raises(StoreError, match=r"mlflow\.db cannot be written; name another: MLFLOW_TRACKING_URI"):
                tracking.check_store()
        shutil.rmtree(place / "mlruns")
        (place / "mlruns").touch()
        with pytest.raises(StoreError, match=r"mlruns: the folder .* cannot be made .*MLFLOW_TRACKING_URI=sqlite"):
            tracking.check_store()


def test_a_new_store_needs_no_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with tracking.store_below(tmp_path), store.opened_store():
        assert [entry.name for entry in tmp_path.iterdir()] == ["mlruns"]
        assert [entry.name for entry in (tmp_path / "mlruns").iterdir()] == ["mlflow.db"]


def test_an_experiment_on_dvc_s_copy_goes_to_the_store_of_the_workspace(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc" / "part"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert tracking.store_uri() == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    monkeypatch.chdir(tmp_path / ".dvc" / "tmp")
    assert tracking.store_uri() == f"sqlite:///{tmp_path}/.dvc/tmp/mlruns/mlflow.db"
