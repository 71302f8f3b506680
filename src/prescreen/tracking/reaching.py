"""Whether a store can be reached and written, found out within seconds, and what to do where it cannot."""

import os
import re
import tempfile
from pathlib import Path
from typing import Final

from prescreen.errors import StoreError
from prescreen.text import masked

_PATIENCE: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""Until a server has answered once. Later MLflow is as patient as it always is, for the sake of the work done by then;
its own four minutes are no time to wait for a server that was never there."""

_PACKAGES: Final = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
}
"""Packages whose name is not that of their module."""

_SPACE: Final = 2**20
"""Bytes that must fit into the temporary folder: the model of a run is gathered there."""

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
    """Tell whether an address is that of a folder, in which MLflow kept its runs once."""
    return uri.startswith("file:") or re.match(r"[A-Za-z][\w+.-]*:|databricks|uc$", uri) is None


def remedy(uri: str, text: str) -> str:
    """Return what MLflow said of an address that it does not take, and what to do about it."""
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


def reach(uri: str, registry: str | None) -> None:
    """Ask a server for something small, so that one that is down is known within seconds.

    Parameters
    ----------
    uri, registry : str
        What MLflow's tracking and registry URI are set to; None for a registry that is the same.

    Raises
    ------
    StoreError
        If it does not answer.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    client = MlflowClient()
    for address, ask in ((uri, client.search_experiments), (registry, client.search_registered_models)):
        if address is None or not address.startswith(("http://", "https://")) or address in _reached:
            continue
        added = {name: value for name, value in _PATIENCE.items() if name not in os.environ}
        os.environ.update(added)
        try:
            ask(max_results=1)
        except MlflowException as error:
            if not str(error).startswith("API request to http"):
                raise
            raise StoreError(
                f"MLflow store {masked(address)} does not answer ({_reason(error)}); start the server, or name another "
                f"store with {'MLFLOW_TRACKING_URI' if address == uri else 'MLFLOW_REGISTRY_URI'}; "
                f"{' and '.join(_PATIENCE)} make it wait longer"
            ) from error
        finally:
            for name in added:
                os.environ.pop(name, None)
        _reached.add(address)


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


def check_writable(uri: str) -> None:
    """Refuse a store in a file that cannot be written; of others MLflow tells.

    Raises
    ------
    StoreError
        If it cannot.
    """
    found = re.fullmatch(r"sqlite:///(?!:memory:|file:)([^?]+)(\?.*)?", uri)
    if found is None:
        return
    for place in (Path(found[1]), Path(found[1]).absolute().parent):
        if not os.access(place, os.W_OK):
            raise StoreError(
                f"MLflow store {masked(uri)}: {place} cannot be written; name another: MLFLOW_TRACKING_URI"
            )


def check_temporary_folder() -> None:
    """Refuse a temporary folder that is full or cannot be written: MLflow gathers a model there.

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
