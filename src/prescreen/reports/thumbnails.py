"""Small pictures for the pages."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from prescreen.embeddings.workers import shared_workers
from prescreen.errors import PictureError
from prescreen.images.files import ImageFile, read_bytes
from prescreen.settings import processors

SERVED: Final = 1600
"""Longer side in pixels of the large pictures that ``prescreen review`` serves."""

THUMBNAIL: Final = 320
LARGE: Final = 640
LARGE_COUNT: Final = 100
PICTURE_BYTES: Final = 10_000_000
"""Sides of the report's pictures in pixels, how many of the best come large, and what all of them may weigh.

In base64 that is 13.3 MB, which leaves the page below 15 MB.
"""


def draw_thumbnails(
    files: Sequence[ImageFile], best_first: Sequence[str], advance: Callable[[], object]
) -> dict[str, bytes]:
    """Draw small pictures of all files and large ones of the best, as many as the page can bear."""
    place = {name: rank for rank, name in enumerate(best_first)}
    ordered = sorted(files, key=lambda file: place.get(file.name, len(place)))
    weight = PICTURE_BYTES / max(len(files), 1)
    side, quality = (THUMBNAIL, 60) if weight > 9_000 else (224, 50) if weight > 3_500 else (128, 40)

    def small(file: ImageFile) -> bytes | None:
        image = thumbnail(file, side, quality)
        advance()
        return image

    images = {}
    with ThreadPoolExecutor(max_workers=processors()) as pool:
        for file, image in zip(ordered, pool.map(small, ordered), strict=True):
            if image is not None:
                images[file.name] = image
        left = PICTURE_BYTES - sum(map(len, images.values()))
        best = [file for file in ordered[:LARGE_COUNT] if file.name in images]
        for file, image in zip(best, pool.map(lambda file: thumbnail(file, LARGE, 70), best), strict=True):
            if image is not None and (left := left - len(image)) > 0:
                images[file.name] = image
    return images


def thumbnail(file: ImageFile, side: int, quality: int = 70) -> bytes | None:
    """Return a small WebP without metadata, drawn by a worker, or None if the picture can no longer be read.

    Parameters
    ----------
    file : ImageFile
        The picture.
    side : int
        Its longer side in pixels; a smaller picture keeps its size.
    quality : int, 0 to 100
        Of the WebP.
    """
    try:
        return shared_workers().thumbnail(read_bytes(file), side, quality)
    except PictureError:
        return None
