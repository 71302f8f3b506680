"""How much each feature has to do with the ratings: what weighs more in a distance of pictures.

A feature that is correlated with no trait says only noise of how alike two pictures are to raters. How far the weights
follow the correlations is decided by the ratings themselves: as far as correlations are larger than chance makes them,
in the manner of James and Stein. Pictures of one person are alike and rated alike, so chance is measured by persons.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def feature_relevance(
    features: Float32, blocks: Mapping[str, slice], Y: Float64, weight: Float64, groups: NDArray[np.intp]
) -> Float32:
    """Return the weight of each feature within its block.

    With z² of a feature the squared sum of its products with the ratings, added up over traits, and c what z² would be
    on average if groups had nothing to do with each other, the weight is 1 − s + s · z² / (mean of z² in the block),
    where s = max(0, 1 − c / mean of z²) is the share of z² that chance does not explain.

    Parameters
    ----------
    features : ndarray of float32, shape (n, d)
        Standardised on these rows, and weighed so that all blocks count the same.
    blocks : mapping of str to slice
        Column ranges that tile the features.
    Y : ndarray of shape (n, t)
        Ratings; NaN where there is none.
    weight : ndarray of shape (n, t)
        Not negative; zero where there is no rating.
    groups : ndarray of int, shape (n,)
        Group of each row. Ratings of different groups are independent by chance.

    Returns
    -------
    ndarray of float32, shape (d,)
        Not negative, with mean 1 in each block.

    References
    ----------
    B. Efron, C. Morris, Stein's estimation rule and its competitors: an empirical Bayes approach, JASA 68, 1973.
    """
    targets = _unit_targets(Y, weight)
    squares = np.square(features.T @ targets).sum(axis=1, dtype=np.float64)
    total, chance = squares.sum(), _chance(features, targets, groups)
    share = 1 - chance / total if total > chance else 0.0
    relevance = np.ones(len(squares), np.float32)
    for block in blocks.values():
        mean = squares[block].mean()
        if mean > 0:
            relevance[block] = 1 - share + share * squares[block] / mean
    return relevance


def _unit_targets(Y: Float64, weight: Float64) -> Float32:
    """Centred ratings (n, t) whose product with an unrelated feature has variance 1; 0 in constant columns."""
    known = np.where(weight > 0, Y, 0.0)
    total = np.maximum(weight.sum(axis=0), np.finfo(float).tiny)
    centred = np.where(weight > 0, known - (weight * known).sum(axis=0) / total, 0.0)
    weighed = weight * centred
    size = np.sqrt(np.square(weighed).sum(axis=0))
    differs = size > 1e-6 * np.abs(weight * known).max(axis=0, initial=0.0)
    return np.asarray(np.divide(weighed, size, out=np.zeros_like(weighed), where=differs), np.float32)


def _chance(features: Float32, targets: Float32, groups: NDArray[np.intp]) -> float:
    """Return the squared products of single groups, added up over groups, features and traits.

    Features are centred over all G groups, so that these lean against each other: hence the factor G / (G − 1).
    """
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    found = 0.0
    for rows in parts:
        own, ratings = features[rows], targets[rows].astype(np.float64)
        found += ((own @ own.T) * (ratings @ ratings.T)).sum()
    return found * len(parts) / max(len(parts) - 1, 1)
