import numpy as np
import pytest

from prescreen.ranking.error_correlation import ErrorCorrelation
from prescreen.ranking.posterior import HumanScores, Prior, condition, subtract_last
from simulated import correlation_matrix

COVARIANCE = np.array([[0.5, 0.2, 0.1], [0.2, 0.4, 0.25], [0.1, 0.25, 0.6]])


def distances(rng, n, d=4):
    points = rng.normal(size=(n, d))
    return ((points[:, None] - points[None]) ** 2).sum(axis=2)


def example(seed=0, n=7, scaled=True):
    rng = np.random.default_rng(seed)
    kernel = ErrorCorrelation(similar=0.4, gamma=0.2, person=0.3)
    scale = rng.uniform(0.5, 1.5, (n, 3)) if scaled else None
    prior = Prior(rng.normal(size=(n, 3)), correlation_matrix(kernel, distances(rng, n)), COVARIANCE, scale, person=0.3)
    z = rng.normal(size=(4, 3))
    z[0, 1] = z[2, 0] = z[2, 2] = np.nan
    return prior, HumanScores(np.array([1, 3, 4, 6]), z, rng.uniform(0.05, 0.5, (4, 3)))


def brute_force(prior, scores):
    """Condition the full normal distribution of all n * t values."""
    n, t = prior.mean.shape
    full = np.kron(prior.correlation, prior.covariance) * np.outer(prior.sigma.ravel(), prior.sigma.ravel())
    told = np.argwhere(np.isfinite(scores.z))
    places = [scores.rows[entry] * t + trait for entry, trait in told]
    values = np.array([scores.z[entry, trait] for entry, trait in told])
    noise = np.diag([scores.variance[entry, trait] for entry, trait in told])
    gain = full[:, places] @ np.linalg.inv(full[np.ix_(places, places)] + noise)
    mean = prior.mean.ravel() + gain @ (values - prior.mean.ravel()[places])
    return mean.reshape(n, t), full - gain @ full[places]


@pytest.mark.parametrize("scaled", [True, False])
def test_equals_conditioning_the_full_normal_distribution(scaled):
    prior, scores = example(scaled=scaled)
    posterior = condition(prior, scores)
    mean, full = brute_force(prior, scores)
    np.testing.assert_allclose(posterior.mean, mean, atol=1e-7)
    blocks = full.reshape(7, 3, 7, 3)
    np.testing.assert_allclose(posterior.covariances(), [blocks[i, :, i] for i in range(7)], atol=1e-7)
    difference, spread = posterior.difference(6)
    np.testing.assert_allclose(difference, mean - mean[6], atol=1e-7)
    expected = [blocks[i, :, i] + blocks[6, :, 6] - blocks[i, :, 6] - blocks[6, :, i] for i in range(7)]
    np.testing.assert_allclose(spread, expected, atol=1e-7)
    rows = np.array([5, 1, 6])
    joint_mean, joint = posterior.joint(rows)
    np.testing.assert_allclose(joint_mean, mean[rows], atol=1e-7)
    np.testing.assert_allclose(joint, blocks[np.ix_(rows, range(3), rows, range(3))].reshape(9, 9), atol=1e-7)


def test_joint_of_differences_has_the_covariances_of_the_differences_on_its_diagonal():
    prior, scores = example()
    posterior = condition(prior, scores)
    difference, spread = posterior.difference(6)
    mean, joint = subtract_last(*posterior.joint(np.array([0, 2, 5, 6])))
    np.testing.assert_allclose(mean, difference[[0, 2, 5]], atol=1e-9)
    for k, row in enumerate([0, 2, 5]):
        np.testing.assert_allclose(joint[3 * k : 3 * k + 3, 3 * k : 3 * k + 3], spread[row], atol=1e-9)


