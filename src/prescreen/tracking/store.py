"""The MLflow store: where it is, opening it quietly, and its errors as prescreen's.

The store is ``sqlite:///mlruns/mlflow.db`` below the working directory with artifacts next to it, or what
``MLFLOW_TRACKING_URI`` names; models are registered there too, or where ``MLFLOW_REGISTRY_URI`` says. While the store
is open, MLflow does not report usage to its makers.
"""

import contextlib
import functools
import hashlib
import logging
import os
import re
import secrets
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

from prescreen.errors import StoreError
from prescreen.storage.atomic import write_new_file
from prescreen.text import first_line, masked
from prescreen.tracking import reaching
from prescreen.tracking.artifacts import check_artifacts, kept_within

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_VARIABLE: Final = "MLFLOW_TRACKING_URI"
_REGISTRY: Final = "MLFLOW_REGISTRY_URI"
_DEFAULT_EXPERIMENT: Final = "prescreen"
_SETTINGS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_UV_AUTO_DETECT": "false",  # it takes the project of the working directory for that of the model
}
"""Variables while the store is open."""
_LONGEST_PART: Final = 120
_LONGEST_NAME: Final = 250
"""Characters that MLflow accepts in a name."""
_REFUSED: Final = re.compile(r"[^\w.\- :]|^\.+$|^\.\.")
_KIND: Final = {"mlflow.experimentKind": "custom_model_development"}
"""Makes MLflow's pages show an experiment as one about training; otherwise it is one of language models."""
_Value = TypeVar("_Value")


def store_uri() -> str:
    """Return the tracking URI in force."""
    return os.environ.get(_VARIABLE) or _default_uri()


def is_there() -> bool:
    """Tell whether there is a store already; one that is not a file of this machine is taken to be there."""
    return _missing_file(store_uri()) is None


def store_name() -> str:
    """Return the tracking URI in force as it may be shown: without user and password."""
    return masked(store_uri())


def check_store(experiment: str | None = None) -> None:
    """Open the store, so that what is wrong with it is known before the work is done.

    Parameters
    ----------
    experiment : str, optional
        The experiment that a run will go to, as in `experiment_id`.

    Raises
    ------
    StoreError
        If it cannot be opened or written, or the experiment was deleted.
    """
    reaching.check_temporary_folder()
    with opened_store() as client:
        _known_experiment(client, experiment)
        reaching.check_writable(client.tracking_uri)


def experiment_id(client: "MlflowClient", name: str | None) -> str:
    """Return the id of an experiment; create it if there is none.

    Parameters
    ----------
    client : MlflowClient
        A client of the store.
    name : str or None
        Its name; None for what ``MLFLOW_EXPERIMENT_NAME`` says, or else for ``prescreen``.

    Raises
    ------
    StoreError
        If it was deleted.
    """

    def find_or_create() -> str:
        if (known := _known_experiment(client, name)) is not None:
            return known
        new = _experiment_name(name)
        location = _artifact_location(new) if client.tracking_uri == _default_uri() else None  # others decide
        return str(client.create_experiment(new, artifact_location=location, tags=_KIND))

    return retried(find_or_create)


def retried(step: Callable[[], _Value]) -> _Value:
    """Take a step that looks and then writes, and take it again if another process wrote in between.

    Two trainings at once may both create the experiment, the registered model or the data set of their ratings; the
    second attempt finds it. All other errors are raised at once.

    Parameters
    ----------
    step : callable
        Raises MLflow's exception where it fails; what it did before that may be done twice.
    """
    from mlflow.exceptions import MlflowException

    try:
        return step()
    except MlflowException as error:
        if not (_is_missing(error) or _exists_already(error)):
            raise
    return step()


def _exists_already(error: Exception) -> bool:
    """Tell whether a database or MLflow refused what is there; databases have different messages for that."""
    return getattr(error, "error_code", "") == "RESOURCE_ALREADY_EXISTS" or bool(
        re.search(r"unique constraint|duplicate (key|entry)", str(error), re.IGNORECASE)
    )


def none_if_missing(ask: Callable[[], _Value]) -> _Value | None:
    """Return MLflow's answer; None where nothing of that name is there. Any other error says nothing about that."""
    from mlflow.exceptions import MlflowException

    try:
        return ask()
    except MlflowException as error:
        if not _is_missing(error):
            raise
    return None


