"""From image files to vectors, in batches and with a cache.

The cache is searched by content before a picture is decoded: a second run over a folder decodes nothing, and moved,
renamed and repeated pictures are decoded once. A picture that fails becomes a row with its reason.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final

from prescreen.embeddings.cache import EmbeddingCache, Vector
from prescreen.embeddings.workers import Workers, shared_workers
from prescreen.encoders import Encoder
from prescreen.errors import PictureError, PictureFault
from prescreen.images.files import FileKey, ImageFile, content_hash, file_key, read_bytes
from prescreen.images.inspection import Quality
from prescreen.images.views import Pixels, View
from prescreen.settings import processors

__all__ = [
    "Embedded",
    "EmbeddingCache",
    "EmbeddingCounts",
    "Quality",
    "cached_vector",
    "embed_bytes",
    "embed_images",
    "not_cached",
]

BATCH: Final = 16


@dataclass(frozen=True)
class Embedded:
    """One embedded picture: a vector and its quality, or the reason why there is none.

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
    fault : str
        What the reason is counted as, a `prescreen.errors.PictureFault`; empty where there is a vector.
    """

    name: str
    content: str = ""
    vector: Vector | None = None
    quality: Quality | None = None
    reason: str = ""
    fault: str = ""


def describe_faults(faults: Mapping[str, int]) -> str:
    """Return why pictures failed.

    Examples
    --------
    >>> describe_faults({"damaged": 1, "truncated": 3})
    '3 truncated, 1 damaged'
    """
    return ", ".join(f"{faults[fault]} {fault}" for fault in PictureFault if faults.get(fault))


@dataclass
class EmbeddingCounts:
    """Numbers of pictures that `embed_images` decoded, found in the cache or among those before, and failed to embed.

    The reason is that of the first picture that failed; the faults are numbers of failures by kind.
    """

    decoded: int = 0
    cached: int = 0
    failed: int = 0
    reason: str = ""
    faults: dict[str, int] = field(default_factory=dict)

    def describe_failures(self) -> str:
        """Return how many pictures failed, and why: ``4 failed: 3 truncated, 1 damaged``."""
        kinds = describe_faults(self.faults)
        return f"{self.failed} failed: {kinds}" if kinds else f"{self.failed} failed"

    def add(self, other: "EmbeddingCounts") -> None:
        """Add the counts of another run."""
        self.decoded += other.decoded
        self.cached += other.cached
        self.failed += other.failed
        self.reason = self.reason or other.reason
        for fault, number in other.faults.items():
            self.faults[fault] = self.faults.get(fault, 0) + number


_Inspected = tuple[str, Mapping[View, Pixels], Quality]
"""Hash of the content, views and quality of a decoded picture."""


@dataclass
class _Pending:
    """A picture in the window; `row` is None until it is done."""

    file: ImageFile
    content: str = ""
    key: FileKey | None = None
    work: Future[_Inspected] | None = None
    decoded: bool = False
    twin: "_Pending | None" = None
    done: Embedded | None = None

    @property
    def row(self) -> Embedded | None:
        """The finished row; a twin with the same content may have made it."""
        if self.done is None and self.twin is not None and self.twin.done is not None:
            self.done = replace(self.twin.done, name=self.file.name)
        return self.done


def embed_images(
    files: Iterable[ImageFile],
    encoder: Encoder,
    cache: EmbeddingCache,
    *,
    tolerant: bool = False,
    workers: Workers | None = None,
    counts: EmbeddingCounts | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Iterator[Embedded]:
    """Embed pictures, in the order given, each with a vector or a reason.

    Pictures are decoded by other processes while the networks work on those before them; at most a few batches are in
    memory.

    Parameters
    ----------
    files : iterable of ImageFile
        Pictures to embed.
    encoder : Encoder
        Loaded only if some picture is not in the cache.
    cache : EmbeddingCache
        Read before decoding, written after every batch.
    tolerant : bool
        Accept truncated pictures as far as they go instead of failing them.
    workers : Workers, optional
        Where pictures are decoded; by default the workers of this process.
    counts : EmbeddingCounts, optional
        Is added to.
    advance : callable
        Called once for each picture that is done.
    """
    counts = counts or EmbeddingCounts()
    run = _Run(encoder, cache, tolerant, workers or shared_workers(), counts)
    with ThreadPoolExecutor(max_workers=processors(), thread_name_prefix="decode") as pool:
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


_LOOKED_AT: Final = 200


def not_cached(
    files: Sequence[ImageFile], encoder: Encoder, cache: EmbeddingCache, *, tolerant: bool = False
) -> tuple[list[ImageFile], int]:
    """Return some of the pictures that are to be decoded, and about how many there are.

    At most 200 pictures, evenly spread, are looked at. Files of this machine that were moved are known by their
    content; repeated ones count each time.
    """
    key = _cache_key(encoder, tolerant)
    step = -(-len(files) // _LOOKED_AT) or 1
    found = []
    for place in range(0, len(files), step):
        file = files[place]
        if file.problem:
            continue
        known = file_key(file)
        content = cache.known_content(known) if known else None
        if content is None and not isinstance(file.path, str):
            with contextlib.suppress(PictureError):  # said when its turn comes
                content = content_hash(read_bytes(file))
        if content is None or not cache.holds(content, key):
            found.append(file)
    return found, min(len(files), len(found) * step)


def cached_vector(content: str, encoder: Encoder, cache: EmbeddingCache) -> Vector | None:
    """Return the stored vector of a picture, shape (dimension,), by the SHA-256 of its file, strict or tolerant."""
    for tolerant in (False, True):
        found = cache.get(content, _cache_key(encoder, tolerant), encoder.specification.dimension)
        if found is not None:
            return found[0]
    return None


def _cache_key(encoder: Encoder, tolerant: bool) -> str:
    """Return the cache's key, which keeps tolerant and strict runs apart."""
    return encoder.specification.fingerprint + ("-tolerant" if tolerant else "")


