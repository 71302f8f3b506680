"""Candidates against the current photo, with and without human scores."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from prescreen.ranking.comparison import MAX_CANDIDATES
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Prior, condition
from prescreen.ranking.stopping import Advice, decide
from prescreen.ranking.within_person import WithinPerson
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


def differences(against):
    (posterior,) = (condition(prior, against.scores) for prior in against.priors(np.arange(len(against.usable)), False))
    return against._differences(posterior)


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
    assert decide(joint, tested, np.array([False, False, True]), Advice(1, 0.5, 0.5, 0.5)).verdict == "switch"


def test_nothing_is_likely_to_beat_a_current_photo_that_people_rate_far_above():
    told = scores([0], [[2.5, 2.5]])
    chance = comparison(prior([[2.5, 2.5], [0, 0], [0.1, 0.1]], 0.1), told, TRAITS, GOALS, 0).chance
    left = np.array([False, True, True])
    advice = Advice(2, *(float(part[left].sum()) for part in (chance.joint, chance.low, chance.high)))
    assert decide(chance.joint, ~left & False, left, advice).verdict == "stay"


def test_only_what_may_be_sent_is_chosen_and_no_more_than_there_is():
    against = comparison(prior([[0, 0], [1.5, 1.5], [1.0, 1.0]]), None, TRAITS, GOALS, 0)
    assert against.choose(rows(2), 2).chosen.tolist() == [2]
    assert against.choose(rows(), 2).chosen.tolist() == []


def test_a_baseline_known_by_its_scores_adds_its_own_error_which_is_common_to_all_differences():
    given = (np.array([0.0, 0.0]), 0.1 * np.eye(2))
    against = comparison(prior([[1.5, 1.5], [0.5, 0.5]]), None, TRAITS, GOALS, given)
    np.testing.assert_allclose(differences(against)[1][0], 0.4 * np.eye(2))
    np.testing.assert_allclose(against.chance.joint, norm.cdf([1.5, 0.5] / np.sqrt(0.4)) ** 2, atol=1e-3)
    chance = against.choose(rows(0, 1), 2).chance
    independent = 1 - np.prod(1 - against.chance.joint)
    assert against.chance.joint[0] <= chance[-1] < independent


def test_what_all_pictures_of_a_person_share_cancels():
    means = [[0, 0], [0.5, 0.5]]
    apart, alike = (comparison(prior(means, person=share), None, TRAITS, GOALS, 0) for share in (0.0, 0.5))
    np.testing.assert_allclose(differences(alike)[1][1], differences(apart)[1][1] / 2)
    assert alike.chance.joint[1] > apart.chance.joint[1]


def test_a_candidate_without_a_prediction_has_no_chance():
    against = comparison(prior([[0, 0], [1.5, 1.5], [1.0, 1.0]]), None, TRAITS, GOALS, 0)
    against.usable[2] = False
    assert np.isnan([against.chance.joint[2], against.chance.low[2], against.chance.per_trait[2, 0]]).all()
    assert np.isfinite(against.chance.joint[:2]).all()


def test_chances_are_averages_over_what_a_persons_pictures_may_share_and_the_range_says_how_far_apart_they_are():
    known = prior([[0, 0], [1.0, 0.4], [0.3, 0.8], [-0.5, -0.5]])
    beliefs = WithinPerson(np.array([0.0, 0.6, 0.9]), np.array([0.5, 1.0, 1.0]), np.array([0.5, 0.3, 0.2]))
    mixed = comparison(known, None, TRAITS, GOALS, 0, beliefs)
    each = [
        comparison(known, None, TRAITS, GOALS, 0, WithinPerson.exactly(share, slope)).chance
        for share, slope in zip(beliefs.share, beliefs.slope, strict=True)
    ]
    joint = np.array([found.joint for found in each])
    np.testing.assert_allclose(mixed.chance.joint, beliefs.weight @ joint)
    np.testing.assert_allclose(mixed.chance.low, joint.min(axis=0))
    np.testing.assert_allclose(mixed.chance.high, joint.max(axis=0))
    np.testing.assert_allclose(mixed.chance.per_trait, np.tensordot(beliefs.weight, [e.per_trait for e in each], 1))
    np.testing.assert_allclose(mixed.chance.difference[1], [0.75, 0.3])  # half of the chance has half the slope
    selection = mixed.choose(rows(1, 2, 3), 3)
    assert mixed.chance.joint[1:].max() < selection.chance[-1] < 1 - np.prod(1 - mixed.chance.joint[1:])
    low, high = mixed.interval(selection, 3)
    assert low < selection.chance[-1] < high


def test_what_people_said_of_the_current_photo_moves_the_candidates_as_far_as_they_share_it():
    known = prior([[0, 0], [0.2, 0.2]])
    told = scores([0], [[1.0, 1.0]], variance=0.001)
    chances = []
    for share in (0.0, 0.45, 0.9):
        chance = comparison(known, told, TRAITS, GOALS, 0, WithinPerson.exactly(share)).chance
        np.testing.assert_allclose(chance.difference[1], 0.2 + (share - 1) * 1.0, atol=0.01)
        chances.append(chance.joint[1])
    assert chances == sorted(chances)


def test_a_second_tested_picture_tells_how_much_is_shared():
    prior_belief = WithinPerson.prior()
    for moved, towards in (([0.8, 0.8], 0.9), ([-0.8, -0.8], 0.0)):
        told = scores([0, 1], [[0.8, 0.8], moved], variance=0.01)
        after = comparison(prior([[0, 0], [0, 0]]), told, TRAITS, GOALS, 0, prior_belief).within_person
        assert abs(after.mean_share - towards) < abs(prior_belief.mean_share - towards)


def test_scores_of_another_service_leave_it_open_whether_the_person_or_the_service_is_higher():
    known, z = prior([[0, 0], [0, 0]], person=0.6), np.full((1, 2), 1.0)
    moved = []
    for offset in (0.0, 0.5):
        told = HumanScores(np.array([0]), z, np.full((1, 2), 0.05), np.full(2, offset**2))
        moved.append(condition(known, told).mean[1, 0])
    assert moved[1] < 0.7 * moved[0]
    # Between two pictures that the same service has scored, the service does not matter.
    both = HumanScores(np.array([0, 1]), np.array([[1.0, 1.0], [0.2, 0.2]]), np.full((2, 2), 0.05), np.full(2, 4.0))
    alone = replace(both, offset=None)
    for one in (both, alone):
        np.testing.assert_allclose(condition(known, one).difference(0)[0][1], -0.8 * 0.24 / 0.34 * np.ones(2), atol=0.1)


def test_more_candidates_than_can_be_chosen_among_are_cut_to_the_most_likely():
    means = np.vstack([np.zeros((1, 2)), np.full((2 * MAX_CANDIDATES, 2), 0.2)])
    against = comparison(prior(means), None, TRAITS, GOALS, 0)
    selection = against.choose(np.arange(1, len(means)), MAX_CANDIDATES + 20)
    assert set(selection.chosen) == set(range(1, MAX_CANDIDATES + 1))


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


def test_the_range_holds_the_chance():
    beliefs = WithinPerson(np.array([0.0, 0.9]), np.ones(2), np.array([0.97, 0.03]))
    against = comparison(prior([[0, 0], [2.0, 2.0]]), None, TRAITS, GOALS, 0, beliefs)
    chance = against.chance
    assert chance.low[1] <= chance.joint[1] <= chance.high[1]
    selection = against.choose(rows(1), 1)
    low, high = against.interval(selection, 1)
    assert low <= selection.chance[0] <= high


def test_the_plan_for_a_list_sends_a_current_photo_that_is_a_picture_and_says_what_the_chances_add_up_to():
    known = prior([[0, 0], *[[0.6 - 0.05 * n, 0.5 - 0.05 * n] for n in range(14)]])
    beliefs = WithinPerson(np.array([0.0, 0.6]), np.array([0.5, 1.0]), np.array([0.4, 0.6]))
    pictures = np.arange(1, 15)
    against = comparison(known, None, TRAITS, GOALS, 0, beliefs)
    plan = against.plan_list(pictures, 120, 4, None, np.ones(2))
    assert plan.votes == 120
    assert plan.first.present == plan.first.votes_each[0] >= 1
    assert plan.first.pictures > plan.wanted == 4
    assert plan.before == pytest.approx(against.chance.joint[1:5].sum())
    assert plan.before < plan.hits < 4
    given = comparison(known, None, TRAITS, GOALS, (np.zeros(2), 0.1 * np.eye(2)), beliefs)
    assert given.plan_list(pictures, 120, 4, None, np.ones(2)).first.present == 0
    assert against.plan_list(pictures, 120, 40, 6, np.ones(2)).first.pictures == 6
    assert against.plan_list(rows(), 120, 4, None, np.ones(2)) is None
