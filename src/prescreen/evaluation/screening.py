"""How well predictions pick the best pictures, compared with what a blind pick and a perfect one would get."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prescreen.evaluation.metrics import Estimate, Float64, Resampled, mean, ratio

TOP = 10
RECALL = 50
_WORLDS = 200


@dataclass(frozen=True)
class Screening:
    """How well the predictions pick the best.

    Attributes
    ----------
    top : int
        Pictures picked: 10, or a quarter of fewer than 40.
    top_mean : Estimate
        Mean rating of the pictures with the highest predictions.
    overall : float or None
        Mean rating of all: what a blind pick gets.
    best_possible : float or None
        Mean rating of the ``top`` best rated: what a pick by the ratings themselves gets.
    top_gain : Estimate
        How far the pick goes from a blind one (0) to the best possible (1).
    attainable_top_mean, attainable_top_gain : float or None
        What a perfect predictor is expected to get: one that knows the mean of unlimited votes, compared with
        ratings as noisy as these. None without reliability.
    wanted : int
        Size of the best-rated set to be found again: 50, or a tenth of fewer than 500.
    recall : Estimate
        Share of the ``wanted`` best rated that are among the ``wanted`` with the highest predictions.
    recall_by_chance : float
        What a blind pick finds. A pick by the ratings themselves finds all.
    attainable_recall : float or None
        What a perfect predictor is expected to find.
    """

    top: int = 0
    top_mean: Estimate = Estimate()
    overall: float | None = None
    best_possible: float | None = None
    top_gain: Estimate = Estimate()
    attainable_top_mean: float | None = None
    attainable_top_gain: float | None = None
    wanted: int = 0
    recall: Estimate = Estimate()
    recall_by_chance: float = 0.0
    attainable_recall: float | None = None


def screening(
    truth: Float64, predictions: Float64, counts: Float64, reliability: float | None = None, seed: int = 0
) -> tuple[Screening, dict[str, Resampled]]:
    """Evaluate the predictions as a pick of the best; equal values keep the order of the rows.

    Parameters
    ----------
    truth, predictions : ndarray of shape (n,)
    counts : ndarray of shape (n_resamples, n)
        From :func:`prescreen.evaluation.metrics.multiplicities`.
    reliability : float, optional
        Of the ratings; with it, what perfect predictions would get is simulated.
    seed : int
        For that simulation.

    Returns
    -------
    tuple of Screening and dict of str to Resampled
        The figures, and those that have intervals with their resamples.
    """
    n = len(truth)
    top, wanted = (min(most, max(1, n // share)) for most, share in ((TOP, 4), (RECALL, 10)))
    if n == 0:
        nothing = Resampled(np.nan, np.full(len(counts), np.nan))
        return Screening(top=top, wanted=wanted), dict.fromkeys(("top_mean", "top_gain", "recall"), nothing)
    all_counts = np.vstack([np.ones((1, n)), counts])
    picked, best = (_top_mean(truth, values, all_counts, top) for values in (predictions, truth))
    blind = mean(truth, all_counts)
    figures = {
        "top_mean": picked,
        "top_gain": ratio(picked - blind, best - blind),
        "recall": _recall(truth, predictions, all_counts, wanted),
    }
    drawn = {
        name: Resampled(float(values[0]), values[1:], 1.0 if name == "recall" else math.inf)
        for name, values in figures.items()
    }
    overall, best_possible = float(blind[0]), float(best[0])
    attainable_mean, attainable_gain, attainable_recall = None, None, None
    if reliability is not None and 0 < reliability <= 1:
        attainable_mean, attainable_recall = _attainable(truth, reliability, top, wanted, seed)
        if best_possible > overall:
            attainable_gain = (attainable_mean - overall) / (best_possible - overall)
    found = Screening(
        top=top,
        overall=overall,
        best_possible=best_possible,
        attainable_top_mean=attainable_mean,
        attainable_top_gain=attainable_gain,
        wanted=wanted,
        recall_by_chance=wanted / n,
        attainable_recall=attainable_recall,
        **{name: figure.estimate() for name, figure in drawn.items()},
    )
    return found, drawn


def _attainable(truth: Float64, reliability: float, top: int, wanted: int, seed: int) -> tuple[float, float]:
    """Return the mean of the top and the recall to expect if the predictions were the means of unlimited votes.

    Ratings shrunk toward their mean by √reliability have the variance that true means would have, and nearly their
    distribution; noise of the rest of the variance makes ratings of them again.
    """
    centre = truth.mean()
    true = centre + np.sqrt(reliability) * (truth - centre)
    noise = np.sqrt(1 - reliability) * truth.std()
    rated = true + noise * np.random.default_rng(seed).standard_normal((_WORLDS, len(truth)))
    picked, wished = highest(true, top), highest(true, wanted)
    best = np.argpartition(-rated, wanted - 1, axis=1)[:, :wanted]
    return float(rated[:, picked].mean()), float(np.isin(best, wished).mean())


def highest(values: Float64, k: int) -> NDArray[np.intp]:
    """Rows of the ``k`` highest values, the highest first; equal values in the order of the rows."""
    return np.argsort(-values, kind="stable")[:k]


def _picks(values: Float64, counts: Float64, k: int) -> Float64:
    """How often each row is among the ``k`` highest of each resample (resamples, n)."""
    order = highest(values, len(values))
    drawn = counts[:, order]
    before = np.cumsum(drawn, axis=1) - drawn
    taken = np.empty_like(drawn)
    taken[:, order] = np.clip(k - before, 0, drawn)
    return taken


def _top_mean(truth: Float64, predictions: Float64, counts: Float64, top: int) -> Float64:
    taken = _picks(predictions, counts, top)
    return ratio(taken @ truth, taken.sum(axis=1))


def _recall(truth: Float64, predictions: Float64, counts: Float64, wanted: int) -> Float64:
    best = _picks(truth, counts, wanted)
    found = np.minimum(best, _picks(predictions, counts, wanted)).sum(axis=1)
    return ratio(found, best.sum(axis=1))
