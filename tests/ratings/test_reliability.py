import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from prescreen.ratings.raters import plain_means
from prescreen.ratings.reliability import Reliability, icc1, pooled_variance, reliability, spearman_brown


def simulated(seed, rho, n_images, low, high):
    """Votes of unit variance with a planted ICC(1) and an unbalanced number of votes."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(low, high + 1, n_images)
    images = np.repeat(np.arange(n_images), counts)
    quality = rng.normal(0, np.sqrt(rho), n_images)
    return images, quality[images] + rng.normal(0, np.sqrt(1 - rho), images.size), quality


def summed(images, votes, n_images):
    by_picture = plain_means(images, votes, n_images)
    return by_picture.means, by_picture.stds, by_picture.votes


@pytest.mark.parametrize("rho", [0.05, 0.2, 0.5, 0.8])
def test_icc1_recovers_the_planted_value(rho):
    images, votes, _ = simulated(1, rho, 3000, 1, 12)
    assert icc1(*summed(images, votes, 3000)) == pytest.approx(rho, abs=0.02)


def test_icc1_is_unbiased_where_there_is_nothing():
    estimates = [icc1(*summed(*simulated(seed, 0.0, 60, 1, 6)[:2], 60)) for seed in range(200)]
    assert np.mean(estimates) == pytest.approx(0, abs=0.02)
    assert min(estimates) < 0


def test_icc1_agrees_with_the_f_statistic_of_the_analysis_of_variance():
    images, votes, _ = simulated(2, 0.3, 40, 7, 7)
    f = stats.f_oneway(*(votes[images == i] for i in range(40))).statistic
    assert icc1(*summed(images, votes, 40)) == pytest.approx((f - 1) / (f - 1 + 7))


def test_shrout_and_fleiss_example():
    """Six targets, four judges (their table 2); they report ICC(1,1) = .17 and ICC(1,4) = .44."""
    table = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    result = reliability(table.mean(1), table.std(1, ddof=1), np.full(6, 4.0))
    assert result.icc1 == pytest.approx(0.17, abs=0.005)
    assert result.of_mean == pytest.approx(0.44, abs=0.005)
    assert result.votes_per_image == 4


def test_spearman_brown():
    assert spearman_brown(0.25, 1) == pytest.approx(0.25)
    assert spearman_brown(0.25, 3) == pytest.approx(0.5)
    assert spearman_brown(0.0, 30) == 0
    assert spearman_brown(1.0, 30) == 1


@settings(max_examples=50, deadline=None)
@given(st.floats(0.001, 0.999), st.floats(0.5, 1000), st.floats(0.5, 50))
def test_spearman_brown_lengthens_step_by_step(rho, first, second):
    together = spearman_brown(rho, first * second)
    assert together == pytest.approx(spearman_brown(spearman_brown(rho, first), second), rel=1e-6)


def test_reliability_of_the_mean_is_its_squared_correlation_with_the_truth():
    images, votes, quality = simulated(3, 0.3, 4000, 6, 6)
    means, stds, counts = summed(images, votes, 4000)
    squared = np.corrcoef(means, quality)[0, 1] ** 2
    assert reliability(means, stds, counts).of_mean == pytest.approx(squared, abs=0.02)


def test_pictures_with_one_vote_count_as_pictures_but_not_for_the_spread():
    means, stds, votes = np.array([1.0, 2, 3, 4]), np.array([1.0, 2, np.nan, np.nan]), np.array([3.0, 2, 1, 1])
    assert pooled_variance(stds, votes) == pytest.approx((2 * 1 + 1 * 4) / 3)
    assert np.isfinite(icc1(means, stds, votes))


@pytest.mark.parametrize(
    ("stds", "votes", "expected"),
    [
        ([np.nan] * 3, [4.0, 4, 4], Reliability(None, 4.0, None)),
        ([np.nan] * 3, [1.0, 1, 1], Reliability(None, 1.0, None)),
        ([np.nan] * 3, [np.nan] * 3, Reliability(None, None, None)),
        ([1.0] * 3, [4.0, 4, np.nan], Reliability(None, None, None)),
    ],
)
def test_what_cannot_be_known_is_none(stds, votes, expected):
    assert reliability(np.array([1.0, 2, 3]), np.array(stds), np.array(votes)) == expected


def test_votes_per_image_is_the_harmonic_mean():
    result = reliability(np.array([1.0, 2]), np.array([1.0, 1]), np.array([2.0, 6]))
    assert result.votes_per_image == pytest.approx(3)


def test_worse_than_chance_is_no_reliability():
    assert reliability(np.full(5, 2.0), np.full(5, 1.0), np.full(5, 4.0)) == Reliability(0.0, 4.0, 0.0)
