"""Learning from results on planted worlds: offsets are found, intervals cover, chances come true."""

import numpy as np
import pytest

from prescreen.ranking.error_correlation import ErrorCorrelation, fit_error_correlation
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Prior, condition
from prescreen.ranking.probability import p_better
from prescreen.ranking.ranked_table import best_first
from prescreen.ranking.stopping import agreement
from simulated import comparison, correlation_matrix

TRAITS = ("a", "b")
COVARIANCE = np.array([[0.3, 0.12], [0.12, 0.25]])
GOALS = Goals(("a",), ("b",))


def world(rng, n=40, person=0.4, similar=0.4, baseline=0.0):
    """Draw predictions, true values around them, and the prior that describes how they err; row 0 is the baseline."""
    points = rng.normal(size=(n, 3))
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    correlation = correlation_matrix(ErrorCorrelation(similar, 0.5, person), squared)
    means = np.vstack([np.full((1, 2), baseline), rng.normal(0, 0.8, size=(n - 1, 2))])
    prior = Prior(means, correlation, COVARIANCE, person=person)
    errors = np.linalg.cholesky(correlation) @ rng.normal(size=(n, 2)) @ np.linalg.cholesky(COVARIANCE).T
    return prior, prior.mean + errors


def votes_on(rng, truth, rows, noise=1.5, votes=20):
    variance = np.full((len(rows), 2), noise / votes)
    return HumanScores(rows, truth[rows] + rng.normal(size=variance.shape) * np.sqrt(variance), variance)


def test_a_planted_offset_of_the_person_is_found():
    rng = np.random.default_rng(1)
    kernel = ErrorCorrelation(0.0, 1.0, person=0.6)
    found = []
    for _ in range(40):
        prior = Prior(rng.normal(size=(30, 2)), correlation_matrix(kernel, np.ones((30, 30))), COVARIANCE, person=0.6)
        errors = np.sqrt(0.4) * rng.normal(size=(30, 2)) @ np.linalg.cholesky(COVARIANCE).T
        told = votes_on(rng, prior.mean + [0.6, -0.4] + errors, np.arange(20))
        found.append(condition(prior, told).offset)
        direct = [part.offset for part in agreement(prior, told, TRAITS)]
        np.testing.assert_allclose(found[-1], direct, atol=0.15)
    np.testing.assert_allclose(np.mean(found, axis=0), [0.6, -0.4], atol=0.07)


def test_intervals_cover_and_chances_come_true_after_learning():
    rng = np.random.default_rng(2)
    inside, said, happened = [], [], []
    for _ in range(300):
        prior, truth = world(rng)
        posterior = condition(prior, votes_on(rng, truth, np.array([0, 3, 5, 9, 11])))
        difference, spread = posterior.difference(0)
        sd = np.sqrt(np.diagonal(spread, axis1=1, axis2=2))[1:]
        inside.append(np.abs(truth - truth[0] - difference)[1:] <= 1.645 * sd)
        said.append(p_better(difference, spread, posterior.mean[0], TRAITS, GOALS).joint[1:])
        happened.append(((truth - truth[0])[1:, 0] > 0) & ((truth - truth[0])[1:, 1] >= 0))
    np.testing.assert_allclose(np.mean(inside, axis=(0, 1)), [0.9, 0.9], atol=0.015)
    chance, outcome = np.concatenate(said), np.concatenate(happened)
    for low in np.arange(0, 1, 0.1):
        bin_ = (chance >= low) & (chance < low + 0.1)
        assert chance[bin_].mean() == pytest.approx(outcome[bin_].mean(), abs=0.06)


def test_learning_brings_the_means_closer_to_the_truth():
    rng = np.random.default_rng(3)
    before, after = [], []
    for _ in range(100):
        prior, truth = world(rng)
        untested = np.arange(8, 40)
        posterior = condition(prior, votes_on(rng, truth, np.arange(8)))
        before.append(np.mean((prior.mean - truth)[untested] ** 2))
        after.append(np.mean((posterior.mean - truth)[untested] ** 2))
    assert np.mean(after) < 0.75 * np.mean(before)


def test_rounds_raise_the_chance_of_having_found_a_better_picture():
    rng = np.random.default_rng(4)
    found, possible = np.zeros((60, 3)), np.zeros(60, dtype=bool)
    for run in range(60):
        prior, truth = world(rng, baseline=1.0)
        better = (truth[:, 0] > truth[0, 0]) & (truth[:, 1] >= truth[0, 1])
        possible[run] = better.any()
        told = votes_on(rng, truth, np.array([0]))
        for stage in range(3):
            against = comparison(prior, told, TRAITS, GOALS, 0)
            ranked = best_first([f"{row:02d}" for row in range(len(truth))], against.chance.joint)
            new = votes_on(rng, truth, against.choose(ranked[~np.isin(ranked, told.rows)], 3).chosen)
            told = HumanScores(
                np.append(told.rows, new.rows), np.vstack([told.z, new.z]), np.vstack([told.variance, new.variance])
            )
            found[run, stage] = better[told.rows].any()
    rates = found.mean(axis=0)
    assert rates[0] < rates[1] < rates[2]
    assert rates[0] < 0.9 * possible.mean() < rates[2], possible.mean()


@pytest.mark.parametrize("similar", [0.0, 0.6])
def test_the_share_that_similar_pictures_have_in_common_is_found(similar):
    rng = np.random.default_rng(5)
    n = 400
    points = rng.normal(size=(n, 2))
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    correlation = correlation_matrix(ErrorCorrelation(similar, 1.0 / np.median(squared), 0), squared)
    residuals = np.linalg.cholesky(correlation) @ rng.normal(size=(n, 2))
    fitted = fit_error_correlation(residuals, squared, np.arange(n) % 4, np.zeros(2))
    assert fitted.similar == pytest.approx(similar, abs=0.11)
