"""The default store may keep artifacts in its own folder only.

The default store is the file in the working directory, so it may be a stranger's. It names a place for the files of
each experiment, run and model, and MLflow would follow that to a server or another folder: to fetch a model, or to put
a predictor there, which holds face vectors. A store that the user has named is trusted.
"""

import contextlib
import functools
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from prescreen.errors import StoreError
from prescreen.text import shown

_WITHIN: ContextVar[Path | None] = ContextVar("within", default=None)
_RESOLVED: Final = ("models", "runs")
"""Schemes of places in the store, which MLflow resolves and asks for again."""


@contextlib.contextmanager
def kept_within(folder: Path) -> Iterator[None]:
    """Let MLflow read and write artifacts below one folder only, where prescreen calls it."""
    _guard()
    token = _WITHIN.set(folder.resolve())
    try:
        yield
    finally:
        _WITHIN.reset(token)


def check_artifacts(location: str) -> None:
    """Refuse a place for artifacts outside the folder of `kept_within`.

    Raises
    ------
    StoreError
        Naming the place, and how to trust the store.
    """
    folder, parts = _WITHIN.get(), urlsplit(location)
    if folder is None or parts.scheme in _RESOLVED:
        return
    if not parts.netloc and parts.scheme in ("", "file"):
        from mlflow.utils.file_utils import local_file_uri_to_path  # what it makes of %2e%2e must be checked

        if Path(local_file_uri_to_path(location)).resolve().is_relative_to(folder):
            return
    raise StoreError(
        f"MLflow store {folder / 'mlflow.db'}: it keeps files at {shown(location)}, outside of its own folder; "
        f"if the store is yours, name it: MLFLOW_TRACKING_URI=sqlite:///{folder / 'mlflow.db'}"
    )


@functools.cache
def _guard() -> None:
    """Check every address that MLflow turns into an artifact repository; all reading and writing goes through it."""
    from mlflow.store.artifact.artifact_repository_registry import ArtifactRepositoryRegistry

    ask = ArtifactRepositoryRegistry.get_artifact_repository

    @functools.wraps(ask)
    def checked(registry: Any, artifact_uri: str, *given: Any, **options: Any) -> Any:
        check_artifacts(os.fspath(artifact_uri))
        return ask(registry, artifact_uri, *given, **options)

    ArtifactRepositoryRegistry.get_artifact_repository = checked
