"""An evaluation as a table of text, for reading."""

from collections.abc import Iterator

import pandas as pd

from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, TraitEvaluation


def table(evaluation: Evaluation) -> pd.DataFrame:
    """Return the main figures: one row for each, one text column for each trait, ``-`` where one is not defined."""
    return pd.DataFrame({trait.trait: dict(_lines(trait)) for trait in evaluation.traits}).fillna("-")


def _lines(trait: TraitEvaluation) -> Iterator[tuple[str, str]]:
    yield "n", str(trait.n)
    yield "Pearson r", _text(trait.pearson)
    yield "Spearman", _text(trait.spearman)
    yield "R²", _text(trait.r2)
    yield "MAE", _text(trait.mae)
    yield "MAE of the training mean", _text(trait.naive.mae)
    yield "RMSE", _text(trait.rmse)
    if trait.ceiling is not None:
        yield "ceiling of r", f"{trait.ceiling.highest_r:.3f}"
        yield "share of that ceiling", _text(trait.ceiling.r_share)
        yield "share of the ceiling of R²", _text(trait.ceiling.r2_share)
        yield "r with the true mean", _text(trait.ceiling.true_score_r)
        yield "worth in votes", _text(trait.ceiling.votes, 1)
    if trait.within_person is not None:
        yield "r within persons", _text(trait.within_person.pearson)
        yield "ceiling of r within persons", _number(trait.within_person.highest_r)
        yield "pairs of one person in order", _text(trait.within_person.pairs_in_order)
    if trait.coverage is not None:
        yield "coverage of intervals", _text(trait.coverage.share)
        yield "mean width of intervals", _number(trait.coverage.width)
    picked = trait.screening
    yield "mean of all", _number(picked.overall)
    yield "mean of the best predicted", f"{_text(picked.top_mean)} (top {picked.top})"
    yield "mean picked by perfect predictions", _number(picked.attainable_top_mean)
    yield "mean of the best rated", f"{_number(picked.best_possible)} (top {picked.top})"
    yield "recall of the best rated", f"{_text(picked.recall)} (top {picked.wanted})"
    yield "recall by perfect predictions", _number(picked.attainable_recall)


def _text(figure: Estimate, digits: int = 3) -> str:
    return f"{_number(figure.value, digits)} [{_number(figure.low, digits)}, {_number(figure.high, digits)}]"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
