import numpy as np
import pytest
from scipy.stats import norm

from prescreen.errors import UsageError
from prescreen.ranking.goals import Goals
from prescreen.ranking.vote_plan import VotePlan, best_plan, chance_to_show, plan_votes, sizes_to_try

ONE = (np.zeros(1), ("a",), Goals(("a",)))
TWO = (np.zeros(2), ("a", "b"), Goals(("a",), ("b",)))


@pytest.mark.parametrize(
    ("votes", "budget", "each"),
    [(100, 3, (34, 33, 33)), (100, 10, (20,) * 5), (20, 3, (20,)), (59, 3, (30, 29)), (60, 3, (20,) * 3)],
)
def test_every_picture_gets_enough_votes_and_every_vote_is_used(votes, budget, each):
    plan = plan_votes(votes, budget)
    assert plan.votes_each == each
    assert plan.pictures == len(each)


def test_too_few_votes_are_refused():
    with pytest.raises(UsageError, match="at least 20"):
        plan_votes(19, 3)
    with pytest.raises(UsageError, match="budget 0"):
        plan_votes(100, 0)
    assert plan_votes(19, 3, minimum=5).votes_each == (7, 6, 6)


def test_the_present_picture_gets_as_many_votes_as_the_others():
    plan = plan_votes(125, with_present=True)
    assert (plan.votes_each, plan.present) == ((21,) * 5, 20)
    assert plan.votes == 125
    assert plan_votes(120, 2, with_present=True).describe() == "send 2 pictures and your current photo, 40 votes each"
    assert plan_votes(120, 3).describe() == "send 3 pictures, 40 votes each"
    assert plan_votes(100, 3).describe() == "send 3 pictures, 33 or 34 votes each"
    assert plan_votes(20).describe() == "send 1 picture, 20 votes"
    with pytest.raises(UsageError, match="one picture and your current photo need at least 40"):
        plan_votes(39, with_present=True)


def test_one_picture_against_a_known_baseline_as_worked_out_by_hand():
    # Truth N(0.2, 0.5), one score with noise 0.1: the posterior mean varies with variance 0.25/0.6, 0.5 - that is left.
    explained = 0.25 / 0.6
    needed = norm.ppf(0.8) * np.sqrt(0.5 - explained)
    expected = norm.sf(needed, 0.2, np.sqrt(explained))
    found = chance_to_show(
        np.array([[0.2], [0.0]]), np.diag([0.5, 0.0]), np.array([2.0]), VotePlan((20,)), *ONE, switch_above=0.8
    )
    assert found == pytest.approx(expected, abs=0.005)


def test_a_present_picture_that_nobody_scored_has_to_be_tested_too():
    mean, covariance, noise = np.array([[0.5], [0.0]]), np.diag([0.5, 0.5]), np.array([2.0])
    with_it = chance_to_show(mean, covariance, noise, VotePlan((20,), 20), *ONE, switch_above=0.9)
    without = chance_to_show(mean, covariance, noise, VotePlan((20,)), *ONE, switch_above=0.9)
    assert with_it > without + 0.1


def test_the_chance_is_that_of_tests_drawn_one_by_one():
    rng = np.random.default_rng(1)
    k, t, votes = 3, 2, np.array([25, 25, 24, 24])
    root = rng.normal(size=((k + 1) * t, 4))
    covariance = 0.2 * root @ root.T + 0.1 * np.eye((k + 1) * t)
    mean, noise = rng.normal(0, 0.3, (k + 1, t)), np.array([3.0, 4.0])
    found = chance_to_show(mean, covariance, noise, VotePlan((25, 25, 24), 24), *TWO, switch_above=0.7)
    spread = np.diag((noise / votes[:, None]).ravel())
    gain = covariance @ np.linalg.inv(covariance + spread)
    left = covariance - gain @ covariance
    shown = 0
    for _ in range(1500):
        truth = rng.multivariate_normal(mean.ravel(), covariance)
        told = truth + rng.normal(size=8) * np.sqrt(np.diag(spread))
        after = rng.multivariate_normal(mean.ravel() + gain @ (told - mean.ravel()), left, size=400).reshape(-1, 4, 2)
        difference = after[:, :3] - after[:, 3:]
        shown += ((difference > 0).all(axis=2).mean(axis=0) >= 0.7).any()
    assert found == pytest.approx(shown / 1500, abs=0.04)


def test_more_votes_show_more_and_what_cannot_be_better_is_never_shown():
    mean, covariance, noise = np.array([[0.3], [0.1], [0.0]]), np.diag([0.4, 0.4, 0.0]), np.array([3.0])
    few, many = (chance_to_show(mean, covariance, noise, VotePlan((n, n)), *ONE, switch_above=0.8) for n in (20, 200))
    assert few < many - 0.03
    assert (
        chance_to_show(mean - [[9.0], [9.0], [0.0]], covariance, noise, VotePlan((20, 20)), *ONE, switch_above=0.8) == 0
    )


def test_all_numbers_of_pictures_up_to_ten_are_tried_and_the_largest():
    assert sizes_to_try(3) == [1, 2, 3]
    assert sizes_to_try(10) == list(range(1, 11))
    assert sizes_to_try(27) == [*range(1, 11), 12, 15, 20, 25, 27]
    assert sizes_to_try(0) == []


def test_of_plans_as_good_as_the_best_the_one_with_most_pictures_is_taken():
    shown = {1: 0.2, 2: 0.3, 3: 0.295, 4: 0.28}
    assert best_plan([VotePlan((120 // k,) * k, 0, 0.1 * k, chance) for k, chance in shown.items()]).pictures == 3
    assert best_plan([VotePlan((20,) * 5)]).pictures == 5
