"""The share of each candidate in a stack."""

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_COMMON = 0.5  # weight of the errors of all traits together in the shares of one trait
_SMALLEST_SHARE = 0.05  # a candidate with less is left out of the trait


def stack_shares(predictions: Float64, Y: Float64, weight: Float64) -> Float64:
    """Share of each candidate in each trait (candidates, t) from left-out predictions (candidates, n, t)."""
    errors = np.where(weight > 0, predictions - Y, 0.0)
    products = np.einsum("int,jnt,nt->tij", errors, errors, weight)
    size = np.maximum(np.trace(products, axis1=1, axis2=2), np.finfo(float).tiny)
    products /= size[:, None, None]
    mixed = (1 - _COMMON) * products + _COMMON * products.mean(axis=0)
    shares = np.stack([_simplex_minimum(matrix) for matrix in mixed], axis=1)
    shares[shares < _SMALLEST_SHARE] = 0
    return np.asarray(shares / shares.sum(axis=0), np.float64)


def _simplex_minimum(matrix: Float64) -> Float64:
    """Return the shares w, not negative and with sum 1, that minimise wᵀ · matrix · w."""
    from scipy.optimize import nnls  # scoring, which imports this module, does without

    k = len(matrix)
    ridge = 1e-9 * np.trace(matrix) + np.finfo(float).tiny
    root = np.linalg.cholesky(matrix + ridge * np.eye(k)).T
    # The sum is a row of the least-squares problem that outweighs all others.
    heavy = 1e3 * np.sqrt(np.trace(matrix) + ridge)
    shares, _ = nnls(np.vstack([root, np.full(k, heavy)]), np.append(np.zeros(k), heavy))
    return np.asarray(shares / shares.sum(), np.float64)


def weighted_mse(predictions: Float64, Y: Float64, weight: Float64) -> Float64:
    """Weighted mean squared error of each trait, (t,), of predictions (n, t)."""
    squares = np.where(weight > 0, (predictions - Y) ** 2, 0.0)
    return np.asarray((weight * squares).sum(axis=0) / weight.sum(axis=0), np.float64)
