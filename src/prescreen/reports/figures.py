"""Figures of a training run and of an evaluation."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from prescreen.evaluation.curves import LearningCurve
from prescreen.evaluation.metrics import Estimate, correlation
from prescreen.evaluation.report import Evaluation, TraitEvaluation
from prescreen.evaluation.slices import SliceEvaluation, judged_slices

Array = NDArray[np.float64]
_NOMINAL_COVERAGE: Final = 0.9
_MAX_SLICES: Final = 40
_TENTHS: Final = 10


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """Draw with matplotlib's defaults, also as a decorator of functions that draw.

    A file ``matplotlibrc`` in the working directory is ignored; it could make matplotlib start LaTeX with commands of
    its author's choice. Names of traits and slices are no formulas, so a dollar sign stays a dollar sign.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        yield


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
    for axis, trait, y, p in zip(_row(figure, len(traits)), traits, truth.T, predicted.T, strict=True):
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
    for axis, trait, y, p in zip(_row(figure, len(traits)), traits, truth.T, predicted.T, strict=True):
        rated = np.flatnonzero(~np.isnan(y))
        tenths = np.array_split(rated[np.argsort(p[rated], kind="stable")], min(_TENTHS, max(1, len(rated) // 5)))
        x = [p[rows].mean() for rows in tenths]
        height = [y[rows].mean() for rows in tenths]
        error = [2 * y[rows].std() / np.sqrt(len(rows)) for rows in tenths]
        axis.errorbar(x, height, yerr=error, marker="o", capsize=2, linewidth=1)
        axis.plot([min(x), max(x)], [min(x), max(x)], color="0.6", linewidth=1)
        axis.set(title=trait, xlabel="mean prediction", ylabel="mean rating")
    figure.suptitle(title)
    return figure


def _row(figure: Figure, count: int) -> list[Axes]:
    return list(figure.subplots(1, count, squeeze=False)[0])


@default_style()
def evaluation_figures(evaluation: Evaluation) -> dict[str, Figure]:
    """Draw accuracy and its ceiling, the picking of the best, coverage in slices, and the learning curve if any.

    Returns
    -------
    dict of str to Figure
        File name to figure.
    """
    note = " (simulated votes)" if evaluation.simulated else ""
    figures = {
        "accuracy_and_ceiling.png": _accuracy(evaluation.traits, f"Accuracy and its ceiling{note}"),
        "screening.png": _screening(evaluation.traits, f"Picking the best{note}"),
    }
    shares = judged_slices(evaluation.slices, 1, together=True)
    if shares:
        lowest_first = sorted(shares, key=lambda part: shares[part])
        figures["coverage_in_slices.png"] = _coverage(lowest_first, f"Coverage of 90 % intervals, all traits{note}")
    if evaluation.learning_curve is not None:
        figures["learning_curve.png"] = _curve(evaluation.learning_curve, f"Learning curve{note}")
    return figures


def _accuracy(traits: Sequence[TraitEvaluation], title: str) -> Figure:
    figure = Figure(figsize=(10, 1.6 + 0.3 * len(traits)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(traits))
    _bars(left, rows, [trait.pearson for trait in traits], label="Pearson r")
    _marks(left, rows, [trait.limits.highest_r for trait in traits], "ceiling")
    left.set(xlabel="correlation with the ratings", yticks=rows, yticklabels=[trait.trait for trait in traits])
    left.invert_yaxis()
    left.legend(loc="lower left")
    _bars(right, rows, [trait.limits.votes for trait in traits])
    right.set(xlabel="equivalent number of votes")
    figure.suptitle(title)
    return figure


def _screening(traits: Sequence[TraitEvaluation], title: str) -> Figure:
    """Draw everything between a blind pick (0) and a pick by the ratings themselves (1)."""
    figure = Figure(figsize=(10, 1.6 + 0.3 * len(traits)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(traits))
    picked = [trait.screening for trait in traits]
    _bars(left, rows, [part.top_gain for part in picked], label="predicted best")
    _bars(right, rows, [part.recall for part in picked], label="predicted best")
    _marks(left, rows, [part.attainable_top_gain for part in picked], "perfect predictions")
    _marks(right, rows, [part.attainable_recall for part in picked], "perfect predictions")
    right.plot([part.recall_by_chance for part in picked], rows, "x", color="0.5", label="chance")
    names = [trait.trait for trait in traits]
    left.set(xlabel="mean of the top, from all (0) to best possible (1)", yticks=rows, yticklabels=names)
    right.set(xlabel="share of the best rated that is found")
    left.invert_yaxis()
    left.legend(loc="lower left")
    right.legend(loc="lower right")
    figure.suptitle(title)
    return figure


def _coverage(slices: Sequence[SliceEvaluation], title: str) -> Figure:
    shown = slices[:_MAX_SLICES]
    figure = Figure(figsize=(8, 1.6 + 0.22 * len(shown)), layout="constrained")
    axis = figure.subplots()
    rows = np.arange(len(shown))
    _bars(axis, rows, [part.covered.share for part in shown])
    axis.axvline(_NOMINAL_COVERAGE, color="0.6", linewidth=1)
    labels = [f"{part.characteristic}: {part.label} (n = {part.n})" for part in shown]
    axis.set(xlabel="share of ratings inside", yticks=rows, yticklabels=labels)
    axis.invert_yaxis()
    more = f", the lowest {len(shown)} of {len(slices)} slices" if len(slices) > len(shown) else ""
    figure.suptitle(title + more)
    return figure


def _curve(curve: LearningCurve, title: str) -> Figure:
    parts = [(curve.by_pictures, "pictures"), (curve.by_votes, "votes")]
    kinds = [(points, unit) for points, unit in parts if points]
    figure = Figure(figsize=(5 * len(kinds), 4.2), layout="constrained")
    for axis, (points, unit) in zip(_row(figure, len(kinds)), kinds, strict=True):
        counts = [point.pictures if unit == "pictures" else point.votes for point in points]
        positions = np.arange(len(points))
        means = _values([point.pearson.value for point in points])
        errors = _errors([point.pearson for point in points], means)
        axis.errorbar(positions, means, yerr=errors, marker="o", capsize=3, color="black", label="mean")
        for trait in points[0].traits if len(points[0].traits) <= 5 else []:
            heights = _values([point.traits[trait].value for point in points])
            axis.plot(positions, heights, marker=".", linewidth=1, label=trait)
        ticks = ["all" if count is None else f"{count:g}" for count in counts]
        axis.set(xticks=positions, xticklabels=ticks, xlabel=f"{unit} trained on", ylabel="Pearson r, all votes")
        axis.legend()
    figure.suptitle(title)
    return figure


def _marks(axis: Axes, rows: NDArray[Any], values: Sequence[float | None], label: str) -> None:
    axis.plot(_values(values), rows, "|", color="0.3", markersize=14, markeredgewidth=2, label=label)


def _bars(axis: Axes, rows: NDArray[Any], figures: Sequence[Estimate], label: str | None = None) -> None:
    values = _values([figure.value for figure in figures])
    axis.errorbar(values, rows, xerr=_errors(figures, values), fmt="o", capsize=3, label=label)


def _errors(figures: Sequence[Estimate], values: Array) -> Array:
    """Return how far the intervals reach below and above, shape (2, n); 0 where an end is not known."""
    ends = np.array([_values([figure.low for figure in figures]), _values([figure.high for figure in figures])])
    return np.asarray(np.nan_to_num(np.abs(ends - values)), np.float64)


def _values(numbers: Sequence[float | None]) -> Array:
    """Return the numbers; what is not known is NaN, which is not drawn."""
    return np.array([np.nan if number is None else number for number in numbers], np.float64)
