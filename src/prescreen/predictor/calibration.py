"""From raw predictions to scores: the training distribution, intervals, and the covariance of errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from prescreen.ratings.vote_noise import score_to_z, z_to_score
from prescreen.regressors.intervals import ErrorSize

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Turns n raw predictions of t traits into scores and intervals.

    Parameters
    ----------
    distribution : ndarray of float, shape (m, t)
        The training ratings, each column sorted, NaN at its end where a trait has fewer than m.
    half_widths : ndarray of float, shape (t,)
        Half the width of the 90 % interval of a rating, raw, where errors have the average size.
    error_covariance : ndarray of float, shape (t, t)
        Covariance of the prediction errors in z = Φ⁻¹(score / 10), vote noise taken out.
    is_score : bool
        Whether raw ratings are 0-10 scores already.
    person_share : float
        Share of the error variance that all pictures of one person share, 0 to 1; it cancels in their differences.
    error_size : ErrorSize, optional
        Relative size of errors as a function of the prediction; constant without it.
    similar_share, similar_gamma : float
        Share that similar pictures share in addition, 0 to 1, and how fast it falls with the squared distance of their
        standardised features (`prescreen.ranking.error_correlation.ErrorCorrelation`).
    """

    distribution: Array
    half_widths: Array
    error_covariance: Array
    is_score: bool
    person_share: float = 0.0
    error_size: ErrorSize | None = None
    similar_share: float = 0.0
    similar_gamma: float = 1.0

    def half_widths_at(self, raw: Array) -> Array:
        """Return half the width of the 90 % interval around raw predictions, shape (n, t)."""
        sizes = np.ones(raw.shape) if self.error_size is None else self.error_size(raw)
        return np.asarray(self.half_widths * sizes)

    def z(self, raw: Array) -> Array:
        """Turn raw values, shape (n, t), into z.

        Between the lowest and the highest training rating, z follows their empirical distribution (mid-ranks, linear
        in z between them). Beyond, its slope is 1 / standard deviation, so that no two values tie.
        """
        if self.is_score:
            return score_to_z(raw)
        return np.column_stack([_empirical_z(raw[:, j], column) for j, column in enumerate(self._columns())])

    def raw(self, z: Array) -> Array:
        """Turn z, shape (n, t), back into raw values: the inverse of :meth:`z`."""
        if self.is_score:
            return z_to_score(z)
        return np.column_stack([_empirical_raw(z[:, j], column) for j, column in enumerate(self._columns())])

    def slope(self, raw: Array) -> Array:
        """Return dz/draw at raw values, shape (n, t), over half the ratings' standard deviation each way."""
        step = 0.5 * np.maximum(np.nanstd(self.distribution, axis=0), np.finfo(np.float32).eps)
        return np.asarray((self.z(raw + step) - self.z(raw - step)) / (2 * step))

    def score(self, raw: Array) -> Array:
        """Turn raw values, shape (n, t), into scores from 0 to 10."""
        if self.is_score:
            return np.clip(raw, 0.0, 10.0)
        return z_to_score(self.z(raw))

    def _columns(self) -> list[Array]:
        return [column[~np.isnan(column)] for column in self.distribution.T]

    def to_arrays(self) -> dict[str, Array]:
        """Return the arrays to be saved."""
        return {
            "distribution": self.distribution,
            "half_widths": self.half_widths,
            "error_covariance": self.error_covariance,
            "person_share": np.array([self.person_share]),
            "similar_errors": np.array([self.similar_share, self.similar_gamma]),
        } | ({} if self.error_size is None else {"error_size": self.error_size.to_array()})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], is_score: bool) -> Self:
        """Read what `to_arrays` returned."""
        parts = {name: arrays[name] for name in ("distribution", "half_widths", "error_covariance")}
        size = ErrorSize.from_array(arrays["error_size"]) if "error_size" in arrays else None
        similar_share, similar_gamma = arrays.get("similar_errors", (0.0, 1.0))  # older predictors do not know it
        return cls(
            **parts,
            is_score=is_score,
            person_share=float(arrays["person_share"][0]),
            similar_share=float(similar_share),
            similar_gamma=float(similar_gamma),
            error_size=size,
        )


def sorted_columns(ratings: Array) -> Array:
    """Sort each column of ratings, shape (n, t), with NaN at the end."""
    return np.sort(ratings, axis=0)


def _empirical_z(values: Array, training: Array) -> Array:
    levels, heights, spread = _empirical(training)
    z = np.interp(values, levels, heights)
    return np.asarray(z + np.minimum(values - levels[0], 0) / spread + np.maximum(values - levels[-1], 0) / spread)


def _empirical_raw(z: Array, training: Array) -> Array:
    levels, heights, spread = _empirical(training)
    raw = np.interp(z, heights, levels)
    return np.asarray(raw + np.minimum(z - heights[0], 0) * spread + np.maximum(z - heights[-1], 0) * spread)


def _empirical(training: Array) -> tuple[Array, Array, float]:
    """Return the distinct ratings, their z by mid-ranks, and the standard deviation."""
    levels, first, counts = np.unique(training, return_index=True, return_counts=True)
    return levels, ndtri((first + counts / 2) / len(training)), float(training.std()) or 1.0
