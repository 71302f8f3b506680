"""Runs in MLflow: how they start and end, and what is written into them."""

import contextlib
import itertools
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from prescreen.text import masked
from prescreen.tracking.fetching import logged_model, model_of
from prescreen.tracking.pyfunc import INPUT_COLUMN
from prescreen.tracking.records import RunRecord, TrainingRecord
from prescreen.tracking.registry import enter
from prescreen.tracking.run_list import describe_runs_page, show_figures
from prescreen.tracking.stale_runs import marked
from prescreen.tracking.standalone import standalone
from prescreen.tracking.store import experiment_id, opened_store, retried, safely_named

if TYPE_CHECKING:
    from mlflow.entities import Dataset, LoggedModel
    from mlflow.models import ModelSignature
    from mlflow.tracking import MlflowClient

MODEL_NAME: Final = "predictor"
_BATCH: Final = (800, 100, 100)  # metrics, parameters and tags in one request; servers refuse more
_DIGEST: Final = 36  # letters that MLflow keeps of a digest
_SAMPLING: Final = 2.0
"""Seconds between samples of the system metrics; MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL has precedence."""


@dataclass(frozen=True)
class TrackedRun:
    """Where a training run went in MLflow.

    Parameters
    ----------
    store : str
        Tracking URI, without user and password.
    page : str
        Where MLflow shows the experiment's runs, as from `prescreen.tracking.run_list.describe_runs_page`.
    run_id : str
        The run.
    version : str
        Version of the registered model.
    champion : bool
        Whether this version has the alias ``champion`` now.
    comparison : str
        Why, in words.
    """

    store: str
    page: str
    run_id: str
    version: str
    champion: bool
    comparison: str


def track(record: RunRecord) -> str:
    """Write a record into a new run, and return the run's id.

    A predictor becomes the run's model, ``runs:/RUN_ID/predictor``. It is not registered: after feedback it knows one
    person, and the aliases of the registry are for predictors that serve everybody.

    Raises
    ------
    StoreError
        If the store refuses.
    """
    with started_run(record.experiment, record.name) as run_id, opened_store() as client:
        _log(client, run_id, record)
    return run_id


def track_training(record: TrainingRecord, run_id: str, finish: Callable[[], object]) -> TrackedRun:
    """Write a training into its run, register its model, and update the aliases.

    Nothing is registered until everything is logged, and the registration is undone if ``finish`` fails.

    Parameters
    ----------
    record : TrainingRecord
        What to write; it has a predictor.
    run_id : str
        The run that `watched_run` started.
    finish : callable
        The last step of the training, outside the store.

    Raises
    ------
    StoreError
        If the store refuses.
    """
    with opened_store() as client:
        model = _log(client, run_id, record)
        for part in record.nested:
            _write_part(client, run_id, part)
        entered = enter(client, run_id, model, record.compared_on, record.description, finish)
        page = describe_runs_page(client.tracking_uri, str(client.get_run(run_id).info.experiment_id))
        return TrackedRun(masked(client.tracking_uri), page, run_id, *entered)


@contextlib.contextmanager
def watched_run(experiment: str | None, name: str) -> Iterator[str]:
    """Do what `started_run` does, sample the system metrics, and keep the caller's autologging off."""
    with without_autologging(), started_run(experiment, name) as run_id:
        with opened_store() as client:
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            monitor = SystemMetricsMonitor(run_id, sampling_interval=_SAMPLING, tracking_uri=client.tracking_uri)
            monitor.start()
        try:
            yield run_id
        finally:
            with opened_store():
                monitor.finish()


@contextlib.contextmanager
def started_run(experiment: str | None, name: str) -> Iterator[str]:
    """Start a run that ends with the block; yields the run's id.

    Runs whose process was killed are closed first. The caller's active run stays active: no run of prescreen becomes
    MLflow's active run.

    Parameters
    ----------
    experiment : str or None
        As in `prescreen.tracking.store.experiment_id`.
    name : str
        Name of the run.

    Raises
    ------
    StoreError
        If the store refuses.
    """
    with contextlib.ExitStack() as stack:
        with opened_store() as client:
            number = experiment_id(client, experiment)
            mark = stack.enter_context(marked(client))
            run_id = str(client.create_run(number, run_name=name, tags=_context_tags() | mark).info.run_id)
        stack.enter_context(_ended(client, run_id))
        yield run_id


