"""From image files to vectors: streamed in batches, remembered in a cache.

The cache is looked up by content before a picture is decoded, so that a second run over a folder decodes nothing, and
moved, renamed and repeated pictures are decoded once. A picture that fails becomes a row with its reason.
"""

import contextlib
import json
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from prescreen import appearance
from prescreen.appearance import Appearance
from prescreen.encoders import Encoder
from prescreen.encoders.views import Pixels, View
from prescreen.errors import PictureError, PrescreenError
from prescreen.faces import FaceFinder
from prescreen.images import ImageFile, content_hash, decode, read_bytes
from prescreen.locations import cache_directory

BATCH: Final = 16
SCHEMA: Final = 1
Vector = NDArray[np.float16]


@dataclass(frozen=True)
class Quality(Appearance):
    """What is known of a picture beside its vector, the measures of `prescreen.appearance.Appearance` included.

    Parameters
    ----------
    width, height : int
        Upright size of the file in pixels.
    frames : int
        Frames of an animation; the first is used.
    faces : int
        Faces found.
    face_detector : str
        ``hog`` or ``cnn``, or ``fallback`` where no face was found and an average position was assumed.
    face_share : float
        Distance of the eyes as a share of the shorter side of the picture, 0 to 1.
    face_roll : float
        Turn of the face in the plane of the picture, in degrees.
    sharpness : float
        Standard deviation of the second differences of the brightness of the face at 150 pixels. Around 10; lower is
        more blurred.
    truncated : bool
        Whether the file ends early and was let through all the same.
    """

    width: int
    height: int
    frames: int
    faces: int
    face_detector: str
    face_share: float
    face_roll: float
    sharpness: float
    truncated: bool = False


@dataclass(frozen=True)
class Embedded:
    """One picture after embedding: a vector and its quality, or the reason why there is none.

    Parameters
    ----------
    name : str
        Name of the picture, as in `ImageFile`.
    content : str
        SHA-256 of the file; empty where it could not be read.
    vector : ndarray of float16, shape (dimension,), or None
        The encoder's features.
    quality : Quality or None
        Present if and only if there is a vector.
    reason : str
        Why there is no vector; empty where there is one.
    """

    name: str
    content: str = ""
    vector: Vector | None = None
    quality: Quality | None = None
    reason: str = ""


