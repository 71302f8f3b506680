from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from prescreen.predictor.calibration import Calibration, sorted_columns
from prescreen.ranking.within_person import WithinPerson
from prescreen.ratings.vote_noise import score_to_z, z_to_score
from prescreen.regressors.intervals import ErrorSize


def calibration(ratings, is_score=False, half_widths=None):
    ratings = np.asarray(ratings, float)
    t = ratings.shape[1]
    return Calibration(sorted_columns(ratings), np.ones(t) if half_widths is None else half_widths, np.eye(t), is_score)


def column(*values):
    return np.array(values, float)[:, None]


def test_a_score_is_ten_times_the_share_of_training_pictures_beaten():
    """A training picture beats those below it and half of its equals, itself included."""
    found = calibration(column(10, 20, 30, 40)).score(column(10, 20, 30, 40, 15, 35))
    np.testing.assert_allclose(found[:4, 0], [1.25, 3.75, 6.25, 8.75])
    assert found[0] < found[4] < found[1]
    assert found[2] < found[5] < found[3]


def test_equal_ratings_share_their_place():
    found = calibration(column(1, 1, 1, 2)).score(column(1, 2))
    np.testing.assert_allclose(found[:, 0], [3.75, 8.75])


@pytest.mark.parametrize("draw", ["random", "standard_normal", "standard_exponential"])
def test_scores_of_new_pictures_of_the_same_kind_are_uniform(draw):
    train, test = (getattr(np.random.default_rng(seed), draw)(20_000)[:, None] for seed in (1, 2))
    scores = calibration(train).score(test)[:, 0]
    np.testing.assert_allclose(np.percentile(scores, range(10, 100, 10)), range(1, 10), atol=0.15)


def test_scores_of_known_distributions():
    train = norm.ppf((np.arange(1000) + 0.5) / 1000)[:, None]
    one = calibration(50 + 10 * train)
    np.testing.assert_allclose(one.z(column(30, 45, 50, 62)), column(-2, -0.5, 0, 1.2), atol=0.01)
    np.testing.assert_allclose(one.score(column(50)), 5)
    np.testing.assert_allclose(one.score(column(50 + 10 * norm.ppf(0.9))), 9, atol=0.01)


def test_z_goes_on_beyond_the_training_ratings():
    one = calibration(column(*np.random.default_rng(0).normal(60, 10, 200)))
    raw = np.linspace(-100, 250, 701)[:, None]
    z = one.z(raw)[:, 0]
    assert (np.diff(z) > 0).all()
    deviation = one.distribution.std()
    np.testing.assert_allclose(np.diff(z)[:100], 0.5 / deviation)
    np.testing.assert_allclose(np.diff(z)[-100:], 0.5 / deviation)
    scores = one.score(raw)[:, 0]
    assert (np.diff(scores) >= 0).all()
    assert (scores >= 0).all()
    assert (scores <= 10).all()
    inside = (raw[:, 0] > 20) & (raw[:, 0] < 100)
    assert (np.diff(scores[inside]) > 0).all()


@pytest.mark.parametrize("training", [column(5), column(5, 5, 5)])
def test_training_ratings_that_are_all_equal(training):
    one = calibration(training)
    np.testing.assert_allclose(one.score(column(5)), 5)
    below, above = one.score(column(4, 6))[:, 0]
    assert below < 5 < above


def test_traits_have_their_own_distributions_and_may_miss_ratings():
    ratings = np.array([[1, 100], [2, np.nan], [3, 300], [4, np.nan]])
    one = calibration(ratings)
    found = one.score(np.array([[4.0, 100.0], [1.0, 300.0]]))
    np.testing.assert_allclose(found, [[8.75, 2.5], [1.25, 7.5]])


def test_ratings_that_are_scores_stay_as_they_are():
    one = calibration(column(8, 8.5, 9), is_score=True)
    np.testing.assert_array_equal(one.score(column(0, 0.02, 3.7, 9.99, 10)), column(0, 0.02, 3.7, 9.99, 10))
    np.testing.assert_array_equal(one.score(column(-1, 12)), column(0, 10))
    np.testing.assert_allclose(one.z(column(5, 8.8)), column(0, norm.ppf(0.88)))
    assert np.isfinite(one.z(column(-1, 0, 10, 12))).all()


