import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from prescreen.evaluation import metrics


@pytest.fixture
def pair():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 8, size=120).astype(float)
    return truth, truth + 2 * generator.standard_normal(120).round(1)


REFERENCES = {
    "pearson": lambda y, p: scipy.stats.pearsonr(y, p)[0],
    "spearman": lambda y, p: scipy.stats.spearmanr(y, p)[0],
    "r2": r2_score,
    "mae": mean_absolute_error,
    "rmse": root_mean_squared_error,
}


@pytest.mark.parametrize("name", list(REFERENCES))
def test_figures_and_every_resample_equal_the_textbook(pair, name):
    truth, predictions = pair
    groups = np.arange(120) // 3
    counts = metrics.multiplicities(120, groups, seed=1, n_resamples=20)
    computed = getattr(metrics, name)(truth, predictions, counts)
    for row, value in zip(counts.astype(int), computed, strict=True):
        drawn = np.repeat(np.arange(120), row)
        assert value == pytest.approx(REFERENCES[name](truth[drawn], predictions[drawn]))
    estimate = metrics.estimate(getattr(metrics, name), truth, predictions, counts)
    assert estimate.value == pytest.approx(REFERENCES[name](truth, predictions))
    assert estimate.low < estimate.value < estimate.high


def test_groups_are_drawn_as_wholes():
    groups = np.array([5, 5, 5, 9, 9, 2])
    counts = metrics.multiplicities(6, groups, seed=0, n_resamples=300)
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 3] == counts[:, 4]).all()
    assert (counts[:, [0, 3, 5]].sum(axis=1) == 3).all()
    assert counts[:, 0].mean() == pytest.approx(1, abs=0.15)


def test_the_seed_decides():
    first, again, other = (metrics.multiplicities(30, None, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_constant_values_have_no_correlation():
    counts = metrics.multiplicities(20, None, seed=0)
    constant = np.full(20, 0.1)
    varied = np.arange(20.0)
    assert metrics.estimate(metrics.pearson, varied, constant, counts) == metrics.Estimate(None)
    assert metrics.estimate(metrics.spearman, constant, varied, counts) == metrics.Estimate(None)
    assert metrics.estimate(metrics.r2, constant, varied, counts) == metrics.Estimate(None)
    assert metrics.estimate(metrics.mae, np.array([]), np.array([]), counts[:, :0]) == metrics.Estimate(None)


def test_screening_counts_the_best():
    truth = np.arange(600.0)
    predictions = truth.copy()
    predictions[599] = -1  # the very best is missed
    result = metrics.screening(truth, predictions, metrics.multiplicities(600, None, 0, 100))
    assert result.top == 10
    assert result.top_mean.value == np.arange(589, 599).mean()
    assert result.best_possible == np.arange(590, 600).mean()
    assert result.overall == truth.mean()
    assert result.wanted == 50
    assert result.recall.value == 49 / 50
    assert result.recall_by_chance == 50 / 600


def test_screening_of_few_pictures_asks_for_fewer():
    values = np.arange(20.0)
    result = metrics.screening(values, values, metrics.multiplicities(20, None, 0, 10))
    assert (result.top, result.wanted) == (5, 2)
    assert result.recall.value == 1


def test_within_person_sees_through_differences_between_persons():
    generator = np.random.default_rng(1)
    persons = np.repeat(np.arange(60), 5)
    level = np.repeat(10 * generator.standard_normal(60), 5)
    deviation = generator.standard_normal(300)
    # The order of persons is predicted backwards, the order within each person well.
    truth, predictions = level + deviation, -level + deviation + 0.5 * generator.standard_normal(300)
    assert np.corrcoef(truth, predictions)[0, 1] < -0.9
    result = metrics.within_person(truth, predictions, persons, seed=0)
    assert (result.n_persons, result.n_pictures) == (60, 300)
    assert result.pearson.value == pytest.approx(1 / np.sqrt(1.25), abs=0.05)


def test_within_person_needs_two_pictures_and_a_known_person():
    values = np.arange(7.0)
    persons = np.array(["a", "a", "b", None, None, "c", "c"], object)
    assert metrics.within_person(values, values, persons, seed=0).n_pictures == 4
    assert metrics.within_person(values, values, np.arange(7), seed=0) is None
    assert metrics.within_person(values, values, np.array([None] * 7), seed=0) is None
