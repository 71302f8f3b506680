"""The parts of a training run that get rows of their own: its folds, and the candidates of the stack."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from prescreen.evaluation.metrics import correlation
from prescreen.tracking.runs import NestedRun

Array = NDArray[np.float64]


def fold_runs(
    truth: Array,
    predictions: Array,
    folds: NDArray[np.intp],
    choices: Sequence[Sequence[str]],
    traits: Sequence[str],
) -> list[NestedRun]:
    """Describe each outer fold of the cross-validation.

    Parameters
    ----------
    truth, predictions : ndarray of shape (n, t)
        Ratings, NaN where there is none, and out-of-fold predictions.
    folds : ndarray of int, shape (n,)
        Fold in which the row was tested.
    choices : sequence of sequence of str
        ``choices[fold][trait]``: what the training part chose.
    traits : sequence of str
        Names of the t columns.

    Returns
    -------
    list of NestedRun
        With ``n``, ``TRAIT/pearson``, ``TRAIT/rmse`` where they are defined, and ``mean/pearson``.
    """
    runs = []
    for fold, chosen in enumerate(choices):
        tested = folds == fold
        measured: dict[str, float] = {"n": float(tested.sum())}
        correlations = []
        for column, trait in enumerate(traits):
            rows = tested & np.isfinite(truth[:, column])
            y, p = truth[rows, column], predictions[rows, column]
            if (r := correlation(y, p)) is not None:
                correlations.append(r)
                measured[f"{trait}/pearson"] = r
            if len(y):
                measured[f"{trait}/rmse"] = float(np.sqrt(((y - p) ** 2).mean()))
        if correlations:
            measured["mean/pearson"] = float(np.mean(correlations))
        parameters = {"fold": str(fold)} | {f"regressor/{t}": c for t, c in zip(traits, chosen, strict=True)}
        runs.append(NestedRun("fold", f"fold {fold + 1:02d} of {len(choices)}", parameters, measured))
    return runs


def candidate_runs(
    inner_errors: Mapping[str, Array],
    shares: Mapping[str, Array],
    traits: Sequence[str],
) -> list[NestedRun]:
    """Describe each candidate regressor of the final fit, and the stack.

    Parameters
    ----------
    inner_errors : mapping of str to ndarray, shape (t,)
        Mean squared error on left-out groups, for each candidate and the stack.
    shares : mapping of str to ndarray, shape (t,)
        Share of each candidate in the prediction of each trait; a candidate that is missing has none.
    traits : sequence of str
        Names of the t columns.

    Returns
    -------
    list of NestedRun
        With ``TRAIT/inner_rmse`` and, but for the stack, ``TRAIT/share``.
    """
    runs = []
    for name, errors in inner_errors.items():
        measured = {f"{trait}/inner_rmse": float(np.sqrt(error)) for trait, error in zip(traits, errors, strict=True)}
        if name != "stack":
            share = shares.get(name, np.zeros(len(traits)))
            measured |= {f"{trait}/share": float(part) for trait, part in zip(traits, share, strict=True)}
        runs.append(NestedRun("candidate", f"candidate {name}", {"regressor": name}, measured))
    return runs
