"""From raw predictions to scores: the training distribution, intervals, and the covariance of errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from prescreen.ranking.within_person import WithinPerson
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
    within_person : WithinPerson
        What is believed of one person's pictures: the share of their errors that they have in common, and the slope of
        ratings on predictions.
    error_size : ErrorSize, optional
        Relative size of errors as a function of the prediction; constant without it.
    similar_share, similar_gamma : float
        Share that like pictures of different persons have in common, 0 to 1, and how fast it falls with the squared
        distance of their standardised features (`prescreen.ranking.error_correlation.ErrorCorrelation`).
    older_share : float, optional
        What an older version took the share for. It says nothing here, but belongs to that predictor's fingerprint.
    vote_noise : ndarray of float, shape (t,), optional
        Noise variance of one vote in z, averaged over the training portraits; NaN where their votes do not tell.
    """

    distribution: Array
    half_widths: Array
    error_covariance: Array
    is_score: bool
    within_person: WithinPerson = field(default_factory=WithinPerson.prior)
    error_size: ErrorSize | None = None
    similar_share: float = 0.0
    similar_gamma: float = 1.0
    older_share: float | None = None
    vote_noise: Array | None = None

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
            "similar_errors": np.array([self.similar_share, self.similar_gamma]),
        } | self._newer_arrays()

    def _newer_arrays(self) -> dict[str, Array]:
        older = self.older_share is not None
        share = (
            {"person_share": np.array([self.older_share])}
            if older
            else {"within_person": self.within_person.to_array()}
        )
        size = {} if self.error_size is None else {"error_size": self.error_size.to_array()}
        return share | size | ({} if self.vote_noise is None else {"vote_noise": self.vote_noise})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], is_score: bool) -> Self:
        """Read what `to_arrays` returned."""
        parts = {name: arrays[name] for name in ("distribution", "half_widths", "error_covariance")}
        size = ErrorSize.from_array(arrays["error_size"]) if "error_size" in arrays else None
        similar_share, similar_gamma = arrays.get("similar_errors", (0.0, 1.0))  # older predictors do not know it
        return cls(
            **parts,
            is_score=is_score,
            within_person=WithinPerson.from_array(arrays["within_person"])
            if "within_person" in arrays
            else WithinPerson.prior(),
            older_share=float(arrays["person_share"][0]) if "person_share" in arrays else None,
            similar_share=float(similar_share),
            similar_gamma=float(similar_gamma),
            error_size=size,
            vote_noise=arrays.get("vote_noise"),
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
