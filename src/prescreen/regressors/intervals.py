"""Prediction intervals from out-of-fold errors, and the covariance of the errors of the traits."""

import math
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from prescreen.regressors.blocks import Float64

ALPHA = 0.1  # intervals hold 90 %
_NOISE_SHARE = 0.9  # largest share of a trait's error variance that counts as vote noise
_SMALLEST_EIGENVALUE = 0.01  # of the error correlations
_SHRINKAGE: Final = 10.0  # errors' worth of prior belief that all errors are of one size
_FLOOR: Final = 0.05  # of the mean error; keeps the logarithm of a tiny error from deciding
_STEEPEST: Final = 1.0  # limit of the logarithm of a relative size


@dataclass(frozen=True)
class ErrorSize:
    """Expected size of an error relative to the trait's average, as a function of the prediction.

    On some traits raters agree more on extreme faces, on others less; intervals of one width would have the wrong
    coverage for both. The logarithm of the absolute error is regressed on the standardised prediction and its square,
    with a ridge penalty.

    Parameters
    ----------
    centre, spread : ndarray of shape (t,)
        Mean and standard deviation of the predictions.
    slope, curvature : ndarray of shape (t,)
        Coefficients of the standardised prediction, and of its square minus 1.

    References
    ----------
    J. Lei et al., Distribution-free predictive inference for regression, JASA 113, 2018, on locally weighted intervals.
    """

    centre: Float64
    spread: Float64
    slope: Float64
    curvature: Float64

    @classmethod
    def fit(cls, predictions: NDArray[Any], residuals: NDArray[Any]) -> Self:
        """Fit to out-of-fold predictions (n, t) and their errors (n, t), NaN where there is no rating."""
        predictions, errors = np.asarray(predictions, np.float64), np.abs(np.asarray(residuals, np.float64))
        centre, spread = predictions.mean(axis=0), predictions.std(axis=0)
        spread = np.where(spread > 1e-9 * np.abs(centre), spread, 1.0)
        z = (predictions - centre) / spread
        found = np.zeros((2, predictions.shape[1]))
        for k, error in enumerate(errors.T):
            rated = np.isfinite(error)
            if not error[rated].any():
                continue
            design = np.column_stack([z[rated, k], z[rated, k] ** 2 - 1])
            design -= design.mean(axis=0)
            target = np.log(error[rated] + _FLOOR * error[rated].mean())
            gram = design.T @ design + _SHRINKAGE * np.eye(2)
            found[:, k] = np.linalg.solve(gram, design.T @ (target - target.mean()))
        return cls(centre, spread, *found)

    def __call__(self, predictions: NDArray[Any]) -> Float64:
        """Return relative sizes, shape (n, t), for predictions (n, t); 1 in the middle of them, e^-1 to e."""
        z = (np.asarray(predictions, np.float64) - self.centre) / self.spread
        exponent = self.slope * z + self.curvature * (z**2 - 1)
        return np.asarray(np.exp(np.clip(exponent, -_STEEPEST, _STEEPEST)), np.float64)

    def to_array(self) -> Float64:
        """Return the parameters as an array, shape (4, t)."""
        return np.stack([self.centre, self.spread, self.slope, self.curvature])

    @classmethod
    def from_array(cls, array: NDArray[Any]) -> Self:
        """Read what `to_array` returned."""
        return cls(*np.asarray(array, np.float64))


