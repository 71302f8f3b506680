import numpy as np
import pytest

from prescreen.evaluation.metrics import multiplicities
from prescreen.evaluation.screening import highest, screening


def test_screening_counts_the_best():
    truth = np.arange(600.0)
    predictions = truth.copy()
    predictions[599] = -1  # the very best is missed
    result = screening(truth, predictions, multiplicities(600, None, 0, 100))[0]
    assert result.top == 10
    assert result.top_mean.value == np.arange(589, 599).mean()
    assert result.best_possible == np.arange(590, 600).mean()
    assert result.overall == truth.mean()
    assert result.top_gain.value == pytest.approx((593.5 - 299.5) / (594.5 - 299.5))
    assert result.wanted == 50
    assert result.recall.value == 49 / 50
    assert result.recall_by_chance == 50 / 600
    assert result.attainable_top_mean is result.attainable_top_gain is result.attainable_recall is None


def test_screening_of_few_pictures_asks_for_fewer():
    values = np.arange(20.0)
    result = screening(values, values, multiplicities(20, None, 0, 10))[0]
    assert (result.top, result.wanted) == (5, 2)
    assert result.recall.value == 1
    assert result.top_gain.value == 1


def test_every_resample_equals_a_sorted_sample():
    generator = np.random.default_rng(0)
    truth, predictions = generator.standard_normal((2, 100))
    counts = multiplicities(100, np.arange(100) // 2, seed=1, n_resamples=20)
    drawn_figures = screening(truth, predictions, counts)[1]
    top_means, recalls = drawn_figures["top_mean"].draws, drawn_figures["recall"].draws
    for row, top_mean, recall in zip(counts.astype(int), top_means, recalls, strict=True):
        drawn = np.repeat(np.arange(100), row)
        assert top_mean == pytest.approx(truth[drawn[highest(predictions[drawn], 10)]].mean())
        picked, best = (
            np.bincount(drawn[highest(values[drawn], 10)], minlength=100) for values in (predictions, truth)
        )
        assert recall == np.minimum(picked, best).sum() / 10


def test_blind_predictions_gain_nothing_and_find_what_chance_finds():
    generator = np.random.default_rng(3)
    gains, found = [], []
    for _ in range(60):
        truth, predictions = generator.standard_normal((2, 500))
        result = screening(truth, predictions, np.ones((1, 500)))[0]
        gains.append(result.top_gain.value)
        found.append(result.recall.value)
    assert np.mean(gains) == pytest.approx(0, abs=0.08)
    assert np.mean(found) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("reliability", [0.3, 0.8])
def test_what_perfect_predictions_attain_is_what_the_planted_truth_attains(reliability):
    generator = np.random.default_rng(0)
    told, reached = [], []
    for _ in range(40):
        true = np.sqrt(reliability) * generator.standard_normal(600)
        rated = true + np.sqrt(1 - reliability) * generator.standard_normal(600)
        result = screening(rated, true, np.ones((1, 600)), reliability)[0]
        told.append((result.attainable_top_mean, result.attainable_top_gain, result.attainable_recall))
        reached.append((result.top_mean.value, result.top_gain.value, result.recall.value))
    np.testing.assert_allclose(np.mean(told, axis=0), np.mean(reached, axis=0), atol=0.07)


def test_nothing_rated():
    result = screening(np.array([]), np.array([]), np.ones((5, 0)))[0]
    assert result.top_mean.value is result.overall is result.recall.value is None
