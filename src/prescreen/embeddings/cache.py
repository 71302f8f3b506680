"""The embedding cache: vectors by content and encoder specification, in one SQLite file.

Safe with several writers; a stopped run leaves whole rows only. Files that have not changed are known without reading.
"""

import contextlib
import json
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from prescreen.errors import PrescreenError
from prescreen.images import face_measures
from prescreen.images.files import FileKey, content_hash
from prescreen.images.inspection import Quality
from prescreen.settings import cache_limit, make_cache_directory, unusable_cache

SCHEMA: Final = 2
PATIENCE: Final = 60.0
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
FROM_SCHEMA_1: Final = (
    """INSERT INTO vectors (content, specification, used, check_sum, quality, vector)
        SELECT content, specification, ?, check_sum, quality, vector FROM vectors_1""",
    "DROP TABLE vectors_1",
)

_DAY: Final = 86400  # seconds; the use of a row is noted once a day
_TOUCHED: Final = 256  # rows whose use is noted together
_ROOM: Final = 0.9  # of the limit is left full when the cache has met it
_SLACK: Final = 1.25  # as many times the limit may the file have before it is made smaller, which takes long
Vector = NDArray[np.float16]


@dataclass(frozen=True)
class CacheStats:
    """What the cache has of one encoder specification.

    Parameters
    ----------
    specification : str
        Fingerprint of the encoder; with ``-tolerant`` for pictures that were accepted although truncated.
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
    limit : int, optional
        Bytes that it may have, by default `prescreen.settings.cache_limit`. Where more is written, the vectors that
        have not been used for the longest time go.

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
        self._touched: list[int] = []
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _make_private_file(self.path)
            self._database = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        except OSError as error:
            raise unusable_cache(self.path.parent, error) from error
        except sqlite3.Error as error:
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
            if version not in (0, 1, SCHEMA):
                raise sqlite3.DatabaseError(
                    f"made by another version of prescreen (schema {version}, expected {SCHEMA})"
                )
            if version == 1:
                database.execute("ALTER TABLE vectors RENAME TO vectors_1")
            for statement in TABLES:
                database.execute(statement)
            if version == 1:
                copy, drop = FROM_SCHEMA_1
                database.execute(copy, (_today(),))
                database.execute(drop)
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
        self._note_use()
        self._database.close()

    def get(self, content: str, specification: str, dimension: int) -> tuple[Vector, Quality] | None:
        """Return what was stored, or None if there is nothing or it is damaged."""
        query = "SELECT id, used, vector, check_sum, quality FROM vectors WHERE content = ? AND specification = ?"
        row = self._first(query, (content, specification))
        if row is None:
            return None
        identity, used, *values = row
        if used != _today():
            self._touched.append(identity)
            if len(self._touched) >= _TOUCHED:
                self._note_use()
        return _intact(tuple(values), dimension)

    def put(self, specification: str, rows: Iterable[tuple[str, Vector, Quality]]) -> None:
        """Store vectors in one transaction, and make room for them where there is a limit."""
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
            self._ensure_parent(self.limit)

    def size(self) -> int:
        """Return the bytes in use, which are fewer than those of the file where rows were deleted."""
        pages, free, size = (
            self._first(f"PRAGMA {name}", ()) or (0,) for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages[0] - free[0]) * size[0])

    def _ensure_parent(self, limit: int) -> None:
        """Delete the vectors that were not used for the longest time; shrink the file where it is far too large."""
        self._note_use()
        oldest = "DELETE FROM vectors WHERE id IN (SELECT id FROM vectors ORDER BY used, id LIMIT 64)"
        try:
            while self.size() > _ROOM * limit:
                with self._transaction() as database:
                    if not database.execute(oldest).rowcount:
                        break
            if self.path.stat().st_size > _SLACK * max(limit, self.size()):
                self._shrink()
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _shrink(self) -> None:
        try:
            self._database.execute("VACUUM")
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError:  # another run is at work, or the disk is full: the next one will
            return

    def _note_use(self) -> None:
        """Note that rows were used today. Where that cannot be written, they count as older than they are."""
        touched, self._touched = self._touched, []
        if touched:
            with contextlib.suppress(PrescreenError):
                self._write("UPDATE vectors SET used = ? WHERE id = ?", [(_today(), identity) for identity in touched])

    def known_content(self, key: FileKey) -> str | None:
        """Return the hash of a file that has not changed since it was last read."""
        query = "SELECT content FROM files WHERE path = ? AND size = ? AND modified = ? AND inode = ?"
        row = self._first(query, key)
        return row[0] if row else None

    def remember_files(self, rows: Iterable[tuple[FileKey, str]]) -> None:
        """Note which content files had when they were read."""
        values = [(*key, content) for key, content in rows]
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", values)

    def holdings(self) -> list[CacheStats]:
        """Count what is stored, one entry an encoder specification (sorted)."""
        query = """
            SELECT specification, COUNT(*), SUM(LENGTH(vector) + LENGTH(quality)) FROM vectors
            GROUP BY specification ORDER BY specification"""
        try:
            return [CacheStats(*row) for row in self._database.execute(query)]
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

        The paths of pictures of which no vector is left go with them.

        Returns
        -------
        int
            Vectors deleted.
        """
        try:
            with self._transaction() as database:
                if specification is None:
                    database.execute("DELETE FROM vectors")
                else:
                    database.execute("DELETE FROM vectors WHERE specification = ?", (specification,))
                deleted = database.rowcount
                database.execute("DELETE FROM files WHERE content NOT IN (SELECT content FROM vectors)")
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


def _make_private_file(path: Path) -> None:
    """Make an empty file that only this user may read; SQLite gives the files beside it the same permissions.

    It gets its name when it is closed already: closing a database undoes the locks that other threads have on it.
    """
    if path.exists():
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".prescreen-", delete=False) as file:
        made = Path(file.name)
    try:
        os.link(made, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    finally:
        made.unlink()


def _today() -> int:
    return int(time.time() // _DAY)


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
    if measures.pop("version", None) != face_measures.VERSION:
        return None
    return np.frombuffer(blob, np.float16), Quality(**measures)
