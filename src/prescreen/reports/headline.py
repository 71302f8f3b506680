"""The few figures of an evaluation that two versions are compared by."""

from collections.abc import Callable, Mapping
from typing import Final

from prescreen.evaluation.headline_metrics import FIGURES
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, TraitEvaluation

_FIGURES: Final[Mapping[str, Callable[[TraitEvaluation], Estimate]]] = {
    "r": FIGURES["pearson"],
    "r_within_persons": FIGURES["within_person_pearson"],
    "r2": FIGURES["r2"],
    "mae": FIGURES["mae"],
    "coverage": FIGURES["coverage_share"],
    "worth_in_votes": FIGURES["ceiling_votes"],
    "recall_of_best": FIGURES["screening_recall"],
}


def headline(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Pick the headline figures out of an evaluation.

    Returns
    -------
    dict of str to dict of str to float
        For each trait the figures that are known, rounded to four decimals.
    """
    picked = {
        trait.trait: {name: figure(trait).value for name, figure in _FIGURES.items()} for trait in evaluation.traits
    }
    return {
        trait: {name: round(value, 4) for name, value in figures.items() if value is not None}
        for trait, figures in picked.items()
    }
