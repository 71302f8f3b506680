"""Errors near a prediction: where on the scale a predictor errs more, less, or in one direction.

One error covariance for all pictures is an average. Pictures predicted far above the others are those that matter, and
there errors can be half as large as elsewhere, and votes agree more. Both are estimated from out-of-fold predictions
around the prediction in question, with a normal weight in z of all traits together, drawn toward the average where
there are few.

References
----------
Fan & Yao (1998), Efficient estimation of conditional variance functions in stochastic regression, Biometrika 85(3).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from prescreen.ranking.probability import Floats

WIDTH: Final = 0.5
"""Standard deviation of the weights in z."""

PRIOR_PICTURES: Final = 3.0
"""The average over all pictures counts as much as this many close ones."""

_LEAST = 0.1  # an error variance is never taken for less than this share of the average


@dataclass(frozen=True)
class LocalErrors:
    """What to expect of m predictions.

    Attributes
    ----------
    shift : ndarray (m, t)
        Mean of rating minus prediction in z, to be added to the prediction.
    scale : ndarray (m, t)
        Standard deviation of the error of the true value, relative to the average one.
    noise : ndarray (m, t)
        Noise variance of one vote in z.
    """

    shift: Floats
    scale: Floats
    noise: Floats


def local_errors(
    at: Floats, predicted: Floats, residuals: Floats, noise: Floats, votes: Floats, width: float = WIDTH
) -> LocalErrors:
    """Estimate errors around predictions.

    Parameters
    ----------
    at : ndarray (m, t)
        Predictions in z about which something is asked.
    predicted, residuals : ndarray (n, t)
        Out-of-fold predictions in z, and rating minus prediction; NaN where there is no rating.
    noise : ndarray (n, t)
        Noise variance of one vote for each picture (the variance of its votes), in z.
    votes : ndarray (n, t)
        Votes in each rating.
    width : float
        Standard deviation of the weights in z.

    Returns
    -------
    LocalErrors
    """
    distances = ((at[:, None] - predicted[None]) ** 2).sum(axis=2)
    weights = np.exp(-distances / (2 * width**2))
    m, t = at.shape
    shift, scale, local_noise = np.zeros((m, t)), np.ones((m, t)), np.zeros((m, t))
    for j in range(t):
        rated = np.isfinite(residuals[:, j])
        weight, errors = weights[:, rated], residuals[rated, j]
        excess = errors**2 - noise[rated, j] / votes[rated, j]
        average = max(float(excess.mean()), _LEAST * float(np.mean(errors**2)))
        shift[:, j] = _smooth(weight, errors, 0.0)
        variance = _smooth(weight, excess, average) - shift[:, j] ** 2
        scale[:, j] = np.sqrt(np.maximum(variance / average, _LEAST))
        local_noise[:, j] = _smooth(weight, noise[rated, j], float(noise[rated, j].mean()))
    return LocalErrors(shift, scale, local_noise)


def _smooth(weights: Floats, values: Floats, average: float) -> Floats:
    smoothed: Floats = (weights @ values + PRIOR_PICTURES * average) / (weights.sum(axis=1) + PRIOR_PICTURES)
    return smoothed