def test_without_scores_nothing_moves():
    prior, scores = example()
    empty = HumanScores(scores.rows, np.full((4, 3), np.nan), scores.variance)
    for posterior in (condition(prior), condition(prior, empty)):
        np.testing.assert_array_equal(posterior.mean, prior.mean)
        np.testing.assert_allclose(
            posterior.covariances()[2], COVARIANCE * np.outer(prior.sigma[2], prior.sigma[2]), atol=1e-12
        )


def test_what_all_pictures_of_a_person_share_cancels_in_the_difference():
    kernel = ErrorCorrelation(similar=0.0, gamma=1.0, person=0.7)
    prior = Prior(np.zeros((3, 3)), correlation_matrix(kernel, np.full((3, 3), 9.0)), COVARIANCE, person=0.7)
    _, spread = condition(prior).difference(0)
    np.testing.assert_allclose(spread[1], 2 * 0.3 * COVARIANCE)
    np.testing.assert_array_equal(spread[0], 0)


def test_a_near_copy_of_a_failed_picture_falls_with_it_and_a_different_one_does_not():
    far = np.array([[0, 0.01, 9], [0.01, 0, 9], [9, 9, 0]])
    prior = Prior(np.ones((3, 1)), correlation_matrix(ErrorCorrelation(0.9, 2.0), far), np.eye(1))
    posterior = condition(prior, HumanScores(np.array([0]), np.array([[-1.0]]), np.array([[0.1]])))
    assert posterior.mean[1, 0] < 0
    assert posterior.mean[2, 0] == pytest.approx(1, abs=1e-3)


def test_scores_of_one_trait_move_the_traits_that_err_with_it():
    prior = Prior(np.zeros((1, 2)), np.eye(1), np.array([[1.0, 0.5], [0.5, 1.0]]))
    posterior = condition(prior, HumanScores(np.array([0]), np.array([[1.0, np.nan]]), np.full((1, 2), 1e-9)))
    np.testing.assert_allclose(posterior.mean, [[1.0, 0.5]], atol=1e-6)


def test_a_picture_tested_twice_counts_both_results():
    prior = Prior(np.zeros((1, 1)), np.eye(1), np.eye(1))
    twice = HumanScores(np.array([0, 0]), np.array([[1.0], [2.0]]), np.full((2, 1), 0.5))
    once = HumanScores(np.array([0]), np.array([[1.5]]), np.full((1, 1), 0.25))
    np.testing.assert_allclose(condition(prior, twice).mean, condition(prior, once).mean, atol=1e-8)


def test_thousands_of_candidates_are_quick():
    rng = np.random.default_rng(0)
    n = 2000
    correlation = correlation_matrix(ErrorCorrelation(0.5, 0.2), distances(rng, n))
    prior = Prior(rng.normal(size=(n, 3)), correlation, COVARIANCE)
    scores = HumanScores(np.arange(20), rng.normal(size=(20, 3)), np.full((20, 3), 0.1))
    difference, spread = condition(prior, scores).difference(n - 1)
    assert difference.shape == (n, 3)
    assert (np.linalg.eigvalsh(spread) > -1e-9).all()


def test_what_does_not_fit_is_refused():
    prior, scores = example()
    with pytest.raises(ValueError, match="positive variance"):
        HumanScores(scores.rows, scores.z, np.zeros((4, 3)))
    with pytest.raises(ValueError, match="do not fit"):
        HumanScores(scores.rows[:2], scores.z, scores.variance)
    with pytest.raises(ValueError, match="prior has"):
        condition(prior, HumanScores(np.array([7]), scores.z[:1], scores.variance[:1]))
    with pytest.raises(ValueError, match="finite"):
        Prior(np.full((7, 3), np.nan), prior.correlation, COVARIANCE)
    with pytest.raises(ValueError, match="expected a correlation"):
        Prior(prior.mean, prior.correlation[:3, :3], COVARIANCE)
    with pytest.raises(ValueError, match="shares"):
        ErrorCorrelation(similar=0.6, gamma=1.0, person=0.5)
