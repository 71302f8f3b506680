"""MLflow: what a training run leaves in the store, the registry, and predictors fetched from it.

No other module imports MLflow, and this one only where it opens the store: MLflow decides at its import, and again at
each call, whether it reports usage to its makers, and is told not to for as long as the store is open. The store is
``sqlite:///mlruns/mlflow.db`` below the working directory with artifacts beside it, or what ``MLFLOW_TRACKING_URI``
names.
"""

import contextlib
import logging
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

import pandas as pd
from matplotlib.figure import Figure

from prescreen.errors import PredictorError, StoreError
from prescreen.serving import INPUT_COLUMN

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.tracking import MlflowClient

REGISTERED_NAME: Final = "prescreen"
CHAMPION: Final = "champion"
MODEL_NAME: Final = "predictor"
_VARIABLE: Final = "MLFLOW_TRACKING_URI"
_NO_TELEMETRY: Final = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
_LOADER: Final = "prescreen.serving"
_LONGEST_NAME: Final = 120
_LONGEST_FOLDER: Final = 120

_Value = TypeVar("_Value", str, float)


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
    return os.environ.get(_VARIABLE) or _default_uri()


def check_store() -> None:
    """Open the store, so that what is wrong with it is known before the work is done.

    Raises
    ------
    StoreError
        If it cannot be opened.
    """
    with _store():
        from mlflow.tracking import MlflowClient

        MlflowClient().search_experiments(max_results=1)


def track_training(record: TrainingRecord) -> TrackedRun:
    """Write a training run into the store, register its model, and move the alias if it is better.

    Raises
    ------
    StoreError
        If the store refuses.
    """
    with _store() as uri:
        import mlflow
        from mlflow.tracking import MlflowClient

        client = MlflowClient()
        experiment = _experiment_id(client, record.experiment, uri)
        with mlflow.start_run(
            experiment_id=experiment, run_name=record.name, tags=dict(record.tags), description=record.description
        ) as run:
            mlflow.log_params(_safely_named(record.parameters))
            mlflow.log_metrics(_safely_named(record.metrics))
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
        If there is no store, or it has no such model.
    PredictorError
        If the model is not a predictor of prescreen.
    """
    with _store(wanted=uri) as store:
        import mlflow
        from mlflow.exceptions import MlflowException

        try:
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
        except (MlflowException, OSError) as error:
            raise StoreError(f"{uri}: no such model in {store} ({_first_line(error)})") from error
    found = sorted(folder.glob("data/*/manifest.json"))
    if len(found) != 1:
        raise PredictorError(f"{uri}: a model, but not one that prescreen logged")
    return found[0].parent


def resolve_uri(uri: str) -> str:
    """Return a model URI that means the same predictor for ever.

    Parameters
    ----------
    uri : str
        An alias, ``models:/NAME@ALIAS``, becomes ``models:/NAME/VERSION``; anything else stays as it is.

    Raises
    ------
    StoreError
        If there is no store, or it has no such model or alias.
    """
    alias = re.fullmatch(r"models:/([^/@]+)@([^/@]+)", uri)
    if alias is None:
        return uri
    with _store(wanted=uri) as store:
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        try:
            version = MlflowClient().get_model_version_by_alias(alias[1], alias[2]).version
        except MlflowException as error:
            raise StoreError(f"{uri}: no such model in {store} ({_first_line(error)})") from error
    return f"models:/{alias[1]}/{version}"


def _register(client: "MlflowClient", run_id: str, model: Any) -> str:
    """Make the logged model a version of the registered model (`mlflow.register_model` would print)."""
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(REGISTERED_NAME)
    except MlflowException:
        client.create_registered_model(REGISTERED_NAME, description="Predicts how a crowd would rate portraits.")
    made = client.create_model_version(REGISTERED_NAME, model.model_uri, run_id, model_id=model.model_id)
    return str(made.version)


def _crown(client: "MlflowClient", version: str, record: TrainingRecord) -> tuple[bool, str]:
    """Give the alias to the new version if there is no champion, or one that it may replace and is better than."""
    from mlflow.exceptions import MlflowException

    metric, value = record.compared_on, record.metrics[record.compared_on]
    try:
        champion = client.get_model_version_by_alias(REGISTERED_NAME, CHAMPION)
        reigning = client.get_run(str(champion.run_id)).data
    except MlflowException:
        client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, version)
        return True, f"{metric} {value:.3f}, and no champion before it"
    before = reigning.metrics.get(metric)
    against = "no value" if before is None else f"{before:.3f}"
    compared = f"{metric} {value:.3f} against {against} of version {champion.version}"
    if _simulated(record.tags) and not _simulated(reigning.tags):
        return False, f"{compared}, which learned from real votes; this one learned from simulated votes"
    if _simulated(reigning.tags) and not _simulated(record.tags):
        client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, version)
        return True, f"{compared}, which learned from simulated votes; this one learned from real votes"
    if _traits(record.tags, record.parameters) != _traits(reigning.tags, reigning.params):
        return False, f"{compared}, which predicts other traits: move the alias by hand if this one is to replace it"
    better = before is None or value > before
    if better:
        client.set_registered_model_alias(REGISTERED_NAME, CHAMPION, version)
    same = reigning.tags.get("prescreen.data_sha256") == record.tags.get("prescreen.data_sha256")
    return better, compared if same else f"{compared}, measured on other ratings"


def _simulated(tags: Mapping[str, str]) -> bool:
    return tags.get("prescreen.simulated", "").lower() == "true"


def _traits(tags: Mapping[str, str], parameters: Mapping[str, str]) -> list[str]:
    """Return the traits in any order; runs from before there was the tag have them among their parameters."""
    return sorted(tags.get("prescreen.traits", parameters.get("traits", "")).split(","))


def _safely_named(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Give parameters or metrics names that MLflow accepts: it writes them as paths, so no part may be ``..`` either.

    Names that are fine stay, whatever the others become.
    """
    safe = {name: _safe_name(name) for name in values}
    taken = {name for name in values if safe[name] == name}
    for name in values:
        if name not in taken:
            safe[name] = _free_name(safe[name], taken)
            taken.add(safe[name])
    return {safe[name]: value for name, value in values.items()}


