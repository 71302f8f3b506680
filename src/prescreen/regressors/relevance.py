"""How much each feature has to do with the ratings: what weighs more in a distance of pictures.

A feature that is correlated with no trait says only noise of how alike two pictures are to raters. How far the weights
follow the correlations is decided by the ratings themselves: as far as correlations are larger than chance makes them,
in the manner of James and Stein. Ratings that have nothing to do with the pictures leave the weights equal.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Float16 = NDArray[np.float16]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_SLAB = 4096  # columns that are in single precision at a time


def feature_relevance(standardised: Float16, Y: Float64, weight: Float64, blocks: Mapping[str, slice]) -> Float32:
    """Return the weight of each feature within its block.

    With z² of a feature the mean over traits of its squared correlation times the number of ratings, which is 1 on
    average by chance, and m the mean of z² over blocks, the weight is 1 − s + s · z² / (mean of z² in the block), where
    s = max(0, 1 − 1 / m) is the share of m that chance does not explain.

    Parameters
    ----------
    standardised : ndarray of float16, shape (n, d)
        Features with mean 0 and standard deviation 1 on these rows, or constantly 0.
    Y : ndarray of shape (n, t)
        Ratings; NaN where there is none.
    weight : ndarray of shape (n, t)
        Not negative; zero where there is no rating.
    blocks : mapping of str to slice
        Column ranges that tile the features.

    Returns
    -------
    ndarray of float32, shape (d,)
        Not negative, with mean 1 in each block.

    References
    ----------
    B. Efron, C. Morris, Stein's estimation rule and its competitors: an empirical Bayes approach, JASA 68, 1973.
    """
    targets = _unit_targets(Y, weight)
    squares = np.zeros(standardised.shape[1])
    if targets.shape[1]:
        for start in range(0, len(squares), _SLAB):
            slab = slice(start, start + _SLAB)
            squares[slab] = np.square(standardised[:, slab].astype(np.float32).T @ targets).mean(axis=1)
    means = {name: squares[block].mean() for name, block in blocks.items()}
    mean = np.mean(list(means.values()))
    share = 1 - 1 / mean if mean > 1 else 0.0
    relevance = np.ones(len(squares), np.float32)
    for name, block in blocks.items():
        if means[name] > 0:
            relevance[block] = 1 - share + share * squares[block] / means[name]
    return relevance


def _unit_targets(Y: Float64, weight: Float64) -> Float32:
    """Centred ratings (n, t) whose product with an unrelated feature has variance 1; without constant columns."""
    known = np.where(weight > 0, Y, 0.0)
    total = np.maximum(weight.sum(axis=0), np.finfo(float).tiny)
    centred = np.where(weight > 0, known - (weight * known).sum(axis=0) / total, 0.0)
    weighed = weight * centred
    size = np.sqrt(np.square(weighed).sum(axis=0))
    differs = size > 1e-6 * np.abs(weight * known).max(axis=0, initial=0.0)
    return np.asarray(weighed[:, differs] / size[differs], np.float32)
