import numpy as np
import pytest

from prescreen.evaluation.metrics import multiplicities
from prescreen.evaluation.persons import within_person


def evaluate(truth, predictions, persons, noise=None, n_resamples=200):
    codes = np.unique([str(person) for person in persons], return_inverse=True)[1]
    counts = multiplicities(len(truth), codes, seed=0, n_resamples=n_resamples)
    found = within_person(truth, predictions, np.asarray(persons, object), counts, noise)
    return None if found is None else found[0]


def test_sees_through_differences_between_persons():
    generator = np.random.default_rng(1)
    persons = np.repeat(np.arange(60), 5)
    level = np.repeat(10 * generator.standard_normal(60), 5)
    deviation = generator.standard_normal(300)
    # The order of persons is predicted backwards, the order within each person well.
    truth, predictions = level + deviation, -level + deviation + 0.5 * generator.standard_normal(300)
    assert np.corrcoef(truth, predictions)[0, 1] < -0.9
    result = evaluate(truth, predictions, persons)
    assert (result.n_persons, result.n_pictures) == (60, 300)
    assert result.pearson.value == pytest.approx(1 / np.sqrt(1.25), abs=0.05)
    assert result.pearson.low < 1 / np.sqrt(1.25) < result.pearson.high
    # Of two normal variables that correlate with r, pairs are in order with probability 1/2 + asin(r)/pi.
    assert result.pairs_in_order.value == pytest.approx(0.5 + np.arcsin(1 / np.sqrt(1.25)) / np.pi, abs=0.04)
    assert result.pairs_in_order.low < result.pairs_in_order.value < result.pairs_in_order.high


def test_pairs_are_counted_within_persons_and_ties_half():
    truth = np.array([1.0, 2, 3, 3, 9, 1])
    predictions = np.array([1.0, 1, 2, 0, 5, 6])
    # a: 1<2 tie, 1<3 right, 2<3 right; b: 3<9 right, 3>1 wrong, 9>1 wrong
    result = evaluate(truth, predictions, list("aaabbb"))
    assert result.pairs_in_order.value == pytest.approx((0.5 + 1 + 1 + 1 + 0 + 0) / 6)


def test_the_ceiling_within_persons_is_what_the_planted_truth_reaches():
    generator = np.random.default_rng(2)
    persons = np.repeat(np.arange(2000), 3)
    true = np.repeat(3 * generator.standard_normal(2000), 3) + generator.standard_normal(6000)
    rated = true + 1.5 * generator.standard_normal(6000)
    result = evaluate(rated, true, persons, np.full(6000, 2.25), n_resamples=2)
    assert result.highest_r == pytest.approx(1 / np.sqrt(3.25), abs=0.02)
    assert result.pearson.value == pytest.approx(result.highest_r, abs=0.02)
    assert evaluate(rated, true, persons, np.full(6000, np.nan), n_resamples=2).highest_r is None


def test_needs_two_pictures_and_a_known_person():
    values = np.arange(7.0)
    assert evaluate(values, values, ["a", "a", "b", None, None, "c", "c"]).n_pictures == 4
    assert evaluate(values, values, np.arange(7)) is None
    assert evaluate(values, values, [None] * 7) is None
