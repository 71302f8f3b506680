"""The figures of an evaluation that runs are compared by, as flat metrics: one number a name."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from prescreen.evaluation.slices import SMALLEST_JUDGED

ALL_TRAITS: Final = "all_traits"
"""Where the names of the figures over all traits begin."""

MEAN_PEARSON: Final = "mean/pearson"
"""Mean of Pearson's r over the traits."""

FIGURES: Final = (
    "pearson",
    "spearman",
    "r2",
    "rmse",
    "mae",
    "naive_mae",
    "ceiling_highest_r",
    "ceiling_r_share",
    "ceiling_votes",
    "coverage_share",
    "coverage_width",
    "within_person_pearson",
    "within_person_pairs_in_order",
    "screening_recall",
    "screening_top_gain",
)
OVERALL_FIGURES: Final = (
    "pearson",
    "r_share",
    "votes",
    "r2",
    "mae",
    "naive_mae",
    "coverage_share",
    "coverage_width",
    "within_person_pearson",
    "recall",
    "top_gain",
)
"""Figures of a trait and of all traits that runs are compared by. A page of charts shows no more than these; all of
them, with their intervals, are in ``evaluation.json``."""

WITH_INTERVALS: Final = ("pearson", "rmse")


def flat_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of an evaluation that runs are compared by, as far as they are defined.

    Parameters
    ----------
    evaluation : mapping
        JSON form of `prescreen.evaluation.report.Evaluation`, maybe with a ``learning_curve``.

    Returns
    -------
    dict of str to float
        ``competence/pearson``, with its interval as ``competence/interval/pearson_low`` and ``_high``;
        ``all_traits/r2``; the lowest coverage of any trait in any slice of at least 60 pictures
        (``slices/lowest_coverage``); of the learning curve ``learning_curve/200_pictures/pearson``.
    """
    flat = _chosen(ALL_TRAITS, evaluation["overall"], OVERALL_FIGURES)
    for trait, figures in evaluation["traits"].items():
        flat |= _chosen(trait, figures, FIGURES)
    return flat | _lowest_coverage(evaluation["slices"]) | _curve(evaluation.get("learning_curve"))


def metric_groups(traits: Sequence[str]) -> list[str]:
    """Return what the names of metrics begin with, up to the first ``/``: the traits, and what is none."""
    return [MEAN_PEARSON.partition("/")[0], ALL_TRAITS, "slices", "learning_curve", *traits]


def interval_names(name: str) -> tuple[str, str]:
    """Return the names of the ends of a metric's interval: ``T/r`` has ``T/interval/r_low`` and ``T/interval/r_high``.

    In a group of their own they leave a trait's charts to the figures themselves.
    """
    group, _, figure = name.rpartition("/")
    return f"{group}/interval/{figure}_low", f"{group}/interval/{figure}_high"


def _chosen(group: str, figures: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    every = dict(_flatten(figures))
    flat = {f"{group}/{name}": every[name] for name in names if name in every}
    for figure in WITH_INTERVALS:
        for name, end in zip(interval_names(f"{group}/{figure}"), ("low", "high"), strict=True):
            if f"{group}/{figure}" in flat and f"{figure}_{end}" in every:
                flat[name] = every[f"{figure}_{end}"]
    return flat


def _lowest_coverage(slices: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    judged = [
        float(part["coverage"]["share"]["value"])
        for part in slices
        if part["coverage"] is not None and part["trait"] is not None and part["n"] >= SMALLEST_JUDGED
    ]
    return {"slices/lowest_coverage": min(judged)} if judged else {}


def _curve(curve: Mapping[str, Any] | None) -> dict[str, float]:
    if not curve:
        return {}
    points = {f"{point['pictures']}_pictures": point for point in curve["by_pictures"]}
    points |= {f"{point['votes']:g}_votes": point for point in curve["by_votes"] if point["votes"] is not None}
    return {
        f"learning_curve/{name}/{figure}": float(point[figure]["value"])
        for name, point in points.items()
        for figure in ("pearson", "r2", "worth_in_votes")
        if point[figure]["value"] is not None
    }


def _flatten(figures: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Join nested names with underscores; the ends of an interval become ``_low`` and ``_high``."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from ((name if part == "value" else f"{name}_{part}", number) for part, number in _flatten(value))
        elif value is not None:
            yield name, float(value)
