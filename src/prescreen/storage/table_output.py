"""Tables that are written part by part and take their place at the end: one file, or a folder of Parquet parts."""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, Protocol

import pandas as pd

from prescreen.errors import PrescreenError, UsageError
from prescreen.storage.atomic import StagedFile, stage_file, stage_folder
from prescreen.storage.provenance import parts_sha256
from prescreen.storage.remote import is_url, upload
from prescreen.storage.tables import PARTS, TableWriter, table_format
from prescreen.text import shown

PART_ROWS: Final = 65536
"""Rows of a part of a table that is a folder; the last has fewer."""


class StagedTable(Protocol):
    """A table on its way."""

    @property
    def place(self) -> Path:
        """Where it will stand on this machine; of a table at a URL, where it is until it is sent there."""

    @property
    def sha256(self) -> str:
        """What `prescreen.storage.provenance.table_sha256` will return for it, once it is written."""

    def write(self, parts: Iterable[pd.DataFrame]) -> None:
        """Write all rows; called once."""

    def commit(self) -> None:
        """Put the table where it belongs, in one step."""


def is_folder(output: str) -> bool:
    """Tell whether a table is to be a folder of parts: its name ends in ``/`` or has no suffix."""
    return output.endswith("/") or not Path(output).suffix


def check_ending(output: str) -> None:
    """Refuse the name of a table whose format it does not tell.

    Raises
    ------
    UsageError
        If it is no folder, and its suffix is none of a table.
    """
    if not is_folder(output):
        table_format(output)


@contextlib.contextmanager
def stage_table(output: str) -> Iterator[StagedTable]:
    """Begin a table; without `StagedTable.commit` an older one stays.

    Parameters
    ----------
    output : str
        A path or URL: ``.csv``, ``.parquet`` or ``.jsonl``, or a folder as `is_folder` tells it. In a folder are
        ``part-00000.parquet`` and so on with `PART_ROWS` rows each; rows are in the order in which they came, within
        the parts and over them.

    Raises
    ------
    UsageError
        If something else stands in the place of a folder, or the suffix is none of a table.
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
            yield _File(file, output)
        return
    place = Path(output)
    if place.exists() and not _can_replace(place):
        raise UsageError(f"{shown(place)}: holds other things than a table's parts; name a new folder, or a .csv file")
    with contextlib.ExitStack() as stack:
        try:
            temporary, commit = stack.enter_context(stage_folder(place, _can_replace))
        except OSError as error:
            raise _failure(place, error) from error
        yield _Folder(place, temporary, commit)


class _File:
    def __init__(self, file: StagedFile, output: str) -> None:
        self._file = file
        self._output = output

    @property
    def place(self) -> Path:
        return Path(self._output)

    @property
    def sha256(self) -> str:
        return self._file.sha256

    def write(self, parts: Iterable[pd.DataFrame]) -> None:
        with TableWriter(self._file, self._output) as writer:
            for part in parts:
                writer.write(part)

    def commit(self) -> None:
        self._file.commit()


class _Folder:
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
                with TableWriter(file, name) as writer:
                    for _, piece in pieces:
                        writer.write(piece)
                file.commit()
                self._parts.append((name, file.sha256))

    def commit(self) -> None:
        try:
            self._commit()
        except OSError as error:
            raise _failure(self.place, error) from error


def _cut(parts: Iterable[pd.DataFrame]) -> Iterator[tuple[int, pd.DataFrame]]:
    """Divide rows anew, each piece with the number of the file that it belongs to."""
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


def _failure(place: Path, error: OSError) -> PrescreenError:
    return PrescreenError(f"{shown(place)}: cannot be written ({error.strerror}); nothing was changed")
