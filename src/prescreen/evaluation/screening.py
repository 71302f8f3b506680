"""How well predictions pick the best pictures, beside what a blind pick and a perfect one would get."""

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
        What a perfect predictor is expected to get: one that knows what unlimited votes would say, judged by ratings
        as noisy as these. None without reliability.
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


@dataclass(frozen=True, eq=False)
class ResampledScreening:
    """The figures of :class:`Screening` with their resamples, and what bounds them on the data."""

    top: int
    top_mean: Resampled
    overall: float
    best_possible: float
    top_gain: Resampled
    wanted: int
    recall: Resampled
    recall_by_chance: float
    attainable: tuple[float, float] | None

    def summary(self) -> Screening:
        """Sum the resamples up."""
        mean, found = self.attainable or (None, None)
        possible = self.best_possible - self.overall
        return Screening(
            top=self.top,
            top_mean=self.top_mean.estimate(),
            overall=None if np.isnan(self.overall) else self.overall,
            best_possible=None if np.isnan(self.best_possible) else self.best_possible,
            top_gain=self.top_gain.estimate(),
            attainable_top_mean=mean,
            attainable_top_gain=(mean - self.overall) / possible if mean is not None and possible > 0 else None,
            wanted=self.wanted,
            recall=self.recall.estimate(),
            recall_by_chance=self.recall_by_chance,
            attainable_recall=found,
        )


def screening(
    truth: Float64, predictions: Float64, counts: Float64, reliability: float | None = None, seed: int = 0
) -> ResampledScreening:
    """Judge the predictions as a pick of the best; equal values keep the order of the rows.

    Parameters
    ----------
    truth, predictions : ndarray of shape (n,)
    counts : ndarray of shape (n_resamples, n)
        From :func:`prescreen.evaluation.metrics.multiplicities`.
    reliability : float, optional
        Of the ratings; with it, what perfect predictions would get is simulated.
    seed : int
        For that simulation.
    """
    n = len(truth)
    top, wanted = (min(most, max(1, n // share)) for most, share in ((TOP, 4), (RECALL, 10)))
    if n == 0:
        nothing = Resampled(np.nan, np.full(len(counts), np.nan))
        return ResampledScreening(top, nothing, np.nan, np.nan, nothing, wanted, nothing, 0.0, None)
    drawn = np.vstack([np.ones((1, n)), counts])
    picked, best, blind = (
        _top_mean(truth, predictions, drawn, top),
        _top_mean(truth, truth, drawn, top),
        mean(truth, drawn),
    )
    gain = ratio(picked - blind, best - blind)
    found = _recall(truth, predictions, drawn, wanted)
    attainable = None
    if reliability is not None and 0 < reliability <= 1:
        attainable = _attainable(truth, reliability, top, wanted, seed)
    return ResampledScreening(
        top=top,
        top_mean=Resampled(float(picked[0]), picked[1:]),
        overall=float(blind[0]),
        best_possible=float(best[0]),
        top_gain=Resampled(float(gain[0]), gain[1:]),
        wanted=wanted,
        recall=Resampled(float(found[0]), found[1:], 1.0),
        recall_by_chance=wanted / n,
        attainable=attainable,
    )


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
