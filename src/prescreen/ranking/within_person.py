r"""What is believed of one person's pictures: what they share, and how far differences between predictions hold.

Two numbers decide how certain a difference between two pictures of one person is, and neither can be known before
people have rated several pictures of one person:

- the *share* of the error variance that two usual pictures of a person have in common. It cancels in the difference.
- the *slope* of ratings on predictions within a person: 1 where a predicted difference of one is a difference of one.

So both have a prior on a grid, and all chances are averages over the grid. Persons with several rated pictures in the
training ratings update it, and so do human scores of the person's own pictures.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

Floats = NDArray[np.float64]

SHARES: Final = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
SLOPES: Final = (0.5, 0.75, 1.0)


@dataclass(frozen=True)
class WithinPerson:
    """Beliefs about one person's pictures: g pairs of a share and a slope, and how likely each is.

    Parameters
    ----------
    share : ndarray (g,), 0 to 0.9
        Share of the error variance that two usual pictures of the person have in common.
    slope : ndarray (g,), above 0
        Slope of ratings on predictions among the person's pictures.
    weight : ndarray (g,), 0 to 1
        Probability; sums to 1.
    """

    share: Floats
    slope: Floats
    weight: Floats

    def __post_init__(self) -> None:
        sound = (self.share >= 0) & (self.share < 1) & (self.slope > 0) & (self.weight >= 0)
        if not (self.share.shape == self.slope.shape == self.weight.shape and sound.all() and self.weight.sum() > 0):
            raise ValueError("beliefs about a person's pictures: expected shares below 1, slopes and weights above 0")

    @classmethod
    def prior(cls) -> Self:
        """Return what is believed before anybody rated two pictures of one person: every pair is as likely."""
        share, slope = (part.ravel() for part in np.meshgrid(SHARES, SLOPES, indexing="ij"))
        return cls(share, slope, np.full(share.size, 1 / share.size))

    @classmethod
    def exactly(cls, share: float, slope: float = 1.0) -> Self:
        """Return the belief in one share and one slope."""
        return cls(np.array([share]), np.array([slope]), np.ones(1))

    def updated(self, log_evidence: Floats) -> Self:
        """Return the beliefs after data of which each pair has this log likelihood, (g,)."""
        weight = self.weight * np.exp(log_evidence - np.max(log_evidence))
        return type(self)(self.share, self.slope, weight / weight.sum())

    @property
    def mean_share(self) -> float:
        """Mean of the share."""
        return float(self.weight @ self.share)

    @property
    def mean_slope(self) -> float:
        """Mean of the slope."""
        return float(self.weight @ self.slope)

    def interval(self, values: Floats) -> tuple[Floats, Floats]:
        """Return the ends of the middle 90 % of values, (..., g) one for each pair; each (...)."""
        low, high = np.quantile(values, (0.05, 0.95), axis=-1, weights=self.weight, method="inverted_cdf")
        return low, high

    def summarize(self, values: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the mean of values, (..., g) one for each pair, and the ends of a range that holds it; each (...)."""
        mean = values @ self.weight
        low, high = self.interval(values)
        return mean, np.minimum(low, mean), np.maximum(high, mean)

    def to_array(self) -> Floats:
        """Return share, slope and weight as the columns of one array, (g, 3)."""
        return np.column_stack([self.share, self.slope, self.weight])

    @classmethod
    def from_array(cls, array: Floats) -> Self:
        """Read what `to_array` returned."""
        return cls(*(np.ascontiguousarray(column) for column in array.T))


def fit_within_person(
    ratings: Floats, predictions: Floats, covariance: Floats, noise: Floats, persons: NDArray[np.str_]
) -> WithinPerson:
    """Update the prior with persons of whom several pictures were rated.

    Traits are rotated to directions in which errors and vote noise are both independent. In each of them a person's
    errors are one normal vector with equal correlations, whose likelihood is that of its mean and of its deviations.

    Parameters
    ----------
    ratings, predictions : ndarray (n, t)
        In z, the predictions out of fold; NaN where there is no rating. Pictures without all ratings do not count.
    covariance : ndarray (t, t)
        Error covariance between traits, without vote noise.
    noise : ndarray (t,)
        Mean variance of the vote noise in a rating.
    persons : ndarray of str, shape (n,)
        Who is in the picture; empty where unknown.
    """
    prior = WithinPerson.prior()
    complete = np.isfinite(ratings).all(axis=1) & (persons != "")
    total = covariance + np.diag(np.maximum(noise, 1e-9))
    try:
        shared, directions = eigh(covariance, total)
    except np.linalg.LinAlgError:  # errors that do not vary say nothing
        return prior
    shared = np.clip(shared, 0.0, 1.0)
    common = prior.share[:, None] * shared
    evidence = np.zeros(len(prior.share))
    middle = np.mean((ratings - predictions)[complete], axis=0) if complete.any() else 0.0
    for person in np.unique(persons[complete]):
        rows = np.flatnonzero(complete & (persons == person))
        n = len(rows)
        if n < 2:
            continue
        rated, predicted = ratings[rows] - middle, predictions[rows]
        mean = (rated - predicted).mean(axis=0) @ directions
        deviations = (rated - rated.mean(axis=0)) - prior.slope[:, None, None] * (predicted - predicted.mean(axis=0))
        squares = ((deviations @ directions) ** 2).sum(axis=1)
        own, together = 1 - common, 1 + (n - 1) * common
        evidence -= 0.5 * ((n - 1) * np.log(own) + squares / own + np.log(together) + n * mean**2 / together).sum(
            axis=1
        )
    return prior.updated(evidence)
