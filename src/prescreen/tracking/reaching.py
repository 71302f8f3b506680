"""Checks within seconds that a store can be reached and written, and says what to do where it cannot."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prescreen.errors import StoreError
from prescreen.text import masked

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""Until a server has answered once. Afterwards MLflow waits its own four minutes, which protects finished work."""

_PACKAGES: Final = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""Packages whose name is not that of their module."""

_SPACE: Final = 2**20
"""Bytes that must fit into the temporary folder, where MLflow collects a model."""

_reached: set[str] = set()


def check_address(uri: str, variable: str) -> None:
    """Refuse the address of a server without ``http://``, which MLflow takes for a folder.

    Raises
    ------
    StoreError
        Naming the variable and the address that was meant.
    """
    if re.fullmatch(r"[\w.-]+:\d+(/.*)?", uri):
        raise StoreError(f"{variable}={masked(uri)}: http:// is missing; set {variable}=http://{masked(uri)}")


def is_folder(uri: str) -> bool:
    """Tell whether an address is that of a folder, as older versions of MLflow used."""
    return uri.startswith("file:") or re.match(r"[A-Za-z][\w+.-]*:|databricks|uc$", uri) is None


def remedy(uri: str, text: str) -> str:
    """Return MLflow's message about an address that it does not accept, and what to do."""
    if "got unsupported URI" in text:
        plugin = "; install the plugin: pip install sagemaker-mlflow" if uri.startswith("arn:aws:sagemaker:") else ""
        return f"MLflow does not know this kind of address{plugin or '; another store: MLFLOW_TRACKING_URI'}"
    return f"{text}; another store: MLFLOW_TRACKING_URI"


def missing_package(uri: str, error: ImportError) -> str:
    """Say which package a store needs that is not installed."""
    module = (error.name or "").partition(".")[0]
    package = _PACKAGES.get(module, module)
    if not package:
        return f"MLflow store {uri}: {error}"
    return f"MLflow store {uri}: the Python package for it is missing; install it: pip install '{package}'"


def reach(client: "MlflowClient", uri: str, registry: str) -> None:
    """Send a server a small request, so that one that is down is known within seconds.

    Parameters
    ----------
    client : MlflowClient
        A client of both.
    uri, registry : str
        MLflow's tracking and registry URI; each server is asked until it has answered once.

    Raises
    ------
    StoreError
        If it does not answer.
    """
    from mlflow.exceptions import MlflowException

    for address, ask in ((uri, client.search_experiments), (registry, client.search_registered_models)):
        if not address.startswith(("http://", "https://")) or address in _reached:
            continue
        try:
            with environment_defaults(_PATIENCE):
                ask(max_results=1)
        except MlflowException as error:
            if not str(error).startswith("API request to http"):
                raise
            raise StoreError(
                f"MLflow store {masked(address)} does not answer ({_reason(error)}); start the server, or name another "
                f"store with {'MLFLOW_TRACKING_URI' if address == uri else 'MLFLOW_REGISTRY_URI'}; "
                f"{' and '.join(_PATIENCE)} make it wait longer"
            ) from error
        _reached.add(address)


@contextlib.contextmanager
def environment_defaults(values: Mapping[str, str]) -> Iterator[None]:
    """Set the variables that the environment does not have, for a while."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _reason(error: BaseException) -> str:
    """Return why, in the words of the operating system where it has some."""
    reason = str(error)
    seen = {id(error)}
    while (cause := error.__cause__ or error.__context__ or getattr(error, "reason", None)) is not None:
        if not isinstance(cause, BaseException) or id(cause) in seen:
            break
        seen.add(id(cause))
        error = cause
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return masked(" ".join(reason.split()))[:120]


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite store; None for other stores."""
    found = re.fullmatch(r"sqlite:///(?!:memory:|file:)([^?]+)(\?.*)?", uri)
    return None if found is None else Path(found[1])


def check_writable(uri: str) -> None:
    """Refuse a store in a file that cannot be written; MLflow reports other stores.

    Raises
    ------
    StoreError
        Naming the file or folder.
    """
    if (file := sqlite_file(uri)) is None:
        return
    for place in (file, file.absolute().parent):
        if not os.access(place, os.W_OK):
            raise StoreError(
                f"MLflow store {masked(uri)}: {place} cannot be written; name another: MLFLOW_TRACKING_URI"
            )


def check_temporary_folder() -> None:
    """Refuse a temporary folder that is full or cannot be written.

    Raises
    ------
    StoreError
        Naming the variable that moves it.
    """
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(_SPACE))
            file.flush()
    except OSError as error:
        place = os.environ.get("TMPDIR") or tempfile.tempdir or "the temporary folder"
        raise StoreError(
            f"{place}: temporary files cannot be written there ({error.strerror}); name another folder with TMPDIR"
        ) from error
