"""Figures of an evaluation, drawn from its JSON form."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from prescreen.evaluation.curves import LearningCurve
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, TraitEvaluation
from prescreen.evaluation.slices import SliceEvaluation, judged_slices
from prescreen.reports.style import default_style

Array = NDArray[np.float64]
NOMINAL: Final = 0.9
_SHOWN_SLICES: Final = 40


@default_style()
def evaluation_figures(evaluation: Evaluation) -> dict[str, Figure]:
    """Draw accuracy beside its ceiling, the picking of the best, coverage in slices, and the learning curve if any.

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
    right.set(xlabel="worth in votes")
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
    shown = slices[:_SHOWN_SLICES]
    figure = Figure(figsize=(8, 1.6 + 0.22 * len(shown)), layout="constrained")
    axis = figure.subplots()
    rows = np.arange(len(shown))
    _bars(axis, rows, [part.covered.share for part in shown])
    axis.axvline(NOMINAL, color="0.6", linewidth=1)
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
    for axis, (points, unit) in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
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
