"""What a predictor keeps of the pictures that it was trained on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from prescreen.encoders import IDENTITY_WIDTH

NEAR_DUPLICATE_DISTANCE: Final = 0.25
"""Distance of face descriptors below which two pictures are taken for near-duplicates."""


@dataclass(frozen=True)
class TrainingPortraits:
    """What a predictor keeps of the m pictures that it was trained on, to recognise them.

    Parameters
    ----------
    keys : ndarray of uint64, shape (m,)
        As `content_keys` makes them.
    faces : ndarray of float16, shape (m, 128)
        Face descriptors.
    predictions : ndarray of float, shape (m, t)
        Raw cross-validated predictions, by models that had not seen the picture.
    """

    keys: NDArray[np.uint64]
    faces: NDArray[np.float16]
    predictions: NDArray[np.float64]

    @classmethod
    def none(cls, traits: int) -> Self:
        """Return what a predictor keeps that was told to forget."""
        return cls(np.zeros(0, np.uint64), np.zeros((0, IDENTITY_WIDTH), np.float16), np.zeros((0, traits)))

    def find(self, keys: NDArray[np.uint64], faces: NDArray[np.floating] | None = None) -> NDArray[np.intp]:
        """Return for each key the row of the picture, or -1.

        Parameters
        ----------
        keys : ndarray of uint64, shape (n,)
            As `content_keys` makes them.
        faces : ndarray of float, shape (n, 128), optional
            Face descriptors; with them a near-duplicate is found too, the nearest one where there are several.
        """
        known = {int(key): row for row, key in enumerate(self.keys)}
        rows = np.array([known.get(int(key), -1) for key in keys], dtype=np.intp)
        if faces is not None and len(faces) and len(self.faces):
            distances = cdist(faces, self.faces.astype(np.float32))
            near = (rows < 0) & (distances.min(axis=1) < NEAR_DUPLICATE_DISTANCE)
            rows[near] = distances[near].argmin(axis=1)
        return rows


def content_keys(contents: Iterable[str]) -> NDArray[np.uint64]:
    """Return the first 64 bits of SHA-256 hashes given in hexadecimal, shape (n,); 0 for an empty text.

    Examples
    --------
    >>> content_keys(["00000000000000ff" + 48 * "0", ""]).tolist()
    [255, 0]
    """
    return np.array([int(content[:16] or "0", 16) for content in contents], dtype=np.uint64)
