"""Human scores of pictures of one person, and how they change the predictions for the person's pictures.

A predictor that has learned keeps the scores and the vectors of the scored pictures. It computes the posterior when it
predicts (`prescreen.ranking.posterior`), from the scores of all rounds at once. So the order of the rounds does not
matter. A prediction moves with the scored pictures as far as the predictor's errors of both are correlated: all
pictures of the person by the person's share of the errors, similar pictures more, pictures of somebody else hardly.
"""

from dataclasses import dataclass, fields, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from prescreen.predictor.calibration import Calibration
from prescreen.ranking.error_correlation import ErrorCorrelation
from prescreen.ranking.posterior import HumanScores, Posterior, Prior, condition

Floats = NDArray[np.float64]

SAME_FACE: Final = 0.6
"""Distance of face descriptors up to which a picture counts as one of the person, as dlib's authors recommend."""

_CHUNK: Final = 512


@dataclass(frozen=True)
class HumanResults:
    """m human scores of pictures of one person; a picture that was tested twice has two rows.

    Parameters
    ----------
    keys : ndarray of uint64, shape (m,)
        The pictures, as `prescreen.predictor.predictor.content_keys` makes them.
    vectors : ndarray of float16, shape (m, d)
        Their vectors.
    z : ndarray of float, shape (m, t)
        Scores as z; NaN where a trait has none.
    variance : ndarray of float, shape (m, t)
        Variance of each score as a mean of votes, in z.
    rounds : ndarray of int, shape (m,)
        Round in which the picture got these scores, from 1.
    """

    keys: NDArray[np.uint64]
    vectors: NDArray[np.float16]
    z: Floats
    variance: Floats
    rounds: NDArray[np.int64]

    def __post_init__(self) -> None:
        m = len(self.keys)
        if {len(getattr(self, field.name)) for field in fields(self)} != {m} or self.z.shape != self.variance.shape:
            raise ValueError(f"human results of {m} pictures: {[getattr(self, f.name).shape for f in fields(self)]}")

    @classmethod
    def none(cls, dimension: int, traits: int) -> Self:
        """Return the results before the first round."""
        return cls(
            keys=np.zeros(0, np.uint64),
            vectors=np.zeros((0, dimension), np.float16),
            z=np.zeros((0, traits)),
            variance=np.zeros((0, traits)),
            rounds=np.zeros(0, np.int64),
        )

    def __len__(self) -> int:
        return len(self.keys)

    def with_round(self, newer: Self) -> Self:
        """Add a round.

        The votes of all tests of a picture count together, for each trait separately. Scores that are here already
        count once: a file of results may have grown.
        """
        fresh = newer.told & ~self.holds(newer)
        rows = fresh.any(axis=1)
        added = replace(newer, z=np.where(fresh, newer.z, np.nan), variance=np.where(fresh, newer.variance, np.nan))
        return type(self)(
            *(np.concatenate([getattr(self, f.name), getattr(added, f.name)[rows]]) for f in fields(self))
        )

    @property
    def told(self) -> NDArray[np.bool_]:
        """Where there is a score, shape (m, t)."""
        return np.isfinite(self.z)

    def holds(self, others: Self) -> NDArray[np.bool_]:
        """Tell which scores of others, shape (m, t), are here: the same picture, trait, score and votes."""
        found = np.zeros(others.z.shape, dtype=bool)
        for row, key in enumerate(others.keys):
            here = self.keys == key
            found[row] = ((self.z[here] == others.z[row]) & (self.variance[here] == others.variance[row])).any(axis=0)
        return found

    def scores(self) -> HumanScores:
        """Return the scores for a prior whose first m rows are these pictures."""
        return HumanScores(np.arange(len(self), dtype=np.intp), self.z, self.variance)


