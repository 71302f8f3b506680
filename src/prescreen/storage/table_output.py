"""Tables written part by part under a temporary name: one file, or a folder of Parquet parts."""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

import pandas as pd

from prescreen.errors import UsageError
from prescreen.storage.atomic import StagedFile, reporting_failure, stage_file, stage_folder
from prescreen.storage.provenance import parts_sha256
from prescreen.storage.remote import is_url, upload
from prescreen.storage.tables import PARTS, TableWriter, table_format
from prescreen.text import shown

PART_ROWS: Final = 65536
"""Rows of a part of a table that is a folder; the last has fewer."""


def is_folder(output: str) -> bool:
    """Tell whether a table becomes a folder of parts: its name ends in ``/`` or has no suffix.

    Examples
    --------
    >>> is_folder("scores/"), is_folder("scores"), is_folder("scores.csv")
    (True, True, False)
    """
    return output.endswith("/") or not Path(output).suffix


def check_ending(output: str) -> None:
    """Refuse with a `UsageError` a name that is neither a folder's nor has the suffix of a table."""
    if not is_folder(output):
        table_format(output)


@contextlib.contextmanager
def stage_table(output: str) -> "Iterator[_File | _Folder]":
    """Begin a table; without its `commit` an older one stays.

    Parameters
    ----------
    output : str
        A path or URL: ``.csv``, ``.parquet`` or ``.jsonl``, or a folder, see `is_folder`. A folder gets
        ``part-00000.parquet`` and so on with `PART_ROWS` rows each, in the order of the rows.

    Raises
    ------
    UsageError
        If the folder has other content than parts, or the suffix is not that of a table.
    PrescreenError
        If it cannot be written.
    """
    check_ending(output)
    if is_url(output):
        with tempfile.TemporaryDirectory(prefix="prescreen-") as folder:
            place = Path(folder) / output.rstrip("/").rpartition("/")[2]
            with stage_table(str(place) + ("/" if is_folder(output) else "")) as table:
                yield table
            for made in sorted(place.parent.iterdir()):  # the note comes after its table
                upload(made, output.rstrip("/") + made.name.removeprefix(place.name))
        return
    if not is_folder(output):
        with stage_file(output) as file:
            yield _File(file, Path(output))
        return
    place = Path(output)
    if place.exists() and not _can_replace(place):
        raise UsageError(f"{shown(place)}: holds other things than a table's parts; name a new folder, or a .csv file")
    with contextlib.ExitStack() as stack:
        with reporting_failure(place):
            temporary, commit = stack.enter_context(stage_folder(place, _can_replace))
        yield _Folder(place, temporary, commit)


class _File:
    """A table on its way into one file.

    Parameters
    ----------
    file : StagedFile
        The file.
    place : Path
        Where the table will stand on this machine; a table at a URL stands there until it is sent.
    """

    def __init__(self, file: StagedFile, place: Path) -> None:
        self.place = place
        self._file = file

    @property
    def sha256(self) -> str:
        """What `prescreen.storage.provenance.table_sha256` will return for it, once it is written."""
        return self._file.sha256

    def write(self, parts: Iterable[pd.DataFrame]) -> None:
        """Write all rows; called once."""
        with TableWriter(self._file, self.place) as writer:
            for part in parts:
                writer.write(part)

    def commit(self) -> None:
        """Put the table where it belongs, in one step."""
        self._file.commit()


class _Folder:
    """The same for a folder of parts."""

    def __init__(self, place: Path, temporary: Path, commit: Callable[[], None]) -> None:
        self.place = place
        self._temporary = temporary
        self._commit = commit
        self._parts: list[tuple[str, str]] = []

    @property
    def sha256(self) -> str:
        return parts_sha256(self._parts)

    def write(self, parts: Iterable[pd.DataFrame]) -> None:
        for number, pieces in groupby(_cut(parts), key=itemgetter(0)):
            name = PARTS.replace("*", f"{number:05d}")
            with stage_file(self._temporary / name) as file:
                part = _File(file, Path(name))
                part.write(piece for _, piece in pieces)
                part.commit()
                self._parts.append((name, part.sha256))

    def commit(self) -> None:
        with reporting_failure(self.place):
            self._commit()


def _cut(parts: Iterable[pd.DataFrame]) -> Iterator[tuple[int, pd.DataFrame]]:
    """Divide rows into pieces, each with the number of its part."""
    done = 0
    for part in parts:
        start = 0
        while start < len(part):
            size = min(len(part) - start, PART_ROWS - done % PART_ROWS)
            yield done // PART_ROWS, part.iloc[start : start + size]
            start += size
            done += size


def _can_replace(place: Path) -> bool:
    return place.is_dir() and all(each.match(PARTS) for each in place.iterdir())