class _Run:
    """The steps of `embed_images` for one encoder and cache."""

    def __init__(
        self, encoder: Encoder, cache: EmbeddingCache, tolerant: bool, workers: Workers, counts: EmbeddingCounts
    ) -> None:
        self.encoder = encoder
        self.cache = cache
        self.counts = counts
        self.tolerant = tolerant
        self.workers = workers
        self.by_content: dict[str, _Pending] = {}
        self.key = _cache_key(encoder, tolerant)

    def begin(self, file: ImageFile, pool: ThreadPoolExecutor) -> _Pending:
        """Look a picture up in the cache, or start to decode it."""
        pending = _Pending(file, key=file_key(file))
        try:
            data = None
            content = self.cache.known_content(pending.key) if pending.key else None
            if content is None:
                data = read_bytes(file)
                content = content_hash(data)
            pending.content = content
            found = self.cache.get(content, self.key, self.encoder.specification.dimension)
            twin = self.by_content.get(content) if found is None else None
            if (found or twin) and data is not None and pending.key is not None:
                self.cache.remember_files([(pending.key, content)])
            if found is not None:
                pending.done = Embedded(file.name, content, *found)
            elif twin is not None:
                pending.twin = twin
            else:
                self.encoder.load()
                self.by_content[content] = pending
                pending.work = pool.submit(self._inspect, file, data)
        except PictureError as error:
            self._fail(pending, error)
        return pending

    def finish_batch(self, window: Iterable[_Pending]) -> None:
        """Encode and store the first batch of pictures that are being decoded."""
        batch: list[tuple[_Pending, _Inspected]] = []
        for pending in window:
            if pending.work is None or len(batch) == BATCH:
                continue
            work, pending.work = pending.work, None
            self.by_content.pop(pending.content, None)
            try:
                batch.append((pending, work.result()))
            except PictureError as error:
                self._fail(pending, error)
        if not batch:
            return
        vectors = self.encoder.encode([views for _, (_, views, _) in batch])
        rows = [(content, vector, quality) for (_, (content, _, quality)), vector in zip(batch, vectors, strict=True)]
        self.cache.put(self.key, rows)
        self.cache.remember_files([(p.key, content) for p, (content, _, _) in batch if p.key is not None])
        for (pending, _), row in zip(batch, rows, strict=True):
            pending.decoded = True
            pending.done = Embedded(pending.file.name, *row)

    def count(self, pending: _Pending, row: Embedded) -> None:
        """Count a picture that is done; of several with the same content one is decoded."""
        if row.vector is None:
            self.counts.add(EmbeddingCounts(failed=1, reason=row.reason, faults={row.fault: 1}))
        elif pending.decoded:
            self.counts.decoded += 1
        else:
            self.counts.cached += 1

    def _fail(self, pending: _Pending, error: PictureError) -> None:
        pending.done = Embedded(pending.file.name, pending.content, reason=str(error), fault=error.fault)

    def _inspect(self, file: ImageFile, data: bytes | None) -> _Inspected:
        """Have a picture decoded and its views cut; runs in a thread."""
        data = read_bytes(file) if data is None else data
        return content_hash(data), *self.workers.inspect(data, self.encoder.views, self.tolerant)


def embed_bytes(
    pictures: Iterable[tuple[str, bytes]], encoder: Encoder, workers: Workers | None = None
) -> Iterator[Embedded]:
    """Embed pictures that are in memory, one after the other, each with a vector or a reason, without a cache.

    Parameters
    ----------
    pictures : iterable of (str, bytes)
        Name and content of each image file.
    encoder : Encoder
        Loaded at the first picture.
    workers : Workers, optional
        Where pictures are decoded; by default the workers of this process.
    """
    workers = workers or shared_workers()
    for name, data in pictures:
        content = content_hash(data)
        try:
            views, quality = workers.inspect(data, encoder.views, tolerant=False)
        except PictureError as error:
            yield Embedded(name, content, reason=str(error), fault=error.fault)
        else:
            yield Embedded(name, content, encoder.encode([views])[0], quality)
