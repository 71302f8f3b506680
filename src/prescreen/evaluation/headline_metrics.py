"""The figures of an evaluation that runs are compared by, as flat metrics: one number a name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prescreen.evaluation.curves import LearningCurve
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, Overall, TraitEvaluation
from prescreen.evaluation.slices import lowest_coverage

ALL_TRAITS: Final = "all_traits"
"""Where the names of the figures over all traits begin."""

MEAN_PEARSON: Final = "mean/pearson"
"""Mean of Pearson's r over the traits."""

FIGURES: Final[Mapping[str, Callable[[TraitEvaluation], Estimate]]] = {
    "pearson": lambda trait: trait.pearson,
    "spearman": lambda trait: trait.spearman,
    "r2": lambda trait: trait.r2,
    "rmse": lambda trait: trait.rmse,
    "mae": lambda trait: trait.mae,
    "naive_mae": lambda trait: trait.naive.mae,
    "ceiling_highest_r": lambda trait: Estimate(trait.limits.highest_r),
    "ceiling_r_share": lambda trait: trait.limits.r_share,
    "ceiling_votes": lambda trait: trait.limits.votes,
    "coverage_share": lambda trait: trait.covered.share,
    "coverage_width": lambda trait: Estimate(trait.covered.width),
    "within_person_pearson": lambda trait: trait.within.pearson,
    "within_person_pairs_in_order": lambda trait: trait.within.pairs_in_order,
    "screening_recall": lambda trait: trait.screening.recall,
    "screening_top_gain": lambda trait: trait.screening.top_gain,
}
OVERALL_FIGURES: Final[Mapping[str, Callable[[Overall], Estimate]]] = {
    "pearson": lambda overall: overall.pearson,
    "r_share": lambda overall: overall.r_share,
    "votes": lambda overall: overall.votes,
    "r2": lambda overall: overall.r2,
    "mae": lambda overall: overall.mae,
    "naive_mae": lambda overall: overall.naive_mae,
    "coverage_share": lambda overall: overall.covered.share,
    "coverage_width": lambda overall: Estimate(overall.covered.width),
    "within_person_pearson": lambda overall: overall.within_person_pearson,
    "recall": lambda overall: overall.recall,
    "top_gain": lambda overall: overall.top_gain,
}
"""Figures of a trait and of all traits that runs are compared by. A page of charts shows no more than these; all of
them, with their intervals, are in ``evaluation.json``."""

WITH_INTERVALS: Final = ("pearson", "rmse")

_HEADLINE: Final = {
    "r": "pearson",
    "r_within_persons": "within_person_pearson",
    "r2": "r2",
    "mae": "mae",
    "coverage": "coverage_share",
    "worth_in_votes": "ceiling_votes",
    "recall_of_best": "screening_recall",
}


def headline(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Return the few figures that two versions are compared by.

    Returns
    -------
    dict of str to dict of str to float
        For each trait the figures that are known, rounded to four decimals.
    """
    return {
        trait.trait: {
            name: round(value, 4)
            for name, figure in _HEADLINE.items()
            if (value := FIGURES[figure](trait).value) is not None
        }
        for trait in evaluation.traits
    }


def flat_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Return the figures of an evaluation that runs are compared by, as far as they are known.

    Returns
    -------
    dict of str to float
        ``competence/pearson``, with its interval as ``competence/interval/pearson_low`` and ``_high``;
        ``all_traits/r2``; the lowest coverage of any trait in any slice of at least 60 pictures
        (``slices/lowest_coverage``); of the learning curve ``learning_curve/200_pictures/pearson``.
    """
    found = {f"{ALL_TRAITS}/{name}": figure(evaluation.overall) for name, figure in OVERALL_FIGURES.items()}
    for trait in evaluation.traits:
        found |= {f"{trait.trait}/{name}": figure(trait) for name, figure in FIGURES.items()}
    for name in [name for name in found if name.rpartition("/")[2] in WITH_INTERVALS]:
        ends = (Estimate(found[name].low), Estimate(found[name].high))
        found |= dict(zip(interval_names(name), ends, strict=True))
    lowest = lowest_coverage(evaluation.slices)
    if lowest is not None:
        found["slices/lowest_coverage"] = lowest.covered.share
    found |= _curve(evaluation.learning_curve)
    return {name: figure.value for name, figure in found.items() if figure.value is not None}


def metric_groups(traits: Sequence[str]) -> list[str]:
    """Return what the names of metrics begin with, up to the first ``/``: the traits, and what is none."""
    return [MEAN_PEARSON.partition("/")[0], ALL_TRAITS, "slices", "learning_curve", *traits]


def interval_names(name: str) -> tuple[str, str]:
    """Return the names of the ends of a metric's interval: ``T/r`` has ``T/interval/r_low`` and ``T/interval/r_high``.

    In a group of their own they leave a trait's charts to the figures themselves.
    """
    group, _, figure = name.rpartition("/")
    return f"{group}/interval/{figure}_low", f"{group}/interval/{figure}_high"


def _curve(curve: LearningCurve | None) -> dict[str, Estimate]:
    if curve is None:
        return {}
    points = {f"{point.pictures}_pictures": point for point in curve.by_pictures}
    points |= {f"{point.votes:g}_votes": point for point in curve.by_votes if point.votes is not None}
    found: dict[str, Estimate] = {}
    for name, point in points.items():
        figures = {"pearson": point.pearson, "r2": point.r2, "worth_in_votes": point.worth_in_votes}
        found |= {f"learning_curve/{name}/{figure}": value for figure, value in figures.items()}
    return found
