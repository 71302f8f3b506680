"""The few figures of an evaluation that two versions are compared by."""

from collections.abc import Mapping
from typing import Any, Final

_FIGURES: Final = {
    "r": ("pearson", "value"),
    "r_within_persons": ("within_person", "pearson", "value"),
    "r2": ("r2", "value"),
    "mae": ("mae", "value"),
    "coverage": ("coverage", "share", "value"),
    "worth_in_votes": ("ceiling", "votes", "value"),
    "recall_of_best": ("screening", "recall", "value"),
}


def headline(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Pick the headline figures out of an evaluation.

    Parameters
    ----------
    report : mapping
        As `prescreen.evaluation.report.Evaluation.to_json` returns it.

    Returns
    -------
    dict of str to dict of str to float
        For each trait the figures that are defined, rounded to four decimals.
    """
    picked = {
        trait: {name: _at(figures, path) for name, path in _FIGURES.items()} for trait, figures in _traits(report)
    }
    return {
        trait: {name: round(value, 4) for name, value in figures.items() if value is not None}
        for trait, figures in picked.items()
    }


def _traits(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return list(report["traits"].items())


def _at(figures: Mapping[str, Any], path: tuple[str, ...]) -> float | None:
    found: Any = figures
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return None if found is None else float(found)
