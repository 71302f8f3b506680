"""The MLflow store: where it is, opened quietly, its errors as ours.

The store is ``sqlite:///mlruns/mlflow.db`` below the working directory with artifacts beside it, or what
``MLFLOW_TRACKING_URI`` names. MLflow decides at its import, and again at each call, whether it reports usage to its
makers, and is told not to for as long as the store is open.
"""

import contextlib
import functools
import logging
import os
import re
import sqlite3
import tempfile
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from prescreen.atomic import write_new_file
from prescreen.errors import StoreError
from prescreen.masking import masked

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_VARIABLE: Final = "MLFLOW_TRACKING_URI"
_NO_TELEMETRY: Final = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
_LONGEST_FOLDER: Final = 120
_KIND: Final = {"mlflow.experimentKind": "custom_model_development"}
"""Tells MLflow's pages that an experiment is about training; they show it as one of language models otherwise."""


def store_uri() -> str:
    """Return the tracking URI in force."""
    return os.environ.get(_VARIABLE) or _default_uri()


def store_name() -> str:
    """Return the tracking URI in force as it may be shown: without user and password."""
    return masked(store_uri())


def check_store() -> None:
    """Open the store, so that what is wrong with it is known before the work is done.

    Raises
    ------
    StoreError
        If it cannot be opened.
    """
    with opened_store():
        from mlflow.tracking import MlflowClient

        MlflowClient().search_experiments(max_results=1)


def experiment_id(client: "MlflowClient", name: str, store: str) -> str:
    """Return the id of an experiment, which is made if it is not there."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = _artifact_location(name) if store == _default_uri() else None  # another store decides by itself
    return str(client.create_experiment(name, artifact_location=location, tags=_KIND))


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


_AT_WORK: ContextVar[bool] = ContextVar("at_work", default=False)
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
def opened_store(wanted: str | None = None) -> Iterator[str]:
    """Point MLflow at the store, quietly, and turn its errors into ours; afterwards all is set as before.

    Parameters
    ----------
    wanted : str, optional
        The model that is looked for, if the store is only read: then it is not made.
    """
    uri = store_uri()
    location = None if os.environ.get(_VARIABLE) else _default_folder()
    if wanted is not None and _missing_file(uri) is not None:
        raise StoreError(
            f"{wanted}: no such model, there is no MLflow store {masked(uri)}; name the store with {_VARIABLE}"
        )
    if location is not None and wanted is None:
        location.mkdir(parents=True, exist_ok=True)
    with _quiet():
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if wanted is None and (place := _missing_file(uri)) is not None:
                _make_tables(place)
            with _pointed_at(uri):
                yield uri
        except (MlflowException, SQLAlchemyError) as error:
            raise StoreError(_explain(masked(uri), error)) from error


def _missing_file(uri: str) -> Path | None:
    """Return the file of a store in a file that is not there, and that MLflow would make; None for other stores."""
    found = re.fullmatch(r"sqlite:///(?!:memory:|file:)([^?]+)(\?.*)?", uri)
    return Path(found[1]) if found is not None and not Path(found[1]).is_file() else None


def _make_tables(place: Path) -> None:
    """Make an empty store, which takes its place in one step.

    MLflow makes a new store table by table, and cannot open one whose making was interrupted.
    """
    from mlflow.tracking import MlflowClient

    with tempfile.TemporaryDirectory(prefix="prescreen-", ignore_cleanup_errors=True) as folder:
        made = Path(folder) / "mlflow.db"
        with _pointed_at(f"sqlite:///{made}"):
            MlflowClient().search_experiments(max_results=1)
        with contextlib.closing(sqlite3.connect(made)) as connection:
            content = connection.serialize()
    write_new_file(place, content)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow from reporting usage to its makers, from warning, and from logging what alembic does to a store.

    It reads the variables both when it is imported and at each call. Who has set them keeps what they have set.
    """
    silenced = [name for name in _NO_TELEMETRY if name not in os.environ]
    token = _AT_WORK.set(True)
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    os.environ.update(dict.fromkeys(silenced, "true"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow warns about its own dependencies
            import mlflow  # noqa: F401 - it sets up its loggers, so this comes before their levels

            _leave_git_alone()
            levels = [logger.level for logger in loggers]
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            try:
                yield
            finally:
                for logger, level in zip(loggers, levels, strict=True):
                    logger.setLevel(level)
    finally:
        _AT_WORK.reset(token)
        for name in silenced:
            os.environ.pop(name, None)


@functools.cache
def _leave_git_alone() -> None:
    """Let MLflow find no git repository in our runs: it would run git, whose settings may be a stranger's.

    `prescreen.commits` reads the commit. Runs that the caller's program makes by itself are described as before.
    """
    from mlflow.tracking.context.git_context import GitRunContext

    ask = GitRunContext.in_context
    GitRunContext.in_context = lambda provider: not _AT_WORK.get() and ask(provider)


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
    text = first_line(error)
    if uri.startswith("sqlite:") and re.search(r"\btable \S+ already exists", text):
        return f"MLflow store {uri} was left half made; if it holds no runs of yours, remove its file and run again"
    if "schema" in text or "out-of-date" in text:
        return f"MLflow store {uri} has another schema: back it up, then run: mlflow db upgrade {uri}"
    if uri.startswith("file:") or "://" not in uri:
        return (
            f"MLflow store {uri}: MLflow no longer uses file stores; run mlflow migrate-filestore, or unset {_VARIABLE}"
        )
    return f"MLflow store {uri}: {text}"


def first_line(error: Exception) -> str:
    """Return the first line of an error, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return masked(lines[0])[:200] if lines else type(error).__name__
