"""An evaluation in JSON form as flat metrics, one number a name."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from prescreen.evaluation.slices import SMALLEST_JUDGED

ALL_TRAITS: Final = "all_traits"
"""Where the names of the figures over all traits begin."""


def flat_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the defined figures of an evaluation.

    Parameters
    ----------
    evaluation : mapping
        JSON form of `prescreen.evaluation.report.Evaluation`, maybe with a ``learning_curve``.

    Returns
    -------
    dict of str to float
        ``competence/pearson``, ``competence/pearson_low``, ``all_traits/r2``; of the slices the coverage over all
        traits (``slices/age/low/coverage``), and the lowest of any trait in any slice of at least 60 pictures
        (``slices/lowest_coverage``); of the learning curve ``learning_curve/200_pictures/pearson``.
    """
    flat = {f"{ALL_TRAITS}/{name}": value for name, value in _flatten(evaluation["overall"])}
    for trait, figures in evaluation["traits"].items():
        flat |= {f"{trait}/{name}": value for name, value in _flatten(figures)}
    return flat | _slices(evaluation["slices"]) | _curve(evaluation.get("learning_curve"))


def _slices(slices: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    covered = [part for part in slices if part["coverage"] is not None]
    flat = {
        f"slices/{part['characteristic']}/{part['label']}/coverage": float(part["coverage"]["share"]["value"])
        for part in covered
        if part["trait"] is None
    }
    judged = [
        float(part["coverage"]["share"]["value"])
        for part in covered
        if part["trait"] is not None and part["n"] >= SMALLEST_JUDGED
    ]
    return flat | ({"slices/lowest_coverage": min(judged)} if judged else {})


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
