"""Pictures and tables at URLs such as ``s3://bucket/folder``, read with fsspec.

Keys and passwords are those that the storage's own library finds (for S3 the environment and ``~/.aws``), or those in
fsspec's configuration.

References
----------
fsspec, "Filesystem interfaces for Python", https://filesystem-spec.readthedocs.io/
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prescreen.errors import PictureError, PictureFault, PrescreenError, UsageError
from prescreen.text import first_line, shown

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(place: object) -> bool:
    """Tell a URL from a path on this machine.

    Examples
    --------
    >>> is_url("s3://bucket/folder"), is_url("C:/pictures")
    (True, False)
    """
    return isinstance(place, str) and _URL.match(place) is not None


def is_elsewhere(place: str) -> bool:
    """Tell a URL, and a folder of another machine (``//HOST/SHARE`` on Windows), from a path of this machine."""
    return is_url(place) or place.startswith(("//", "\\\\"))


def find_files(url: str) -> tuple[str, Iterator[str]]:
    """List a folder to the bottom, or a single file.

    Returns
    -------
    (str, iterator of str)
        The URL of the folder (of a single file: the folder that it is in), and the paths below it, in any order.

    Raises
    ------
    UsageError
        If there is nothing, or such URLs cannot be read.
    PrescreenError
        If the storage does not answer.
    """
    system, path = _open(url)
    try:
        if not system.exists(path):
            raise UsageError(f"{shown(url)}: no such file or folder")
        if system.isfile(path):
            folder, _, name = path.rpartition("/")
            return _unstrip(system, folder), iter([name])
        start = len(path.rstrip("/")) + 1
        names = (found[start:] for found in system.find(path))
        system.invalidate_cache()  # what some storages remember of each file is large
        return _unstrip(system, path), names
    except PrescreenError:
        raise
    except Exception as error:
        raise PrescreenError(f"{shown(url)}: cannot be listed ({_line(error)})") from error


def read(url: str, most: int) -> bytes:
    """Read a file of at most so many bytes.

    Raises
    ------
    PictureError
        If it is larger, is gone or cannot be read.
    """
    try:
        system, path = _open(url)
        size = system.info(path).get("size")
        if size is not None and size > most:
            raise PictureError(f"file too large: {size} bytes, at most {most} are read", PictureFault.TOO_LARGE)
        data: bytes = system.cat_file(path)
    except PictureError:
        raise
    except FileNotFoundError:
        raise PictureError("file vanished") from None
    except PermissionError:
        raise PictureError("permission denied") from None
    except Exception as error:  # each storage has its own errors
        raise PictureError(f"cannot be read: {_line(error)}") from None
    return data


def version(url: str) -> tuple[int, int] | None:
    """Return the size of a file and a number that changes with its content; None if the storage has neither."""
    try:
        system, path = _open(url)
        info = system.info(path)
    except Exception:  # reading it gives the reason
        return None
    marks = [info.get(name) for name in ("ETag", "etag", "md5Hash", "generation", "LastModified", "mtime", "created")]
    size = info.get("size")
    if size is None or not any(marks):
        return None
    digest = hashlib.sha256(repr(marks).encode()).digest()
    return int(size), int.from_bytes(digest[:8], "big", signed=True)


def upload(source: Path, url: str) -> None:
    """Copy a file or a folder to a URL and replace an older one; raises `PrescreenError` where that fails."""
    system, path = _open(url)
    path = path.rstrip("/")
    try:
        if source.is_dir():
            if system.exists(path):
                system.rm(path, recursive=True)
            system.makedirs(path, exist_ok=True)
            for each in sorted(source.iterdir()):
                system.put_file(str(each), f"{path}/{each.name}")
        else:
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
            system.put_file(str(source), path)
    except Exception as error:
        raise PrescreenError(f"{shown(url)}: cannot be written ({_line(error)})") from error


def _open(url: str) -> tuple[Any, str]:
    import fsspec

    if "::" in url:
        raise UsageError(f"{shown(url)}: URLs inside URLs are not read")
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:  # the library for this storage is missing; there is no such storage
        raise UsageError(f"{shown(url)}: {_line(error)}") from error
    return system, path


def _unstrip(system: Any, path: str) -> str:
    return str(system.unstrip_protocol(path)).rstrip("/")


def _line(error: Exception) -> str:
    return shown(first_line(error))