@dataclass
class EmbeddingCounts:
    """What `embed_images` has done so far: pictures decoded, found in the cache (or equal to one before), failed."""

    decoded: int = 0
    cached: int = 0
    failed: int = 0


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
            self._database = sqlite3.connect(self.path, timeout=60, isolation_level=None)
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
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA):
            raise sqlite3.DatabaseError(f"made by another version of prescreen (schema {version}, expected {SCHEMA})")
        self._database.executescript(
            f"""
            CREATE TABLE IF NOT EXISTS vectors (
                content TEXT, specification TEXT, vector BLOB, check_sum TEXT, quality TEXT,
                PRIMARY KEY (content, specification)) WITHOUT ROWID;
            CREATE TABLE IF NOT EXISTS files (
                path TEXT PRIMARY KEY, size INTEGER, modified INTEGER, inode INTEGER, content TEXT) WITHOUT ROWID;
            PRAGMA user_version={SCHEMA};
            """
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def get(self, content: str, specification: str, dimension: int) -> tuple[Vector, Quality] | None:
        """Return what was stored, or None if there is nothing or it is damaged."""
        query = "SELECT vector, check_sum, quality FROM vectors WHERE content = ? AND specification = ?"
        match self._first(query, (content, specification)):
            case (bytes(blob), str(check_sum), str(text)):
                if len(blob) == 2 * dimension and check_sum == _check_sum(blob, text):
                    measures = json.loads(text)
                    if measures.pop("version", None) == appearance.VERSION:
                        return np.frombuffer(blob, np.float16), Quality(**measures)
        return None

    def put(self, specification: str, rows: Iterable[tuple[str, Vector, Quality]]) -> None:
        """Store vectors in one transaction."""
        values = []
        for content, vector, quality in rows:
            blob, text = vector.tobytes(), json.dumps({"version": appearance.VERSION} | asdict(quality))
            values.append((content, specification, blob, _check_sum(blob, text), text))
        self._write("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)", values)

    def known_content(self, path: Path, status: os.stat_result) -> str | None:
        """Return the hash of a file that has not changed since it was last read."""
        query = "SELECT content FROM files WHERE path = ? AND size = ? AND modified = ? AND inode = ?"
        row = self._first(query, _file_key(path, status))
        return row[0] if row else None

    def remember_files(self, rows: Iterable[tuple[Path, os.stat_result, str]]) -> None:
        """Note which content files had when they were read."""
        values = [(*_file_key(path, status), content) for path, status, content in rows]
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", values)

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
            with contextlib.closing(self._database.cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    cursor.executemany(statement, values)
                except BaseException:
                    cursor.execute("ROLLBACK")
                    raise
                cursor.execute("COMMIT")
        except sqlite3.Error as error:
            raise PrescreenError(
                f"embedding cache {self.path}: {error}; free some space or set PRESCREEN_CACHE"
            ) from error


def _check_sum(blob: bytes, text: str) -> str:
    return content_hash(blob + text.encode())[:16]


def _file_key(path: Path, status: os.stat_result) -> tuple[bytes, int, int, int]:
    return os.fsencode(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino


@dataclass
class _Pending:
    """A picture on its way: `row` is None until what becomes of it is known."""

    file: ImageFile
    content: str = ""
    status: os.stat_result | None = field(default=None, repr=False)
    work: "Future[_Described] | None" = None
    decoded: bool = False
    twin: "_Pending | None" = None
    done: Embedded | None = None

    @property
    def row(self) -> Embedded | None:
        """The finished row, which a picture of the same content may have made."""
        if self.done is None and self.twin is not None and self.twin.done is not None:
            self.done = replace(self.twin.done, name=self.file.name)
        return self.done


@dataclass(frozen=True)
class _Described:
    content: str
    views: Mapping[View, Pixels]
    quality: Quality


def embed_images(
    files: Iterable[ImageFile],
    encoder: Encoder,
    cache: EmbeddingCache,
    *,
    tolerant: bool = False,
    counts: EmbeddingCounts | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Iterator[Embedded]:
    """Embed pictures, in the order given, each with a vector or a reason.

    Pictures are decoded by threads while the networks work on those before them; at most a few batches are in memory.

    Parameters
    ----------
    files : iterable of ImageFile
        Pictures to embed.
    encoder : Encoder
        Loaded only if some picture is not in the cache.
    cache : EmbeddingCache
        Read before decoding, written after every batch.
    tolerant : bool
        Score truncated pictures as far as they go instead of failing them.
    counts : EmbeddingCounts, optional
        Counted up on the way.
    advance : callable
        Called once for each picture that is done.
    """
    counts = counts or EmbeddingCounts()
    run = _Run(encoder, cache, tolerant, counts)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="decode") as pool:
        window: deque[_Pending] = deque()

        def finished() -> Iterator[Embedded]:
            while window and (row := window[0].row) is not None:
                run.count(window.popleft(), row)
                advance()
                yield row

        try:
            for file in files:
                window.append(run.begin(file, pool))
                if len(window) >= 4 * BATCH:
                    run.finish_batch(window)
                yield from finished()
            while window:
                run.finish_batch(window)
                yield from finished()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Run:
    """The steps of `embed_images` for one encoder and cache."""

    def __init__(self, encoder: Encoder, cache: EmbeddingCache, tolerant: bool, counts: EmbeddingCounts) -> None:
        self.encoder = encoder
        self.cache = cache
        self.counts = counts
        self.eye = _Eye(encoder, tolerant)
        self.on_the_way: dict[str, _Pending] = {}
        # A picture that was let through although truncated is another input than the strict run's failure.
        self.key = encoder.specification.fingerprint + ("-tolerant" if tolerant else "")

    def begin(self, file: ImageFile, pool: ThreadPoolExecutor) -> _Pending:
        """Look a picture up in the cache, or start to decode it."""
        pending = _Pending(file)
        with contextlib.suppress(OSError):  # why, reading it will tell
            pending.status = file.path.stat()
        try:
            data = None
            content = self.cache.known_content(file.path, pending.status) if pending.status else None
            if content is None:
                data = read_bytes(file)
                content = content_hash(data)
            pending.content = content
            found = self.cache.get(content, self.key, self.encoder.specification.dimension)
            if found is not None:
                if data is not None and pending.status is not None:
                    self.cache.remember_files([(file.path, pending.status, content)])
                pending.done = Embedded(file.name, content, *found)
            elif content in self.on_the_way:
                pending.twin = self.on_the_way[content]
            else:
                self.encoder.load()
                self.on_the_way[content] = pending
                pending.work = pool.submit(self._describe, file, data)
        except PictureError as error:
            self._fail(pending, str(error))
        return pending

    def finish_batch(self, window: Iterable[_Pending]) -> None:
        """Encode and store the first batch of pictures that are being decoded."""
        batch: list[tuple[_Pending, _Described]] = []
        for pending in window:
            if pending.work is None or len(batch) == BATCH:
                continue
            work, pending.work = pending.work, None
            self.on_the_way.pop(pending.content, None)
            try:
                batch.append((pending, work.result()))
            except PictureError as error:
                self._fail(pending, str(error))
        if not batch:
            return
        vectors = self.encoder.encode([described.views for _, described in batch])
        self.cache.put(self.key, [(d.content, v, d.quality) for (_, d), v in zip(batch, vectors, strict=True)])
        self.cache.remember_files([(p.file.path, p.status, d.content) for p, d in batch if p.status is not None])
        for (pending, described), vector in zip(batch, vectors, strict=True):
            pending.decoded = True
            pending.done = Embedded(pending.file.name, described.content, vector, described.quality)

    def count(self, pending: _Pending, row: Embedded) -> None:
        """Count a picture that is done; of several with the same content one is decoded."""
        if row.vector is None:
            self.counts.failed += 1
        elif pending.decoded:
            self.counts.decoded += 1
        else:
            self.counts.cached += 1

    def _fail(self, pending: _Pending, reason: str) -> None:
        pending.done = Embedded(pending.file.name, pending.content, reason=reason)

    def _describe(self, file: ImageFile, data: bytes | None) -> _Described:
        """Decode a picture and cut its views; runs in a thread."""
        data = read_bytes(file) if data is None else data
        return _Described(content_hash(data), *self.eye(data))


class _Eye:
    """Looks at one picture: decodes it, finds the face, cuts the views and notes the quality. Safe in threads."""

    def __init__(self, encoder: Encoder, tolerant: bool) -> None:
        self.encoder = encoder
        self.tolerant = tolerant
        self.finder = FaceFinder()

    def __call__(self, data: bytes) -> tuple[Mapping[View, Pixels], Quality]:
        picture = decode(data, tolerant=self.tolerant)
        face = self.finder.find(picture.pixels)
        views = self.encoder.cut(picture.pixels, face)
        quality = Quality(
            width=picture.width,
            height=picture.height,
            frames=picture.frames,
            faces=face.count,
            face_detector=face.detector,
            face_share=round(face.eye_distance / min(picture.pixels.size), 4),
            face_roll=round(face.roll, 2),
            sharpness=round(_sharpness(next(p for v, p in views.items() if v.name == "chip")), 3),
            truncated="truncated" in picture.flags,
            **asdict(appearance.measure(picture.pixels, face)),
        )
        return views, quality


def embed_bytes(pictures: Iterable[tuple[str, bytes]], encoder: Encoder) -> Iterator[Embedded]:
    """Embed pictures that are in memory, one after the other, each with a vector or a reason; no cache.

    Parameters
    ----------
    pictures : iterable of (str, bytes)
        Name and content of each image file.
    encoder : Encoder
        Loaded at the first picture.
    """
    eye = _Eye(encoder, tolerant=False)
    for name, data in pictures:
        content = content_hash(data)
        try:
            views, quality = eye(data)
        except PictureError as error:
            yield Embedded(name, content, reason=str(error))
        else:
            yield Embedded(name, content, encoder.encode([views])[0], quality)


def _sharpness(pixels: Pixels) -> float:
    grey = pixels.astype(np.float32).mean(axis=2)
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(laplacian.std())
