"""The embedding cache: vectors by content and encoder specification, in one SQLite file.

Several runs may write at once; a run that was stopped leaves whole rows only. Files that have not changed are not read
again.
"""

import contextlib
import json
import random
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from prescreen.errors import PrescreenError
from prescreen.images import face_measures
from prescreen.images.files import FileKey, content_hash
from prescreen.images.inspection import Quality
from prescreen.settings import cache_limit, make_cache_directory, unusable_cache
from prescreen.storage.atomic import write_new_file

SCHEMA: Final = 2
BUSY_TIMEOUT: Final = 60.0
"""Seconds to wait for another run that is writing."""

# Vectors are large: they come last in their rows, and the rows are not in the index, so that a look-up reads little.
TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS vectors (
        id INTEGER PRIMARY KEY, content TEXT NOT NULL, specification TEXT NOT NULL, used INTEGER NOT NULL,
        check_sum TEXT, quality TEXT, vector BLOB, UNIQUE (content, specification))""",
    "CREATE INDEX IF NOT EXISTS vectors_by_use ON vectors (used)",
    """CREATE TABLE IF NOT EXISTS files (
        path TEXT PRIMARY KEY, size INTEGER, modified INTEGER, inode INTEGER, content TEXT) WITHOUT ROWID""",
)

_DAY: Final = 86400  # seconds; the use of a row is written once a day
_USES: Final = 256  # rows whose use is written together
_FILL: Final = 0.9  # share of the limit that eviction leaves in use
_SLACK: Final = 1.25  # the file may be this many times the limit before it is shrunk, which takes long
_DELETE_IT: Final = "delete the file or set PRESCREEN_CACHE to another folder"
Vector = NDArray[np.float16]


@dataclass(frozen=True)
class CacheStats:
    """Number of pictures of one encoder specification, and the bytes of their vectors and qualities.

    The specification is the encoder's fingerprint; with ``-tolerant`` for pictures accepted although truncated.
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
    limit : int, optional
        Bytes that it may have, by default `prescreen.settings.cache_limit`. Beyond it the least recently used vectors
        are deleted.

    Raises
    ------
    UsageError
        If the limit in the environment is not a size.
    PrescreenError
        If the file cannot be opened or written.
    """

    def __init__(self, path: Path | None = None, limit: int | None = None) -> None:
        self.path = path or make_cache_directory() / "embeddings.sqlite"
        self.limit = cache_limit() if limit is None else limit
        self._used: list[int] = []
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                # SQLite gives its other files the same permissions.
                write_new_file(self.path, b"", private=True)
        except OSError as error:
            raise unusable_cache(self.path.parent, error) from error
        with self._errors():
            self._database = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            with self._errors():
                self._prepare()
        except PrescreenError:
            self._database.close()
            raise

    def _prepare(self) -> None:
        # A damaged text is a row to compute again, not an error.
        self._database.text_factory = lambda data: data.decode("utf-8", "replace")
        self._use_write_ahead_log()
        self._database.execute("PRAGMA synchronous=NORMAL")
        if self._version() == SCHEMA:
            return
        with self._transaction():
            version = self._version()  # again: another run may have been faster
            if version not in (0, SCHEMA):
                raise sqlite3.DatabaseError(
                    f"made by another version of prescreen (schema {version}, expected {SCHEMA})"
                )
            for statement in TABLES:
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version={SCHEMA}")

    def _version(self) -> int:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        return int(version)

    def _use_write_ahead_log(self) -> None:
        """Switch the file to WAL once; SQLite does not wait for other runs that switch it at the same moment."""
        end = time.monotonic() + BUSY_TIMEOUT
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

    def __exit__(self, *_: object) -> None:
        self._write_uses()
        self._database.close()

    def get(self, content: str, specification: str, dimension: int) -> tuple[Vector, Quality] | None:
        """Return what was stored, or None if there is nothing or it is damaged."""
        query = "SELECT id, used, vector, check_sum, quality FROM vectors WHERE content = ? AND specification = ?"
        row = self._first(query, (content, specification))
        if row is None:
            return None
        identity, used, blob, check_sum, text = row
        if used != _today():
            self._used.append(identity)
            if len(self._used) >= _USES:
                self._write_uses()
        if not _is_whole(blob, check_sum, text) or len(blob) != 2 * dimension:
            return None
        measures = json.loads(text)
        if measures.pop("version", None) != face_measures.VERSION:
            return None
        return np.frombuffer(blob, np.float16), Quality(**measures)

    def holds(self, content: str, specification: str) -> bool:
        """Tell whether something is stored, without reading it."""
        query = "SELECT 1 FROM vectors WHERE content = ? AND specification = ?"
        return self._first(query, (content, specification)) is not None

    def put(self, specification: str, rows: Iterable[tuple[str, Vector, Quality]]) -> None:
        """Store vectors in one transaction, and delete old ones where there is a limit."""
        values, today = [], _today()
        for content, vector, quality in rows:
            blob, text = vector.tobytes(), json.dumps({"version": face_measures.VERSION} | asdict(quality))
            values.append((content, specification, today, _check_sum(blob, text), text, blob))
        self._write(
            "INSERT OR REPLACE INTO vectors (content, specification, used, check_sum, quality, vector) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            values,
        )
        if self.limit is not None and self.size() > self.limit:
            self._evict(self.limit)

    def size(self) -> int:
        """Return the bytes in use, which are fewer than those of the file where rows were deleted."""
        pages, free, size = (
            self._first(f"PRAGMA {name}", ()) or (0,) for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages[0] - free[0]) * size[0])

    def _evict(self, limit: int) -> None:
        """Delete the least recently used vectors, and shrink a file that is far above the limit."""
        self._write_uses()
        oldest = "DELETE FROM vectors WHERE id IN (SELECT id FROM vectors ORDER BY used, id LIMIT 64)"
        while self.size() > _FILL * limit:
            with self._errors(), self._transaction():
                if not self._database.execute(oldest).rowcount:
                    break
        if self.path.stat().st_size > _SLACK * max(limit, self.size()):
            # An operational error: another run is at work, or the disk is full. The next run shrinks the file.
            with self._errors(), contextlib.suppress(sqlite3.OperationalError):
                self._shrink()

    def _shrink(self) -> None:
        self._database.execute("VACUUM")
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _write_uses(self) -> None:
        """Write that rows were used today. Where that fails, they count as older than they are."""
        used, self._used = self._used, []
        if used:
            with contextlib.suppress(PrescreenError):
                self._write("UPDATE vectors SET used = ? WHERE id = ?", [(_today(), identity) for identity in used])

    def known_content(self, key: FileKey) -> str | None:
        """Return the hash of a file that has not changed since it was last read."""
        query = "SELECT content FROM files WHERE path = ? AND size = ? AND modified = ? AND inode = ?"
        row = self._first(query, key)
        return row[0] if row else None

    def remember_files(self, rows: Iterable[tuple[FileKey, str]]) -> None:
        """Note which content files had when they were read."""
        values = [(*key, content) for key, content in rows]
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", values)

    def stats(self) -> list[CacheStats]:
        """Count what is stored, one entry an encoder specification (sorted)."""
        query = """
            SELECT specification, COUNT(*), SUM(LENGTH(vector) + LENGTH(quality)) FROM vectors
            GROUP BY specification ORDER BY specification"""
        with self._errors():
            return [CacheStats(*row) for row in self._database.execute(query)]

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
        with self._errors():
            (state,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                raise sqlite3.DatabaseError(state.splitlines()[0])
            for content, specification, *row in self._database.execute(
                "SELECT content, specification, vector, check_sum, quality FROM vectors"
            ):
                if _is_whole(*row):
                    intact += 1
                else:
                    damaged.append((content, specification))
        if damaged:
            self._write("DELETE FROM vectors WHERE content = ? AND specification = ?", damaged)
        return intact, len(damaged)

    def clear(self, specification: str | None = None) -> int:
        """Delete the vectors of one encoder specification, or all, and the paths of pictures that have none left.

        Returns
        -------
        int
            Vectors deleted.
        """
        chosen, values = ("", ()) if specification is None else (" WHERE specification = ?", (specification,))
        with self._errors():
            with self._transaction():
                deleted = self._database.execute(f"DELETE FROM vectors{chosen}", values).rowcount
                self._database.execute("DELETE FROM files WHERE content NOT IN (SELECT content FROM vectors)")
            self._shrink()
        return deleted

    def _first(self, query: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        with self._errors():
            row: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
            return row

    def _write(self, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
        with self._errors("free some space or set PRESCREEN_CACHE"), self._transaction():
            self._database.executemany(statement, values)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._database:  # commits, or rolls back after an error
            self._database.execute("BEGIN IMMEDIATE")
            yield

    @contextlib.contextmanager
    def _errors(self, remedy: str = _DELETE_IT) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise PrescreenError(f"embedding cache {self.path}: {error}; {remedy}") from error


def _today() -> int:
    return int(time.time() // _DAY)


def _check_sum(blob: bytes, text: str) -> str:
    return content_hash(blob + text.encode())[:16]


def _is_whole(blob: object, check_sum: object, text: object) -> bool:
    return isinstance(blob, bytes) and isinstance(text, str) and check_sum == _check_sum(blob, text)
