"""The figures of an evaluation that runs are compared by, as flat metrics: one number a name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, Overall, TraitEvaluation
from prescreen.evaluation.slices import lowest_coverage

ALL_TRAITS: Final = "all_traits"
"""Where the names of the figures over all traits begin."""

MEAN_PEARSON: Final = "mean/pearson"
"""Mean of Pearson's r over the traits."""

FIGURES: Final[Mapping[str, Callable[[TraitEvaluation], Estimate]]] = {
    "pearson": lambda trait: trait.pearson,
    "rmse": lambda trait: trait.rmse,
    "coverage_share": lambda trait: trait.covered.share,
    "ceiling_votes": lambda trait: trait.limits.votes,
}
OVERALL_FIGURES: Final[Mapping[str, Callable[[Overall], Estimate]]] = {
    "pearson": lambda overall: overall.pearson,
    "votes": lambda overall: overall.votes,
    "coverage_share": lambda overall: overall.covered.share,
}
"""Figures of a trait and of all traits that a run has as metrics; all others, and their intervals, are in
``evaluation.json``."""

_HEADLINE: Final[Mapping[str, Callable[[TraitEvaluation], Estimate]]] = {
    "r": lambda trait: trait.pearson,
    "r_within_persons": lambda trait: trait.within.pearson,
    "r2": lambda trait: trait.r2,
    "mae": lambda trait: trait.mae,
    "coverage": lambda trait: trait.covered.share,
    "worth_in_votes": lambda trait: trait.limits.votes,
    "recall_of_best": lambda trait: trait.screening.recall,
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
            name: round(value, 4) for name, figure in _HEADLINE.items() if (value := figure(trait).value) is not None
        }
        for trait in evaluation.traits
    }


def flat_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Return the figures of an evaluation that MLflow has as metrics, as far as they are known.

    Returns
    -------
    dict of str to float
        ``competence/pearson`` and the other `FIGURES` of each trait; ``all_traits/coverage_share`` and the other
        `OVERALL_FIGURES`; the lowest coverage of any trait in any slice of at least 60 pictures
        (``slices/lowest_coverage``).
    """
    found = {f"{ALL_TRAITS}/{name}": figure(evaluation.overall) for name, figure in OVERALL_FIGURES.items()}
    for trait in evaluation.traits:
        found |= {f"{trait.trait}/{name}": figure(trait) for name, figure in FIGURES.items()}
    lowest = lowest_coverage(evaluation.slices)
    if lowest is not None:
        found["slices/lowest_coverage"] = lowest.covered.share
    return {name: figure.value for name, figure in found.items() if figure.value is not None}


def metric_groups(traits: Sequence[str]) -> list[str]:
    """Return what the names of metrics begin with, up to the first ``/``: the traits, and what is none."""
    return [MEAN_PEARSON.partition("/")[0], ALL_TRAITS, "slices", "learning_curve", *traits]
