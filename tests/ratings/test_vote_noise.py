"""The noise of scores, against votes that are drawn at known truth."""

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import norm

from prescreen.ratings.reliability import icc1
from prescreen.ratings.vote_noise import noise_of_vote, score_slope, score_to_z


def voted(rng, truth, noise, votes):
    """Draw votes 0 to 3 on pictures of known quality; return the ranks of their means in z, and the ICC."""
    cuts = np.sqrt(1 + noise) * ndtri([0.25, 0.5, 0.75])
    heard = truth[:, None] + np.sqrt(noise) * rng.standard_normal((truth.size, votes))
    steps = np.digitize(heard, cuts)
    means = steps.mean(axis=1)
    single = icc1(means, steps.std(axis=1, ddof=1), np.full(truth.size, float(votes)))
    grid = np.linspace(-4, 4, 801)
    expected = norm.cdf((grid[:, None] - cuts) / np.sqrt(noise)).sum(axis=1)
    return np.interp(means, expected, grid), single


@pytest.mark.parametrize("noise", [1.5, 3.0, 5.0])
@pytest.mark.parametrize("votes", [20, 40])
def test_intervals_cover_the_truth_at_every_level(noise, votes):
    rng = np.random.default_rng(votes)
    truth = rng.standard_normal(60_000)
    found, single = voted(rng, truth, noise, votes)
    measured = (1 - single) / single
    inside = np.abs(found - truth) <= 1.645 * np.sqrt(noise_of_vote(found, measured) / votes)
    constant = np.abs(found - truth) <= 1.645 * np.sqrt(measured / votes)
    for low, high in ((0, 0.5), (0.5, 1), (1, 1.5), (1.5, 2), (2, 2.6)):
        here = (np.abs(truth) >= low) & (np.abs(truth) < high)
        assert 0.87 < inside[here].mean() < 0.96
    far = (np.abs(truth) >= 1.5) & (np.abs(truth) < 2)
    assert inside[far].mean() > constant[far].mean() + 0.01


def test_the_noise_is_that_of_the_votes_on_average():
    levels = np.random.default_rng(0).standard_normal(100_000)
    assert noise_of_vote(levels, 3.0).mean() == pytest.approx(3.0, rel=0.01)
    assert (np.diff(noise_of_vote([0, 1, 2, 3], 3.0)) > 0).all()
    np.testing.assert_allclose(noise_of_vote([-2.0], 3.0), noise_of_vote([2.0], 3.0))


def test_a_unit_of_z_is_fewer_points_near_the_ends():
    step = 1e-4
    for score in (1.0, 5.0, 9.5):
        z = score_to_z(score)
        assert score_slope(z) == pytest.approx(step / (score_to_z(score + step) - z), rel=1e-3)
