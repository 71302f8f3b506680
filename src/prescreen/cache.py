"""The embedding cache: vectors by content and encoder specification, in one SQLite file.

Safe with several writers; a stopped run leaves whole rows only. Files that have not changed are known without reading.
"""

import contextlib
import json
import random
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from prescreen import appearance
from prescreen.errors import PrescreenError
from prescreen.images import FileKey, content_hash
from prescreen.inspection import Quality
from prescreen.locations import cache_directory

SCHEMA: Final = 1
PATIENCE: Final = 60.0
"""Seconds to wait for another run that is writing."""

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS vectors (
        content TEXT, specification TEXT, vector BLOB, check_sum TEXT, quality TEXT,
        PRIMARY KEY (content, specification)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS files (
        path TEXT PRIMARY KEY, size INTEGER, modified INTEGER, inode INTEGER, content TEXT) WITHOUT ROWID""",
)
Vector = NDArray[np.float16]


@dataclass(frozen=True)
class Holding:
    """What the cache has of one encoder specification.

    Parameters
    ----------
    specification : str
        Fingerprint of the encoder; with ``-tolerant`` for pictures that were let through although truncated.
    vectors : int
        Pictures.
    size : int
        Bytes of their vectors and qualities.
    """

    specification: str
    vectors: int
    size: int


class EmbeddingCache:
    """Vectors by content and encoder specification, in one SQLite file that several runs may share.

    Parameters
    ----------
    path : Path, optional
        The file; by default ``embeddings.sqlite`` in the cache folder.

    Raises
    ------
    PrescreenError
        If the file cannot be opened or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_directory() / "embeddings.sqlite"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            raise self._unusable(error) from error

    def _prepare(self) -> None:
        # A damaged text is a row to compute again, not an error.
        self._database.text_factory = lambda data: data.decode("utf-8", "replace")
        self._use_write_ahead_log()
        self._database.execute("PRAGMA synchronous=NORMAL")
        if self._version() == SCHEMA:
            return
        with self._transaction() as database:
            version = self._version()  # again: another run may have been faster
            if version not in (0, SCHEMA):
                raise sqlite3.DatabaseError(
                    f"made by another version of prescreen (schema {version}, expected {SCHEMA})"
                )
            for statement in TABLES:
                database.execute(statement)
            database.execute(f"PRAGMA user_version={SCHEMA}")

    def _version(self) -> int:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        return int(version)

    def _use_write_ahead_log(self) -> None:
        """Switch the file to WAL once; SQLite does not wait for other runs that switch it at the same moment."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._database.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(random.uniform(0.002, 0.02))  # noqa: NPY002 - when to try again is nothing to reproduce

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def get(self, content: str, specification: str, dimension: int) -> tuple[Vector, Quality] | None:
        """Return what was stored, or None if there is nothing or it is damaged."""
        query = "SELECT vector, check_sum, quality FROM vectors WHERE content = ? AND specification = ?"
        row = self._first(query, (content, specification))
        return _intact(row, dimension) if row else None

    def put(self, specification: str, rows: Iterable[tuple[str, Vector, Quality]]) -> None:
        """Store vectors in one transaction."""
        values = []
        for content, vector, quality in rows:
            blob, text = vector.tobytes(), json.dumps({"version": appearance.VERSION} | asdict(quality))
            values.append((content, specification, blob, _check_sum(blob, text), text))
        self._write("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)", values)

    def known_content(self, key: FileKey) -> str | None:
        """Return the hash of a file that has not changed since it was last read."""
        query = "SELECT content FROM files WHERE path = ? AND size = ? AND modified = ? AND inode = ?"
        row = self._first(query, key)
        return row[0] if row else None

    def remember_files(self, rows: Iterable[tuple[FileKey, str]]) -> None:
        """Note which content files had when they were read."""
        values = [(*key, content) for key, content in rows]
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", values)

    def holdings(self) -> list[Holding]:
        """Count what is stored, one entry an encoder specification (sorted)."""
        query = """
            SELECT specification, COUNT(*), SUM(LENGTH(vector) + LENGTH(quality)) FROM vectors
            GROUP BY specification ORDER BY specification"""
        try:
            return [Holding(*row) for row in self._database.execute(query)]
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def verify(self) -> tuple[int, int]:
        """Check the file and every vector in it, and delete the vectors that are damaged.

        Returns
        -------
        (int, int)
            Vectors that are intact, and vectors that were damaged.

        Raises
        ------
        PrescreenError
            If the file itself is damaged.
        """
        damaged, intact = [], 0
        try:
            (state,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                raise sqlite3.DatabaseError(state.splitlines()[0])
            for content, specification, *row in self._database.execute(
                "SELECT content, specification, vector, check_sum, quality FROM vectors"
            ):
                if _is_whole(row):
                    intact += 1
                else:
                    damaged.append((content, specification))
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        if damaged:
            self._write("DELETE FROM vectors WHERE content = ? AND specification = ?", damaged)
        return intact, len(damaged)

    def clear(self, specification: str | None = None) -> int:
        """Delete the vectors of one encoder specification, or everything, and give the space back.

        Returns
        -------
        int
            Vectors deleted.
        """
        try:
            with self._transaction() as database:
                if specification is None:
                    database.execute("DELETE FROM files")
                    database.execute("DELETE FROM vectors")
                else:
                    database.execute("DELETE FROM vectors WHERE specification = ?", (specification,))
                deleted = database.rowcount
            self._database.execute("VACUUM")
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return deleted

    def _first(self, query: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        try:
            row: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return row

    def _unusable(self, error: Exception) -> PrescreenError:
        return PrescreenError(
            f"embedding cache {self.path}: {error}; delete the file or set PRESCREEN_CACHE to another folder"
        )

    def _write(self, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
        try:
            with self._transaction() as database:
                database.executemany(statement, values)
        except sqlite3.Error as error:
            raise PrescreenError(
                f"embedding cache {self.path}: {error}; free some space or set PRESCREEN_CACHE"
            ) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        with contextlib.closing(self._database.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")


def _check_sum(blob: bytes, text: str) -> str:
    return content_hash(blob + text.encode())[:16]


def _is_whole(row: Sequence[Any]) -> bool:
    match row:
        case (bytes(blob), str(check_sum), str(text)):
            return check_sum == _check_sum(blob, text)
    return False


def _intact(row: tuple[Any, ...], dimension: int) -> tuple[Vector, Quality] | None:
    blob, _, text = row
    if not _is_whole(row) or len(blob) != 2 * dimension:
        return None
    measures = json.loads(text)
    if measures.pop("version", None) != appearance.VERSION:
        return None
    return np.frombuffer(blob, np.float16), Quality(**measures)