def _is_missing(error: Exception) -> bool:
    return getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def safely_named(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return parameters or metrics under names that MLflow accepts; see `safe_name`."""
    return {safe_name(name): value for name, value in values.items()}


def safe_name(name: str) -> str:
    """Return the name of a parameter or metric in MLflow.

    A name that MLflow accepts stays. Otherwise each part between ``/`` that has other characters, is too long, or means
    something in a path, is changed and ends with digits of its hash. So two names never become one, and runs can be
    compared.

    Examples
    --------
    >>> safe_name("warm/pearson")
    'warm/pearson'
    >>> safe_name("warm, kind/pearson")
    'warm_ kind_d29e4004/pearson'
    """
    safe = "/".join(_safe_part(part) for part in name.split("/"))
    return safe if len(safe) <= _LONGEST_NAME else f"{safe[:_LONGEST_PART]}_{_digest(name)}"


def _safe_part(part: str) -> str:
    if part and len(part) <= _LONGEST_PART and not _REFUSED.search(part):
        return part
    return f"{_REFUSED.sub('_', part)[:_LONGEST_PART]}_{_digest(part)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _experiment_name(name: str | None) -> str:
    return name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or _DEFAULT_EXPERIMENT


def _known_experiment(client: "MlflowClient", name: str | None) -> str | None:
    """Return the id of an experiment; None if it is not there yet."""
    name = _experiment_name(name)
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return None
    check_artifacts(str(experiment.artifact_location))
    number = str(experiment.experiment_id)
    if experiment.lifecycle_stage != "active":
        raise StoreError(
            f"experiment {name!r} was deleted; name another with --experiment, or run: "
            f"mlflow experiments restore --experiment-id {number}"
        )
    return number


def _artifact_location(experiment: str) -> str:
    """Return where the artifacts of an experiment go in the default store."""
    # MLflow's own default for a SQLite store is relative to wherever the process happens to run.
    # Each run has a folder in there, so no harm is done if two long names become the same.
    folder = quote(experiment, safe=" ")[:_LONGEST_PART]
    return (_default_folder() / "artifacts" / (folder if folder.strip(".") else f"_{folder}")).as_uri()


def _default_uri() -> str:
    return f"sqlite:///{_default_folder() / 'mlflow.db'}"


def _default_folder() -> Path:
    return (_FOLDER.get() or _workspace(Path.cwd())) / "mlruns"


def _workspace(folder: Path) -> Path:
    """Return where the work belongs: DVC runs experiments in copies below ``.dvc/tmp/exps``, which it deletes."""
    for place in folder.parents:
        if place.parts[-3:] == (".dvc", "tmp", "exps"):
            return place.parents[2]
    return folder


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
def private_store(folder: Path) -> Iterator[None]:
    """Use a store below a folder, whatever the environment names: what goes there is no champion of the user's."""
    named = {name: os.environ.pop(name) for name in (_VARIABLE, _REGISTRY) if name in os.environ}
    try:
        with store_below(folder):
            yield
    finally:
        os.environ.update(named)


@contextlib.contextmanager
def opened_store(wanted: str | None = None) -> Iterator["MlflowClient"]:
    """Point MLflow at the store, quietly, and raise its errors as StoreError; afterwards all is set as before.

    Parameters
    ----------
    wanted : str, optional
        The model to look for, where the store is only read: then it is not created.
    """
    uri = store_uri()
    unnamed = not os.environ.get(_VARIABLE)  # inside of this block MLflow sets it
    registry = os.environ.get(_REGISTRY) or uri
    for place, variable in ((uri, _VARIABLE), (registry, _REGISTRY)):
        reaching.check_address(place, variable)
        if wanted is not None and _missing_file(place) is not None:
            raise StoreError(
                f"{wanted}: no such model, there is no MLflow store {masked(place)}; name the store with {variable}"
            )
    if wanted is None and unnamed:
        _make_folder(_default_folder())
    with _quiet(), kept_within(_default_folder()) if unnamed else contextlib.nullcontext():
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if wanted is None:
                for place in dict.fromkeys((uri, registry)):
                    if (file := _missing_file(place)) is not None:
                        _make_tables(file)
            with _pointed_at(uri):
                client = MlflowClient()
                reaching.reach(client, uri, registry)
                yield client
        except (MlflowException, SQLAlchemyError) as error:
            raise StoreError(_explain(masked(uri), error)) from error
        except ImportError as error:
            raise StoreError(reaching.missing_package(masked(uri), error)) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder}: the folder of the MLflow store cannot be made ({error.strerror}); "
            f"name a store elsewhere: {_VARIABLE}=sqlite:////a/folder/of/yours/mlflow.db"
        ) from error


