r"""What is known of every candidate after some of them were shown to people: a joint Gaussian model in z.

The predictions of n pictures on t traits are the prior means, in :math:`z = \Phi^{-1}(s/10)`. Their errors are jointly
normal with the covariance

.. math:: \operatorname{cov}(e_{ia}, e_{jb}) = K_{ij}\, \sigma_{ia} \sigma_{jb}\, C_{ab},

where C is the predictor's error covariance between traits, σ a factor for each picture and trait (1 where the predictor
errs as usual), and K the correlation of the errors of two pictures: what all pictures of one person have in common,
what similar pictures have in common, and a rest of their own. Human scores of some pictures, with their votes' noise,
then move all the others: a person's own offset is learned from few pictures, and a near-copy of a failed picture falls
with it.

Only the scores that came back are factorised (m of them: m x m), so thousands of candidates cost little.

References
----------
Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, chapter 2.
Bonilla, Chai & Williams (2008), Multi-task Gaussian process prediction, NIPS 20 (covariance K ⊗ C).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Floats = NDArray[np.float64]

_JITTER = 1e-10


@dataclass(frozen=True)
class Prior:
    """Predictions of n pictures on t traits and how their errors go together. The baseline may be one of them.

    Parameters
    ----------
    mean : ndarray (n, t)
        Predictions in z, finite.
    correlation : ndarray (n, n)
        K: correlation of the errors of two pictures, 1 on the diagonal; see `prescreen.ranking.error_correlation`.
    covariance : ndarray (t, t)
        C: covariance between traits of the errors of one picture, in z.
    scale : ndarray (n, t) or None
        σ: the error's standard deviation relative to C's; None is 1 everywhere.
    person : float
        Share of K that is the person's own offset, the same for all pictures.
    """

    mean: Floats
    correlation: Floats
    covariance: Floats
    scale: Floats | None = None
    person: float = 0.0

    def __post_init__(self) -> None:
        n, t = self.mean.shape
        if self.correlation.shape != (n, n) or self.covariance.shape != (t, t):
            raise ValueError(
                f"predictions {self.mean.shape}: expected a correlation ({n}, {n}) and a covariance ({t}, {t}), "
                f"got {self.correlation.shape} and {self.covariance.shape}"
            )
        if self.scale is not None and self.scale.shape != (n, t):
            raise ValueError(f"scale {self.scale.shape}: expected {(n, t)}")
        if not np.isfinite(self.mean).all():
            raise ValueError("predictions: expected finite numbers; leave failed pictures out")

    @property
    def sigma(self) -> Floats:
        """σ (n, t)."""
        return np.ones(self.mean.shape) if self.scale is None else self.scale


@dataclass(frozen=True)
class HumanScores:
    """Human scores of m pictures of the prior.

    Parameters
    ----------
    rows : ndarray (m,), int
        Which picture of the prior; one that was tested twice may stand twice.
    z : ndarray (m, t)
        Scores in z; NaN for a trait without a score.
    variance : ndarray (m, t)
        Variance of each score as a mean of votes: the noise of one vote / votes.
    offset : ndarray (t,), optional
        Variance of what all scores from another service than the training ratings' have in common on a trait: a score
        is a rank among that service's pictures, not among the training portraits. None is 0.
    foreign : ndarray (m,), bool, optional
        Which scores are from there; None is all.
    """

    rows: NDArray[np.intp]
    z: Floats
    variance: Floats
    offset: Floats | None = None
    foreign: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.z.shape != self.variance.shape or self.z.shape[:1] != np.shape(self.rows):
            raise ValueError(
                f"rows {np.shape(self.rows)}, scores {self.z.shape}, variances {self.variance.shape}: do not fit"
            )
        told = np.isfinite(self.z)
        if not (self.variance[told] > 0).all():
            raise ValueError("scores: every score needs a positive variance (the noise of one vote / votes)")

    def with_row(self, row: int, one: "HumanScores", unknown: Floats | None = None) -> "HumanScores":
        """Add human scores of one more picture of the prior.

        Parameters
        ----------
        row : int
            The picture.
        one : HumanScores
            Its scores, as the only row.
        unknown : ndarray (t,), optional
            Variance that is added to that of the votes, where the picture itself is not known.
        """
        foreign = np.ones(len(self.rows), dtype=bool) if self.foreign is None else self.foreign
        from_there = one.offset is not None and bool(one.offset.any())
        return HumanScores(
            np.append(self.rows, row).astype(np.intp),
            np.concatenate([self.z, one.z]),
            np.concatenate([self.variance, one.variance + (0.0 if unknown is None else unknown)]),
            one.offset if self.offset is None or from_there else self.offset,
            np.append(foreign, from_there),
        )


@dataclass(frozen=True)
class Posterior:
    """Means and covariances of n pictures on t traits, given human scores.

    Attributes
    ----------
    prior : Prior
        What was known before.
    mean : ndarray (n, t)
        Posterior means in z.
    explained : ndarray (m, n, t)
        Root of what the m scores took off the prior covariance: cov = prior - sum over m of products.
    offset : ndarray (t,)
        Posterior mean of the person's own offset in z, at σ = 1: by how much people see all pictures of the person
        above the predictions.
    offset_covariance : ndarray (t, t)
        Its covariance.
    log_evidence : float
        Log density of the scores before they came; 0 without any.
    """

    prior: Prior
    mean: Floats
    explained: Floats
    offset: Floats
    offset_covariance: Floats
    log_evidence: float = 0.0

    def covariances(self) -> Floats:
        """Return the covariance between traits of every picture, (n, t, t)."""
        sigma = self.prior.sigma
        before = sigma[:, :, None] * self.prior.covariance * sigma[:, None, :]
        before = before * np.diag(self.prior.correlation)[:, None, None]
        return np.asarray(before - np.einsum("mna,mnb->nab", self.explained, self.explained, optimize=True))

    def difference(self, baseline: int) -> tuple[Floats, Floats]:
        """Return means (n, t) and covariances (n, t, t) of every picture minus the picture in row ``baseline``."""
        correlation, sigma, covariance = self.prior.correlation, self.prior.sigma, self.prior.covariance
        mixed = correlation[:, baseline, None, None] * (sigma[:, :, None] * covariance * sigma[baseline])
        own = sigma[:, :, None] * covariance * sigma[:, None, :]
        spread = own + own[baseline] - mixed - mixed.transpose(0, 2, 1)
        moved = self.explained - self.explained[:, baseline, None]
        spread = spread - np.einsum("mna,mnb->nab", moved, moved, optimize=True)
        spread[baseline] = 0.0
        return self.mean - self.mean[baseline], spread

    def difference_from(self, mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
        """Return means and covariances of every picture minus a baseline that is known on its own.

        Parameters
        ----------
        mean : ndarray (t,)
            The baseline in z; NaN where not known.
        covariance : ndarray (t, t)
            Of its errors, which have nothing in common with the predictions'.
        """
        return self.mean - mean, self.covariances() + covariance

    def joint(self, rows: NDArray[np.integer]) -> tuple[Floats, Floats]:
        """Return the mean (k, t) and the full covariance (k * t, k * t) of a few pictures, traits side by side."""
        chosen = np.asarray(rows, np.intp)
        sigma = self.prior.sigma[chosen]
        full = np.kron(self.prior.correlation[np.ix_(chosen, chosen)], self.prior.covariance)
        full = full * np.outer(sigma.ravel(), sigma.ravel())
        moved = self.explained[:, chosen].reshape(len(self.explained), sigma.size)
        full = full - moved.T @ moved
        return self.mean[chosen], np.asarray((full + full.T) / 2)


def subtract_last(mean: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Return the differences of k pictures to the last one.

    Parameters
    ----------
    mean : ndarray (k + 1, t)
        Of all pictures.
    covariance : ndarray ((k + 1) * t, (k + 1) * t)
        Its covariance, traits of one picture side by side.

    Returns
    -------
    mean : ndarray (k, t)
    covariance : ndarray (k * t, k * t)
    """
    k, t = len(mean) - 1, mean.shape[1]
    across = np.kron(np.hstack([np.eye(k), -np.ones((k, 1))]), np.eye(t))
    difference = across @ covariance @ across.T
    return mean[:-1] - mean[-1], np.asarray((difference + difference.T) / 2)


