"""The whole evaluation of predictions against ratings, as plain values. `docs/metrics.md` defines every figure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.evaluation import metrics
from prescreen.evaluation.curves import LearningCurve
from prescreen.evaluation.metrics import Estimate, Float64, Resampled, average, drawn_rows, resample
from prescreen.evaluation.noise_ceiling import NoiseCeiling, VoteNoise, noise_ceiling
from prescreen.evaluation.persons import WithinPerson, within_person
from prescreen.evaluation.plain import from_plain, to_plain
from prescreen.evaluation.screening import Screening, screening
from prescreen.evaluation.slices import Coverage, SliceEvaluation, coverage, evaluate_slices


@dataclass(frozen=True)
class Naive:
    """Errors of predicting the training mean for every picture."""

    mae: Estimate = Estimate()
    rmse: Estimate = Estimate()
    r2: Estimate = Estimate()


@dataclass(frozen=True)
class TraitEvaluation:
    """All figures of one trait on its ``n`` rated pictures; what cannot be known is None or an empty `Estimate`."""

    trait: str
    n: int
    pearson: Estimate = Estimate()
    spearman: Estimate = Estimate()
    r2: Estimate = Estimate()
    mae: Estimate = Estimate()
    rmse: Estimate = Estimate()
    naive: Naive = Naive()
    screening: Screening = Screening()
    coverage: Coverage | None = None
    ceiling: NoiseCeiling | None = None
    within_person: WithinPerson | None = None

    @property
    def covered(self) -> Coverage:
        """The coverage, with nothing known where there is none."""
        return self.coverage or Coverage()

    @property
    def limits(self) -> NoiseCeiling:
        """The noise ceiling, with nothing known where there is none."""
        return self.ceiling or NoiseCeiling()

    @property
    def within(self) -> WithinPerson:
        """The accuracy within persons, with nothing known where there is none."""
        return self.within_person or WithinPerson()


@dataclass(frozen=True)
class Overall:
    """Means over the traits that have the figure; of the equivalent number of votes the median.

    Coverage is that of all ratings of all traits. The intervals come from resamples in which all traits are on the same
    pictures.
    """

    n_traits: int = 0
    pearson: Estimate = Estimate()
    spearman: Estimate = Estimate()
    r2: Estimate = Estimate()
    mae: Estimate = Estimate()
    naive_mae: Estimate = Estimate()
    top_gain: Estimate = Estimate()
    recall: Estimate = Estimate()
    true_score_r: Estimate = Estimate()
    r_share: Estimate = Estimate()
    r2_share: Estimate = Estimate()
    votes: Estimate = Estimate()
    within_person_pearson: Estimate = Estimate()
    within_person_pairs_in_order: Estimate = Estimate()
    coverage: Coverage | None = None

    @property
    def covered(self) -> Coverage:
        """The coverage, with nothing known where there is none."""
        return self.coverage or Coverage()


@dataclass(frozen=True)
class Evaluation:
    """All figures of all traits: the result of an evaluation, also kept in a predictor.

    Attributes
    ----------
    n : int
        Pictures, rated on any trait.
    n_groups : int
        Groups resampled as wholes; ``n`` where every picture stands alone.
    overall : Overall
    traits : tuple of TraitEvaluation
    slices : tuple of SliceEvaluation
        Of each trait, and of all together.
    simulated : bool
        Whether the predictor was trained on simulated votes.
    learning_curve : LearningCurve or None
        What more pictures and more votes would give, where it was measured.
    scale_width : float or None
        Highest possible rating less the lowest, where it is known.
    """

    n: int = 0
    n_groups: int = 0
    overall: Overall = Overall()
    traits: tuple[TraitEvaluation, ...] = ()
    slices: tuple[SliceEvaluation, ...] = ()
    simulated: bool = False
    learning_curve: LearningCurve | None = None
    scale_width: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and numbers, the traits by name, None where a figure is not known."""
        plain = to_plain(self)
        if self.learning_curve is None:
            del plain["learning_curve"]
        return plain | {"traits": {trait.pop("trait"): trait for trait in plain["traits"]}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the evaluation of what `to_json` gave, in this version or an older one.

        Raises
        ------
        TypeError, AttributeError
            If its parts are of other kinds.
        """
        traits = [{"trait": name, **figures} for name, figures in content.get("traits", {}).items()]
        evaluation: Self = from_plain(cls, {**content, "traits": traits})
        return evaluation


_NAIVE = {"mae": metrics.mae, "rmse": metrics.rmse, "r2": metrics.r2}
_PLAIN = {"pearson": metrics.pearson, "spearman": metrics.spearman} | _NAIVE
_SPANS = {"pearson": 2.0, "spearman": 2.0}
_AVERAGED = [field.name for field in fields(Overall) if field.name not in ("n_traits", "coverage")]


def evaluate(
    truth: NDArray[Any],
    predictions: NDArray[Any],
    traits: Sequence[str],
    *,
    naive: NDArray[Any],
    lower: NDArray[Any] | None = None,
    upper: NDArray[Any] | None = None,
    noise: Mapping[str, VoteNoise] | None = None,
    groups: NDArray[Any] | None = None,
    persons: NDArray[Any] | None = None,
    labels: pd.DataFrame | None = None,
    seed: int = 0,
) -> Evaluation:
    """Evaluate predictions against ratings.

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
    noise : mapping of str to VoteNoise, optional
        For each trait of which it is known, the votes behind its n ratings; without it there is no noise ceiling.
    groups : ndarray of shape (n,), optional
        Persons or near-duplicates; the bootstrap draws whole groups. By default, persons.
    persons : ndarray of shape (n,), optional
        Person in each picture, None where unknown, for the accuracy within persons; no person is in two groups.
    labels : DataFrame with n rows, optional
        Slices; see :func:`prescreen.evaluation.slices.label_slices`.
    seed : int
        For the bootstrap.
    """
    truth, predictions = np.asarray(truth, np.float64), np.asarray(predictions, np.float64)
    for name, array in {"truth": truth, "predictions": predictions, "lower": lower, "upper": upper}.items():
        if array is not None and np.shape(array) != (len(truth), len(traits)):
            raise ValueError(f"{name} has shape {np.shape(array)}; expected ({len(truth)}, {len(traits)})")
    baseline = np.broadcast_to(np.asarray(naive, np.float64), truth.shape)
    persons = None if persons is None else np.asarray(persons, object)
    groups = _groups(len(truth), persons) if groups is None else np.asarray(groups)
    counts = metrics.multiplicities(len(truth), groups, seed)
    rated = np.isfinite(truth)
    evaluations, resampled = [], []
    for column, trait in enumerate(traits):
        rows = rated[:, column]
        votes = noise.get(trait) if noise else None
        covered = None
        if lower is not None and upper is not None:
            covered = coverage(truth[rows, column], lower[rows, column], upper[rows, column], groups[rows])
        figures, drawn = _evaluate_trait(
            truth[rows, column],
            predictions[rows, column],
            baseline[rows, column],
            drawn_rows(counts, rows, groups),
            None if votes is None else votes[rows],
            None if persons is None else persons[rows],
            seed,
        )
        evaluations.append(TraitEvaluation(trait=trait, n=int(rows.sum()), coverage=covered, **figures))
        resampled.append(drawn)
    covered = None
    if lower is not None and upper is not None:
        cells = np.nonzero(rated)
        covered = coverage(truth[cells], lower[cells], upper[cells], groups[cells[0]])
    any_rated = rated.any(axis=1)
    return Evaluation(
        n=int(any_rated.sum()),
        n_groups=len(np.unique(groups[any_rated])),
        overall=_overall(resampled, covered),
        traits=tuple(evaluations),
        slices=evaluate_slices(truth, predictions, traits, labels, lower=lower, upper=upper, groups=groups),
    )


def _groups(n: int, persons: NDArray[Any] | None) -> NDArray[np.intp]:
    if persons is None:
        return np.arange(n)
    codes = pd.factorize(persons, use_na_sentinel=True)[0]
    return np.where(codes < 0, codes.max(initial=-1) + 1 + np.arange(n), codes)


def _evaluate_trait(
    y: Float64,
    p: Float64,
    naive: Float64,
    counts: Float64,
    noise: VoteNoise | None,
    persons: NDArray[Any] | None,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Resampled]]:
    """Return fields of `TraitEvaluation`, and the resampled figures under their names in `Overall`."""
    plain = {name: resample(metric, y, p, counts, _SPANS.get(name, math.inf)) for name, metric in _PLAIN.items()}
    naives = {name: resample(metric, y, naive, counts) for name, metric in _NAIVE.items()}
    found: dict[str, Any] = {name: figure.estimate() for name, figure in plain.items()}
    found["naive"] = Naive(**{name: figure.estimate() for name, figure in naives.items()})
    resampled = plain | {"naive_mae": naives["mae"]}
    variance = reliability = None
    if noise is not None and (limit := noise_ceiling(plain["pearson"], plain["r2"], y, noise, counts)):
        found["ceiling"] = limit[0]
        resampled |= limit[1]
        variance, reliability = noise.variance, limit[0].reliability
    found["screening"], drawn = screening(y, p, counts, reliability, seed)
    resampled |= drawn
    if persons is not None and (within := within_person(y, p, persons, counts, variance)):
        found["within_person"] = within[0]
        resampled |= {f"within_person_{name}": figure for name, figure in within[1].items()}
    return found, resampled


def _overall(resampled: Sequence[Mapping[str, Resampled]], covered: Coverage | None) -> Overall:
    """Average the figures over the traits that have them."""
    averages = {
        name: average([found[name] for found in resampled if name in found], np.median if name == "votes" else np.mean)
        for name in _AVERAGED
    }
    estimates = {name: figure.estimate() for name, figure in averages.items()}
    return Overall(n_traits=len(resampled), coverage=covered, **estimates)
