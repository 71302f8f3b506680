r"""Answers to which of two pictures is better, to ratings: Bradley-Terry, and how two halves of the raters agree.

A picture's rating is the chance that it is found better than another one of the same ratings, from 0 to 1. The
strengths behind it are those of Bradley and Terry,

.. math:: P(i \text{ is better than } j) = 1 / (1 + e^{s_j - s_i}),

drawn to 0 by a normal prior of variance 1, so that a picture that always won has a strength too.

A single answer about two pictures has no ICC. How reliable ratings are is measured instead: raters are divided at
random into halves, the ratings of both are correlated, and Spearman-Brown, for halves of unequal length, says what they
are worth together. The noise of a rating follows from that.

References
----------
Bradley & Terry (1952), Rank analysis of incomplete block designs, Biometrika 39(3/4).
Horst (1951), Estimating total test reliability from parts of unequal length, Educational and Psychological
Measurement 11(3).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit

from prescreen.ratings.rater_fit import Codes, Flags, Floats
from prescreen.ratings.raters import PictureVotes

SPLITS: Final = 10
"""Divisions of the raters into halves; the correlations are averaged."""

_SEED: Final = 0
_MOST_RELIABLE: Final = 0.999


@dataclass(frozen=True, eq=False)
class Pairs:
    """The answers of one trait.

    Parameters
    ----------
    better, worse : ndarray of int, shape (n_answers,)
        Pictures, 0 to ``n_images - 1``.
    raters : ndarray of int, shape (n_answers,)
        Who answered.
    n_images : int
        Number of pictures.
    """

    better: Codes
    worse: Codes
    raters: Codes
    n_images: int

    def chosen(self, rows: Flags) -> "Pairs":
        """Return some of the answers."""
        return Pairs(self.better[rows], self.worse[rows], self.raters[rows], self.n_images)

    def counts(self) -> Floats:
        """Return in how many answers each picture is, shape (n_images,)."""
        both = np.concatenate([self.better, self.worse])
        return np.bincount(both, minlength=self.n_images).astype(np.float64)


def strengths(pairs: Pairs) -> Floats:
    """Return the strengths of Bradley and Terry, shape (n_images,), on the scale of the logistic function; mean 0."""
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    n = pairs.better.size
    rows, ones = np.arange(n), np.ones(n)
    places = np.concatenate([rows, rows]), np.concatenate([pairs.better, pairs.worse])
    difference = sparse.csr_matrix((np.concatenate([ones, -ones]), places), shape=(n, pairs.n_images))
    # Each answer from both sides, for a classifier needs two classes; so each counts half.
    model = LogisticRegression(C=0.5, fit_intercept=False, solver="newton-cg", tol=1e-6, max_iter=1000)
    fitted = model.fit(sparse.vstack([difference, -difference]), np.concatenate([ones, -ones]))
    return np.asarray(fitted.coef_[0], dtype=np.float64)


def win_chances(strength: Floats) -> Floats:
    """Return each picture's chance to be found better than another one, the mean over all others; of at least two."""
    against = expit(strength[:, None] - strength)
    return np.asarray((against.sum(axis=1) - 0.5) / (strength.size - 1))


def largest_group(pairs: Pairs) -> Flags:
    """Return which pictures belong to the largest group that answers connect, directly or through others."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    n = pairs.n_images
    answered = sparse.coo_matrix((np.ones(pairs.better.size), (pairs.better, pairs.worse)), shape=(n, n))
    _, group = connected_components(answered, directed=False)
    return np.asarray(group == np.bincount(group).argmax())


def pair_ratings(pairs: Pairs) -> PictureVotes:
    """Rate the pictures of the largest group that answers connect; the others have no mean and no spread (NaN).

    Parameters
    ----------
    pairs : Pairs
        At least one answer.

    Returns
    -------
    PictureVotes
        ``means`` are chances from 0 to 1, ``votes`` answers; ``stds`` is the noise of one answer, such that the noise
        of a rating is its square over the number of answers; NaN where the reliability is not known.
    """
    rated = largest_group(pairs)
    place = np.cumsum(rated) - 1
    inside = rated[pairs.better]
    chosen = Pairs(place[pairs.better[inside]], place[pairs.worse[inside]], pairs.raters[inside], int(rated.sum()))
    means, stds = np.full((2, pairs.n_images), np.nan)
    means[rated] = win_chances(strengths(chosen))
    counts = chosen.counts()
    noise = (1 - split_half_reliability(chosen)) * np.var(means[rated]) / np.mean(1 / counts)
    stds[rated] = np.sqrt(noise)
    return PictureVotes(means, stds, pairs.counts())


def split_half_reliability(pairs: Pairs) -> float:
    """Return how reliable the ratings from all answers are, 0 to 0.999.

    Half of the raters need not have half of the answers. Ratings from n answers have the reliability n l / (1 + n l),
    and two halves correlate by the root of the product of theirs; l is what explains the mean correlation.

    Two raters, or two answers of raters who are not known, make the smallest halves.

    Returns
    -------
    float
        NaN where all answers are by one rater, or no division leaves both halves one picture in an answer for each
        picture there is.
    """
    raters = np.unique(pairs.raters)
    if raters.size < 2:
        return np.nan
    generator = np.random.default_rng(_SEED)
    found, sizes = [], []
    for _ in range(SPLITS):
        half = np.isin(pairs.raters, generator.permutation(raters)[: raters.size // 2])
        size = np.array([half.sum(), (~half).sum()])
        if 2 * size.min() < pairs.n_images:
            continue
        first, second = (win_chances(strengths(pairs.chosen(rows))) for rows in (half, ~half))
        differ = np.ptp(first) > 0 and np.ptp(second) > 0
        found.append(np.corrcoef(first, second)[0, 1] if differ else 0.0)
        sizes.append(size / pairs.better.size)
    if not found:
        return np.nan
    return _of_all(float(np.mean(found)), np.array(sizes))


def _of_all(agreement: float, shares: Floats) -> float:
    """Return the reliability of all answers from the mean correlation of halves with these shares, shape (s, 2)."""
    from scipy.optimize import brentq  # other ratings do without

    def missing(of_all: float) -> float:
        odds = shares * of_all / (1 - of_all)
        return float(np.sqrt(np.prod(odds / (1 + odds), axis=1)).mean()) - agreement

    if agreement <= 0:
        return 0.0
    return _MOST_RELIABLE if missing(_MOST_RELIABLE) <= 0 else float(brentq(missing, 0.0, _MOST_RELIABLE))
