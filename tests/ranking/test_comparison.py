"""Candidates against the current photo, with and without human scores."""

import numpy as np
import pytest
from scipy.stats import norm

from prescreen.ranking.comparison import MAX_CANDIDATES
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Prior
from prescreen.ranking.stopping import decide
from simulated import comparison

TRAITS = ("a", "b")
GOALS = Goals(("a",), ("b",))


def prior(means, variance=0.3, person=0.0):
    means = np.asarray(means, float)
    correlation = np.full((len(means), len(means)), person)
    np.fill_diagonal(correlation, 1.0)
    return Prior(means, correlation, variance * np.eye(2), person=person)


def scores(rows, z, variance=0.05):
    z = np.asarray(z, float)
    return HumanScores(np.array(rows), z, np.full(z.shape, variance))


def rows(*numbers):
    return np.array(numbers, dtype=np.intp)


def test_a_picture_that_failed_with_people_falls_behind_and_the_next_best_is_chosen():
    known = prior([[0, 0], [1.5, 1.5], [1.0, 1.0], [-3, -3]])
    before = comparison(known, None, TRAITS, GOALS, 0)
    assert before.choose(rows(1, 2, 3), 1).chosen.tolist() == [1]
    after = comparison(known, scores([1], [[-1.0, -1.0]]), TRAITS, GOALS, 0)
    assert after.chance.joint[1] < 0.1 < before.chance.joint[1]
    selection = after.choose(rows(2, 1, 3), 1)
    assert selection.chosen.tolist() == [2]
    assert selection.chance[-1] == pytest.approx(after.chance.joint[2], abs=0.02)


def test_a_picture_that_people_like_better_is_likely_better():
    told = scores([0, 1], [[0.0, 0.0], [2.0, 2.0]], variance=0.01)
    joint = comparison(prior([[0, 0], [0.3, 0.3], [0.1, 0.1]]), told, TRAITS, GOALS, 0).chance.joint
    tested = np.array([False, True, False])
    assert decide(joint, tested, np.array([False, False, True])).verdict == "switch"


def test_nothing_is_likely_to_beat_a_current_photo_that_people_rate_far_above():
    told = scores([0], [[2.5, 2.5]])
    joint = comparison(prior([[2.5, 2.5], [0, 0], [0.1, 0.1]], 0.1), told, TRAITS, GOALS, 0).chance.joint
    left = np.array([False, True, True])
    assert decide(joint, ~left & False, left).verdict == "stay"


def test_only_what_may_be_sent_is_chosen_and_no_more_than_there_is():
    against = comparison(prior([[0, 0], [1.5, 1.5], [1.0, 1.0]]), None, TRAITS, GOALS, 0)
    assert against.choose(rows(2), 2).chosen.tolist() == [2]
    assert against.choose(rows(), 2).chosen.tolist() == []


def test_a_baseline_known_by_its_scores_adds_its_own_error_which_is_common_to_all_differences():
    given = (np.array([0.0, 0.0]), 0.1 * np.eye(2))
    against = comparison(prior([[1.5, 1.5], [0.5, 0.5]]), None, TRAITS, GOALS, given)
    np.testing.assert_allclose(against.differences()[1][0], 0.4 * np.eye(2))
    np.testing.assert_allclose(against.chance.joint, norm.cdf([1.5, 0.5] / np.sqrt(0.4)) ** 2, atol=1e-3)
    chance = against.choose(rows(0, 1), 2).chance
    independent = 1 - np.prod(1 - against.chance.joint)
    assert against.chance.joint[0] <= chance[-1] < independent


def test_what_all_pictures_of_a_person_share_cancels():
    means = [[0, 0], [0.5, 0.5]]
    apart, alike = (comparison(prior(means, person=share), None, TRAITS, GOALS, 0) for share in (0.0, 0.5))
    np.testing.assert_allclose(alike.differences()[1][1], apart.differences()[1][1] / 2)
    assert alike.chance.joint[1] > apart.chance.joint[1]


def test_a_candidate_that_cannot_be_compared_counts_by_its_scores_and_fills_up_the_choice():
    against = comparison(prior([[0, 0], [1.5, 1.5], [1.0, 1.0]]), None, TRAITS, GOALS, 0)
    against.comparable[2] = False
    against.alone[0][2] = [3.0, 3.0]
    assert against.chance.joint[2] == pytest.approx(norm.cdf(3.0) ** 2, abs=1e-3)
    assert against.choose(rows(2, 1), 1).chosen.tolist() == [1]
    both = against.choose(rows(2, 1), 2)
    assert (both.chosen.tolist(), both.chance.tolist()) == ([2, 1], [])
    assert against.plan(rows(2, 1), 60, None, np.ones(2))[1][0].shown is None


def test_more_candidates_than_can_be_chosen_among_are_cut_to_the_most_likely():
    means = np.vstack([np.zeros((1, 2)), np.full((2 * MAX_CANDIDATES, 2), 0.2)])
    against = comparison(prior(means), None, TRAITS, GOALS, 0)
    selection = against.choose(np.arange(1, len(means)), MAX_CANDIDATES + 20)
    assert len(selection.chosen) == MAX_CANDIDATES + 20
    assert len(selection.chance) == MAX_CANDIDATES
    assert set(selection.chosen[:MAX_CANDIDATES]) == set(range(1, MAX_CANDIDATES + 1))


def test_a_plan_says_for_each_number_of_pictures_what_the_test_can_tell():
    means = np.vstack([np.zeros((1, 2)), np.linspace(0.6, -0.4, 8)[:, None] * np.ones(2)])
    against = comparison(prior(means), None, TRAITS, GOALS, 0)
    selection, plans = against.plan(np.arange(1, 9), 100, None, np.ones(2))
    assert [plan.pictures for plan in plans] == [1, 2, 3, 4]  # and the current photo, 20 votes each
    assert len(selection.chosen) == 4
    better = [plan.better for plan in plans]
    assert better == sorted(better)
    assert all(0 < plan.shown < plan.better for plan in plans)


def test_a_trait_without_a_goal_may_be_unknown():
    level = np.array([0.0, np.nan])
    against = comparison(prior([[1.0, 1.0], [0.5, 9.0]]), None, TRAITS, Goals(("a",)), (level, np.zeros((2, 2))))
    np.testing.assert_allclose(against.chance.joint, norm.cdf([1.0, 0.5] / np.sqrt(0.3)))
    assert np.isnan(against.chance.per_trait[:, 1]).all()
    assert against.choose(rows(0, 1), 1).chosen.tolist() == [0]
    assert against.plan(rows(0, 1), 40, None, np.ones(2))[1][0].shown > 0
