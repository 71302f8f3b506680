"""Intervals hold what they promise, and error covariances are those that were planted."""

import numpy as np
import pytest

from prescreen.regressors.intervals import (
    ErrorSize,
    conformal_half_widths,
    cross_conformal_intervals,
    residual_covariance,
)
from prescreen.regressors.stacking import cross_validate, fit_final


def share_held(predictions, truth, folds):
    """Share of each trait's ratings inside their interval."""
    lower, upper = cross_conformal_intervals(predictions, truth, folds)
    return ((lower <= truth) & (truth <= upper)).mean(axis=0)


@pytest.mark.parametrize(("n", "expected"), [(19, 0.9), (100, 91 / 101)])
def test_small_samples_cover_as_promised(n, expected):
    generator = np.random.default_rng(0)
    half = conformal_half_widths(generator.standard_t(4, size=(n, 4000)))
    covered = np.abs(generator.standard_t(4, size=(500, 4000))) <= half
    assert covered.mean() == pytest.approx(expected, abs=0.005)


def test_measured_coverage_is_nominal_whatever_the_shape_of_the_errors():
    generator = np.random.default_rng(1)
    truth = np.column_stack([generator.standard_normal(5000), generator.exponential(size=5000)])
    coverage = share_held(np.zeros((5000, 2)), truth, np.arange(5000) % 10)
    np.testing.assert_allclose(coverage, 0.9, atol=0.012)


def test_intervals_from_cross_validation_hold_new_pictures():
    covered, told = [], []
    for seed in range(8):  # one draw of 300 pictures has a standard error of 0.02
        generator = np.random.default_rng(seed)
        X = generator.standard_normal((1300, 12)).astype(np.float32)
        Y = np.column_stack([X[:, :2].sum(1), np.tanh(X[:, 0] * X[:, 1])]) + generator.standard_normal((1300, 2))
        train = np.arange(1300) < 300
        result = cross_validate(X[train], Y[train], None, None, n_splits=5)
        half = conformal_half_widths(Y[train] - result.predictions)
        predictions = fit_final(X[train], Y[train], None, None).predict(X[~train])
        covered.append((np.abs(Y[~train] - predictions) <= half).mean(axis=0))
        told.append(share_held(result.predictions, Y[train], result.folds))
    np.testing.assert_allclose(np.mean(covered, axis=0), 0.9, atol=0.02)
    np.testing.assert_allclose(np.mean(told, axis=0), np.mean(covered, axis=0), atol=0.02)


def test_planted_covariance_is_recovered_through_gaps_and_vote_noise():
    generator = np.random.default_rng(3)
    planted = np.array([[1.0, 0.5, -0.3], [0.5, 2.0, 0.0], [-0.3, 0.0, 0.5]])
    variance = generator.uniform(0.5, 1.5, size=(20000, 3))
    residuals = generator.multivariate_normal(np.zeros(3), planted, size=20000)
    residuals += np.sqrt(variance) * generator.standard_normal((20000, 3))
    residuals[generator.random(residuals.shape) < 0.3] = np.nan
    np.testing.assert_allclose(residual_covariance(residuals, variance), planted, atol=0.06)
    np.testing.assert_allclose(residual_covariance(residuals), planted + np.eye(3), atol=0.06)


def uneven(n):
    """Errors that grow with the prediction, that grow to both ends, and that are all alike."""
    generator = np.random.default_rng(4)
    predictions = generator.normal(50, 10, (n, 3))
    z = (predictions - 50) / 10
    sizes = np.exp(np.column_stack([0.4 * z[:, 0], 0.3 * (z[:, 1] ** 2 - 1), np.zeros(n)]))
    return predictions, predictions + 4 * sizes * generator.standard_normal((n, 3))


def test_planted_sizes_of_errors_are_recovered():
    predictions, truth = uneven(4000)
    found = ErrorSize.fit(predictions, truth - predictions)
    np.testing.assert_allclose(found.slope, [0.4, 0, 0], atol=0.06)
    np.testing.assert_allclose(found.curvature, [0, 0.3, 0], atol=0.06)


def test_intervals_hold_as_much_where_errors_are_large_as_where_they_are_small():
    predictions, truth = uneven(2000)
    lower, upper = cross_conformal_intervals(predictions, truth, np.arange(2000) % 10)
    one_width = conformal_half_widths(truth - predictions)
    for k in range(3):
        order = np.argsort(predictions[:, k])
        thirds = [order[:667], order[667:1333], order[1333:]]
        held = [((lower <= truth) & (truth <= upper))[third, k].mean() for third in thirds]
        np.testing.assert_allclose(held, 0.9, atol=0.035)
        if k == 0:
            assert (np.abs(truth - predictions) <= one_width)[thirds[2], 0].mean() < 0.85


def test_few_or_equal_errors_say_little_about_sizes():
    few = ErrorSize.fit(np.arange(3.0)[:, None], np.array([[0.1], [0.2], [9.0]]))
    assert np.abs([few.slope, few.curvature]).max() < 0.5  # without the penalty the slope is above 1
    exact = ErrorSize.fit(np.arange(9.0)[:, None], np.zeros((9, 1)))
    np.testing.assert_array_equal(exact(np.arange(9.0)[:, None]), 1)
    constant = ErrorSize.fit(np.full((9, 1), 5.0), np.arange(9.0)[:, None])
    np.testing.assert_allclose(constant(np.full((2, 1), 5.0)), 1, rtol=1e-6)
