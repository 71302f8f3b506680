r"""What raises which trait: each hypothesis about the pictures tested on the predictions of each trait.

A hypothesis gives each picture a number: 1 inside a group and 0 outside, or something measured, in standard deviations.
Its effect on a trait is the slope of the predicted scores on that number: for a group the difference of its mean from
the mean of the rest.

Two intervals answer two questions.

*What the predictor sees*: would other pictures made the same way be predicted higher? Pictures are the units, but
near-copies are no new evidence: the standard error is cluster-robust over groups of near-copies, with the small-sample
correction CR2 and Satterthwaite degrees of freedom (Bell & McCaffrey 2002), so that groups of five pictures have honest
intervals. Without near-copies and for two groups it is Welch's test.

*What raters would say*: the predictor errs, and not on each picture anew. All pictures in formal suits may be
predicted too high together, and no number of them averages that out. With the joint model of the errors, in
:math:`z = \Phi^{-1}(s/10)`

.. math:: \operatorname{cov}(e_i, e_j) = \sigma^2 (\pi + \lambda e^{-\gamma d_{ij}^2}),

π shared by all pictures of the person and λ by similar ones, the contrast :math:`\sum_i w_i s_i` of true scores has the
mean :math:`\sum_i w_i\, 10\,\Phi(z_i / \sqrt{1+\sigma^2})` and, to first order in what errors have in common, the
variance :math:`\sigma^2 \sum_{ij} w_i g_i K_{ij} g_j w_j` with g the slope of that mean. It is added to the first.

All tests together are one family; Holm's adjustment controls the chance of even one false claim in it, however the
tests depend on each other (traits are correlated, and so are the values of one column).

References
----------
Bell & McCaffrey (2002), Bias reduction in standard errors for linear regression with multi-stage samples, Survey
Methodology 28(2).
Pustejovsky & Tipton (2018), Small-sample methods for cluster-robust variance estimation, JBES 36(4).
Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6(2).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr, stdtrit

from prescreen.ranking.error_correlation import ErrorCorrelation
from prescreen.ranking.probability import Floats

MIN_PICTURES: Final = 5
"""Different pictures (near-copies count once) below which a group, or the rest, is too small to be tested."""

COMPARED: Final = 2000
"""Pictures at most whose errors are compared with each other."""


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A number for each picture that may go with its scores.

    Parameters
    ----------
    by : str
        Where it comes from: ``folder``, a column's name, or ``text``.
    value : str
        Which group, or which text; empty for a column of numbers.
    numbers : ndarray (n,)
        1 inside the group and 0 outside, or measured values; NaN where not known.
    against : str
        What a group is compared with: ``the rest``, or the name of the only other one.
    """

    by: str
    value: str
    numbers: Floats
    against: str = "the rest"

    @property
    def is_group(self) -> bool:
        """Whether it is a group, or else something measured."""
        known = self.numbers[np.isfinite(self.numbers)]
        return bool(np.isin(known, (0.0, 1.0)).all())


@dataclass(frozen=True)
class Interval:
    """A slope with its 95 % interval; NaN where it cannot be estimated.

    Attributes
    ----------
    value, low, high : float
        In score points.
    p : float
        Two-sided, against no effect.
    """

    value: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Effect:
    """What a hypothesis does to one trait.

    Attributes
    ----------
    hypothesis : int
        Which.
    trait : int
        Which.
    pictures, others : int
        In the group and outside, or pictures with a number and 0.
    distinct : int
        Pictures in the group, or with a number, near-copies counted once.
    predicted : Interval
        In predicted scores.
    raters : Interval
        In scores that raters would give; NaN where the errors cannot be compared.
    p_predicted, p_raters : float
        p adjusted by Holm's procedure over all effects.
    """

    hypothesis: int
    trait: int
    pictures: int
    others: int
    distinct: int
    predicted: Interval
    raters: Interval
    p_predicted: float = np.nan
    p_raters: float = np.nan