def _safe_name(name: str) -> str:
    parts = re.sub(r"[^/\w.\- :]", "_", name)[:_LONGEST_NAME].split("/")
    safe = "/".join(part if part.strip(".") else "_" * max(len(part), 1) for part in parts)
    return f"__{safe[2:]}" if safe.startswith("..") else safe


def _free_name(name: str, taken: Iterable[str]) -> str:
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _signature(output: pd.DataFrame) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, Schema

    kinds = {column: DataType.double if output[column].dtype.kind == "f" else DataType.string for column in output}
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, INPUT_COLUMN)]),
        outputs=Schema([ColSpec(kind, str(column)) for column, kind in kinds.items()]),
    )


def _experiment_id(client: "MlflowClient", name: str, store: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = _artifact_location(name) if store == _default_uri() else None  # another store decides by itself
    return str(client.create_experiment(name, artifact_location=location))


def _artifact_location(experiment: str) -> str:
    """Return where the artifacts of an experiment go in the default store."""
    # MLflow's own default for a SQLite store is relative to wherever the process happens to run.
    # Runs have folders of their own in there, so no harm is done if two long names become the same.
    folder = quote(experiment, safe=" ")[:_LONGEST_FOLDER]
    return (_default_folder() / "artifacts" / (folder if folder.strip(".") else f"_{folder}")).as_uri()


def _default_uri() -> str:
    return f"sqlite:///{_default_folder() / 'mlflow.db'}"


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
def _store(wanted: str | None = None) -> Iterator[str]:
    """Point MLflow at the store, quietly, and turn its errors into ours; afterwards all is set as before.

    Parameters
    ----------
    wanted : str, optional
        The model that is looked for, if the store is only read: then it is not made.
    """
    uri = store_uri()
    location = None if os.environ.get(_VARIABLE) else _default_folder()
    if wanted is not None and _is_missing(uri):
        raise StoreError(f"{wanted}: no such model, there is no MLflow store {uri}; name the store with {_VARIABLE}")
    if location is not None and wanted is None:
        location.mkdir(parents=True, exist_ok=True)
    with _quiet():
        from mlflow.exceptions import MlflowException

        try:
            with _pointed_at(uri):
                yield uri
        except MlflowException as error:
            raise StoreError(_explain(uri, error)) from error


def _is_missing(uri: str) -> bool:
    """Tell that a store in a file is not there; MLflow would make it."""
    path = re.fullmatch(r"sqlite:///([^?]+)(\?.*)?", uri)
    return path is not None and not Path(path[1]).is_file()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow from reporting usage to its makers, from warning, and from logging what alembic does to a store.

    It reads the variables both when it is imported and at each call. Who has set them keeps what they have set.
    """
    silenced = [name for name in _NO_TELEMETRY if name not in os.environ]
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    os.environ.update(dict.fromkeys(silenced, "true"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow warns about its own dependencies
            import mlflow  # noqa: F401 - it sets up its loggers, so this comes before their levels

            levels = [logger.level for logger in loggers]
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            try:
                yield
            finally:
                for logger, level in zip(loggers, levels, strict=True):
                    logger.setLevel(level)
    finally:
        for name in silenced:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _pointed_at(uri: str) -> Iterator[None]:
    """Set MLflow's tracking and registry URI, which it also writes into the environment, for a while."""
    import mlflow

    names = (_VARIABLE, "MLFLOW_REGISTRY_URI")
    environment = {name: os.environ.get(name) for name in names}
    chosen = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        yield
    finally:
        mlflow.set_tracking_uri(chosen if chosen != environment[_VARIABLE] else None)
        mlflow.set_registry_uri(environment["MLFLOW_REGISTRY_URI"])
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


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
