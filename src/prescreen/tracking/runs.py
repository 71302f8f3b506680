"""Training runs: what one leaves in the store, and what is watched while it goes on."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from prescreen.text import masked, masked_values
from prescreen.tracking.autologging import without_autologging
from prescreen.tracking.naming import safely_named
from prescreen.tracking.pyfunc import INPUT_COLUMN
from prescreen.tracking.records import NestedRun, TrainingRecord
from prescreen.tracking.registry import enter
from prescreen.tracking.stale_runs import marked
from prescreen.tracking.standalone import standalone
from prescreen.tracking.store import experiment_id, opened_store

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.models.model import ModelInfo
    from mlflow.tracking import MlflowClient

MODEL_NAME: Final = "predictor"
MODEL_CARD: Final = "model_card.md"
_BATCH: Final = (800, 100, 100)  # metrics, parameters and tags in one request; servers refuse more
_SAMPLING: Final = 2.0
"""Seconds between samples of the system metrics; MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL has precedence."""


@dataclass(frozen=True)
class TrackedRun:
    """Where a training run went in MLflow.

    Parameters
    ----------
    store : str
        Tracking URI, without user and password.
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
    run_id: str
    version: str
    champion: bool
    comparison: str


@contextlib.contextmanager
def watched_run(experiment: str | None, name: str) -> Iterator[str]:
    """Begin a run and sample the system metrics until the block ends, which ends the run too.

    Runs whose process was killed before are closed first. The caller's autologging is off meanwhile.

    Parameters
    ----------
    experiment : str or None
        As in `prescreen.tracking.store.experiment_id`.
    name : str
        Name of the run.

    Yields
    ------
    str
        The run's id, for `track_training`.

    Raises
    ------
    StoreError
        If the store refuses.
    """
    with contextlib.ExitStack() as stack:
        with opened_store() as uri:
            stack.enter_context(without_autologging())
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
            from mlflow.tracking import MlflowClient

            client = MlflowClient()
            run_id = stack.enter_context(begun_run(client, uri, experiment, name))
            monitor = SystemMetricsMonitor(run_id, sampling_interval=_SAMPLING, tracking_uri=uri)
            monitor.start()
        try:
            yield run_id
        finally:
            with opened_store():
                monitor.finish()


def track_training(
    record: TrainingRecord, run_id: str | None = None, finish: Callable[[], object] = lambda: None
) -> TrackedRun:
    """Write a training run into the store, register its model, and move the aliases by what it is worth.

    What can fail comes first: nothing is registered until everything is logged, and it is taken back if ``finish``
    fails.

    Parameters
    ----------
    record : TrainingRecord
        What to write.
    run_id : str, optional
        A run that `watched_run` began; without it a run is made.
    finish : callable
        The last step of the training, outside the store.

    Raises
    ------
    StoreError
        If the store refuses.
    """
    if run_id is None:
        with watched_run(record.experiment, record.name) as begun:
            return track_training(record, begun, finish)
    with opened_store() as uri:
        import mlflow
        from mlflow.tracking import MlflowClient

        client = MlflowClient()
        describe(client, run_id, record.metrics, record.parameters, record.tags, record.description)
        for name, figure in record.figures.items():
            client.log_figure(run_id, figure, f"figures/{name}")
        for name, content in record.documents.items():
            client.log_dict(run_id, dict(content), name)
        if record.model_card:
            client.log_text(run_id, record.model_card, MODEL_CARD)
        data = mlflow.data.from_pandas(record.data, source=record.data_source, name=Path(record.data_source).stem)
        _log_input(client, run_id, data)
        example = pd.DataFrame({INPUT_COLUMN: [record.example]})
        model = log_model(client, run_id, record.predictor, signature=_signature(record.output), input_example=example)
        _nest(client, run_id, record.nested)
        entered = enter(client, run_id, model, record.compared_on, record.description, finish)
        return TrackedRun(masked(uri), run_id, *entered)