def find_effects(
    scores: Floats,
    z: Floats,
    hypotheses: Sequence[Hypothesis],
    clusters: NDArray[np.integer],
    variances: Floats,
    likeness: ErrorCorrelation,
    has: NDArray[np.bool_],
    features: Callable[[NDArray[np.intp]], NDArray[np.floating]],
    *,
    seed: int = 0,
) -> list[Effect]:
    """Test every hypothesis on every trait.

    Parameters
    ----------
    scores, z : ndarray (n, t)
        Predictions as scores from 0 to 10, and as z.
    hypotheses : sequence of Hypothesis
        Each with n numbers.
    clusters : ndarray (n,), int
        The same number for near-copies of each other.
    variances : ndarray (t,)
        Variance of the prediction errors in z.
    likeness : ErrorCorrelation
        How errors go together.
    has : ndarray (n,), bool
        Which pictures have features.
    features : callable
        Returns the features (m, d), in which pictures are alike, of the pictures in m rows.
    seed : int
        Of the choice of pictures to compare where there are more than `COMPARED`.

    Returns
    -------
    list of Effect
        In the order of hypotheses and traits; those that cannot be tested with NaN.
    """
    compared = _to_compare(hypotheses, has, seed)
    correlation = _shared(likeness, features(compared)) if len(compared) else np.zeros((0, 0))
    shrunk = 1 / np.sqrt(1 + variances)
    expected = 10 * ndtr(z * shrunk)
    steepness = 10 * np.exp(-((z * shrunk) ** 2) / 2) / np.sqrt(2 * np.pi) * shrunk
    found = []
    for place, hypothesis in enumerate(hypotheses):
        known = np.isfinite(hypothesis.numbers)
        numbers = hypothesis.numbers[known]
        _, own = np.unique(clusters[known], return_inverse=True)
        counts = _counts(hypothesis.is_group, numbers, own)
        if not _enough(hypothesis.is_group, numbers, own):
            nothing = Interval(np.nan, np.nan, np.nan, np.nan)
            found += [Effect(place, j, *counts, nothing, nothing) for j in range(scores.shape[1])]
            continue
        x = numbers if hypothesis.is_group else (numbers - numbers.mean()) / numbers.std()
        slopes = clustered_slopes(x, np.hstack([scores[known], expected[known]]), own)
        t = scores.shape[1]
        among = known[compared]
        apart = np.full(t, np.nan)
        inside = np.full(len(known), np.nan)
        inside[known] = x
        if among.any() and _enough(hypothesis.is_group, inside[compared][among], clusters[compared][among]):
            weights = _weights(inside[compared][among])[:, None] * steepness[compared][among]
            apart = variances * np.einsum(
                "it,ij,jt->t", weights, correlation[np.ix_(among, among)], weights, optimize=True
            )
        for j in range(t):
            value, se, dof = slopes.value[t + j], slopes.se[t + j], slopes.dof
            total = np.sqrt(se**2 + apart[j])
            # Satterthwaite: the errors' share of the variance is known, the other share is estimated.
            wider = dof * (total / se) ** 4 if se > 0 else np.inf
            found.append(
                Effect(
                    place,
                    j,
                    *counts,
                    _interval(slopes.value[j], slopes.se[j], dof),
                    _interval(value, total, wider),
                )
            )
    predicted = holm(np.array([effect.predicted.p for effect in found]))
    raters = holm(np.array([effect.raters.p for effect in found]))
    return [
        Effect(**{**vars(effect), "p_predicted": float(a), "p_raters": float(b)})
        for effect, a, b in zip(found, predicted, raters, strict=True)
    ]


@dataclass(frozen=True)
class Slopes:
    """Slopes of t outcomes on one number.

    Attributes
    ----------
    value, se : ndarray (t,)
        Slopes and their cluster-robust standard errors.
    dof : float
        Degrees of freedom of t, the same for all outcomes.
    """

    value: Floats
    se: Floats
    dof: float


