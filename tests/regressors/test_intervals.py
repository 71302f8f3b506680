import numpy as np
import pytest

from prescreen.regressors.intervals import (
    conformal_half_widths,
    cross_conformal_intervals,
    residual_covariance,
)


def test_half_width_is_the_finite_sample_quantile():
    residuals = np.array([-1, 2, -3, 4, -5, 6, -7, 8, -9], float)[:, None]
    assert conformal_half_widths(residuals, 0.1) == 9  # the 9th of 9: 0.9 * 10
    assert conformal_half_widths(residuals, 0.5) == 5
    assert conformal_half_widths(residuals[:8], 0.1) == np.inf


def test_each_trait_counts_its_own_ratings():
    residuals = np.column_stack([np.arange(19.0), np.r_[np.arange(9.0), np.full(10, np.nan)]])
    assert conformal_half_widths(residuals, 0.1).tolist() == [17, 8]


def test_interval_of_a_fold_comes_from_the_other_folds():
    truth = np.r_[np.full(50, 100.0), np.tile([-1.0, 1.0], 25)][:, None]
    folds = np.repeat([0, 1], 50)
    lower, upper = cross_conformal_intervals(np.zeros((100, 1)), truth, folds)
    assert (upper[:50] == 1).all()
    assert (lower[50:] == -100).all()


@pytest.mark.parametrize("alpha", [0, 1, 5])
def test_alpha_is_a_share(alpha):
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal_half_widths(np.zeros((20, 1)), alpha)


def test_covariance_stays_positive_definite_when_noise_explains_more_than_there_is():
    generator = np.random.default_rng(0)
    residuals = generator.standard_normal((100, 1)) + 0.1 * generator.standard_normal((100, 3))
    covariance = residual_covariance(residuals, np.full((100, 3), 50.0))
    assert np.linalg.eigvalsh(covariance).min() > 0
    np.testing.assert_allclose(np.diag(covariance), 0.1 * (residuals**2).mean(0))
    assert np.linalg.eigvalsh(residual_covariance(residuals)).min() > 0


def test_traits_never_rated_together_count_as_uncorrelated():
    residuals = np.full((40, 2), np.nan)
    residuals[:20, 0] = residuals[20:, 1] = np.tile([-2.0, 2.0], 10)
    np.testing.assert_allclose(residual_covariance(residuals), [[4, 0], [0, 4]])
