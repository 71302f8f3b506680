"""Figures of a training run: predicted against actual, and calibration."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from prescreen.evaluation.metrics import Estimate, correlation
from prescreen.reports.style import default_style

Array = NDArray[np.float64]
BINS: Final = 10


@default_style()
def training_figures(truth: Array, predicted: Array, traits: Sequence[str], simulated: bool) -> dict[str, Figure]:
    """Draw the out-of-fold predictions.

    Parameters
    ----------
    truth, predicted : ndarray of float, shape (n, t)
        Ratings, NaN where there is none, and out-of-fold predictions.
    traits : sequence of str
        Names of the columns.
    simulated : bool
        Whether the ratings are simulated; said in the titles.

    Returns
    -------
    dict of str to Figure
        File name to figure.
    """
    note = " (simulated votes)" if simulated else ""
    return {
        "predicted_against_actual.png": _scatter(truth, predicted, traits, f"Predicted against actual{note}"),
        "calibration.png": _calibration(truth, predicted, traits, f"Calibration{note}"),
    }


def _scatter(truth: Array, predicted: Array, traits: Sequence[str], title: str) -> Figure:
    """Out-of-fold prediction of every picture against its rating."""
    figure = Figure(figsize=(4.2 * len(traits), 4.2), layout="constrained")
    for axis, trait, y, p in zip(_axes(figure, len(traits)), traits, truth.T, predicted.T, strict=True):
        rated = ~np.isnan(y)
        axis.scatter(p[rated], y[rated], s=9, alpha=0.45, linewidths=0)
        ends = [min(y[rated].min(), p[rated].min()), max(y[rated].max(), p[rated].max())]
        axis.plot(ends, ends, color="0.6", linewidth=1)
        r = Estimate(correlation(p[rated], y[rated])).text()
        axis.set(title=f"{trait}: r = {r}, n = {rated.sum()}", xlabel="predicted", ylabel="rated")
    figure.suptitle(title)
    return figure


def _calibration(truth: Array, predicted: Array, traits: Sequence[str], title: str) -> Figure:
    """Mean rating of tenths of the pictures by prediction, with twice its standard error."""
    figure = Figure(figsize=(4.2 * len(traits), 4.2), layout="constrained")
    for axis, trait, y, p in zip(_axes(figure, len(traits)), traits, truth.T, predicted.T, strict=True):
        rated = np.flatnonzero(~np.isnan(y))
        tenths = np.array_split(rated[np.argsort(p[rated], kind="stable")], min(BINS, max(1, len(rated) // 5)))
        x = [p[rows].mean() for rows in tenths]
        height = [y[rows].mean() for rows in tenths]
        error = [2 * y[rows].std() / np.sqrt(len(rows)) for rows in tenths]
        axis.errorbar(x, height, yerr=error, marker="o", capsize=2, linewidth=1)
        axis.plot([min(x), max(x)], [min(x), max(x)], color="0.6", linewidth=1)
        axis.set(title=trait, xlabel="mean prediction", ylabel="mean rating")
    figure.suptitle(title)
    return figure


def _axes(figure: Figure, count: int) -> list:  # type: ignore[type-arg]
    return list(figure.subplots(1, count, squeeze=False)[0])