def clustered_slopes(x: Floats, y: Floats, clusters: NDArray[np.integer]) -> Slopes:
    """Regress outcomes on one number, with CR2 standard errors and Bell-McCaffrey degrees of freedom.

    Parameters
    ----------
    x : ndarray (n,)
        Not all the same.
    y : ndarray (n, t)
        Outcomes.
    clusters : ndarray (n,), int from 0
        Rows of the same number may have errors in common.
    """
    n = len(x)
    weights = _weights(x)
    basis = np.column_stack([np.full(n, 1 / np.sqrt(n)), weights / np.linalg.norm(weights)])
    residuals = y - basis @ (basis.T @ y)
    sizes = np.bincount(clusters)
    # a = (I - H)^(-1/2) w within each cluster; for a picture of its own that is a division.
    left = np.maximum(1 - (basis**2).sum(axis=1), 1e-12)
    adjusted = weights / np.sqrt(left)
    order = np.argsort(clusters, kind="stable")
    ends = np.cumsum(sizes)
    for cluster in np.flatnonzero(sizes > 1):
        rows = order[ends[cluster] - sizes[cluster] : ends[cluster]]
        values, vectors = np.linalg.eigh(np.eye(len(rows)) - basis[rows] @ basis[rows].T)
        inverse = np.where(values > 1e-9, 1 / np.sqrt(np.maximum(values, 1e-9)), 0.0)
        adjusted[rows] = vectors @ (inverse * (vectors.T @ weights[rows]))
    sums = np.zeros((len(sizes), y.shape[1]))
    np.add.at(sums, clusters, adjusted[:, None] * residuals)
    own = np.bincount(clusters, adjusted**2)
    across = np.zeros((len(sizes), 2))
    np.add.at(across, clusters, adjusted[:, None] * basis)
    lengths = (across**2).sum(axis=1)
    # The variance is a sum of squares of G'e with G'G = diag(own) - across across'.
    first = own.sum() - lengths.sum()
    second = (own**2).sum() - 2 * (own * lengths).sum() + ((across.T @ across) ** 2).sum()
    return Slopes(weights @ y, np.sqrt((sums**2).sum(axis=0)), float(first**2 / second))


def holm(p: Floats) -> Floats:
    """Adjust p values so that those below a level are a family with at most that chance of any false claim.

    NaN are left out of the family and stay NaN.
    """
    adjusted = np.full(len(p), np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * steps), 1.0)
    return adjusted


def _weights(x: Floats) -> Floats:
    """Return w (n,) with w @ y the least-squares slope of y on x."""
    centred = x - x.mean()
    return np.asarray(centred / (centred @ centred))


def _counts(is_group: bool, numbers: Floats, clusters: NDArray[np.integer]) -> tuple[int, int, int]:
    inside = numbers == 1 if is_group else np.ones(len(numbers), dtype=bool)
    return int(inside.sum()), int((~inside).sum()), len(np.unique(clusters[inside]))


def _enough(is_group: bool, numbers: Floats, clusters: NDArray[np.integer]) -> bool:
    if is_group:
        return all(len(np.unique(clusters[numbers == side])) >= MIN_PICTURES for side in (0.0, 1.0))
    return len(np.unique(clusters)) >= 2 * MIN_PICTURES and len(np.unique(numbers)) > 2


def _interval(value: float, se: float, dof: float) -> Interval:
    if not np.isfinite(se):
        return Interval(float(value), np.nan, np.nan, np.nan)
    half = stdtrit(dof, 0.975) * se
    p = 2 * stdtr(dof, -abs(value) / se) if se > 0 else float(value == 0)
    return Interval(float(value), float(value - half), float(value + half), float(p))


def _to_compare(hypotheses: Sequence[Hypothesis], has: NDArray[np.bool_], seed: int) -> NDArray[np.intp]:
    """Choose pictures to compare with each other: all, or of many some at random, but of small groups the most."""
    rows = np.flatnonzero(has)
    if len(rows) <= COMPARED:
        return rows
    shuffled = np.random.default_rng(seed).permutation(rows)
    first = np.zeros(len(has), dtype=bool)
    share = COMPARED // 2 // max(1, len(hypotheses))
    for hypothesis in hypotheses:
        if hypothesis.is_group:
            first[shuffled[hypothesis.numbers[shuffled] == 1][:share]] = True
    ordered = shuffled[np.argsort(~first[shuffled], kind="stable")]
    return np.sort(ordered[:COMPARED])


def _shared(likeness: ErrorCorrelation, features: NDArray[np.floating]) -> Floats:
    """Return what errors of two pictures have in common; of a picture and another just like it on the diagonal."""
    points = np.asarray(features, np.float32)
    points = points - points.mean(axis=0)
    lengths = (points**2).sum(axis=1)
    squared = np.maximum(lengths[:, None] + lengths - 2 * points @ points.T, 0)
    np.fill_diagonal(squared, 0)
    return likeness.cross_correlation(squared)
