"""The whole evaluation of predictions against ratings, as plain values. `docs/metrics.md` defines every figure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.evaluation import metrics
from prescreen.evaluation.ceiling import Ceiling, ResampledCeiling, VoteNoise, ceiling
from prescreen.evaluation.curves import LearningCurve
from prescreen.evaluation.metrics import Estimate, Float64, Resampled, average, drawn_rows, resample
from prescreen.evaluation.persons import ResampledWithinPerson, WithinPerson, within_person
from prescreen.evaluation.plain import from_plain, to_plain
from prescreen.evaluation.screening import ResampledScreening, Screening, screening
from prescreen.evaluation.slices import Coverage, SliceEvaluation, coverage, judge_slices


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
    ceiling: Ceiling | None = None
    within_person: WithinPerson | None = None

    @property
    def covered(self) -> Coverage:
        """The coverage, with nothing known where there is none."""
        return self.coverage or Coverage()

    @property
    def limits(self) -> Ceiling:
        """The ceiling, with nothing known where there is none."""
        return self.ceiling or Ceiling()

    @property
    def within(self) -> WithinPerson:
        """The accuracy within persons, with nothing known where there is none."""
        return self.within_person or WithinPerson()


@dataclass(frozen=True)
class Overall:
    """Means over the traits that have the figure; of the worth in votes the median.

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
    """All figures of all traits: what an evaluation gives, and what a predictor keeps of its own.

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
    """

    n: int = 0
    n_groups: int = 0
    overall: Overall = Overall()
    traits: tuple[TraitEvaluation, ...] = ()
    slices: tuple[SliceEvaluation, ...] = ()
    simulated: bool = False
    learning_curve: LearningCurve | None = None

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


@dataclass(frozen=True, eq=False)
class _Figures:
    """The resampled figures of one trait."""

    plain: Mapping[str, Resampled]
    naive: Mapping[str, Resampled]
    screening: ResampledScreening
    ceiling: ResampledCeiling | None
    within_person: ResampledWithinPerson | None


_NAIVE = {"mae": metrics.mae, "rmse": metrics.rmse, "r2": metrics.r2}
_PLAIN = {"pearson": metrics.pearson, "spearman": metrics.spearman} | _NAIVE
_SPANS = {"pearson": 2.0, "spearman": 2.0}


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
    noise : mapping of str to VoteNoise, optional
        For each trait of which it is known, the votes behind its n ratings; without it there is no ceiling.
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
    figures, evaluations = [], []
    for column, trait in enumerate(traits):
        rows = rated[:, column]
        votes = noise.get(trait) if noise else None
        found = _resampled(
            truth[rows, column],
            predictions[rows, column],
            baseline[rows, column],
            drawn_rows(counts, rows, groups),
            None if votes is None else votes[rows],
            None if persons is None else persons[rows],
            seed,
        )
        covered = None
        if lower is not None and upper is not None:
            covered = coverage(truth[rows, column], lower[rows, column], upper[rows, column], groups[rows])
        figures.append(found)
        evaluations.append(_trait_evaluation(trait, int(rows.sum()), found, covered))
    covered = None
    if lower is not None and upper is not None:
        cells = np.nonzero(rated)
        covered = coverage(truth[cells], lower[cells], upper[cells], groups[cells[0]])
    any_rated = rated.any(axis=1)
    return Evaluation(
        n=int(any_rated.sum()),
        n_groups=len(np.unique(groups[any_rated])),
        overall=_overall(figures, covered),
        traits=tuple(evaluations),
        slices=judge_slices(truth, predictions, traits, labels, lower=lower, upper=upper, groups=groups),
    )


def _groups(n: int, persons: NDArray[Any] | None) -> NDArray[np.intp]:
    if persons is None:
        return np.arange(n)
    codes = pd.factorize(persons, use_na_sentinel=True)[0]
    return np.where(codes < 0, codes.max(initial=-1) + 1 + np.arange(n), codes)


def _resampled(
    y: Float64,
    p: Float64,
    naive: Float64,
    counts: Float64,
    noise: VoteNoise | None,
    persons: NDArray[Any] | None,
    seed: int,
) -> _Figures:
    plain = {name: resample(metric, y, p, counts, _SPANS.get(name, math.inf)) for name, metric in _PLAIN.items()}
    limit = ceiling(plain["pearson"], plain["r2"], y, noise, counts)
    variance = None if noise is None or limit is None else noise.variance
    return _Figures(
        plain=plain,
        naive={name: resample(metric, y, naive, counts) for name, metric in _NAIVE.items()},
        screening=screening(y, p, counts, None if limit is None else limit.reliability.value, seed),
        ceiling=limit,
        within_person=None if persons is None else within_person(y, p, persons, counts, variance),
    )


def _trait_evaluation(trait: str, n: int, found: _Figures, covered: Coverage | None) -> TraitEvaluation:
    return TraitEvaluation(
        trait=trait,
        n=n,
        **{name: figure.estimate() for name, figure in found.plain.items()},
        naive=Naive(**{name: figure.estimate() for name, figure in found.naive.items()}),
        screening=found.screening.summary(),
        coverage=covered,
        ceiling=None if found.ceiling is None else found.ceiling.summary(),
        within_person=None if found.within_person is None else found.within_person.summary(),
    )


def _overall(figures: Sequence[_Figures], covered: Coverage | None) -> Overall:
    ceilings = [found.ceiling for found in figures if found.ceiling is not None]
    persons = [found.within_person for found in figures if found.within_person is not None]
    return Overall(
        n_traits=len(figures),
        pearson=average([found.plain["pearson"] for found in figures]).estimate(),
        spearman=average([found.plain["spearman"] for found in figures]).estimate(),
        r2=average([found.plain["r2"] for found in figures]).estimate(),
        mae=average([found.plain["mae"] for found in figures]).estimate(),
        naive_mae=average([found.naive["mae"] for found in figures]).estimate(),
        top_gain=average([found.screening.top_gain for found in figures]).estimate(),
        recall=average([found.screening.recall for found in figures]).estimate(),
        true_score_r=average([limit.true_score_r for limit in ceilings]).estimate(),
        r_share=average([limit.r_share for limit in ceilings]).estimate(),
        r2_share=average([limit.r2_share for limit in ceilings]).estimate(),
        votes=average([limit.votes for limit in ceilings], np.median).estimate(),
        within_person_pearson=average([part.pearson for part in persons]).estimate(),
        within_person_pairs_in_order=average([part.pairs_in_order for part in persons]).estimate(),
        coverage=covered,
    )
