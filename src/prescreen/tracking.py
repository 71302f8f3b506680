"""MLflow: what a training run leaves in the store, the registry, and predictors fetched from it.

No other module imports MLflow. The store is ``sqlite:///mlruns/mlflow.db`` below the working directory with artifacts
beside it, or what ``MLFLOW_TRACKING_URI`` names.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

# MLflow would otherwise report usage to its makers, and log what alembic does to a new store.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import ColSpec, DataType, Schema

from prescreen.errors import PredictorError, StoreError
from prescreen.serving import INPUT_COLUMN

REGISTERED_NAME: Final = "prescreen"
CHAMPION: Final = "champion"
MODEL_NAME: Final = "predictor"
_VARIABLE: Final = "MLFLOW_TRACKING_URI"
_LOADER: Final = "prescreen.serving"


@dataclass(frozen=True)
class TrainingRecord:
    """What a training run leaves in MLflow.

    Parameters
    ----------
    experiment : str
        Name of the experiment.
    name : str
        Name of the run.
    parameters, tags : mapping of str to str
        What was asked for, and how to find it again.
    metrics : mapping of str to float
        What came out.
    compared_on : str
        The metric that decides over the alias ``champion``; larger is better.
    data : DataFrame
        The ratings trained on, a row an image and trait.
    data_source : str
        Where they came from.
    figures : mapping of str to Figure
        File name below ``figures/`` to figure.
    predictor : Path
        Directory of the saved predictor.
    output : DataFrame
        Scores of the example picture, which give the signature.
    example : str
        A picture in base64, as a client would send it.
    documents : mapping of str to dict
        File name to JSON content.
    description : str
        What a colleague should read first, in Markdown.
    """

    experiment: str
    name: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    compared_on: str
    data: pd.DataFrame = field(repr=False)
    data_source: str
    figures: Mapping[str, Figure] = field(repr=False)
    predictor: Path
    output: pd.DataFrame = field(repr=False)
    example: str = field(repr=False)
    documents: Mapping[str, Mapping[str, Any]] = field(repr=False)
    description: str = ""


@dataclass(frozen=True)
class TrackedRun:
    """Where a training run went in MLflow.

    Parameters
    ----------
    store : str
        Tracking URI.
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


def store_uri() -> str:
    """Return the tracking URI in force."""
    return os.environ.get(_VARIABLE) or f"sqlite:///{_default_folder() / 'mlflow.db'}"


def is_model_uri(text: str) -> bool:
    """Tell a model URI (``models:/…``, ``runs:/…``) from a path."""
    return text.startswith(("models:/", "runs:/"))


def check_store() -> None:
    """Open the store, so that what is wrong with it is known before the work is done.

    Raises
    ------
    StoreError
        If it cannot be opened.
    """
    with _store():
        MlflowClient().search_experiments(max_results=1)


def track_training(record: TrainingRecord) -> TrackedRun:
    """Write a training run into the store, register its model, and move the alias if it is better.

    Raises
    ------
    StoreError
        If the store refuses.
    """
    with _store() as uri:
        client = MlflowClient()
        experiment = _experiment_id(client, record.experiment)
        with mlflow.start_run(
            experiment_id=experiment, run_name=record.name, tags=dict(record.tags), description=record.description
        ) as run:
            mlflow.log_params(dict(record.parameters))
            mlflow.log_metrics(dict(record.metrics))
            data = mlflow.data.from_pandas(record.data, source=record.data_source, name=Path(record.data_source).stem)
            mlflow.log_input(data, context="training")
            for name, figure in record.figures.items():
                mlflow.log_figure(figure, f"figures/{name}")
            for name, content in record.documents.items():
                mlflow.log_dict(dict(content), name)
            example = pd.DataFrame({INPUT_COLUMN: [record.example]})
            model = mlflow.pyfunc.log_model(
                name=MODEL_NAME,
                loader_module=_LOADER,
                data_path=str(record.predictor),
                signature=_signature(record.output),
                input_example=example,
                pip_requirements=["portrait-prescreen"],
            )
        version = _register(client, run.info.run_id, model)
        champion, comparison = _crown(client, version, record)
        return TrackedRun(uri, run.info.run_id, version, champion, comparison)


