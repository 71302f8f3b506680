"""Kernel ridge regression in closed form, with the exact error of leaving out single rows or whole groups."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, cho_factor, cho_solve, cholesky, lapack, solve_triangular

from prescreen.regressors.blocks import Float64
from prescreen.regressors.folds import group_codes, require_groups

PENALTIES: Final = tuple(float(f"{penalty:.3g}") for penalty in np.logspace(-3, 3, 19))
MANY: Final = 200
"""Rows up to which all penalties are tried. With more, they are looked for downhill from what so many rows choose."""
_TILE: Final = 256


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
    return solve_parts(kernel, Y, penalties, weight=weight, groups=groups)[0]


def solve_parts(
    kernel: NDArray[Any],
    Y: NDArray[Any],
    penalties: Sequence[float],
    *,
    weight: NDArray[Any] | None = None,
    groups: NDArray[Any] | None = None,
    left_out: Sequence[NDArray[np.intp]] = (),
) -> list[DualFit]:
    """Fit as :func:`solve` does to all rows, then to all but those of each part that is left out.

    A part costs little: with the inverse of the whole bordered system in blocks, that of the rows that stay is its
    Schur complement.

    Parameters
    ----------
    kernel, Y, penalties, weight, groups
        As in :func:`solve`.
    left_out : sequence of ndarray of int
        Rows of each part, whole groups; the others are of two groups at least.

    Returns
    -------
    list of DualFit
        That of all rows, and one for each part. The rows of a part are not rows of its fit.
    """
    Y = np.asarray(Y, np.float64)
    n, t = Y.shape
    weight = np.ones(n) if weight is None else np.asarray(weight, np.float64)
    if min(penalties) <= 0 or weight.min() <= 0:
        raise ValueError("penalties and weights must be positive")
    codes = group_codes(groups, n)
    require_groups(int(codes.max()) + 1, 2)
    shares = [weight.copy() for _ in range(len(left_out) + 1)]
    for share, part in zip(shares[1:], left_out, strict=True):
        share[part] = 0
    several = [rows for rows in _members_by_size(codes) if rows.shape[1] > 1]
    found: dict[int, list[tuple[Float64, Float64, Float64]]] = {}

    def evaluate(numbers: Sequence[int]) -> list[Float64]:
        for k in numbers:
            found[k] = _fits_at(kernel, Y, float(penalties[k]), weight, several, left_out)
        return [
            np.concatenate([share @ fit[2] ** 2 / share.sum() for share, fit in zip(shares, found[k], strict=True)])
            for k in numbers
        ]

    first = _first_guess(kernel, Y, penalties, weight, codes)
    best, errors = downhill(evaluate, None if first is None else np.tile(first, len(shares)), len(penalties))
    fits = []
    for number, share in enumerate(shares):
        rows, chosen = np.flatnonzero(share), best[number * t : (number + 1) * t]
        intercept, dual, residuals = (
            np.stack([found[k][number][piece][..., c] for c, k in enumerate(chosen)], -1) for piece in range(3)
        )
        error, penalty = errors[number * t : (number + 1) * t], np.asarray(penalties, np.float64)[chosen]
        fits.append(DualFit(dual[rows], intercept, penalty, (Y - residuals)[rows], error))
    return fits


def downhill(
    evaluate: Callable[[Sequence[int]], Sequence[Float64]], start: NDArray[np.intp] | None, count: int
) -> tuple[NDArray[np.intp], Float64]:
    """Find for each column which of ``count`` ascending penalties has the smallest error, of equal ones the largest.

    Parameters
    ----------
    evaluate : callable
        From the numbers of some penalties to the errors of each, (t,).
    start : ndarray of shape (t,), optional
        Where to start from. Then neighbours are tried as long as one is better; without it, all are tried.

    Returns
    -------
    best : ndarray of int, shape (t,)
    errors : ndarray of shape (t,)
    """
    known: dict[int, Float64] = {}
    todo = set(range(count)) if start is None else _around(start, count)
    while todo:
        known |= zip(numbers := sorted(todo), evaluate(numbers), strict=True)
        tried = sorted(known)
        table = np.stack([known[k] for k in tried])
        best = np.array(tried[::-1], np.intp)[table[::-1].argmin(axis=0)]  # of equal ones the largest
        todo = _around(best, count) - known.keys()
    return best, table.min(axis=0)


def _around(numbers: NDArray[np.intp], count: int) -> set[int]:
    return {int(k) for near in (-1, 0, 1) for k in np.clip(numbers + near, 0, count - 1)}


def _first_guess(
    kernel: NDArray[Any], Y: Float64, penalties: Sequence[float], weight: Float64, codes: NDArray[np.intp]
) -> NDArray[np.intp] | None:
    """Numbers of the best penalties (t,) for rows spread over all, where there are too many to try all penalties."""
    if len(Y) <= MANY:
        return None
    rows = np.linspace(0, len(Y) - 1, MANY).astype(np.intp)
    if len(np.unique(codes[rows])) < 2:
        return None
    few = solve(kernel[np.ix_(rows, rows)], Y[rows], penalties, weight=weight[rows], groups=codes[rows])
    return np.searchsorted(np.asarray(penalties), few.penalty)


def fit_at(
    kernel: NDArray[Any], Y: Float64, penalty: float, weight: NDArray[Any] | None = None
) -> tuple[Float64, Float64]:
    """Fit as :func:`solve` does, with one penalty: dual (n, t) and intercept (t,)."""
    weight = np.ones(len(Y)) if weight is None else weight
    root = np.sqrt(weight)
    mean = np.average(Y, axis=0, weights=weight)
    centred = root[:, None] * (Y - mean)
    solved = cho_solve(_factor(kernel, root, penalty), np.column_stack([root, centred]), check_finite=False)
    level, dual = solved[:, 0], solved[:, 1:]
    offset = (root @ dual) / (root @ level)
    return root[:, None] * (dual - level[:, None] * offset), mean + offset


def _factor(kernel: NDArray[Any], root: Float64, penalty: float) -> tuple[Float64, bool]:
    system = np.array(kernel.T, np.float64, order="F")  # symmetric; transposed, a copy needs no transposing
    if (root != 1).any():
        system *= root[:, None]
        system *= root
    system[np.diag_indices_from(system)] += penalty
    lower, _ = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
    return lower, True


def _fits_at(
    kernel: NDArray[Any],
    Y: Float64,
    penalty: float,
    weight: Float64,
    several: Sequence[NDArray[np.intp]],
    left_out: Sequence[NDArray[np.intp]],
) -> list[tuple[Float64, Float64, Float64]]:
    """Intercept (t,), dual (n, t) and leave-group-out errors (n, t) of all rows, and of those that each part leaves."""
    root = np.sqrt(weight)
    of_row = root[:, None]
    mean = np.average(Y, axis=0, weights=weight)
    P, _ = lapack.dpotri(*_factor(kernel, root, penalty), overwrite_c=True)
    _mirror(P)
    level = P @ root
    total = root @ level
    centred = of_row * (Y - mean)
    intercept = mean + level @ centred / total
    border = level / total
    P = blas.dger(-1.0, level, border, a=P, overwrite_a=True)
    dual, diagonal = P @ centred, np.diag(P).copy()
    residuals = dual / diagonal[:, None]
    for rows in several:
        residuals[rows] = np.linalg.solve(P[rows[:, :, None], rows[:, None]], dual[rows])
    fits = [(intercept, of_row * dual, residuals / of_row)]
    for part in left_out:
        # Rows of P as its columns: a Fortran array of (part, n).
        block = np.asfortranarray(P[:, part].T)
        lower = cholesky(block[:, part], lower=True, check_finite=False)
        errors = cho_solve((lower, True), dual[part], check_finite=False)
        remaining = dual - block.T @ errors
        half = solve_triangular(lower, block, lower=True, overwrite_b=True, check_finite=False).T
        reduced = diagonal - np.einsum("ij,ij->i", half, half)
        reduced[part] = np.inf
        residuals = remaining / reduced[:, None]
        for rows in several:
            stay = rows[~np.isin(rows[:, 0], part)]
            own = half[stay]
            inner = P[stay[:, :, None], stay[:, None]] - own @ own.transpose(0, 2, 1)
            residuals[stay] = np.linalg.solve(inner, remaining[stay])
        fits.append((intercept - border[part] @ errors, of_row * remaining, residuals / of_row))
    return fits


def _mirror(matrix: Float64) -> None:
    """Copy the lower triangle of a matrix in Fortran order to the upper one, in tiles that fit into the cache."""
    n = len(matrix)
    for start in range(0, n, _TILE):
        rows = slice(start, start + _TILE)
        tile = matrix[rows, rows]
        matrix[rows, rows] = np.tril(tile) + np.tril(tile, -1).T
        for other in range(start + _TILE, n, _TILE):
            columns = slice(other, other + _TILE)
            matrix[rows, columns] = matrix[columns, rows].T


def _members_by_size(codes: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Row indices of the groups, as one array (groups, size) for each size of group."""
    sizes = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes):
        yield order[starts[sizes == size][:, None] + np.arange(size)]