@contextlib.contextmanager
def begun_run(client: "MlflowClient", store: str, experiment: str | None, name: str) -> Iterator[str]:
    """Begin a run that lasts at most as long as the block, which ends it too; gives the run's id.

    Runs whose process was killed before are closed first.

    None of prescreen's runs becomes MLflow's active run: that is the caller's, and stays so.

    Parameters
    ----------
    client : MlflowClient
        A client of the store.
    store : str
        Its tracking URI.
    experiment : str or None
        As in `prescreen.tracking.store.experiment_id`.
    name : str
        Name of the run.
    """
    experiment_ = experiment_id(client, experiment, store)
    with marked(client, store) as mark:
        run_id = str(client.create_run(experiment_, run_name=name, tags={**context_tags(), **mark}).info.run_id)
        status = "FAILED"
        try:
            yield run_id
            status = "FINISHED"
        except (KeyboardInterrupt, GeneratorExit):
            status = "KILLED"
            raise
        finally:
            with opened_store():
                client.set_terminated(run_id, status)


def context_tags() -> dict[str, str]:
    """Return what MLflow says of the program that runs: who, from where, and what ``MLFLOW_RUN_CONTEXT`` adds."""
    from mlflow.tracking.context.registry import resolve_tags

    return masked_values({str(name): str(value) for name, value in resolve_tags().items()})


def log_model(client: "MlflowClient", run_id: str, predictor: Path, **options: Any) -> "ModelInfo":
    """Log the directory of a predictor as the pyfunc model of a run; options are those of `mlflow.pyfunc.save_model`.

    `mlflow.pyfunc.log_model` would give it to the active run, or to the experiment that the caller has set.
    """
    import mlflow

    run = client.get_run(run_id)
    made = client.create_logged_model(run.info.experiment_id, MODEL_NAME, run_id, context_tags(), run.data.params)
    with standalone(predictor) as carried:
        return mlflow.models.Model.log(
            artifact_path=None,
            flavor=_Untried,
            name=MODEL_NAME,
            run_id=run_id,
            model_id=made.model_id,
            validate_serving_input=False,
            **carried,
            **options,
        )


def _log_input(client: "MlflowClient", run_id: str, data: Any) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    dataset = Dataset.from_dictionary(data.to_dict())
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])])


class _Untried:
    """The flavor `mlflow.pyfunc`, without MLflow's trial prediction of the example while it logs.

    The trial loads all networks once more and takes longer than everything else in a run; where it fails, MLflow only
    warns.
    """

    __name__ = "mlflow.pyfunc"

    @staticmethod
    def save_model(path: str, mlflow_model: Any, *, validate_serving_input: bool, **options: Any) -> None:
        import mlflow

        mlflow.pyfunc.save_model(path=path, mlflow_model=mlflow_model, **options)


def describe(
    client: "MlflowClient",
    run_id: str,
    metrics: Mapping[str, float],
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    description: str = "",
) -> None:
    """Say what a run did and what came out, in as few transactions as MLflow allows and under names that it accepts."""
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    now = int(time.time() * 1000)
    notes = {MLFLOW_RUN_NOTE: description} if description else {}
    entities = (
        [Metric(name, value, now, 0) for name, value in safely_named(metrics).items()],
        [Param(name, masked(value)) for name, value in safely_named(parameters).items()],
        [RunTag(name, masked(value)) for name, value in {**tags, **notes}.items()],
    )
    parts = [
        [found[start : start + most] for start in range(0, len(found), most)]
        for found, most in zip(entities, _BATCH, strict=True)
    ]
    for batch in itertools.zip_longest(*parts, fillvalue=()):
        client.log_batch(run_id, *batch)


def _nest(client: "MlflowClient", run_id: str, nested: Sequence[NestedRun]) -> None:
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    parent = client.get_run(run_id).info
    for part in nested:
        tags = {MLFLOW_PARENT_RUN_ID: run_id, "prescreen.kind": part.kind}
        child = client.create_run(parent.experiment_id, run_name=part.name, tags=tags).info.run_id
        status = "FAILED"
        try:
            describe(client, child, part.metrics, part.parameters, {})
            status = "FINISHED"
        finally:
            client.set_terminated(child, status)


def _signature(output: pd.DataFrame) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, Schema

    kinds = {column: DataType.double if output[column].dtype.kind == "f" else DataType.string for column in output}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, INPUT_COLUMN)]),
        outputs=Schema([ColSpec(kind, str(column), required=False) for column, kind in kinds.items()]),
    )
