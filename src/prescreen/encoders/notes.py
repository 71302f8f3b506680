"""Notes in the cache on what takes seconds to find out: the hash of a weights file, what a network looks like.

A note that is damaged, or cannot be written, costs time only.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from prescreen.errors import PrescreenError
from prescreen.settings import cache_directory, make_cache_directory, make_private
from prescreen.storage.atomic import write_bytes_atomic
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, open_plain, read_bounded

_FOLDER: Final = "networks"
_VERSION: Final = 1
"""To be raised when what finds the answers finds others."""
_SETTLED_NS: Final = 2_000_000_000
"""A file that changed less than this ago could change once more without another time stamp."""


def remembered(subject: str, deciding: object, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what `make` found for a subject, from the note if there is one.

    Parameters
    ----------
    subject : str
        What the note is about; part of its file's name.
    deciding : JSON-like
        Everything that the answer depends on.
    make : callable
        Finds the answer, a JSON object.
    """
    name = f"{subject}-{_sha256(_as_json([_VERSION, deciding]))[:32]}.json"
    if (noted := _read(name)) is not None:
        return noted
    found = make()
    _write(name, found)
    return found


def file_sha256(file: Path, more: bytes = b"") -> str:
    """Return the SHA-256 of a file, followed by more bytes, in hexadecimal.

    A file is hashed again when its place, size, inode, or the time of its last change or of its last change of status
    differs: the last one cannot be set by its owner. The cache is this user's alone.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with open_plain(file) as content:
        before = _state(content.fileno())
        place = b"\0".join([os.fsencode(file.resolve()), more])
        name = f"weights-{_sha256(place)[:32]}.json"
        note = _read(name)
        if note and note.get("state") == before:
            return str(note["sha256"])
        started = time.time_ns()
        hashed = hashlib.file_digest(content, "sha256")
        hashed.update(more)
        digest = hashed.hexdigest()
        if _state(content.fileno()) == before and started - max(before[-2:]) > _SETTLED_NS:
            _write(name, {"state": before, "sha256": digest})
    return digest


def _state(descriptor: int) -> list[int]:
    status = os.fstat(descriptor)
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _read(name: str) -> dict[str, Any] | None:
    """Return a note; None if there is none, or it is not as it was written."""
    try:
        digest, _, text = read_bounded(cache_directory() / _FOLDER / name, MAX_NOTE_BYTES).partition(b"\n")
    except (OSError, PrescreenError):
        return None
    return dict(json.loads(text)) if digest == _sha256(text).encode() else None


def _write(name: str, content: Mapping[str, Any]) -> None:
    text = json.dumps(content).encode()  # in the order given, which is part of what was found
    with contextlib.suppress(PrescreenError):
        place = make_cache_directory(_FOLDER) / name
        write_bytes_atomic(place, _sha256(text).encode() + b"\n" + text)
        make_private(place)


def _as_json(content: object) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