def condition(prior: Prior, scores: HumanScores | None = None) -> Posterior:
    """Update the predictions of all pictures with human scores of some.

    Parameters
    ----------
    prior : Prior
        Predictions and their errors.
    scores : HumanScores, optional
        What came back, of candidates, the baseline or both; None or nothing but NaN leaves the predictions as they are.

    Returns
    -------
    Posterior
    """
    n, t = prior.mean.shape
    person = prior.person * prior.covariance
    if scores is None or not np.isfinite(scores.z).any():
        return Posterior(prior, prior.mean, np.zeros((0, n, t)), np.zeros(t), person)
    if scores.z.shape[1] != t or not 0 <= np.min(scores.rows) <= np.max(scores.rows) < n:
        raise ValueError(f"scores {scores.z.shape} of rows up to {np.max(scores.rows)}: the prior has {(n, t)}")
    entry, trait = np.nonzero(np.isfinite(scores.z))
    row = np.asarray(scores.rows, np.intp)[entry]
    sigma = prior.sigma
    own = sigma[row, trait]
    observed = prior.correlation[np.ix_(row, row)] * prior.covariance[np.ix_(trait, trait)] * np.outer(own, own)
    observed[np.diag_indices(len(row))] += scores.variance[entry, trait] + _JITTER
    if scores.offset is not None:
        foreign = np.ones(len(scores.rows), dtype=bool) if scores.foreign is None else scores.foreign
        moved = np.where(foreign[entry], np.sqrt(scores.offset[trait]), 0.0)
        observed += np.outer(moved, moved) * (trait[:, None] == trait)
    factor = np.linalg.cholesky(observed)
    across = (own[:, None] * prior.correlation[row])[:, :, None] * (prior.covariance[trait][:, None] * sigma)
    explained = np.asarray(solve_triangular(factor, across.reshape(len(row), n * t), lower=True)).reshape(-1, n, t)
    surprise = np.asarray(solve_triangular(factor, scores.z[entry, trait] - prior.mean[row, trait], lower=True))
    shared = np.asarray(solve_triangular(factor, own[:, None] * person[trait], lower=True))
    return Posterior(
        prior=prior,
        mean=prior.mean + np.einsum("m,mna->na", surprise, explained),
        explained=explained,
        offset=surprise @ shared,
        offset_covariance=person - shared.T @ shared,
        log_evidence=float(-0.5 * surprise @ surprise - np.log(np.diag(factor)).sum()),
    )
