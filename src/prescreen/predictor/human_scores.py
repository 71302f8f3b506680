"""Human scores of pictures of one person, and how they change the predictions for the person's pictures.

A predictor that has learned keeps the scores and the vectors of the scored pictures. It computes the posterior when it
predicts (`prescreen.ranking.posterior`), from the scores of all rounds at once. So the order of the rounds does not
matter. A prediction moves with the scored pictures as far as the predictor's errors of both are correlated: all
pictures of the person by the person's share of the errors, similar pictures more, pictures of somebody else hardly.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from prescreen.predictor.calibration import Calibration
from prescreen.ranking.error_correlation import USUAL_DISTANCE, ErrorCorrelation
from prescreen.ranking.posterior import HumanScores, Prior, condition
from prescreen.ranking.within_person import WithinPerson

Floats = NDArray[np.float64]

SAME_FACE: Final = 0.6
"""Distance of face descriptors up to which a picture counts as one of the person, as dlib's authors recommend."""

SERVICE_OFFSET: Final = 0.25
"""Standard deviation in z of what the scores of another service than the training ratings' have in common on a trait.

A score is a rank: of one picture among the training portraits, of another among the pictures of the service.
"""

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
    foreign : ndarray of bool, shape (m,)
        Whether the scores are ranks among the pictures of another service than the training ratings'.
    """

    keys: NDArray[np.uint64]
    vectors: NDArray[np.float16]
    z: Floats
    variance: Floats
    rounds: NDArray[np.int64]
    foreign: NDArray[np.bool_]

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
            foreign=np.zeros(0, dtype=bool),
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name, without ``foreign`` where all are, as older versions took it."""
        arrays = {part.name: getattr(self, part.name) for part in fields(self)}
        if self.foreign.all():
            del arrays["foreign"]
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read the arrays by name; older ones do not say where the scores are from: from another service."""
        return cls(**{"foreign": np.ones(len(arrays["keys"]), dtype=bool)} | dict(arrays))

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

    def complete_on(self, columns: Sequence[int]) -> NDArray[np.uint64]:
        """Return the keys of the pictures with a score on all of these traits, in one test or in several."""
        keys = np.unique(self.keys)
        told = [self.told[self.keys == key].any(axis=0)[columns].all() for key in keys]
        return np.asarray(keys[np.array(told, dtype=bool)], dtype=np.uint64)

    def holds(self, others: Self) -> NDArray[np.bool_]:
        """Tell which scores of others, shape (m, t), are here: the same picture, trait, score and votes."""
        found = np.zeros(others.z.shape, dtype=bool)
        for row, key in enumerate(others.keys):
            here = self.keys == key
            found[row] = ((self.z[here] == others.z[row]) & (self.variance[here] == others.variance[row])).any(axis=0)
        return found

    def scores(self) -> HumanScores:
        """Return the scores for a prior whose first m rows are these pictures."""
        offset = np.full(self.z.shape[1], SERVICE_OFFSET**2)
        return HumanScores(np.arange(len(self), dtype=np.intp), self.z, self.variance, offset, self.foreign)


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
        """How errors go together, at the mean of what is believed of a person's pictures."""
        return self._at(self.calibration.within_person.mean_share)

    def _at(self, share: float) -> ErrorCorrelation:
        calibration = self.calibration
        return ErrorCorrelation.within_person(share, calibration.similar_share, calibration.similar_gamma)

    def of_person(self, pictures: Pictures) -> NDArray[np.bool_]:
        """Tell which pictures show the person, shape (n,); one whose face is not known counts as the person's."""
        if not len(self.reference):
            return np.ones(len(pictures), dtype=bool)
        squared = _squared(pictures.faces, self.reference)
        return np.asarray((squared <= SAME_FACE**2).any(axis=1) | np.isnan(pictures.faces).any(axis=1))

    def priors(
        self, anchors: Pictures, others: Pictures, centre: Floats | None = None, *, jointly: bool = False
    ) -> Iterator[Prior]:
        """Yield the prior of the anchors, then the others, by each belief about the person's pictures.

        Parameters
        ----------
        anchors : Pictures
            Pictures with human scores, and the baseline.
        others : Pictures
            The candidates.
        centre : ndarray (t,) or None
            Mean prediction of the person's pictures in z, to which their predictions are drawn in by the slope. None:
            predictions stay as they are, because only some of the pictures, perhaps the best ones, are known.
        jointly : bool
            Whether to compute the correlations between candidates. Otherwise they count as independent, which is
            faster and makes no difference for statements about one candidate at a time.
        """
        both = anchors.concatenate(others)
        of_person = self.of_person(both)
        a = len(anchors)
        asked = both if jointly else anchors
        squared = _squared(both.features, asked.features)
        squared = np.where(np.isnan(squared), USUAL_DISTANCE, squared)
        same_picture = (both.keys[:, None] == asked.keys) & (both.keys != 0)[:, None] | (squared == 0)
        same_person = of_person[:, None] & of_person[: len(asked)]
        within = self.calibration.within_person
        for share, slope in zip(within.share, within.slope, strict=True):
            kernel = self._at(float(share))
            found = kernel.cross_correlation(squared, same_person, same_picture)
            correlation = np.eye(len(both))
            correlation[:, : len(asked)] = found
            correlation[:a, a:] = correlation[a:, :a].T
            correlation[np.diag_indices(len(both))] = 1.0
            yield Prior(
                mean=both.z
                if centre is None
                else np.where(of_person[:, None], centre + slope * (both.z - centre), both.z),
                correlation=correlation,
                covariance=self.calibration.error_covariance,
                person=kernel.person,
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
    if not len(scored):
        return pictures.z, np.broadcast_to(np.diag(errors.calibration.error_covariance), pictures.z.shape)
    scores = results.scores()
    weights = after_scores(errors, scored, results).weight
    means, variances = np.zeros(pictures.z.shape), np.zeros(pictures.z.shape)
    for start in range(0, len(pictures), _CHUNK):
        rows = slice(start, start + _CHUNK)
        mean = np.zeros(pictures.z[rows].shape)
        square = np.zeros_like(mean)
        for weight, prior in zip(weights, errors.priors(scored, pictures.take(rows)), strict=True):
            posterior = condition(prior, scores)
            each = posterior.mean[len(scored) :]
            own = np.diagonal(posterior.covariances(), axis1=1, axis2=2)[len(scored) :]
            mean += weight * each
            square += weight * (own + each**2)
        means[rows], variances[rows] = mean, square - mean**2
    return means, np.maximum(variances, 0.0)


def after_scores(errors: Errors, scored: Pictures, results: HumanResults) -> WithinPerson:
    """Return what is believed of the person's pictures after the human scores."""
    nobody = scored.take(slice(0, 0))
    priors = errors.priors(scored, nobody)
    evidence = [condition(prior, results.scores()).log_evidence for prior in priors]
    return errors.calibration.within_person.updated(np.array(evidence))


def offset(errors: Errors, scored: Pictures, results: HumanResults) -> tuple[Floats, Floats]:
    """Return mean and variance in z, both (t,), of the person's own offset: what people see in all of the pictures."""
    nobody, scores = scored.take(slice(0, 0)), results.scores()
    weights = after_scores(errors, scored, results).weight
    mean = square = np.zeros(scored.z.shape[1])
    for weight, prior in zip(weights, errors.priors(scored, nobody), strict=True):
        found = condition(prior, scores)
        mean = mean + weight * found.offset
        square = square + weight * (np.diag(found.offset_covariance) + found.offset**2)
    return mean, square - mean**2


def _squared(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances (m, n); each is the same to the last bit, whatever the other rows are."""
    if not (len(left) and len(right)):
        return np.zeros((len(left), len(right)), np.float32)
    if len(right) > len(left):
        return _squared(right, left).T
    return np.stack([((left - point) ** 2).sum(axis=1) for point in right], axis=1)
