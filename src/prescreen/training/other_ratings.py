"""Ratings of other files: predictors of their traits are trained within each fold, and learned from like bases.

Each of these files has its own pictures, traits, scale and crowd. What it says is not mixed with the ratings that are
predicted: predictors of its traits are trained, and what they say of a picture is learned from as with
``prescreen train --base`` (``docs/decisions/0112-other-ratings-are-bases.md``). They never see a rating of a picture's
own group when they say something of it, be it in a fold or in the final fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from prescreen.predictor.bases import Base, blocks, with_namesakes
from prescreen.predictor.training_portraits import TrainingPortraits, content_keys
from prescreen.regressors.folds import require_groups
from prescreen.regressors.multitask_kernel_ridge import in_two_groups
from prescreen.regressors.stacking import TraitRegressors, fit_final
from prescreen.training.dataset import Dataset
from prescreen.training.grouping import group

FOLDS: Final = 5
"""Parts in which pictures of groups that the file has, too, are predicted without these groups."""

FITS_KEPT: Final = FOLDS + 1
"""Fits of one file that are kept for the next fold; each holds its pictures' vectors."""

Floats = NDArray[np.float64]
Kept = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class OtherRatings:
    """The ratings of another file, and predictors of its traits.

    Parameters
    ----------
    data : Dataset
        Its pictures. Their groups have the numbers of the dataset that it belongs to.
    seed : int
        For the regressors and folds.
    """

    data: Dataset
    seed: int

    def predict(self, features: NDArray[np.float32], groups: NDArray[np.int64], kept: Kept) -> Floats:
        """Predict n pictures, (n, t), from some of the file's pictures, but never from those of their own group.

        Parameters
        ----------
        features : ndarray, shape (n, d)
        groups : ndarray of int, shape (n,)
        kept : ndarray of bool, shape (m,)
            Which of the file's pictures may be learned from.
        """
        shared = np.intersect1d(groups, self.data.groups[kept])
        said = np.zeros((len(groups), len(self.data.traits)))
        strangers = ~np.isin(groups, shared)
        if strangers.any():
            said[strangers] = self._predict(features[strangers], kept)
        order = np.random.default_rng(self.seed).permutation(shared)
        for part in np.array_split(order, max(1, min(FOLDS, len(order)))):
            rows = np.isin(groups, part)
            if rows.any():
                said[rows] = self._predict(features[rows], kept & ~np.isin(self.data.groups, part))
        return said

    def as_base(self) -> Base:
        """Return what predicts its traits, as a part of a predictor; of its own pictures by models without them."""
        data, everything = self.data, np.ones(len(self.data.groups), dtype=bool)
        fitted, _ = self._fit(everything)
        assert fitted is not None  # `_learnable` has seen to it
        portraits = TrainingPortraits(
            keys=content_keys(data.contents),
            faces=data.faces.astype(np.float16),
            predictions=self.predict(data.features, data.groups, everything),
        )
        return Base(data.traits, fitted, portraits)

    def _predict(self, features: NDArray[np.float32], kept: Kept) -> Floats:
        """Predict pictures of other groups; a trait that is kept in fewer than two groups has its mean there, or 0."""
        fitted, usable = self._fit(kept)
        left = np.where(kept[:, None], self.data.ratings, np.nan)
        rated = np.isfinite(left).sum(axis=0)
        said = np.tile(np.nansum(left, axis=0) / np.maximum(rated, 1), (len(features), 1))
        if fitted is not None:
            said[:, usable] = fitted.predict(features)
        return said

    def _fit(self, kept: Kept) -> tuple[TraitRegressors | None, NDArray[np.intp]]:
        """Fit the traits that are left in two groups; most folds of a file with few shared persons are alike."""
        return self._fits(kept.tobytes())

    @cached_property
    def _fits(self) -> Callable[[bytes], tuple[TraitRegressors | None, NDArray[np.intp]]]:
        @lru_cache(maxsize=FITS_KEPT)
        def fit(kept_bytes: bytes) -> tuple[TraitRegressors | None, NDArray[np.intp]]:
            kept = np.frombuffer(kept_bytes, dtype=bool)
            rated = (np.isfinite(self.data.ratings) & kept[:, None]).astype(np.float64)
            usable = in_two_groups(rated, self.data.groups)
            cells = np.ix_(kept, usable)
            if not len(usable):
                return None, usable
            fitted = fit_final(
                self.data.features[kept],
                self.data.ratings[cells],
                self.data.groups[kept],
                self.data.blocks,
                sample_weight=self.data.weights[cells],
                seed=self.seed,
            )
            return fitted, usable

        return fit


def with_others(dataset: Dataset, others: Sequence[Dataset], seed: int) -> Dataset:
    """Add the ratings of other files: group all pictures together, and add what is learned from these ratings.

    Parameters
    ----------
    dataset : Dataset
        What is predicted, with its bases.
    others : sequence of Dataset
        The other files, with the same encoder.
    seed : int
        For regressors and folds.
    """
    if not others:
        return dataset
    every = [dataset, *others]
    found = group(np.concatenate([part.faces for part in every]), np.concatenate([part.persons for part in every]))
    own, *theirs = np.split(found.labels, np.cumsum([len(part.images) for part in every])[:-1])
    learned = [
        OtherRatings(_learnable(replace(part, groups=groups)), seed)
        for part, groups in zip(others, theirs, strict=True)
    ]
    joined = replace(dataset, groups=own, grouping=found.describe(), others=tuple(learned))
    return within(joined, np.arange(len(own)))


def _learnable(data: Dataset) -> Dataset:
    """Leave out the traits that are rated in one group only."""
    usable = in_two_groups(np.isfinite(data.ratings).astype(np.float64), data.groups)
    if not len(usable):
        require_groups(len(np.unique(data.groups)), 2, f"the ratings of {', '.join(data.traits)}")
    return replace(
        data,
        traits=tuple(data.traits[column] for column in usable),
        ratings=data.ratings[:, usable],
        sampling_variance=data.sampling_variance[:, usable],
    )


def within(dataset: Dataset, rows: NDArray[np.intp]) -> Dataset:
    """Return the dataset with what the other files say, learned without the groups of pictures that are not in rows.

    Of pictures in the rows it is learned without their own groups, too, so that nothing said has seen its picture.
    """
    if not dataset.others:
        return dataset
    outside = np.setdiff1d(dataset.groups, dataset.groups[rows])
    before = sum(map(len, dataset.prior_traits))
    said = [np.zeros((len(dataset.images), 0)) if dataset.prior is None else dataset.prior[:, :before]]
    said += [
        other.predict(dataset.features, dataset.groups, ~np.isin(other.data.groups, outside))
        for other in dataset.others
    ]
    names = (*dataset.prior_traits, *(other.data.traits for other in dataset.others))
    prior = with_namesakes(np.hstack(said), names, dataset.traits)
    return replace(dataset, prior=prior, prior_blocks=blocks(names, dataset.traits))


def prior_within(dataset: Dataset, rows: NDArray[np.intp]) -> Floats:
    """Return what other predictors say of all pictures, learned as in `within`."""
    prior = within(dataset, rows).prior
    assert prior is not None
    return prior
