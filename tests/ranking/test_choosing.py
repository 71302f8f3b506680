import itertools

import numpy as np
import pytest

from prescreen.ranking.goals import Goals
from prescreen.ranking.probability import p_better
from prescreen.ranking.selection import draw_together

ONE = (("a",), Goals(("a",)))
TWO = (("a", "b"), Goals(("a",), ("b",)))


def choose(means, covariance, k, traits=("a",), goals=ONE[1], **options):
    means = np.asarray(means, float).reshape(-1, len(traits))
    mixture = [(means, np.asarray(covariance, float))]
    return draw_together(mixture, np.ones(1), np.zeros(len(traits)), traits, goals, **options).choose(k)


def test_the_second_picture_is_not_a_copy_of_the_first():
    covariance = np.array([[1.0, 0.999, 0.0], [0.999, 1.0, 0.0], [0.0, 0.0, 1.0]])
    selection = choose([0.2, 0.19, -0.3], covariance, 2)
    assert selection.chosen.tolist() == [0, 2]


def test_independent_pictures_are_chosen_by_their_own_chances():
    means = np.array([-0.5, 0.4, 0.1, -1.0, 0.8])
    selection = choose(means, np.eye(5), 3)
    assert selection.chosen.tolist() == [4, 1, 2]
    alone = p_better(means[:, None], np.eye(1), np.zeros(1), *ONE).joint[[4, 1, 2]]
    np.testing.assert_allclose(selection.chance, 1 - np.cumprod(1 - alone), atol=0.01)


def test_greedy_choice_is_close_to_the_best_of_all_pairs():
    rng = np.random.default_rng(3)
    for _ in range(5):
        root = rng.normal(size=(16, 6))
        covariance = root @ root.T / 6 + 0.05 * np.eye(16)
        means = rng.normal(-0.5, 0.4, size=(8, 2))
        drawn = rng.multivariate_normal(means.ravel(), covariance, size=20_000).reshape(-1, 8, 2)
        met = ((drawn[..., 0] > 0) & (drawn[..., 1] >= 0)).astype(bool)
        best = max((met[:, i] | met[:, j]).mean() for i, j in itertools.combinations(range(8), 2))
        selection = choose(means, covariance, 2, *TWO)
        reached = met[:, selection.chosen].any(axis=1).mean()
        assert reached >= best - 0.02
        assert selection.chance[-1] == pytest.approx(reached, abs=0.02)


def test_any_of_two_traits_is_enough_where_the_goals_say_so():
    covariance = np.eye(4)
    means = [[3.0, -3.0], [-0.2, -0.2]]
    traits = ("a", "b")
    assert choose(means, covariance, 1, traits, Goals(traits, any_of=True)).chosen.tolist() == [0]
    assert choose(means, covariance, 1, traits, Goals(traits)).chosen.tolist() == [1]


def test_the_same_seed_chooses_the_same_and_no_more_than_there_are():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(10, 10))
    results = [choose(np.full(10, -1.0), root @ root.T, 20, seed=4) for _ in range(2)]
    assert sorted(results[0].chosen.tolist()) == list(range(10))
    np.testing.assert_array_equal(results[0].chosen, results[1].chosen)
    assert (np.diff(results[0].chance) >= 0).all()


def test_hopeless_pictures_are_still_taken_by_their_chances():
    assert choose([-9.0, -1.0, -12.0], np.eye(3), 1).chosen.tolist() == [1]


def test_of_a_mixture_each_part_counts_by_its_weight():
    first, second = (np.array([[2.0], [-2.0]]), 0.01 * np.eye(2)), (np.array([[-2.0], [2.0]]), 0.01 * np.eye(2))
    selection = draw_together([first, second], np.array([0.3, 0.7]), np.zeros(1), *ONE).choose(2)
    assert selection.chosen.tolist() == [1, 0]
    np.testing.assert_allclose(selection.chance, [0.7, 1.0])
    np.testing.assert_allclose(selection.by_model, [[0.0, 1.0], [1.0, 1.0]])


def test_where_the_gain_is_about_the_same_the_better_picture_is_taken():
    """The first one almost always does it already; what the others add cannot be told apart."""
    selection = choose([3.0, 1.0, 0.5], np.eye(3) + 0.5, 2)
    assert selection.chosen.tolist() == [0, 1]


def test_a_choice_among_some_of_those_drawn_has_the_chance_that_it_has_among_all():
    draws = draw_together([(np.array([[0.5], [0.4], [0.1]]), np.eye(3))], np.ones(1), np.zeros(1), *ONE)
    among = draws.choose(2, np.array([1, 2]))
    assert among.chosen.tolist() == [1, 2]
    np.testing.assert_array_equal(among.chance, draws.together(np.array([1, 2])).chance)
    assert draws.choose(3).chance[-1] == draws.together(np.array([2, 1, 0])).chance[-1]
    assert draws.choose(2, np.array([], dtype=np.intp)).chosen.tolist() == []


def test_draws_of_the_first_do_not_depend_on_those_after_them_nor_on_rounding():
    rng = np.random.default_rng(2)
    root = rng.normal(size=(12, 12))
    covariance, means = root @ root.T / 12 + 0.5, rng.normal(size=(12, 1))
    drawn = [
        draw_together([(means[:m], part[:m, :m])], np.ones(1), np.zeros(1), *ONE).met[..., :8]
        for m, part in ((12, covariance), (8, covariance), (12, covariance * (1 + 1e-13)))
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
