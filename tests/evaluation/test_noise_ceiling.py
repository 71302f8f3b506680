import math

import numpy as np
import pytest

from prescreen.evaluation import metrics
from prescreen.evaluation.noise_ceiling import VoteNoise, noise_ceiling
from prescreen.ratings.reliability import icc1, reliability


def simulate(n, votes, panel, seed=0, noise=2.0):
    """True means of variance 1, ratings from ``votes`` votes each, and a predictor as good as ``panel`` votes."""
    generator = np.random.default_rng(seed)
    true = generator.standard_normal(n)
    votes = np.broadcast_to(votes, n)
    single = [true[i] + noise * generator.standard_normal(k) for i, k in enumerate(votes)]
    ratings, spreads = np.array([s.mean() for s in single]), np.array([s.std(ddof=1) for s in single])
    predictor = true + noise / np.sqrt(panel) * generator.standard_normal(n)
    return true, ratings, predictor, VoteNoise(spreads, votes.astype(float))


def evaluate(ratings, predictor, noise, n_resamples=400):
    counts = metrics.multiplicities(len(ratings), None, 0, n_resamples)
    figures = (metrics.resample(metric, ratings, predictor, counts) for metric in (metrics.pearson, metrics.r2))
    found = noise_ceiling(*figures, ratings, noise, counts)
    return None if found is None else found[0]


def test_a_simulated_panel_is_equivalent_to_its_votes():
    true, ratings, predictor, noise = simulate(6000, 30, panel=6)
    result = evaluate(ratings, predictor, noise, n_resamples=100)
    assert result.icc1 == pytest.approx(0.2, abs=0.01)
    assert result.reliability == pytest.approx(np.corrcoef(true, ratings)[0, 1] ** 2, abs=0.01)
    assert result.true_score_r.value == pytest.approx(np.corrcoef(true, predictor)[0, 1], abs=0.01)
    assert result.r_share.value == result.true_score_r.value
    assert result.votes.value == pytest.approx(6, rel=0.1)


def test_intervals_hold_the_uncertainty_of_the_reliability_too():
    hits = []
    for seed in range(60):
        _, ratings, predictor, noise = simulate(150, np.arange(150) % 12 + 4, panel=6, seed=seed)
        result = evaluate(ratings, predictor, noise)
        truths = ((result.true_score_r, math.sqrt(1 / (1 + 4 / 6))), (result.votes, 6))
        hits += [figure.low <= value <= (figure.high or math.inf) for figure, value in truths]
    assert np.mean(hits) > 0.88


def test_every_resample_estimates_the_reliability_anew():
    _, ratings, _, noise = simulate(80, np.arange(80) % 5 + 2, panel=6)
    counts = metrics.multiplicities(80, None, 1, 10)
    for row, value in zip(counts.astype(int), icc1(ratings, noise.spreads, noise.votes, counts), strict=True):
        drawn = np.repeat(np.arange(80), row)
        assert value == pytest.approx(icc1(ratings[drawn], noise.spreads[drawn], noise.votes[drawn]))
    whole = evaluate(ratings, ratings, noise)
    expected = reliability(ratings, noise.spreads, noise.votes)
    assert (whole.icc1, whole.reliability) == (pytest.approx(expected.icc1), pytest.approx(expected.of_mean))


def test_perfect_predictions_have_no_upper_limit_in_votes():
    _, ratings, _, noise = simulate(200, 10, panel=1)
    result = evaluate(ratings, ratings, noise)
    assert result.true_score_r.value == 1
    assert result.r_share.value > 1
    assert result.votes == metrics.Estimate(None)


def test_ratings_without_reliability_have_no_share_of_it():
    generator = np.random.default_rng(0)
    ratings = np.tile([-0.01, 0.01], 50)  # far closer together than votes this spread would have them
    result = evaluate(ratings, generator.standard_normal(100), VoteNoise(np.ones(100), np.full(100, 10.0)))
    assert (result.icc1, result.reliability) == (0, 0)
    assert result.true_score_r.value is result.r_share.value is result.r2_share.value is result.votes.value is None


def test_votes_that_are_not_known_give_no_noise_ceiling():
    _, ratings, predictor, noise = simulate(50, 5, panel=3)
    unknown = np.full(50, np.nan)
    assert evaluate(ratings, predictor, None) is None
    assert evaluate(ratings, predictor, VoteNoise(unknown, noise.votes)) is None
    assert evaluate(ratings, predictor, VoteNoise(noise.spreads, unknown)) is None
    assert evaluate(ratings, predictor, VoteNoise(noise.spreads, np.ones(50))) is None
    assert VoteNoise(noise.spreads, noise.votes).variance == pytest.approx(np.full(50, (noise.spreads**2).mean() / 5))
