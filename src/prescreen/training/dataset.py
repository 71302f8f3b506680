"""The training table: ratings joined with vectors by image, and the groups that must not be split."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.embeddings.pipeline import Embedded, describe_faults
from prescreen.encoders import IDENTITY_BLOCK, EncoderSpecification
from prescreen.errors import RatingsError
from prescreen.predictor.bases import Base, blocks, predict_all
from prescreen.predictor.training_portraits import content_keys
from prescreen.ratings.reading import Ratings
from prescreen.ratings.reliability import DEFAULT_ICC
from prescreen.ratings.vote_noise import noise_of_vote, score_slope, score_to_z
from prescreen.regressors.stacking import TraitRegressors, fit_final
from prescreen.training.grouping import group

if TYPE_CHECKING:
    from prescreen.training.other_ratings import OtherRatings

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
    contents : tuple of str
        SHA-256 of each picture's file.
    persons : ndarray of str, shape (n,)
        Who is in the picture; empty where the ratings do not say.
    groups : ndarray of int, shape (n,)
        Pictures of one person, and near-duplicates, have the same number and must stand on one side of every split.
    auxiliary : ndarray of float, shape (n, a)
        Mean votes in other traits, which are learned from but not predicted; NaN where a picture has none.
    grouping : str
        How the groups were found, in one line.
    prior : ndarray of float, shape (n, k), optional
        What other predictors say of the pictures: bases (`with_bases`), then those that the ratings of other files made
        (`prescreen.training.other_ratings.with_others`).
    prior_blocks : mapping of str to slice, optional
        The columns of each of them.
    prior_traits : tuple of tuples of str
        The traits that each base predicts.
    others : tuple of OtherRatings
        The ratings of other files; the groups of their pictures are numbered with these.
    """

    images: tuple[str, ...]
    traits: tuple[str, ...]
    features: NDArray[np.float32]
    blocks: Mapping[str, slice]
    ratings: NDArray[np.float64]
    sampling_variance: NDArray[np.float64]
    contents: tuple[str, ...]
    persons: NDArray[np.str_]
    groups: NDArray[np.int64]
    auxiliary: NDArray[np.float64]
    grouping: str = ""
    prior: NDArray[np.float64] | None = None
    prior_blocks: Mapping[str, slice] | None = None
    prior_traits: tuple[tuple[str, ...], ...] = ()
    others: "tuple[OtherRatings, ...]" = ()

    @property
    def faces(self) -> NDArray[np.float32]:
        """Face descriptors, shape (n, 128)."""
        return self.features[:, self.blocks[IDENTITY_BLOCK]]

    @property
    def known_persons(self) -> NDArray[np.object_]:
        """Who is in the picture, None where the ratings do not say, shape (n,)."""
        return np.array([person or None for person in self.persons], dtype=object)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weight of each rating in fitting, shape (n, t); mean 1 in each trait.

        A rating weighs 1 / (τ² + s²), where s² is its vote noise and τ² what a regressor leaves unexplained anyway:
        a rating from few votes weighs less, one from many votes not without limit. Where s² is not known, the mean of
        the known ones stands in.
        """
        unexplained = MODEL_SHARE * np.nanvar(self.ratings, axis=0)
        known = ~np.isnan(self.sampling_variance)
        usual = np.where(known, self.sampling_variance, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        noise = np.where(known, self.sampling_variance, usual)
        weights = 1 / np.maximum(unexplained + noise, np.finfo(float).eps)
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
        kinds = describe_faults(Counter(rows[name].fault for name in missing if name in rows))
        raise RatingsError(
            f"{ratings.source}: {len(missing)} of {len(table)} rated pictures cannot be used"
            f"{': ' * bool(kinds)}{kinds}; first {first!r} "
            f"({reason}); repair them or take their rows out of the ratings"
        )
    images = tuple(str(name) for name in table.index)
    features = np.stack([vector for vector in vectors.values() if vector is not None]).astype(np.float32)
    persons = np.array([ratings.persons.get(name, "") for name in images], dtype=np.str_)
    found = group(features[:, specification.blocks[IDENTITY_BLOCK]], persons)
    return Dataset(
        images=images,
        traits=ratings.traits,
        features=features,
        blocks=specification.blocks,
        ratings=table.loc[:, list(ratings.traits)].to_numpy(dtype=np.float64),
        sampling_variance=_sampling_variance(ratings, images),
        contents=tuple(rows[name].content for name in images),
        persons=persons,
        groups=found.labels,
        auxiliary=ratings.auxiliary.reindex(table.index).to_numpy(dtype=np.float64),
        grouping=found.describe(),
    )


def with_bases(dataset: Dataset, bases: Sequence[Base]) -> Dataset:
    """Add what bases say of the pictures; of those that a base was trained on, its cross-validated predictions."""
    if not bases:
        return dataset
    prior = predict_all(bases, dataset.traits, dataset.features, content_keys(dataset.contents), dataset.faces)
    names = tuple(base.traits for base in bases)
    return replace(dataset, prior=prior, prior_blocks=blocks(names, dataset.traits), prior_traits=names)


def fit_dataset(
    dataset: Dataset,
    rows: NDArray[np.intp] | slice = slice(None),
    *,
    seed: int,
    hold_rows: bool = True,
    trees: bool = False,
) -> TraitRegressors:
    """Fit the regressors to some rows; the arguments are those of `prescreen.regressors.stacking.fit_final`."""
    return fit_final(
        dataset.features[rows],
        dataset.ratings[rows],
        dataset.groups[rows],
        dataset.blocks,
        sample_weight=dataset.weights[rows],
        auxiliary=dataset.auxiliary[rows],
        prior=None if dataset.prior is None else dataset.prior[rows],
        prior_blocks=dataset.prior_blocks,
        seed=seed,
        hold_rows=hold_rows,
        trees=trees,
    )


def _sampling_variance(ratings: Ratings, images: tuple[str, ...]) -> NDArray[np.float64]:
    """Variance of the vote noise, shape (n, t); from the numbers of votes alone where their spread is not known.

    Without spread, single votes are taken to have an ICC(1) of `DEFAULT_ICC`, about that of faces on common traits. The
    noise of a score from 0 to 10 follows from its level as well: in z it grows toward the ends, and there a score point
    is more of z than in the middle.
    """
    where = (list(images), list(ratings.traits))
    variance = ratings.sampling_variance().loc[where].to_numpy(dtype=np.float64)
    votes = ratings.table.pivot(index="image", columns="trait", values="votes").loc[where].to_numpy(dtype=np.float64)
    means = ratings.wide().loc[where].to_numpy(dtype=np.float64)
    unknown = np.isnan(variance) & (votes > 0)
    inverse = np.where(unknown, 1 / np.where(votes > 0, votes, 1.0), 0.0)
    usual = inverse.sum(axis=0) / np.maximum(unknown.sum(axis=0), 1)
    odds = (1 - DEFAULT_ICC) / DEFAULT_ICC
    level = score_to_z(np.where(np.isnan(means), 5.0, means)) if ratings.is_score else means
    single, unit = (noise_of_vote(level, odds), score_slope(level)) if ratings.is_score else (odds, 1.0)
    spread = np.nanvar(np.where(np.isnan(means), np.nan, level), axis=0)
    # Ratings vary by the truth and by their noise: var = truth (1 + odds mean(1/n)).
    return np.where(unknown, unit**2 * inverse * single * spread / (1 + odds * usual), variance)