def conformal_half_widths(residuals: NDArray[Any], alpha: float = ALPHA) -> Float64:
    """Half-widths of intervals that contain a new rating with probability 1 − α.

    For each trait the ⌈(1 − α)(n + 1)⌉-th smallest absolute out-of-fold error. This is the split-conformal quantile of
    errors from cross-validation, used around predictions of a model fitted to all rows. Its coverage is close to
    nominal in practice but not guaranteed (the jackknife+ guarantees 1 − 2α), so every evaluation measures it. The
    errors contain the noise of the votes, so these are intervals of ratings like those in training.

    Parameters
    ----------
    residuals : ndarray of shape (n, t)
        Rating minus out-of-fold prediction, usually divided by its :class:`ErrorSize`; NaN where there is no rating.
    alpha : float
        Share of ratings allowed outside, between 0 and 1.

    Returns
    -------
    ndarray of shape (t,)
        In the unit of the ratings; infinite where n is too small for 1 − α (n < 9 for 90 %).

    Examples
    --------
    >>> conformal_half_widths([[-1], [2], [-3], [4], [-5], [6], [-7], [8], [-9]], alpha=0.5).tolist()
    [5.0]

    References
    ----------
    V. Vovk, Cross-conformal predictors, Annals of Mathematics and Artificial Intelligence 74, 2015.
    R. Barber et al., Predictive inference with the jackknife+, Annals of Statistics 49, 2021.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; expected a number between 0 and 1")
    errors = np.sort(np.abs(np.asarray(residuals, np.float64)), axis=0)  # NaN sorts last
    n = np.isfinite(errors).sum(axis=0)
    # The subtraction keeps a product such as 0.9 * 10 from being rounded up past the whole number it stands for.
    ranks = [math.ceil((1 - alpha) * (count + 1) - 1e-9) for count in n]
    return np.array([errors[rank - 1, k] if rank <= n[k] else np.inf for k, rank in enumerate(ranks)])


def cross_conformal_intervals(
    predictions: NDArray[Any], truth: NDArray[Any], folds: NDArray[Any], alpha: float = ALPHA
) -> tuple[Float64, Float64]:
    """Interval of each row, with :class:`ErrorSize` and half-width from the errors in the other folds.

    Parameters
    ----------
    predictions, truth : ndarray of shape (n, t)
        Out-of-fold predictions; ratings, NaN where there is none.
    folds : ndarray of shape (n,)
        Fold in which the row was predicted.
    alpha : float
        Share of ratings allowed outside.

    Returns
    -------
    lower, upper : ndarray of shape (n, t)
    """
    predictions = np.asarray(predictions, np.float64)
    residuals = np.asarray(truth, np.float64) - predictions
    half = np.zeros(residuals.shape)
    for fold in np.unique(folds):
        test = folds == fold
        size = ErrorSize.fit(predictions[~test], residuals[~test])
        half[test] = conformal_half_widths(residuals[~test] / size(predictions[~test]), alpha) * size(predictions[test])
    return predictions - half, predictions + half


def residual_covariance(residuals: NDArray[Any], sampling_variance: NDArray[Any] | None = None) -> Float64:
    """Covariance of the errors about the raters' true mean, for joint statements on several traits.

    An out-of-fold error is the model's error plus the noise of a mean of few votes. The variances are reduced by the
    noise, by at most 90 %. The covariances stay: they contain noise that the traits share, for instance where one rater
    votes on all of them. If the result is not positive definite, the eigenvalues of its correlations are raised to
    0.01.

    Parameters
    ----------
    residuals : ndarray of shape (n, t)
        Rating minus out-of-fold prediction, mean zero by construction; NaN where there is no rating.
    sampling_variance : ndarray of shape (n, t), optional
        Variance of each rating as a mean of votes; NaN where it is not known (the mean of the known ones stands in).

    Returns
    -------
    ndarray of shape (t, t)
        Positive definite unless a trait's errors are all zero. Each entry uses the rows that have both ratings;
        two traits never rated together count as uncorrelated.
    """
    residuals = np.asarray(residuals, np.float64)
    rated = np.isfinite(residuals)
    known = np.where(rated, residuals, 0.0)
    pairs = rated.T.astype(np.float64) @ rated
    products = known.T @ known
    squares = (known**2).T @ rated
    norm = np.sqrt(squares * squares.T)
    # Correlations on common rows, variances on all rows of the trait: the latter have more data.
    variance = np.diag(products) / np.maximum(np.diag(pairs), 1)
    correlation = np.divide(products, norm, out=np.zeros_like(products), where=norm > 0)
    covariance = correlation * np.sqrt(np.outer(variance, variance))
    if sampling_variance is not None:
        usable = rated & np.isfinite(sampling_variance)
        total = np.where(usable, sampling_variance, 0.0).sum(axis=0)
        noise = total / np.maximum(usable.sum(axis=0), 1)
        variance = variance - np.minimum(noise, _NOISE_SHARE * variance)
    return _positive_definite(covariance, variance)


def _positive_definite(covariance: Float64, variance: Float64) -> Float64:
    """Return the matrix with these variances and, as far as possible, these covariances."""
    sd = np.sqrt(variance)
    scale = np.outer(sd, sd)
    correlation = np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)
    np.fill_diagonal(correlation, 1)
    values, vectors = np.linalg.eigh(correlation)
    if values[0] < _SMALLEST_EIGENVALUE:
        correlation = (vectors * np.maximum(values, _SMALLEST_EIGENVALUE)) @ vectors.T
        unit = np.sqrt(np.diag(correlation))
        correlation /= np.outer(unit, unit)
    result = correlation * scale
    return np.asarray((result + result.T) / 2, np.float64)
