"""From raw predictions to scores: the training distribution, intervals, and how the traits' errors go together."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Array = NDArray[np.float64]

EDGE: Final = 0.005
"""Scores are kept this share of the scale away from 0 and 10, where z would be infinite."""


@dataclass(frozen=True)
class Calibration:
    """What turns n raw predictions of t traits into scores and intervals.

    Parameters
    ----------
    distribution : ndarray of float, shape (m, t)
        The training ratings, each column sorted, NaN at its end where a trait has fewer than m.
    half_widths : ndarray of float, shape (t,)
        Half the width of the 90 % interval of a rating, raw.
    error_covariance : ndarray of float, shape (t, t)
        Covariance of the prediction errors in z = Φ⁻¹(score / 10), vote noise taken out.
    is_score : bool
        Whether raw ratings are 0-10 scores already.
    """

    distribution: Array
    half_widths: Array
    error_covariance: Array
    is_score: bool

    def with_errors(self, covariance: Array) -> Self:
        """Return the same calibration with another `error_covariance`."""
        return replace(self, error_covariance=covariance)

    def z(self, raw: Array) -> Array:
        """Turn raw values, shape (n, t), into z.

        Between the lowest and the highest training rating z follows their empirical distribution (mid-ranks, linear
        in z between them); beyond, it goes on with a slope of 1 / standard deviation, so that no two values tie.
        """
        if self.is_score:
            return np.asarray(norm.ppf(np.clip(raw / 10, EDGE, 1 - EDGE)))
        return np.column_stack([_empirical_z(raw[:, j], column) for j, column in enumerate(self._columns())])

    def score(self, raw: Array) -> Array:
        """Turn raw values, shape (n, t), into scores from 0 to 10."""
        if self.is_score:
            return np.clip(raw, 0.0, 10.0)
        return score_of_z(self.z(raw))

    def _columns(self) -> list[Array]:
        return [column[~np.isnan(column)] for column in self.distribution.T]

    def to_arrays(self) -> dict[str, Array]:
        """Return the arrays to be saved."""
        return {
            "distribution": self.distribution,
            "half_widths": self.half_widths,
            "error_covariance": self.error_covariance,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], is_score: bool) -> Self:
        """Read what `to_arrays` returned."""
        return cls(
            **{name: arrays[name] for name in ("distribution", "half_widths", "error_covariance")}, is_score=is_score
        )


def score_of_z(z: Array) -> Array:
    """Turn z into scores from 0 to 10."""
    return np.asarray(10 * norm.cdf(z))


def z_of_score(score: Array) -> Array:
    """Turn scores from 0 to 10 into z; 0 and 10 themselves become 0.05 and 9.95."""
    return np.asarray(norm.ppf(np.clip(np.asarray(score) / 10, EDGE, 1 - EDGE)))


def sorted_columns(ratings: Array) -> Array:
    """Sort each column of ratings, shape (n, t), with NaN at the end."""
    return np.sort(ratings, axis=0)


def _empirical_z(values: Array, training: Array) -> Array:
    levels, first, counts = np.unique(training, return_index=True, return_counts=True)
    heights = norm.ppf((first + counts / 2) / len(training))
    spread = training.std() or 1.0
    z = np.interp(values, levels, heights)
    return np.asarray(z + np.minimum(values - levels[0], 0) / spread + np.maximum(values - levels[-1], 0) / spread)
