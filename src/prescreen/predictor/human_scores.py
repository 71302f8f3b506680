"""What people said about pictures of one person, and what that changes in the predictions for the person's pictures.

A predictor that has learned keeps the scores themselves, with the vectors of the pictures that got them; what follows
from them is computed when it predicts (`prescreen.ranking.posterior`). So a second round is learned from all scores at
once, in whatever order they came. A picture moves with the scored ones as far as the predictor's errors of both go
together: all pictures of the person by the person's share of the errors, similar pictures more, and pictures of
somebody else hardly at all.
"""

from dataclasses import dataclass, fields, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from prescreen.predictor.calibration import Calibration
from prescreen.ranking.error_correlation import ErrorCorrelation
from prescreen.ranking.posterior import HumanScores, Posterior, Prior, condition
from prescreen.regressors.blocks import BlockScaler

Floats = NDArray[np.float64]

SAME_FACE: Final = 0.6
"""Distance of face descriptors up to which a picture counts as one of the person, as dlib's authors recommend."""

_CHUNK: Final = 512


@dataclass(frozen=True)
class HumanResults:
    """m times that people scored a picture of one person; a picture that was tested twice stands twice.

    Parameters
    ----------
    keys : ndarray of uint64, shape (m,)
        The pictures, as `prescreen.predictor.predictor.content_key` makes them.
    vectors : ndarray of float16, shape (m, d)
        Their vectors.
    z : ndarray of float, shape (m, t)
        Scores as z; NaN where a trait has none.
    variance : ndarray of float, shape (m, t)
        Variance of each score as a mean of votes, in z.
    rounds : ndarray of int, shape (m,)
        In which round each picture got these scores, from 1.
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

        The votes of all tests of a picture count together, on each trait by itself. What is known already is the same
        votes again, as in a file of results that has grown, and counts once.
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
    """n pictures as an untaught predictor sees them.

    Parameters
    ----------
    z : ndarray of float, shape (n, t)
        Predictions in z.
    features : ndarray of float32, shape (n, d)
        Standardised vectors, every block of the same weight.
    faces : ndarray of float32, shape (n, 128)
        Face descriptors.
    keys : ndarray of uint64, shape (n,)
        As `prescreen.predictor.predictor.content_key` makes them; 0 where the content is not known.
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
    """How a predictor's errors of pictures go together.

    Parameters
    ----------
    calibration : Calibration
        Has the covariance between traits and the shares.
    reference : ndarray of float32, shape (r, 128)
        Faces that surely are the person's; without any, all pictures count as the person's.
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
            Pictures with human scores, and the baseline: all others are compared with these.
        others : Pictures
            The candidates.
        jointly : bool
            Whether the errors of two candidates are asked about as well. Otherwise they stand in the prior as
            independent, which saves their distances and does not matter for anything about one candidate at a time.
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


def updated(errors: Errors, scored: Pictures, results: HumanResults, pictures: Pictures) -> tuple[Floats, Floats]:
    """Return means and variances in z, both (n, t), of pictures after people scored others of the same person.

    Parameters
    ----------
    errors : Errors
        How the errors go together.
    scored : Pictures
        The pictures of ``results``, in the same order.
    results : HumanResults
        What people said about them.
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
    """Return what is known of the scored pictures and of the person's own offset."""
    return condition(errors.prior(scored, scored.take(slice(0, 0))), results.scores())


def featurize(
    raw: Floats,
    vectors: NDArray[np.floating],
    keys: NDArray[np.uint64],
    *,
    calibration: Calibration,
    scaler: BlockScaler,
    face: slice,
) -> Pictures:
    """Bring pictures into the form in which their errors are compared.

    Parameters
    ----------
    raw : ndarray of float, shape (n, t)
        Untaught predictions.
    vectors : ndarray, shape (n, d)
        Vectors of the encoder.
    keys : ndarray of uint64, shape (n,)
        The pictures' content, 0 where not known.
    calibration, scaler, face
        The predictor's, and the columns of the face descriptor.
    """
    return Pictures(
        z=calibration.z(raw),
        features=scaler.transform(vectors),
        faces=np.asarray(vectors[:, face], np.float32),
        keys=keys,
    )


def _squared(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances (m, n), each the same to the last bit whatever stands beside it."""
    if not (len(left) and len(right)):
        return np.zeros((len(left), len(right)), np.float32)
    if len(right) > len(left):
        return _squared(right, left).T
    return np.stack([((left - point) ** 2).sum(axis=1) for point in right], axis=1)
