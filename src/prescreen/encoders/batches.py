"""Batches of one size: a picture's features must not depend on its company."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def full_batches(pixels: NDArray[np.uint8], size: int) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Divide n pictures into batches of ``size``, the last one filled up with black.

    Yields
    ------
    (slice, ndarray of uint8, shape (size, ...))
        Which pictures they are, and the batch.
    """
    for start in range(0, len(pixels), size):
        batch = pixels[start : start + size]
        missing = size - len(batch)
        if missing:
            batch = np.concatenate([batch, np.zeros((missing, *pixels.shape[1:]), np.uint8)])
        yield slice(start, start + size - missing), batch
