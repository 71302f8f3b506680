"""Figures of an evaluation, drawn from its JSON form."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from prescreen.reports.style import default_style

Array = NDArray[np.float64]
NOMINAL: Final = 0.9
_SHOWN_SLICES: Final = 40


@default_style()
def evaluation_figures(evaluation: Mapping[str, Any]) -> dict[str, Figure]:
    """Draw accuracy beside its ceiling, the picking of the best, coverage in slices, and the learning curve if any.

    Parameters
    ----------
    evaluation : mapping
        JSON form of `prescreen.evaluation.report.Evaluation`, with ``simulated`` and maybe ``learning_curve``.

    Returns
    -------
    dict of str to Figure
        File name to figure.
    """
    note = " (simulated votes)" if evaluation.get("simulated") else ""
    figures = {
        "accuracy_and_ceiling.png": _accuracy(evaluation["traits"], f"Accuracy and its ceiling{note}"),
        "screening.png": _screening(evaluation["traits"], f"Picking the best{note}"),
    }
    slices = [part for part in evaluation["slices"] if part["trait"] is None and part["coverage"] is not None]
    if slices:
        figures["coverage_in_slices.png"] = _coverage(slices, f"Coverage of 90 % intervals, all traits{note}")
    if evaluation.get("learning_curve"):
        figures["learning_curve.png"] = _curve(evaluation["learning_curve"], f"Learning curve{note}")
    return figures


def _accuracy(traits: Mapping[str, Any], title: str) -> Figure:
    figure = Figure(figsize=(10, 1.6 + 0.3 * len(traits)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(traits))
    _bars(left, rows, [trait["pearson"] for trait in traits.values()], label="Pearson r")
    ceilings = [_value((trait["ceiling"] or {}).get("highest_r")) for trait in traits.values()]
    left.plot(ceilings, rows, "|", color="0.3", markersize=14, markeredgewidth=2, label="ceiling")
    left.set(xlabel="correlation with the ratings", yticks=rows, yticklabels=list(traits))
    left.invert_yaxis()
    left.legend(loc="lower left")
    nothing = {"value": None, "low": None, "high": None}
    _bars(right, rows, [(trait["ceiling"] or {}).get("votes") or nothing for trait in traits.values()])
    right.set(xlabel="worth in votes")
    figure.suptitle(title)
    return figure


def _screening(traits: Mapping[str, Any], title: str) -> Figure:
    """Draw everything between a blind pick (0) and a pick by the ratings themselves (1)."""
    figure = Figure(figsize=(10, 1.6 + 0.3 * len(traits)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    rows = np.arange(len(traits))
    picked = [trait["screening"] for trait in traits.values()]
    for axis, name in ((left, "top_gain"), (right, "recall")):
        _bars(axis, rows, [part[name] for part in picked], label="predicted best")
        perfect = [_value(part[f"attainable_{name}"]) for part in picked]
        axis.plot(perfect, rows, "|", color="0.3", markersize=14, markeredgewidth=2, label="perfect predictions")
    right.plot([part["recall_by_chance"] for part in picked], rows, "x", color="0.5", label="chance")
    left.set(xlabel="mean of the top, from all (0) to best possible (1)", yticks=rows, yticklabels=list(traits))
    right.set(xlabel="share of the best rated that is found")
    left.invert_yaxis()
    left.legend(loc="lower left")
    right.legend(loc="lower right")
    figure.suptitle(title)
    return figure


def _coverage(slices: Sequence[Mapping[str, Any]], title: str) -> Figure:
    shown = sorted(slices, key=lambda part: part["coverage"]["share"]["value"])[:_SHOWN_SLICES]
    figure = Figure(figsize=(8, 1.6 + 0.22 * len(shown)), layout="constrained")
    axis = figure.subplots()
    rows = np.arange(len(shown))
    _bars(axis, rows, [part["coverage"]["share"] for part in shown])
    axis.axvline(NOMINAL, color="0.6", linewidth=1)
    labels = [f"{part['characteristic']}: {part['label']} (n = {part['n']})" for part in shown]
    axis.set(xlabel="share of ratings inside", yticks=rows, yticklabels=labels)
    axis.invert_yaxis()
    more = f", the lowest {len(shown)} of {len(slices)} slices" if len(slices) > len(shown) else ""
    figure.suptitle(title + more)
    return figure


def _curve(curve: Mapping[str, Any], title: str) -> Figure:
    kinds = [(name, unit) for name, unit in (("by_pictures", "pictures"), ("by_votes", "votes")) if curve[name]]
    figure = Figure(figsize=(5 * len(kinds), 4.2), layout="constrained")
    for axis, (name, unit) in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        points = curve[name]
        counts = [point[unit] for point in points]
        positions = np.arange(len(points))
        means = np.array([_value(point["pearson"]["value"]) for point in points])
        errors = _errors([point["pearson"] for point in points], means)
        axis.errorbar(positions, means, yerr=errors, marker="o", capsize=3, color="black", label="mean")
        for trait in points[0]["traits"] if len(points[0]["traits"]) <= 5 else []:
            heights = [_value(point["traits"][trait]["value"]) for point in points]
            axis.plot(positions, heights, marker=".", linewidth=1, label=trait)
        ticks = ["all" if count is None else f"{count:g}" for count in counts]
        axis.set(xticks=positions, xticklabels=ticks, xlabel=f"{unit} trained on", ylabel="Pearson r, all votes")
        axis.legend()
    figure.suptitle(title)
    return figure


def _bars(
    axis: Axes, rows: NDArray[Any], figures: Sequence[Mapping[str, float | None]], label: str | None = None
) -> None:
    values = np.array([_value(figure["value"]) for figure in figures])
    axis.errorbar(values, rows, xerr=_errors(figures, values), fmt="o", capsize=3, label=label)


def _errors(figures: Sequence[Mapping[str, float | None]], values: Array) -> Array:
    """Return how far the intervals reach below and above, shape (2, n); 0 where an end is not known."""
    ends = np.array([[_value(figure["low"]), _value(figure["high"])] for figure in figures]).T
    return np.asarray(np.nan_to_num(np.abs(ends - values)), np.float64)


def _value(number: float | None) -> float:
    return float("nan") if number is None else number
