"""Accuracy and coverage in parts of the data, where an average over all of it would hide a failure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.evaluation.metrics import Estimate, Float64, correlation, share

PREDICTION: Final = "prediction"
"""Name of the characteristic that every trait has: the third in which its own prediction lies."""

GROUPS: Final = ("asian", "black", "hispanic", "islander", "middle-eastern", "native", "white")
"""Attributes of One Million Impressions that say to which group of people raters take a face to belong."""

SMALLEST_JUDGED: Final = 60
"""Pictures that a slice needs before its coverage is compared with a bound."""

_THIRDS: Final = ("low", "middle", "high")


@dataclass(frozen=True)
class Coverage:
    """Share of ratings inside their interval, and the intervals' mean width in the unit of the ratings."""

    share: Estimate = Estimate()
    width: float | None = None


@dataclass(frozen=True)
class SliceEvaluation:
    """Figures of the pictures of one slice.

    Attributes
    ----------
    characteristic, label : str
        What the pictures were divided by, and the part.
    trait : str or None
        None: all traits together.
    n : int
        Pictures that are rated, on the trait or on any.
    pearson : float or None
        None below three pictures, without spread, and for all traits together.
    mae, bias : float
        Mean absolute error; mean of prediction less rating.
    coverage : Coverage or None
        None without intervals.
    """

    characteristic: str
    label: str
    trait: str | None
    n: int
    pearson: float | None
    mae: float
    bias: float
    coverage: Coverage | None = None

    @property
    def covered(self) -> Coverage:
        """The coverage, with nothing known where there is none."""
        return self.coverage or Coverage()


def coverage(truth: Float64, lower: Float64, upper: Float64, groups: NDArray[Any]) -> Coverage:
    """Measure intervals, arrays of shape (m,); rows of one group count as one trial for the interval of the share."""
    width = (upper - lower).mean() if len(truth) else np.nan
    return Coverage(share((lower <= truth) & (truth <= upper), groups), float(width) if np.isfinite(width) else None)


def terciles(values: NDArray[Any]) -> NDArray[np.object_]:
    """Label values ``"low"``, ``"middle"`` or ``"high"`` third; None where they are NaN.

    Equal values share a label, so thirds of data with many ties are not equally large.
    """
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    labels = np.full(values.shape, None, dtype=object)
    if known.any():
        edges = np.quantile(values[known], [1 / 3, 2 / 3])
        labels[known] = np.array(_THIRDS, dtype=object)[np.searchsorted(edges, values[known])]
    return labels


def label_slices(attributes: pd.DataFrame, middle: float) -> pd.DataFrame:
    """Divide pictures by what raters said of them.

    Parameters
    ----------
    attributes : DataFrame
        One row a picture, one column an attribute with its mean rating, NaN where there is none.
    middle : float
        Middle of the scale of the ratings.

    Returns
    -------
    DataFrame of object
        The same rows; None where a picture has no label. ``gender`` by the half of the scale, ``"lower half"`` or
        ``"upper half"``; ``ethnicity``, if at least two of :data:`GROUPS` are rated, by the one rated highest; every
        other attribute, age among them, by its thirds. All of it is as perceived, and says nothing true of anyone.
    """
    labels: dict[str, NDArray[np.object_]] = {}
    groups = [name for name in GROUPS if name in attributes]
    if len(groups) > 1:
        ratings = attributes[groups].to_numpy(np.float64)
        rated = np.isfinite(ratings).all(axis=1)
        labels["ethnicity"] = np.full(len(attributes), None, dtype=object)
        labels["ethnicity"][rated] = np.array(groups, dtype=object)[ratings[rated].argmax(axis=1)]
    for name in attributes.columns:
        values = attributes[name].to_numpy(np.float64)
        if name == "gender":
            labels[name] = np.where(values < middle, "lower half", "upper half").astype(object)
            labels[name][~np.isfinite(values)] = None
        elif len(groups) < 2 or name not in groups:
            labels[str(name)] = terciles(values)
    first = [name for name in ("gender", "age", "ethnicity") if name in labels]
    return pd.DataFrame(
        {name: labels[name] for name in dict.fromkeys([*first, *labels])}, attributes.index, dtype=object
    )


