"""How accuracy grows with more pictures and with more votes for each, which says what would help."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from prescreen.evaluation.curves import CurvePoint, LearningCurve
from prescreen.evaluation.noise_ceiling import VoteNoise
from prescreen.evaluation.report import Evaluation, evaluate
from prescreen.regressors.folds import grouped_folds
from prescreen.training.dataset import Dataset, fit_dataset
from prescreen.training.other_ratings import within

FOLDS: Final = 5
SHARES: Final = (1 / 8, 1 / 4, 1 / 2, 1.0)
VOTES: Final = (2, 5, 10, 20, 40)
FEWEST_GROUPS: Final = 20
"""Smallest training part: what is learned from fewer groups says nothing."""


@dataclass(frozen=True)
class Thinning:
    """What is left to train on: a share of the groups, and at most so many votes for each rating (None: all)."""

    share: float
    votes: int | None


def thinnings(dataset: Dataset, noise: Mapping[str, VoteNoise]) -> list[Thinning]:
    """Choose the points of the curve: shares of the pictures, then numbers of votes below the median.

    There are none by votes unless the votes behind all ratings are known.
    """
    groups = len(np.unique(dataset.groups)) * (1 - 1 / FOLDS)
    by_share = [Thinning(share, None) for share in SHARES if share * groups >= FEWEST_GROUPS or share == 1]
    rated = np.isfinite(dataset.ratings)
    known = [noise[trait][rated[:, column]] for column, trait in enumerate(dataset.traits) if trait in noise]
    if len(known) < len(dataset.traits) or not all(votes.known for votes in known):
        return by_share
    median = float(np.median(np.concatenate([votes.votes for votes in known])))
    return by_share + [Thinning(1.0, votes) for votes in VOTES if votes < median]


def learning_curve(
    dataset: Dataset,
    noise: Mapping[str, VoteNoise],
    seed: int,
    advance: Callable[[], object] = lambda: None,
    *,
    hold_rows: bool = True,
    trees: bool = False,
) -> LearningCurve:
    """Train on parts of the data and predict pictures that were left out, always the same and with all their votes.

    Parameters
    ----------
    dataset : Dataset
    noise : mapping of str to VoteNoise
        What is known of the votes behind each trait's ratings.
    seed : int
        For the folds, the parts and the regressors.
    advance : callable
        Called after each of the points.
    hold_rows, trees : bool
        Which regressors are stacked, as in `prescreen.regressors.stacking.candidates`.

    Notes
    -----
    Ratings of other files stay as they are, but for pictures of persons that are not trained on. Smaller parts are
    within larger ones. Fewer votes are simulated: a mean of m of a picture's n votes differs from
    that of all n by noise of variance s² (1/m - 1/n), which is added to the rating.
    """
    points = []
    for thinning in thinnings(dataset, noise):
        thinned = dataset if thinning.votes is None else with_fewer_votes(dataset, noise, thinning.votes, seed)
        predictions = np.zeros(dataset.ratings.shape)
        sizes = []
        for rows, test in _splits(dataset.groups, thinning.share, seed):
            part = within(thinned, rows)
            model = fit_dataset(part, rows, seed=seed, hold_rows=hold_rows, trees=trees)
            prior = None if part.prior is None else part.prior[test]
            predictions[test] = model.predict(dataset.features[test], prior)
            sizes.append(len(rows))
        found = evaluate(
            dataset.ratings,
            predictions,
            dataset.traits,
            naive=np.nanmean(dataset.ratings, axis=0),
            noise=noise,
            groups=dataset.groups,
            seed=seed,
        )
        points.append(_point(round(float(np.mean(sizes))), thinning.votes, found))
        advance()
    whole = [point for point in points if point.votes is None]
    fewer = [point for point in points if point.votes is not None]
    return LearningCurve(tuple(whole), (*fewer, whole[-1]) if fewer else ())


def with_fewer_votes(dataset: Dataset, noise: Mapping[str, VoteNoise], most: int, seed: int) -> Dataset:
    """Return the dataset as if no rating were from more votes than ``most``, by adding the noise of a smaller mean.

    Nothing is known of the votes behind auxiliary ratings. They get as much noise as those of the traits, in units of
    their variance: the mean over the traits that the picture is rated in.
    """
    generator = np.random.default_rng(seed)
    ratings, variance = dataset.ratings.copy(), dataset.sampling_variance.copy()
    relative = np.full(ratings.shape, np.nan)
    for column, trait in enumerate(dataset.traits):
        rows = np.isfinite(ratings[:, column])
        known = noise[trait][rows]
        kept = np.minimum(known.votes, most)
        single = known.variance * known.votes
        added = np.maximum(single / kept - single / known.votes, 0.0)
        relative[rows, column] = added / max(ratings[rows, column].var(), np.finfo(float).tiny)
        ratings[rows, column] += np.sqrt(added) * generator.standard_normal(len(added))
        variance[rows, column] = single / kept
    auxiliary = dataset.auxiliary
    if auxiliary.shape[1]:
        share = np.nanmean(relative, axis=1, keepdims=True)
        spread = np.nanvar(auxiliary, axis=0)
        auxiliary = auxiliary + np.sqrt(share * spread) * generator.standard_normal(auxiliary.shape)
    return replace(dataset, ratings=ratings, sampling_variance=variance, auxiliary=auxiliary)


def _splits(groups: NDArray[np.int64], share: float, seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield training rows, of a share of the groups, and test rows."""
    for fold, (train, test) in enumerate(grouped_folds(groups, FOLDS, seed)):
        order = np.random.default_rng([seed, fold]).permutation(np.unique(groups[train]))
        kept = order[: max(2, round(share * len(order)))]
        yield train[np.isin(groups[train], kept)], test


def _point(pictures: int, votes: int | None, found: Evaluation) -> CurvePoint:
    return CurvePoint(
        pictures=pictures,
        votes=votes,
        pearson=found.overall.pearson,
        r2=found.overall.r2,
        worth_in_votes=found.overall.votes,
        traits={trait.trait: trait.pearson for trait in found.traits},
    )