@contextlib.contextmanager
def _ended(client: "MlflowClient", run_id: str) -> Iterator[None]:
    """End a run with the block, with the status that fits."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except (KeyboardInterrupt, GeneratorExit):
        status = "KILLED"
        raise
    finally:
        with opened_store():
            client.set_terminated(run_id, status)


_LOCK = threading.Lock()
_blocks = 0
_off = contextlib.ExitStack()


@contextlib.contextmanager
def without_autologging() -> Iterator[None]:
    """Turn MLflow's autologging off for the process until the block ends; MLflow knows no smaller scope.

    It would log every model of every fold as a run. Where it was off, it stays off; the last of several blocks turns it
    on again.
    """
    if "mlflow" not in sys.modules:  # nobody can have turned it on
        yield
        return
    global _blocks
    from mlflow.utils import autologging_utils

    with _LOCK:
        _blocks += 1
        if not getattr(autologging_utils, "_AUTOLOGGING_GLOBALLY_DISABLED", False):
            _off.enter_context(autologging_utils.disable_autologging())
    try:
        yield
    finally:
        with _LOCK:
            _blocks -= 1
            if not _blocks:
                _off.close()


def _context_tags() -> dict[str, str]:
    """Return MLflow's tags for the running program: user, source, and what ``MLFLOW_RUN_CONTEXT`` adds."""
    from mlflow.tracking.context.registry import resolve_tags

    return {str(name): masked(str(value)) for name, value in resolve_tags().items()}


def _log(client: "MlflowClient", run_id: str, record: RunRecord) -> "LoggedModel | None":
    """Write a record into a run, with its inputs and its model; return the model."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    made = None if record.predictor is None else _create_model(client, run_id, record)
    try:
        if made is not None:
            client.log_outputs(run_id, [LoggedModelOutput(made.model_id, step=0)])
        used = None if record.measured is None else model_of(client, record.measured)
        data = _log_inputs(client, run_id, record, used)
        about = {} if data is None else {"dataset_name": data.name, "dataset_digest": data.digest}
        own = None if made is None else made.model_id
        _write(client, run_id, record, model_id=own if record.measured is None else used, **about)
        show_figures(client, client.get_run(run_id).info.experiment_id, safely_named(record.metrics))
        if made is None:
            return None
        _save_model(client, run_id, made, record)
        return client.finalize_logged_model(made.model_id, "READY")
    except BaseException:
        if made is not None:
            with contextlib.suppress(MlflowException, SQLAlchemyError):
                client.finalize_logged_model(made.model_id, "FAILED")
        raise


def _write(client: "MlflowClient", run_id: str, record: RunRecord, **subject: str | None) -> None:
    """Write all of a record but its model and inputs; in as few requests as MLflow allows.

    The subject is what the metrics are about: model and data set.
    """
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    now = int(time.time() * 1000)
    notes = {MLFLOW_RUN_NOTE: record.description} if record.description else {}
    metrics = [Metric(name, value, now, 0, **subject) for name, value in safely_named(record.metrics).items()]
    parameters = [Param(name, masked(value)) for name, value in safely_named(record.parameters).items()]
    tags = [RunTag(name, masked(value)) for name, value in {**record.tags, **notes}.items()]
    parts = [
        [entities[start : start + most] for start in range(0, len(entities), most)]
        for entities, most in zip((metrics, parameters, tags), _BATCH, strict=True)
    ]
    for batch in itertools.zip_longest(*parts, fillvalue=()):
        client.log_batch(run_id, *batch)
    for file, figure in record.figures.items():
        client.log_figure(run_id, figure, f"figures/{file}")
    for file, content in record.documents.items():
        client.log_dict(run_id, dict(content), file)
    if record.model_card:
        client.log_text(run_id, record.model_card, "model_card.md")
    for path in record.files:
        client.log_artifact(run_id, str(path))


def _log_inputs(client: "MlflowClient", run_id: str, record: RunRecord, measured: str | None) -> "Dataset | None":
    """Log the ratings and those of other files, the model that is measured, and bases; return the ratings."""
    import mlflow
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    given: list[DatasetInput] = []
    models = [] if measured is None else [LoggedModelInput(measured)]
    if record.data is not None:
        source = record.data_source
        rated = mlflow.data.from_pandas(record.data, source=source, name=Path(source).stem)
        data = Dataset.from_dictionary(rated.to_dict())
        given.append(DatasetInput(data, [InputTag(MLFLOW_DATASET_CONTEXT, record.data_context)]))
    bases, others = (record.bases, record.other_data) if isinstance(record, TrainingRecord) else ({}, ())
    for source, table in others:
        other = Dataset.from_dictionary(mlflow.data.from_pandas(table, source=source, name=Path(source).stem).to_dict())
        given.append(DatasetInput(other, [InputTag(MLFLOW_DATASET_CONTEXT, "other ratings")]))
    # MLflow keeps one input of a name and a digest: bases of the same ratings share it.
    shared: dict[tuple[str, str], list[str]] = {}
    for base in bases.values():
        shared.setdefault((base["source"], base["sha256"]), []).append(base["name"])
    for (source, sha256), names in shared.items():
        ratings = Dataset(Path(source).stem, sha256[:_DIGEST], "local", json.dumps({"uri": masked(source)}))
        given.append(DatasetInput(ratings, [InputTag(MLFLOW_DATASET_CONTEXT, f"base {', '.join(names)}")]))
    models += [LoggedModelInput(found) for place in bases if (found := logged_model(client, place))]
    if given or models:
        retried(lambda: client.log_inputs(run_id, given, models))
    return None if record.data is None else given[0].dataset


def _create_model(client: "MlflowClient", run_id: str, record: RunRecord) -> "LoggedModel":
    """Create the run's model; `mlflow.pyfunc.log_model` would give it to the active run of the caller."""
    experiment = client.get_run(run_id).info.experiment_id
    parameters = {name: masked(value) for name, value in safely_named(record.parameters).items()}
    return client.create_logged_model(experiment, MODEL_NAME, run_id, _context_tags(), parameters)