def evaluate_slices(
    truth: NDArray[Any],
    predictions: NDArray[Any],
    traits: Sequence[str],
    labels: pd.DataFrame | None,
    *,
    lower: NDArray[Any] | None = None,
    upper: NDArray[Any] | None = None,
    groups: NDArray[Any] | None = None,
) -> tuple[SliceEvaluation, ...]:
    """Evaluate each slice separately: each trait, and all traits together.

    A trait is not sliced by its own rating, only by its prediction: pictures picked for a high rating are those whose
    rating is too high, and no predictor would be unbiased among them.

    Parameters
    ----------
    truth, predictions, lower, upper : ndarray of shape (n, t)
        Ratings (NaN where there is none), predictions and the ends of their intervals.
    traits : sequence of str
        Names of the t columns.
    labels : DataFrame with n rows
        One column a characteristic; None where a picture belongs to no slice.
    groups : ndarray of shape (n,), optional
        Pictures that are not independent of each other.
    """
    truth, predictions = np.asarray(truth, np.float64), np.asarray(predictions, np.float64)
    labels = pd.DataFrame(index=range(len(truth))) if labels is None else labels
    if len(labels) != len(truth):
        raise ValueError(f"labels have {len(labels)} rows; expected {len(truth)}")
    groups = np.arange(len(truth)) if groups is None else np.asarray(groups)
    rated = np.isfinite(truth)
    intervals = None if lower is None or upper is None else (lower, upper)
    own = np.array([terciles(np.where(r, p, np.nan)) for r, p in zip(rated.T, predictions.T, strict=True)]).T
    found = []
    for name, parts in _divisions(labels, traits, own).items():
        for label in _in_order(parts):
            inside = (parts == label) & rated
            for column, trait in [(slice(None), None), *enumerate(traits)]:
                cells = np.zeros_like(inside)
                cells[:, column] = inside[:, column]
                if cells.any():
                    figures = _figures(truth, predictions, intervals, groups, cells, with_r=trait is not None)
                    found.append(SliceEvaluation(name, label, trait, *figures))
    return tuple(found)


def _figures(
    truth: Float64,
    predictions: Float64,
    intervals: tuple[NDArray[Any], NDArray[Any]] | None,
    groups: NDArray[Any],
    cells: NDArray[np.bool_],
    with_r: bool,
) -> tuple[int, float | None, float, float, Coverage | None]:
    """Return the last five fields of :class:`SliceEvaluation` for some cells of the tables."""
    y, p = truth[cells], predictions[cells]
    rows = np.nonzero(cells)[0]
    covered = None if intervals is None else coverage(y, intervals[0][cells], intervals[1][cells], groups[rows])
    r = correlation(y, p) if with_r else None
    return len(np.unique(rows)), r, float(np.abs(p - y).mean()), float((p - y).mean()), covered


def judged_slices(
    slices: Iterable[SliceEvaluation], at_least: int = SMALLEST_JUDGED, *, together: bool = False
) -> dict[SliceEvaluation, float]:
    """Return the coverage of slices of at least so many pictures; ``together``: of all traits, not of single ones."""
    return {
        part: value
        for part in slices
        if part.n >= at_least and (part.trait is None) is together and (value := part.covered.share.value) is not None
    }


def lowest_coverage(
    slices: Iterable[SliceEvaluation], at_least: int = SMALLEST_JUDGED, *, together: bool = False
) -> SliceEvaluation | None:
    """Return the one of `judged_slices` with the lowest coverage; None if there is none."""
    known = judged_slices(slices, at_least, together=together)
    return min(known, key=lambda part: known[part]) if known else None


def _divisions(
    labels: pd.DataFrame, traits: Sequence[str], own: NDArray[np.object_]
) -> Mapping[str, NDArray[np.object_]]:
    """Return labels of shape (n, t) for each characteristic."""
    divisions = {PREDICTION: own}
    for name in labels.columns:
        parts = np.repeat(labels[name].to_numpy(object)[:, None], len(traits), axis=1)
        parts[pd.isna(parts)] = None
        if name in traits:
            parts[:, list(traits).index(str(name))] = None
        divisions[f"rated {name}" if name == PREDICTION else str(name)] = parts
    return divisions


def _in_order(parts: NDArray[np.object_]) -> list[str]:
    present = {str(label) for label in parts.ravel() if label is not None}
    return [label for label in _THIRDS if label in present] + sorted(present.difference(_THIRDS))
