"""Accuracy and coverage in parts of the data, where an average over all of it would hide a failure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

UNKNOWN = "unknown"


def terciles(values: NDArray[Any]) -> NDArray[Any]:
    """Label values ``"low"``, ``"middle"`` or ``"high"`` third; ``"unknown"`` where they are NaN.

    Equal values share a label, so thirds of data with many ties are not equally large.
    """
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    labels = np.full(values.shape, UNKNOWN, dtype=object)
    if known.any():
        edges = np.quantile(values[known], [1 / 3, 2 / 3])
        labels[known] = np.array(["low", "middle", "high"], dtype=object)[np.searchsorted(edges, values[known])]
    return labels


def by_slice(
    truth: NDArray[Any],
    predictions: NDArray[Any],
    traits: Sequence[str],
    labels: NDArray[Any],
    *,
    lower: NDArray[Any] | None = None,
    upper: NDArray[Any] | None = None,
) -> pd.DataFrame:
    """Judge each slice on its own.

    Parameters
    ----------
    truth, predictions, lower, upper : ndarray of shape (n, t)
        Ratings (NaN where there is none), predictions and the ends of their intervals.
    traits : sequence of str
        Names of the t columns.
    labels : ndarray of shape (n,)
        Slice of each row.

    Returns
    -------
    DataFrame
        One row for each trait and slice: ``trait``, ``slice``, ``n``, ``pearson`` (NaN below 3 rows or without
        spread), ``mae``, ``bias`` (mean of prediction minus rating), ``coverage`` (NaN without intervals).
    """
    truth, predictions = np.asarray(truth, np.float64), np.asarray(predictions, np.float64)
    labels = np.asarray(labels, object)
    if labels.shape != truth.shape[:1]:
        raise ValueError(f"labels have shape {labels.shape}; expected ({len(truth)},)")
    inside = np.full(truth.shape, np.nan)
    if lower is not None and upper is not None:
        inside = ((lower <= truth) & (truth <= upper)).astype(np.float64)
    records = []
    for column, trait in enumerate(traits):
        rated = np.isfinite(truth[:, column])
        for label in pd.unique(labels):
            rows = rated & (labels == label)
            if rows.any():
                records.append(
                    {"trait": trait, "slice": label, "n": int(rows.sum())}
                    | _figures(truth[rows, column], predictions[rows, column])
                    | {"coverage": float(inside[rows, column].mean())}
                )
    return pd.DataFrame(records, columns=["trait", "slice", "n", "pearson", "mae", "bias", "coverage"])


def _figures(truth: NDArray[Any], predictions: NDArray[Any]) -> dict[str, float]:
    errors = predictions - truth
    varies = len(truth) >= 3 and np.ptp(truth) > 0 and np.ptp(predictions) > 0
    return {
        "pearson": float(np.corrcoef(truth, predictions)[0, 1]) if varies else float("nan"),
        "mae": float(np.abs(errors).mean()),
        "bias": float(errors.mean()),
    }