def _save_model(client: "MlflowClient", run_id: str, made: "LoggedModel", record: RunRecord) -> None:
    """Give a logged model its files: the record's predictor as a pyfunc model.

    `mlflow.pyfunc.log_model` would also load it and predict the example, which takes longer than everything else in a
    run; where that fails, MLflow only warns.
    """
    import mlflow
    from mlflow.models import Model

    told: dict[str, Any] = {}
    if record.output is not None:
        example = pd.DataFrame({INPUT_COLUMN: [record.example]})
        told = {"signature": _signature(record.output), "input_example": example}
    described = Model(
        artifact_path=made.artifact_location, model_uuid=made.model_id, run_id=run_id, model_id=made.model_id
    )
    with (
        standalone(Path(record.predictor or "")) as carried,
        tempfile.TemporaryDirectory(prefix="prescreen-", ignore_cleanup_errors=True) as folder,
    ):
        files = Path(folder) / "model"
        mlflow.pyfunc.save_model(path=str(files), mlflow_model=described, **carried, **told)
        for compiled in files.rglob("__pycache__"):
            shutil.rmtree(compiled, ignore_errors=True)
        client.log_model_artifacts(made.model_id, str(files))


def _write_part(client: "MlflowClient", parent: str, part: RunRecord) -> None:
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    experiment = client.get_run(parent).info.experiment_id
    created = client.create_run(experiment, run_name=part.name, tags={MLFLOW_PARENT_RUN_ID: parent})
    run_id = str(created.info.run_id)
    with _ended(client, run_id):
        _write(client, run_id, part)


def _signature(output: pd.DataFrame) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, Schema

    kinds = {column: DataType.double if output[column].dtype.kind == "f" else DataType.string for column in output}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, INPUT_COLUMN)]),
        outputs=Schema([ColSpec(kind, str(column), required=False) for column, kind in kinds.items()]),
    )
