"""The whole evaluation of predictions against ratings, as plain values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.evaluation import metrics
from prescreen.evaluation.ceiling import Ceiling, ceiling
from prescreen.evaluation.metrics import Estimate, Float64, Screening, WithinPerson, estimate


@dataclass(frozen=True)
class Naive:
    """Errors of predicting the training mean for every picture."""

    mae: Estimate
    rmse: Estimate
    r2: Estimate


@dataclass(frozen=True)
class Coverage:
    """Share of ratings inside their interval, and the intervals' mean width in the unit of the ratings."""

    share: Estimate
    width: float | None


@dataclass(frozen=True)
class TraitEvaluation:
    """All figures of one trait on its ``n`` rated pictures."""

    trait: str
    n: int
    pearson: Estimate
    spearman: Estimate
    r2: Estimate
    mae: Estimate
    rmse: Estimate
    naive: Naive
    screening: Screening
    coverage: Coverage | None
    ceiling: Ceiling | None
    within_person: WithinPerson | None


@dataclass(frozen=True)
class Evaluation:
    """All figures of all traits.

    Attributes
    ----------
    n : int
        Pictures, rated on any trait.
    n_groups : int
        Groups resampled as wholes; ``n`` where every picture stands alone.
    traits : tuple of TraitEvaluation
    """

    n: int
    n_groups: int
    traits: tuple[TraitEvaluation, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and numbers, the traits by name, None where a figure is not defined."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain | {"traits": {trait.pop("trait"): trait for trait in plain["traits"]}}

    def metrics(self) -> dict[str, float]:
        """Return the defined figures under flat names such as ``competence/pearson`` and ``…/pearson_low``."""
        flat: dict[str, float] = {}
        for trait in self.traits:
            figures = {name: value for name, value in _plain(asdict(trait)).items() if name != "trait"}
            flat |= {f"{trait.trait}/{name}": value for name, value in _flatten(figures)}
        return flat

    def table(self) -> pd.DataFrame:
        """Return the main figures for reading: one row for each, one text column for each trait."""
        return pd.DataFrame({trait.trait: dict(_lines(trait)) for trait in self.traits}).fillna("-")


def evaluate(
    truth: NDArray[Any],
    predictions: NDArray[Any],
    traits: Sequence[str],
    *,
    naive: NDArray[Any],
    lower: NDArray[Any] | None = None,
    upper: NDArray[Any] | None = None,
    reliability: Mapping[str, tuple[float, float]] | None = None,
    groups: NDArray[Any] | None = None,
    persons: NDArray[Any] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Judge predictions against ratings.

    Parameters
    ----------
    truth, predictions : ndarray of shape (n, t)
        Ratings, NaN where there is none; predictions of pictures that the model did not see.
    traits : sequence of str
        Names of the t columns.
    naive : ndarray of shape (n, t) or (t,)
        Mean of the training ratings (of the training folds, in cross-validation).
    lower, upper : ndarray of shape (n, t), optional
        Ends of the intervals.
    reliability : mapping of str to (float, float), optional
        For each trait that has it: ICC(1) of single votes, and the reliability of the ratings as means of votes.
    groups : ndarray of shape (n,), optional
        Persons or near-duplicates; the bootstrap draws whole groups.
    persons : ndarray of shape (n,), optional
        Person in each picture, None where unknown, for the correlation within persons.
    seed : int
        For the bootstrap.
    """
    truth, predictions = np.asarray(truth, np.float64), np.asarray(predictions, np.float64)
    for name, array in {"truth": truth, "predictions": predictions, "lower": lower, "upper": upper}.items():
        if array is not None and np.shape(array) != (len(truth), len(traits)):
            raise ValueError(f"{name} has shape {np.shape(array)}; expected ({len(truth)}, {len(traits)})")
    baseline = np.broadcast_to(np.asarray(naive, np.float64), truth.shape)
    rated = np.isfinite(truth)
    groups = np.arange(len(truth)) if groups is None else np.asarray(groups)
    persons = None if persons is None else np.asarray(persons, object)
    evaluations = []
    for column, trait in enumerate(traits):
        rows = rated[:, column]
        counts = metrics.multiplicities(int(rows.sum()), groups[rows], seed)
        y, p = truth[rows, column], predictions[rows, column]
        r, explained = estimate(metrics.pearson, y, p, counts), estimate(metrics.r2, y, p, counts)
        covered = None
        if lower is not None and upper is not None:
            covered = _coverage(y, lower[rows, column], upper[rows, column], counts)
        evaluations.append(
            TraitEvaluation(
                trait=trait,
                n=int(rows.sum()),
                pearson=r,
                spearman=estimate(metrics.spearman, y, p, counts),
                r2=explained,
                mae=estimate(metrics.mae, y, p, counts),
                rmse=estimate(metrics.rmse, y, p, counts),
                naive=Naive(
                    *(estimate(m, y, baseline[rows, column], counts) for m in (metrics.mae, metrics.rmse, metrics.r2))
                ),
                screening=metrics.screening(y, p, counts),
                coverage=covered,
                ceiling=ceiling(r, explained, *reliability[trait]) if reliability and trait in reliability else None,
                within_person=None if persons is None else metrics.within_person(y, p, persons[rows], seed),
            )
        )
    any_rated = rated.any(axis=1)
    return Evaluation(int(any_rated.sum()), len(np.unique(groups[any_rated])), tuple(evaluations))


def _coverage(truth: Float64, lower: Float64, upper: Float64, counts: Float64) -> Coverage:
    width = (upper - lower).mean() if len(truth) else np.nan
    share = metrics.hit_rate((lower <= truth) & (truth <= upper), counts)
    return Coverage(share, float(width) if np.isfinite(width) else None)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _flatten(figures: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Join nested names with underscores; the ends of an interval become ``_low`` and ``_high``."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from ((name if part == "value" else f"{name}_{part}", number) for part, number in _flatten(value))
        elif value is not None:
            yield name, float(value)


def _lines(trait: TraitEvaluation) -> Iterator[tuple[str, str]]:
    yield "n", str(trait.n)
    yield "Pearson r", _text(trait.pearson)
    if trait.within_person is not None:
        yield "Pearson r within persons", _text(trait.within_person.pearson)
    yield "Spearman", _text(trait.spearman)
    yield "R²", _text(trait.r2)
    yield "MAE", _text(trait.mae)
    yield "MAE of the training mean", _text(trait.naive.mae)
    yield "RMSE", _text(trait.rmse)
    if trait.ceiling is not None:
        yield "ceiling of r", f"{trait.ceiling.highest_r:.3f}"
        yield "r with the true mean", _text(trait.ceiling.true_score_r)
        yield "worth in votes", _text(trait.ceiling.votes, 1)
    if trait.coverage is not None:
        yield "coverage of intervals", _text(trait.coverage.share)
    picked = trait.screening
    yield "mean of the best predicted", f"{_text(picked.top_mean)} (top {picked.top})"
    yield "mean of the truly best", f"{_number(picked.best_possible)} (top {picked.top})"
    yield "recall of the truly best", f"{_text(picked.recall)} (top {picked.wanted})"


def _text(figure: Estimate, digits: int = 3) -> str:
    return f"{_number(figure.value, digits)} [{_number(figure.low, digits)}, {_number(figure.high, digits)}]"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
