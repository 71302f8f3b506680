"""Measures how far a picture is from the training portraits (novelty, or out-of-distribution detection).

Predictions for pictures unlike all training portraits have unknown errors. Novelty is the mean distance to the nearest
training portraits in the leading principal components of the standardised features. Its unit is the distance that 99 %
of the training portraits stay below, measured to those of other groups.

References
----------
Sun, Ming, Zhu & Li (2022), Out-of-distribution detection with deep nearest neighbors, ICML.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh
from scipy.spatial.distance import cdist

COMPONENTS: Final = 30
NEIGHBOURS: Final = 5
FEW: Final = 500
"""Rows up to which all eigenvectors are computed instead of the largest."""
_ROWS: Final = 1000
KNOWN: Final = 0.99
"""Share of the training portraits with a novelty of at most 1."""


@dataclass(frozen=True)
class NoveltyDetector:
    """Measures how unlike the training portraits a picture is.

    Parameters
    ----------
    mean : ndarray of float32, shape (d,)
        Of the training features.
    components : ndarray of float32, shape (d, k)
        Leading principal components of the standardised features, divided by the standard deviations.
    portraits : ndarray of float32, shape (m, k)
        The training portraits in these components.
    usual : ndarray of float64, shape (1,)
        The distance that `KNOWN` of them have from the nearest of other groups.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    portraits: NDArray[np.float32]
    usual: NDArray[np.float64]

    @classmethod
    def fit(cls, features: NDArray[np.float32], groups: NDArray[np.integer]) -> Self | None:
        """Learn from training features, shape (n, d), and their groups, shape (n,).

        Returns
        -------
        NoveltyDetector or None
            None with fewer than three groups: then the distances between groups are unknown.
        """
        if len(np.unique(groups)) < 3:
            return None
        mean, spread = features.mean(axis=0), features.std(axis=0)
        scaled = (features - mean) / np.where(spread > 0, spread, np.float32(np.inf))
        values, vectors = _largest(np.asarray(scaled @ scaled.T, np.float64))
        count = max(1, min(COMPONENTS, len(features) // 4, int((values > 1e-9 * values[0]).sum())))
        directions = scaled.T @ (vectors[:, :count] / np.sqrt(values[:count])).astype(np.float32)
        components = directions / np.where(spread > 0, spread, np.float32(np.inf))[:, None]
        portraits = np.asarray((features - mean) @ components, np.float32)
        own = np.concatenate(
            [
                _nearest(np.where(groups[rows, None] == groups[None], np.inf, cdist(portraits[rows], portraits)))
                for rows in (slice(start, start + _ROWS) for start in range(0, len(portraits), _ROWS))
            ]
        )
        usual = np.quantile(own[np.isfinite(own)], KNOWN)
        return cls(mean, np.asarray(components, np.float32), portraits, np.array([max(usual, np.finfo(float).tiny)]))

    def novelty(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return how unlike the training portraits pictures, shape (n, d), are: above 1 as hardly any of those."""
        projected = (features - self.mean) @ self.components
        return np.asarray(_nearest(cdist(projected, self.portraits)) / self.usual[0])

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays to be saved."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self | None:
        """Read what `to_arrays` returned; None where nothing was saved."""
        return cls(**arrays) if arrays else None  # type: ignore[arg-type]


def _largest(gram: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest eigenvalues, the first the largest, and their vectors."""
    if len(gram) <= FEW:
        values, vectors = np.linalg.eigh(gram)
    else:
        values, vectors = eigsh(gram, COMPONENTS, v0=np.random.default_rng(0).standard_normal(len(gram)))
    return values[::-1], vectors[:, ::-1]


def _nearest(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the `NEIGHBOURS` least finite distances of each row; infinite where there are none."""
    count = min(NEIGHBOURS, distances.shape[1])
    least = np.sort(np.partition(distances, count - 1, axis=1)[:, :count], axis=1)
    known = np.isfinite(least)
    total = np.where(known, least, 0.0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.inf)
