"""The training table: ratings joined with vectors by image, and the groups that must not be split."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform

from prescreen.embeddings import Embedded
from prescreen.encoders import IDENTITY_BLOCK, EncoderSpecification
from prescreen.errors import RatingsError
from prescreen.ratings import Ratings

NEAR_DUPLICATE_DISTANCE: Final = 0.25
"""Distance of face descriptors below which two pictures are taken for near-duplicates."""

MODEL_SHARE: Final = 0.3
"""Share of the variance of the ratings that a regressor is expected to leave unexplained, beside the vote noise."""


@dataclass(frozen=True)
class Dataset:
    """n pictures with d features and t traits, as arrays in the same order.

    Parameters
    ----------
    images : tuple of str
        Names of the pictures, sorted.
    traits : tuple of str
        Names of the traits.
    features : ndarray of float32, shape (n, d)
        The encoder's vectors.
    blocks : mapping of str to slice
        Named ranges of the columns of `features`.
    ratings : ndarray of float, shape (n, t)
        Mean votes, raw; NaN where a picture has no rating in a trait.
    sampling_variance : ndarray of float, shape (n, t)
        Variance of the vote noise in each rating; NaN where it is not known.
    persons : ndarray of str, shape (n,)
        Who is in the picture; empty where the ratings do not say.
    groups : ndarray of int, shape (n,)
        Pictures of one person, and near-duplicates, have the same number and must stand on one side of every split.
    """

    images: tuple[str, ...]
    traits: tuple[str, ...]
    features: NDArray[np.float32]
    blocks: Mapping[str, slice]
    ratings: NDArray[np.float64]
    sampling_variance: NDArray[np.float64]
    persons: NDArray[np.str_]
    groups: NDArray[np.int64]

    @property
    def known_persons(self) -> NDArray[np.object_]:
        """Who is in the picture, None where the ratings do not say, shape (n,)."""
        return np.array([person or None for person in self.persons], dtype=object)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weight of each rating in fitting, shape (n, t); mean 1 in each trait.

        A rating weighs 1 / (τ² + s²), where s² is its vote noise and τ² what a regressor leaves unexplained anyway:
        a rating from few votes weighs less, one from many votes not without limit.
        """
        unexplained = MODEL_SHARE * np.nanvar(self.ratings, axis=0)
        noise = np.where(np.isnan(self.sampling_variance), 0.0, self.sampling_variance)
        weights = 1 / np.maximum(unexplained + noise, np.finfo(float).tiny)
        weights = np.where(np.isnan(self.ratings), np.nan, weights)
        weights = weights / np.nanmean(weights, axis=0)
        # Nearly equal numbers of votes: one factorisation for all traits instead of one for each.
        alike = np.nanstd(weights, axis=0) < 0.1
        return np.where(np.isnan(weights), 0.0, np.where(alike, 1.0, weights))


def join(ratings: Ratings, embedded: Iterable[Embedded], specification: EncoderSpecification) -> Dataset:
    """Join ratings and vectors by image.

    Parameters
    ----------
    ratings : Ratings
        What the raters said.
    embedded : iterable of Embedded
        The rated pictures after embedding.
    specification : EncoderSpecification
        The encoder that embedded them.

    Raises
    ------
    RatingsError
        If a rated picture has no vector: nothing is trained on a silently shortened table.
    """
    rows = {row.name: row for row in embedded}
    table = ratings.wide()
    vectors = {name: rows[name].vector if name in rows else None for name in table.index}
    missing = [name for name, vector in vectors.items() if vector is None]
    if missing:
        first = missing[0]
        reason = rows[first].reason if first in rows else "not found"
        raise RatingsError(
            f"{ratings.source}: {len(missing)} of {len(table)} rated pictures cannot be used, first {first!r} "
            f"({reason}); repair them or take their rows out of the ratings"
        )
    images = tuple(str(name) for name in table.index)
    features = np.stack([vector for vector in vectors.values() if vector is not None]).astype(np.float32)
    persons = np.array([ratings.persons.get(name, "") for name in images], dtype=np.str_)
    return Dataset(
        images=images,
        traits=ratings.traits,
        features=features,
        blocks=specification.blocks,
        ratings=table.loc[:, list(ratings.traits)].to_numpy(dtype=np.float64),
        sampling_variance=ratings.sampling_variance()
        .loc[list(images), list(ratings.traits)]
        .to_numpy(dtype=np.float64),
        persons=persons,
        groups=group(features[:, specification.blocks[IDENTITY_BLOCK]], persons),
    )


def group(descriptors: NDArray[np.float32], persons: NDArray[np.str_]) -> NDArray[np.int64]:
    """Find pictures that must stay together: of one named person, or near-duplicates by face descriptor.

    Near-duplicates are chained: if a resembles b and b resembles c, all three are one group.

    Parameters
    ----------
    descriptors : ndarray of float, shape (n, 128)
        Descriptors of dlib's face network.
    persons : ndarray of str, shape (n,)
        Names of persons; empty where unknown.

    Returns
    -------
    ndarray of int, shape (n,)
        Numbers of groups from 0.
    """
    near = squareform(pdist(descriptors)) < NEAR_DUPLICATE_DISTANCE
    same = (persons[:, None] == persons[None]) & (persons != "")[:, None]
    _, labels = connected_components(coo_array(near | same), directed=False)
    return np.asarray(labels, dtype=np.int64)
