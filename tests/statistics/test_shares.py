"""What one person's pictures share, and the slope of ratings within a person, are found where they are planted."""

import numpy as np
import pytest

from prescreen.ranking.error_correlation import USUAL_DISTANCE, ErrorCorrelation
from prescreen.ranking.within_person import SHARES, SLOPES, WithinPerson, fit_within_person

COVARIANCE = np.array([[0.3, 0.12, 0.05], [0.12, 0.25, 0.0], [0.05, 0.0, 0.4]])
NOISE = np.array([0.05, 0.1, 0.02])


def planted(rng, persons, pictures, share, slope):
    """Return ratings and predictions in z, and who is in each picture."""
    root = np.linalg.cholesky(COVARIANCE).T
    middle = 0.5 * rng.normal(size=(persons, 1, 3))
    around = 0.4 * rng.normal(size=(persons, pictures, 3))
    around -= around.mean(axis=1, keepdims=True)
    shared, own = rng.normal(size=(persons, 1, 3)) @ root, rng.normal(size=(persons, pictures, 3)) @ root
    errors = np.sqrt(share) * shared + np.sqrt(1 - share) * own + rng.normal(size=own.shape) * np.sqrt(NOISE)
    names = np.repeat([f"person {number}" for number in range(persons)], pictures)
    ratings, predictions = middle + slope * around + errors, middle + around
    return ratings.reshape(-1, 3), predictions.reshape(-1, 3), names


@pytest.mark.parametrize(("share", "slope"), [(0.0, 1.0), (0.3, 0.5), (0.6, 1.0), (0.9, 0.75)])
def test_a_planted_share_and_slope_are_found(share, slope):
    rng = np.random.default_rng(3)
    found = fit_within_person(*planted(rng, 150, 3, share, slope)[:2], COVARIANCE, NOISE, planted(rng, 150, 3, 0, 1)[2])
    assert found.mean_share == pytest.approx(share, abs=0.1)
    assert found.mean_slope == pytest.approx(slope, abs=0.1)


def test_beliefs_are_as_wide_as_they_should_be():
    """Of persons drawn with a share from the prior, the middle 90 % holds it about nine times of ten."""
    rng = np.random.default_rng(4)
    inside = []
    for _ in range(120):
        share, slope = rng.choice(SHARES), rng.choice(SLOPES)
        found = fit_within_person(*planted(rng, 4, 2, share, slope)[:2], COVARIANCE, NOISE, np.repeat(list("abcd"), 2))
        low, high = found.interval(found.share)
        inside.append(low <= share <= high)
    assert np.mean(inside) >= 0.87


@pytest.mark.parametrize("change", ["nobody is named", "one picture of each", "not all rated"])
def test_without_two_rated_pictures_of_one_person_nothing_is_learned(change):
    ratings, predictions, persons = planted(np.random.default_rng(0), 10, 2, 0.5, 1.0)
    if change == "nobody is named":
        persons = np.full(20, "")
    elif change == "one picture of each":
        persons = np.array([f"person {number}" for number in range(20)])
    else:
        ratings[::2, 1] = np.nan
    found = fit_within_person(ratings, predictions, COVARIANCE, NOISE, persons)
    np.testing.assert_allclose(found.weight, WithinPerson.prior().weight)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.95])
@pytest.mark.parametrize(("similar", "gamma"), [(0.0, 1.0), (0.6, 1.6), (0.9, 0.1)])
def test_usual_pictures_of_a_person_have_the_share_in_common_however_alike_pictures_err(share, similar, gamma):
    kernel = ErrorCorrelation.within_person(share, similar, gamma)
    assert kernel.cross_correlation(np.array([[USUAL_DISTANCE]]))[0, 0] == pytest.approx(share)
    assert kernel.similar <= similar
    assert kernel.cross_correlation(np.array([[0.0]]))[0, 0] <= 1 + 1e-9


def test_the_interval_is_that_of_the_weights():
    beliefs = WithinPerson(np.array([0.1, 0.5, 0.9]), np.ones(3), np.array([0.04, 0.9, 0.06]))
    assert [float(end) for end in beliefs.interval(beliefs.share)] == [0.5, 0.9]
    low, high = beliefs.interval(np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]))
    assert (low.tolist(), high.tolist()) == ([1.0, 2.0], [2.0, 3.0])
