"""Kernel ridge regression in closed form, with the exact error of leaving out single rows or whole groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.regressors.blocks import Float64
from prescreen.regressors.folds import group_codes, require_groups

PENALTIES: Final = tuple(float(f"{penalty:.3g}") for penalty in np.logspace(-3, 3, 19))


@dataclass(frozen=True)
class DualFit:
    """A fitted kernel ridge regression with an unpenalised intercept.

    Attributes
    ----------
    dual : ndarray of shape (n, t)
        Prediction for x: ``intercept + sum_i dual_i k(x_i, x)``.
    intercept, penalty : ndarray of shape (t,)
        The penalty is the chosen one.
    cv_predictions : ndarray of shape (n, t)
        Prediction for each row by the fit without the row's group, at the chosen penalty.
    cv_error : ndarray of shape (t,)
        Weighted mean square of ``Y - cv_predictions``.
    """

    dual: Float64
    intercept: Float64
    penalty: Float64
    cv_predictions: Float64
    cv_error: Float64


def solve(
    kernel: NDArray[Any],
    Y: NDArray[Any],
    penalties: Sequence[float],
    *,
    weight: NDArray[Any] | None = None,
    groups: NDArray[Any] | None = None,
) -> DualFit:
    r"""Minimise :math:`\sum_i w_i (y_i - b - f(x_i))^2 + \lambda \|f\|^2` for each column of ``Y``.

    Each column gets the penalty with the smallest leave-group-out error. With :math:`M = K + \lambda W^{-1}` and
    :math:`P = M^{-1} - M^{-1}11^TM^{-1} / 1^TM^{-1}1`, the dual coefficients are :math:`\alpha = Py` and the errors of
    a left-out group G are :math:`P_{GG}^{-1}\alpha_G`: exactly those of refitting without G, intercept included
    (Dubrule 1983 for single rows; Ginsbourger and Schärer 2021 for groups).

    Parameters
    ----------
    kernel : ndarray of shape (n, n)
        Symmetric, positive semidefinite.
    Y : ndarray of shape (n, t)
        Complete; n ≥ 2.
    penalties : sequence of float
        Candidates for λ, all positive.
    weight : ndarray of shape (n,), optional
        Positive. A whole number w counts as w repetitions of the row.
    groups : ndarray of shape (n,), optional
        Rows of one group are left out together; by default every row is its own group.

    Raises
    ------
    RatingsError
        With fewer than two groups.

    References
    ----------
    O. Dubrule, Cross validation of kriging in a unique neighborhood, Mathematical Geology 15, 1983.
    D. Ginsbourger, C. Schärer, Fast calculation of Gaussian process multiple-fold cross-validation residuals, 2021.
    """
    Y = np.asarray(Y, np.float64)
    n, t = Y.shape
    weight = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    if min(penalties) <= 0 or weight.min() <= 0:
        raise ValueError("penalties and weights must be positive")
    codes = group_codes(groups, n)
    require_groups(int(codes.max()) + 1, 2)
    path = _path(kernel, Y, penalties, weight)
    root, scaled_dual = path.root, path.scaled_dual
    residuals = _left_out(path, codes) / root[:, None, None]
    errors = np.einsum("i,ipt->pt", weight / weight.sum(), residuals**2)
    best = (errors.argmin(axis=0), np.arange(t))
    return DualFit(
        dual=root[:, None] * scaled_dual[:, *best],
        intercept=path.intercept[best],
        penalty=np.asarray(penalties, np.float64)[best[0]],
        cv_predictions=Y - residuals[:, *best],
        cv_error=errors[best],
    )


def penalty_path(
    kernel: NDArray[Any], Y: NDArray[Any], penalties: Sequence[float], *, weight: NDArray[Any] | None = None
) -> tuple[Float64, Float64]:
    """Fit as :func:`solve` does, for every penalty instead of the best.

    Returns
    -------
    dual : ndarray of shape (penalties, n, t)
    intercept : ndarray of shape (penalties, t)
    """
    Y = np.asarray(Y, np.float64)
    path = _path(kernel, Y, penalties, np.ones(len(Y)) if weight is None else np.asarray(weight, np.float64))
    return (path.root[:, None, None] * path.scaled_dual).transpose(1, 0, 2), path.intercept


@dataclass(frozen=True)
class _Path:
    """Solutions for all penalties; everything a row has is times (scaled) the root of its weight."""

    root: Float64  # (n,)
    vectors: Float64  # (n, n), of the scaled kernel
    inverse: Float64  # (n, penalties), 1 / (eigenvalue + penalty)
    level: Float64  # (n, penalties), inverse times root
    total: Float64  # (penalties,)
    scaled_dual: Float64  # (n, penalties, t)
    intercept: Float64  # (penalties, t)


def _path(kernel: NDArray[Any], Y: Float64, penalties: Sequence[float], weight: Float64) -> _Path:
    n, t = Y.shape
    root = np.sqrt(weight)
    values, vectors = np.linalg.eigh(root[:, None] * np.asarray(kernel, np.float64) * root)
    values = np.maximum(values, 0)
    mean = np.average(Y, axis=0, weights=weight)
    ones, target = vectors.T @ root, vectors.T @ (root[:, None] * (Y - mean))
    inverse = 1 / (values[:, None] + np.asarray(penalties, np.float64))
    level, total = vectors @ (inverse * ones[:, None]), ones**2 @ inverse
    offset = (inverse * ones[:, None]).T @ target / total[:, None]
    scaled_dual = (vectors @ (inverse[:, :, None] * target[:, None]).reshape(n, -1)).reshape(n, -1, t)
    scaled_dual -= level[:, :, None] * offset
    return _Path(root, vectors, inverse, level, total, scaled_dual, mean + offset)


def _members_by_size(codes: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Row indices of the groups, as one array (groups, size) for each size of group."""
    sizes = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes):
        yield order[starts[sizes == size][:, None] + np.arange(size)]


def _left_out(path: _Path, codes: NDArray[np.intp]) -> Float64:
    """Errors of the left-out groups for each penalty (n, penalties, t), each row times the root of its weight."""
    vectors, inverse, level, total = path.vectors, path.inverse, path.level, path.total
    scaled_dual = path.scaled_dual
    residuals = np.empty_like(scaled_dual)
    for rows in _members_by_size(codes):
        if rows.shape[1] == 1:
            single = rows[:, 0]
            diagonal = vectors[single] ** 2 @ inverse - level[single] ** 2 / total
            residuals[single] = scaled_dual[single] / diagonal[:, :, None]
            continue
        own = vectors[rows]
        for k in range(len(total)):
            level_k = level[rows, k]
            block = (own * inverse[:, k]) @ own.transpose(0, 2, 1)
            block -= level_k[:, :, None] * level_k[:, None, :] / total[k]
            residuals[rows, k] = np.linalg.solve(block, scaled_dual[rows, k])
    return residuals