@pytest.mark.parametrize("is_score", [False, True])
def test_score_and_z_say_the_same(is_score):
    one = calibration(np.random.default_rng(0).uniform(1, 9, (50, 2)), is_score)
    raw = np.random.default_rng(1).uniform(0.5, 9.5, (30, 2))
    np.testing.assert_allclose(z_to_score(one.z(raw)), one.score(raw))
    np.testing.assert_allclose(score_to_z(one.score(raw)), one.z(raw), atol=1e-9)


def test_z_and_scores_turn_into_each_other():
    scores = np.array([0.05, 1, 5, 8.8, 9.95])
    np.testing.assert_allclose(z_to_score(score_to_z(scores)), scores)
    assert score_to_z(np.array([5.0]))[0] == 0
    np.testing.assert_allclose(z_to_score(score_to_z(np.array([0.0, 10.0]))), [0.005, 9.995])
    np.testing.assert_allclose(z_to_score(np.array([-40.0, 40.0])), [0, 10])


def test_what_is_saved_is_what_is_read():
    one = calibration(np.array([[1, 5], [2, np.nan], [0, 7]]), half_widths=np.array([0.5, 0.7]))
    one = replace(one, error_covariance=np.array([[1, 0.3], [0.3, 2]]), vote_noise=np.array([2.0, np.nan]))
    one = replace(one, within_person=WithinPerson(np.array([0.0, 0.6]), np.array([0.5, 1.0]), np.array([0.25, 0.75])))
    one = replace(one, error_size=ErrorSize(*np.array([[3, 4], [1, 2], [0.1, -0.2], [-0.3, 0.4]])))
    again = Calibration.from_arrays(one.to_arrays(), one.is_score)
    raw = np.random.default_rng(0).uniform(0, 8, (20, 2))
    np.testing.assert_array_equal(again.z(raw), one.z(raw))
    np.testing.assert_array_equal(again.half_widths, [0.5, 0.7])
    np.testing.assert_array_equal(again.error_covariance, [[1, 0.3], [0.3, 2]])
    np.testing.assert_array_equal(again.within_person.to_array(), one.within_person.to_array())
    np.testing.assert_array_equal(again.vote_noise, [2.0, np.nan])
    np.testing.assert_array_equal(again.half_widths_at(raw), one.half_widths_at(raw))
    assert np.ptp(one.half_widths_at(raw), axis=0).min() > 0.1
    assert again.is_score == one.is_score


def test_what_an_older_version_saved_is_kept_for_its_fingerprint_and_says_nothing():
    arrays = calibration(np.array([[1.0, 5], [2, 3], [0, 7]]), half_widths=np.ones(2)).to_arrays()
    older = {name: array for name, array in arrays.items() if name != "within_person"}
    older["person_share"] = np.array([0.3])
    again = Calibration.from_arrays(older, False)
    assert again.within_person.mean_share == WithinPerson.prior().mean_share
    assert set(again.to_arrays()) == set(older)
    assert again.to_arrays()["person_share"] == [0.3]


def test_slope_is_how_fast_z_grows():
    normal = calibration(column(*(50 + 10 * norm.ppf((np.arange(1000) + 0.5) / 1000))))
    np.testing.assert_allclose(normal.slope(column(30, 45, 50, 62)), 1 / 10, rtol=0.03)
    np.testing.assert_allclose(normal.slope(column(-50, 200)), 1 / 10, rtol=0.01)
    two = calibration(normal.distribution * (1, 5))
    np.testing.assert_allclose(two.slope(np.array([[50.0, 250.0]])), [[1 / 10, 1 / 50]], rtol=0.01)
    scores = calibration(column(4, 5, 6), is_score=True)
    np.testing.assert_allclose(scores.slope(column(5)), 1 / (10 * norm.pdf(0)), rtol=0.003)
    assert np.isfinite(calibration(column(5, 5, 5)).slope(column(5))).all()
