"""Accuracy among the pictures of one person, which is what somebody choosing among their own pictures needs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.evaluation.metrics import Estimate, Float64, Resampled, drawn_rows, pearson, ratio, resample


@dataclass(frozen=True)
class WithinPerson:
    """Accuracy within persons, over those with at least two rated pictures, all persons pooled.

    Attributes
    ----------
    n_persons, n_pictures : int
    pearson : Estimate
        Correlation of the deviations from each person's mean.
    pairs_in_order : Estimate
        Share of the pairs of one person's pictures that the predictions put in the order of the ratings, a tie of the
        predictions counting one half; 0.5 by chance. Pairs with equal ratings are left out.
    highest_r : float or None
        Highest correlation that perfect predictions can reach: the root of the share of the variance within persons
        that is not vote noise. None where the noise is not known.
    """

    n_persons: int = 0
    n_pictures: int = 0
    pearson: Estimate = Estimate()
    pairs_in_order: Estimate = Estimate()
    highest_r: float | None = None


def within_person(
    truth: Float64,
    predictions: Float64,
    persons: NDArray[Any],
    counts: Float64,
    noise_variance: NDArray[Any] | None = None,
) -> tuple[WithinPerson, dict[str, Resampled]] | None:
    """Evaluate the order of one person's pictures.

    Parameters
    ----------
    truth, predictions : ndarray of shape (n,)
    persons : ndarray of shape (n,)
        Person in each picture; None or NaN where unknown.
    counts : ndarray of shape (n_resamples, n)
        Resamples that draw persons whole.
    noise_variance : ndarray of shape (n,), optional
        Variance of the vote noise in each rating.

    Returns
    -------
    tuple of WithinPerson and dict of str to Resampled, or None
        The figures, and those that have intervals with their resamples; None without a person with two pictures.
    """
    codes = pd.factorize(np.asarray(persons, object), use_na_sentinel=True)[0]
    sizes = np.bincount(codes[codes >= 0], minlength=1)
    kept = np.flatnonzero((codes >= 0) & (sizes[codes] >= 2))
    if not kept.size:
        return None
    counts = drawn_rows(counts, kept, codes)
    codes, truth, predictions = codes[kept], truth[kept], predictions[kept]
    frame = pd.DataFrame({"truth": truth, "predictions": predictions})
    deviations = frame - frame.groupby(codes).transform("mean")
    y, p = (deviations[name].to_numpy(np.float64) for name in ("truth", "predictions"))
    highest = None
    if noise_variance is not None and np.isfinite(noise_variance[kept]).all() and (y @ y) > 0:
        # A person's mean takes 1/k of each picture's noise with it.
        left = noise_variance[kept] * (1 - 1 / sizes[codes])
        highest = float(np.sqrt(max(0.0, 1 - left.sum() / (y @ y))))
    drawn = {
        "pearson": resample(pearson, y, p, counts, 2.0),
        "pairs_in_order": _pairs_in_order(truth, predictions, codes, counts),
    }
    estimates = {name: figure.estimate() for name, figure in drawn.items()}
    return WithinPerson(len(np.unique(codes)), kept.size, **estimates, highest_r=highest), drawn


def _pairs_in_order(truth: Float64, predictions: Float64, codes: NDArray[np.intp], counts: Float64) -> Resampled:
    firsts, right, pairs = [], [], []
    for person in np.unique(codes):
        rows = np.flatnonzero(codes == person)
        order, said = (
            np.sign(v[rows, None] - v[None, rows])[np.triu_indices(len(rows), 1)] for v in (truth, predictions)
        )
        told = order != 0
        firsts.append(rows[0])
        right.append(float(((1 + order * said) / 2)[told].sum()))
        pairs.append(float(told.sum()))
    drawn = np.vstack([np.ones((1, len(firsts))), counts[:, firsts]])
    shares = ratio(drawn @ np.array(right), drawn @ np.array(pairs))
    return Resampled(float(shares[0]), shares[1:], 1.0)