def fetch_predictor(uri: str) -> Path:
    """Return the directory of a predictor in the store.

    Parameters
    ----------
    uri : str
        For instance ``models:/prescreen@champion`` or ``runs:/RUN_ID/predictor``.

    Raises
    ------
    StoreError
        If the store has no such model.
    PredictorError
        If the model is not a predictor of prescreen.
    """
    with _store() as store:
        try:
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
        except (MlflowException, OSError) as error:
            raise StoreError(f"{uri}: no such model in {store} ({_first_line(error)})") from error
    found = sorted(folder.glob("data/*/manifest.json"))
    if len(found) != 1:
        raise PredictorError(f"{uri}: a model, but not one that prescreen logged")
    return found[0].parent


def _register(client: MlflowClient, run_id: str, model: Any) -> str:
    """Make the logged model a version of the registered model (`mlflow.register_model` would print)."""
    try:
        client.get_registered_model(REGISTERED_NAME)
    except MlflowException:
        client.create_registered_model(REGISTERED_NAME, description="Predicts how a crowd would rate portraits.")
    made = client.create_model_version(REGISTERED_NAME, model.model_uri, run_id, model_id=model.model_id)
    return str(made.version)


def _crown(client: MlflowClient, version: str, record: TrainingRecord) -> tuple[bool, str]:
    """Give the alias to the new version if there is no champion or it is not better on the stated metric."""
    metric, value = record.compared_on, record.metrics[record.compared_on]
    try:
        champion = client.get_model_version_by_alias(REGISTERED_NAME, CHAMPION)
        reigning = client.get_run(str(champion.run_id))
    except MlflowException:
        client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, version)
        return True, f"{metric} {value:.3f}, and no champion before it"
    before = reigning.data.metrics.get(metric)
    better = before is None or value > before
    if better:
        client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, version)
    against = "no value" if before is None else f"{before:.3f}"
    same = reigning.data.tags.get("prescreen.data_sha256") == record.tags.get("prescreen.data_sha256")
    note = "" if same else ", measured on other ratings"
    return better, f"{metric} {value:.3f} against {against} of version {champion.version}{note}"


def _signature(output: pd.DataFrame) -> ModelSignature:
    kinds = {column: DataType.double if output[column].dtype.kind == "f" else DataType.string for column in output}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, INPUT_COLUMN)]),
        outputs=Schema([ColSpec(kind, str(column)) for column, kind in kinds.items()]),
    )


def _experiment_id(client: MlflowClient, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    # MLflow's own default for a SQLite store is relative to wherever the process happens to run.
    location = None if os.environ.get(_VARIABLE) else (_default_folder() / "artifacts" / name).as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _default_folder() -> Path:
    return (_FOLDER.get() or Path.cwd()) / "mlruns"


_FOLDER: ContextVar[Path | None] = ContextVar("folder", default=None)


@contextlib.contextmanager
def store_below(folder: Path) -> Iterator[None]:
    """Keep the default store below another folder than the working directory."""
    token = _FOLDER.set(folder.resolve())
    try:
        yield
    finally:
        _FOLDER.reset(token)


@contextlib.contextmanager
def _store() -> Iterator[str]:
    """Point MLflow at the store, quietly, and turn its errors into ours."""
    uri = store_uri()
    if not os.environ.get(_VARIABLE):
        _default_folder().mkdir(parents=True, exist_ok=True)
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow warns about its own dependencies
            mlflow.set_tracking_uri(uri)
            mlflow.set_registry_uri(uri)
            yield uri
    except MlflowException as error:
        raise StoreError(_explain(uri, error)) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _explain(uri: str, error: Exception) -> str:
    text = _first_line(error)
    if "schema" in text or "out-of-date" in text:
        return f"MLflow store {uri} has another schema: back it up, then run: mlflow db upgrade {uri}"
    if uri.startswith("file:") or "://" not in uri:
        return (
            f"MLflow store {uri}: MLflow no longer uses file stores; run mlflow migrate-filestore, or unset {_VARIABLE}"
        )
    return f"MLflow store {uri}: {text}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
