"""Runs whose process was killed: the next run of this user on this machine closes them.

Each run has a locked file in the cache folder and the file's name as a tag. The lock ends with the process, so a file
that nobody locks belongs to a run that was killed.
"""

import contextlib
import hashlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prescreen.errors import PrescreenError
from prescreen.settings import cache_directory, make_cache_directory

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

if sys.platform != "win32":
    import fcntl

MARK: Final = "prescreen.process"


@contextlib.contextmanager
def marked(client: "MlflowClient") -> Iterator[dict[str, str]]:
    """Close the runs that were killed, and yield the tag of a run that ends with the block.

    Where no file can be locked the tag means nothing.
    """
    store = hashlib.sha256(client.tracking_uri.encode()).hexdigest()  # the address may hold a password
    _close_killed(client, store)
    path = _folder() / secrets.token_hex(8)
    mark = {MARK: path.name}
    try:
        make_cache_directory(path.parent.name)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except (OSError, PrescreenError):
        yield mark
        return
    try:
        if _lock(descriptor):
            os.write(descriptor, store.encode())
        yield mark
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _close_killed(client: "MlflowClient", store: str) -> None:
    """Set the status KILLED of this store's runs whose process is gone, and of their parts."""
    for path in sorted(_folder().glob("*")):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                if _lock(descriptor) and path.read_text("utf-8") in ("", store):
                    _close(client, path.name)
                    path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)


def _close(client: "MlflowClient", mark: str) -> None:
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = list(client.search_runs(experiments, f"tags.`{MARK}` = '{mark}'")) if experiments else []
    for run in list(runs):
        runs += client.search_runs(experiments, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.info.run_id}'")
    for run in runs:
        if run.info.status == "RUNNING":
            client.set_terminated(str(run.info.run_id), "KILLED")


def _folder() -> Path:
    return cache_directory() / "runs"


def _lock(descriptor: int) -> bool:
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
