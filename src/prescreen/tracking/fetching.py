"""Predictors fetched from the MLflow store, and model URIs resolved."""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prescreen.errors import PredictorError, StoreError
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, read_bounded
from prescreen.text import masked
from prescreen.tracking.standalone import LOADER
from prescreen.tracking.store import masked_line, none_if_missing, opened_store

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.tracking import MlflowClient


@contextlib.contextmanager
def fetch_predictor(uri: str) -> Iterator[Path]:
    """Yield the directory of a predictor in the store. The code that its model carries is neither fetched nor run.

    A model counts as one of prescreen's if it names prescreen's loader and holds one predictor. That keeps models of
    other programs out; it is no signature, because whoever can write into the store can write both. So the directory
    must be read as data alone, as `prescreen.predictor.predictor.Predictor.load` does.

    Parameters
    ----------
    uri : str
        For instance ``models:/prescreen@champion`` or ``runs:/RUN_ID/predictor``.

    Yields
    ------
    Path
        In the store where that is on this machine; otherwise a copy that is deleted when the block ends.

    Raises
    ------
    StoreError
        If there is no store, or it has no such model.
    PredictorError
        If the model is not a predictor of prescreen.
    """
    with tempfile.TemporaryDirectory(prefix="prescreen-", ignore_cleanup_errors=True) as folder:
        with opened_store(wanted=uri) as client:
            import mlflow
            from mlflow.exceptions import MlflowException

            try:
                place = _location(client, uri.rstrip("/"))
                copy = None if urlsplit(place).scheme in ("", "file") else folder
                description = mlflow.artifacts.download_artifacts(artifact_uri=f"{place}/MLmodel", dst_path=copy)
                own = _loader(Path(description)) == LOADER
                data = mlflow.artifacts.download_artifacts(artifact_uri=f"{place}/data", dst_path=copy) if own else ""
            except (MlflowException, OSError) as error:
                raise _no_such_model(uri, client, error) from error
        found = sorted(Path(data).glob("*/manifest.json")) if own else []
        if len(found) != 1:
            raise PredictorError(
                f"{uri}: a model, but not one that prescreen logged; prescreen models list shows those"
            )
        yield found[0].parent


def logged_model(client: "MlflowClient", uri: str) -> str | None:
    """Return the id of a logged model in the store; None where the URI names none, or another store's."""
    from mlflow.exceptions import MlflowException

    try:
        if of_version := re.fullmatch(r"models:/([^/@]+)/(\d+)", uri):
            uri = str(client.get_model_version(*of_version.groups()).source)
        if of_run := re.fullmatch(r"runs:/([^/]+)/([^/]+)", uri):
            return next((model.model_id for model in _models_of_run(client, *of_run.groups())), None)
        if of_model := re.fullmatch(r"models:/(m-[^/@]+)", uri):
            return str(client.get_logged_model(of_model[1]).model_id)
    except MlflowException:
        return None
    return None


def model_of(client: "MlflowClient", fingerprint: str) -> str | None:
    """Return the id of the newest logged model that holds a predictor; None where the store has none."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    for tag in ("prescreen.predictor_sha256", "prescreen.after"):  # of trainings and of rounds
        for run in client.search_runs(experiments, f"tags.`{tag}` = '{fingerprint}' and status = 'FINISHED'"):
            for made in run.outputs.model_outputs if run.outputs else ():
                if none_if_missing(partial(client.get_logged_model, made.model_id)) is not None:
                    return str(made.model_id)
    return None


def _models_of_run(client: "MlflowClient", run_id: str, name: str) -> "Iterator[LoggedModel]":
    run = client.get_run(run_id)
    for made in run.outputs.model_outputs if run.outputs else ():
        model = client.get_logged_model(made.model_id)
        if model.name == name:
            yield model


def _location(client: "MlflowClient", uri: str) -> str:
    """Return the address of a model's files; MLflow itself would copy those of a run and never delete the copy."""
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

    if of_run := re.fullmatch(r"runs:/([^/]+)/([^/]+)", uri):
        for model in _models_of_run(client, of_run[1], of_run[2]):
            return str(model.artifact_location)
        return f"{client.get_run(of_run[1]).info.artifact_uri}/{of_run[2]}"
    while uri.startswith("models:"):
        uri = str(ModelsArtifactRepository.get_underlying_uri(uri))
    return uri


def _loader(description: Path) -> str | None:
    """Return the module that an ``MLmodel`` file names as the loader; nothing is imported."""
    import yaml

    try:
        flavors = yaml.safe_load(read_bounded(description, MAX_NOTE_BYTES))["flavors"]
        loader = flavors["python_function"]["loader_module"]
    except (yaml.YAMLError, OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return loader if isinstance(loader, str) else None


def resolve_uri(uri: str) -> str:
    """Return a model URI that always means the same predictor.

    Parameters
    ----------
    uri : str
        An alias, ``models:/NAME@ALIAS``, becomes ``models:/NAME/VERSION``; other URIs stay as they are.

    Raises
    ------
    StoreError
        If there is no store, or it has no such model or alias.
    """
    alias = re.fullmatch(r"models:/([^/@]+)@([^/@]+)", uri)
    if alias is None:
        return uri
    with opened_store(wanted=uri) as client:
        from mlflow.exceptions import MlflowException

        try:
            version = client.get_model_version_by_alias(alias[1], alias[2]).version
        except MlflowException as error:
            raise _no_such_model(uri, client, error) from error
    return f"models:/{alias[1]}/{version}"


def _no_such_model(uri: str, client: "MlflowClient", error: Exception) -> StoreError:
    return StoreError(f"{uri}: no such model in {masked(client.tracking_uri)} ({masked_line(error)})")