def _missing_file(uri: str) -> Path | None:
    """Return the file of a SQLite store that does not exist yet, and that MLflow would create; otherwise None."""
    file = reaching.sqlite_file(uri)
    return None if file is None or file.is_file() else file


def _make_tables(place: Path) -> None:
    """Make an empty store in one step.

    MLflow makes a new store table by table, and cannot open one that is half made.
    """
    from mlflow.tracking import MlflowClient

    memory = f"file:prescreen-{secrets.token_hex(8)}?mode=memory&cache=shared"
    with contextlib.closing(sqlite3.connect(memory, uri=True)) as connection:
        with _pointed_at(f"sqlite:///{memory}&uri=true"):
            MlflowClient().search_experiments(max_results=1)
        content = connection.serialize()
    try:
        write_new_file(place, content)
    except OSError as error:
        raise StoreError(
            f"MLflow store {place}: cannot be written ({error.strerror}); name a store elsewhere with {_VARIABLE}"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow from reporting usage to its makers, from warning, and from showing what it does.

    It reads the variables both when it is imported and at each call. Variables that the user has set stay.
    """
    token = _AT_WORK.set(True)
    try:
        with reaching.environment_defaults(_SETTINGS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow warns about its own dependencies
            import mlflow  # noqa: F401 - it sets up its loggers, so this comes before their levels

            _leave_git_alone()
            levels = {logger: logger.level for logger in map(logging.getLogger, ("mlflow", "alembic"))}
            for logger in levels:
                logger.setLevel(logging.ERROR)
            try:
                yield
            finally:
                for logger, level in levels.items():
                    logger.setLevel(level)
    finally:
        _AT_WORK.reset(token)


@functools.cache
def _leave_git_alone() -> None:
    """Let MLflow find no git repository in our runs: it would run git, whose settings may be a stranger's.

    `prescreen.storage.commits` reads the commit. Runs that the caller's program makes by itself are described as
    before.
    """
    from mlflow.tracking.context.git_context import GitRunContext

    ask = GitRunContext.in_context
    GitRunContext.in_context = lambda provider: not _AT_WORK.get() and ask(provider)


@contextlib.contextmanager
def _pointed_at(uri: str) -> Iterator[None]:
    """Set MLflow's tracking URI, which it also writes into the environment, for a while.

    Where the environment names no registry, MLflow takes that of the tracking URI.
    """
    import mlflow

    names = (_VARIABLE, _REGISTRY)
    environment = {name: os.environ.get(name) for name in names}
    chosen = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    try:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(environment[_REGISTRY])
        yield
    finally:
        mlflow.set_tracking_uri(chosen if chosen != environment[_VARIABLE] else None)
        mlflow.set_registry_uri(environment[_REGISTRY])
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _explain(uri: str, error: Exception) -> str:
    text = masked_line(error)
    if uri.startswith("sqlite:") and re.search(r"\btable \S+ already exists", text):
        return f"MLflow store {uri} was left half made; if it holds no runs of yours, remove its file and run again"
    if "schema" in text or "out-of-date" in text:
        return f"MLflow store {uri} has another schema: back it up, then run: mlflow db upgrade {uri}"
    if reaching.is_folder(uri):
        return (
            f"MLflow store {uri}: MLflow no longer uses file stores; run mlflow migrate-filestore, or unset {_VARIABLE}"
        )
    return f"MLflow store {uri}: {reaching.remedy(uri, text)}"


def masked_line(error: Exception) -> str:
    """Return the first line of an error without any password, at most 200 characters."""
    return masked(first_line(error))[:200]