@dataclass(frozen=True)
class Pictures:
    """n pictures with their predictions before any human scores.

    Parameters
    ----------
    z : ndarray of float, shape (n, t)
        Predictions in z.
    features : ndarray of float32, shape (n, d)
        Standardised vectors, every block of the same weight.
    faces : ndarray of float32, shape (n, 128)
        Face descriptors.
    keys : ndarray of uint64, shape (n,)
        As `prescreen.predictor.predictor.content_keys` makes them; 0 where the content is not known.
    """

    z: Floats
    features: NDArray[np.float32]
    faces: NDArray[np.float32]
    keys: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.z)

    def take(self, rows: NDArray[np.integer] | slice) -> Self:
        """Return some of them."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def concatenate(self, others: Self) -> Self:
        """Return these and then the others."""
        return type(self)(*(np.concatenate([getattr(self, f.name), getattr(others, f.name)]) for f in fields(self)))


@dataclass(frozen=True)
class Errors:
    """How a predictor's errors are correlated between pictures.

    Parameters
    ----------
    calibration : Calibration
        Has the covariance between traits and the shares.
    reference : ndarray of float32, shape (r, 128)
        Faces of the person; without any, all pictures count as the person's.
    """

    calibration: Calibration
    reference: NDArray[np.float32]

    @property
    def error_correlation(self) -> ErrorCorrelation:
        """Shares of the error variance."""
        person = self.calibration.person_share
        similar = min(self.calibration.similar_share, 1 - person)
        return ErrorCorrelation(similar, self.calibration.similar_gamma, person)

    def of_person(self, pictures: Pictures) -> NDArray[np.bool_]:
        """Tell which pictures show the person, shape (n,)."""
        if not len(self.reference):
            return np.ones(len(pictures), dtype=bool)
        return np.asarray((_squared(pictures.faces, self.reference) <= SAME_FACE**2).any(axis=1))

    def cross_correlation(self, left: Pictures, right: Pictures) -> Floats:
        """Return the correlation of the errors of two lists of pictures, (m, n)."""
        squared = _squared(left.features, right.features)
        known = (left.keys[:, None] == right.keys[None]) & (left.keys != 0)[:, None]
        return self.error_correlation.cross_correlation(
            squared,
            self.of_person(left)[:, None] & self.of_person(right)[None],
            known | (squared == 0),
        )

    def prior(self, anchors: Pictures, others: Pictures, *, jointly: bool = False) -> Prior:
        """Return the prior of the anchors, then the others.

        Parameters
        ----------
        anchors : Pictures
            Pictures with human scores, and the baseline.
        others : Pictures
            The candidates.
        jointly : bool
            Whether to compute the correlations between candidates. Otherwise they count as independent, which is
            faster and makes no difference for statements about one candidate at a time.
        """
        a, n = len(anchors), len(others)
        correlation = np.eye(a + n)
        correlation[:a, :a] = self.cross_correlation(anchors, anchors)
        correlation[a:, :a] = self.cross_correlation(others, anchors)
        correlation[:a, a:] = correlation[a:, :a].T
        if jointly:
            correlation[a:, a:] = self.cross_correlation(others, others)
        correlation[np.diag_indices(a + n)] = 1.0
        return Prior(
            mean=np.concatenate([anchors.z, others.z]),
            correlation=correlation,
            covariance=self.calibration.error_covariance,
            person=self.error_correlation.person,
        )


def update_predictions(
    errors: Errors, scored: Pictures, results: HumanResults, pictures: Pictures
) -> tuple[Floats, Floats]:
    """Return posterior means and variances in z, both (n, t), of pictures given human scores.

    Parameters
    ----------
    errors : Errors
        How the errors go together.
    scored : Pictures
        The pictures of ``results``, in the same order.
    results : HumanResults
        The human scores.
    pictures : Pictures
        The pictures asked about; some may be scored ones.
    """
    means, variances = np.zeros(pictures.z.shape), np.zeros(pictures.z.shape)
    for start in range(0, len(pictures), _CHUNK):
        rows = slice(start, start + _CHUNK)
        posterior = condition(errors.prior(scored, pictures.take(rows)), results.scores())
        means[rows] = posterior.mean[len(scored) :]
        variances[rows] = np.diagonal(posterior.covariances(), axis1=1, axis2=2)[len(scored) :]
    return means, np.maximum(variances, 0.0)


def offset(errors: Errors, scored: Pictures, results: HumanResults) -> Posterior:
    """Return the posterior of the scored pictures, which includes the person's offset."""
    return condition(errors.prior(scored, scored.take(slice(0, 0))), results.scores())


def _squared(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances (m, n); each is the same to the last bit, whatever the other rows are."""
    if not (len(left) and len(right)):
        return np.zeros((len(left), len(right)), np.float32)
    if len(right) > len(left):
        return _squared(right, left).T
    return np.stack([((left - point) ** 2).sum(axis=1) for point in right], axis=1)
