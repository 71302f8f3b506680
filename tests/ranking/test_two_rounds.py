"""Plans of two rounds: what they spend, and what they expect of the list."""

import numpy as np
import pytest
from scipy.special import ndtr

from prescreen.errors import UsageError
from prescreen.ranking.goals import Goals
from prescreen.ranking.probability import p_better
from prescreen.ranking.two_rounds import Believed, TwoRounds, best_rounds, expected_hits, plans_to_try
from prescreen.ranking.vote_plan import VotePlan


def believed(k=30, seed=0, share=0.4, goals=None):
    """Candidates of falling means on two traits; their errors share something with each other and with the photo."""
    rng = np.random.default_rng(seed)
    mean = np.sort(rng.normal(-0.4, 0.6, (k, 1)), axis=0)[::-1] + rng.normal(0, 0.1, (k, 2))
    correlation = np.full((k + 1, k + 1), share) + (1 - share) * np.eye(k + 1)
    covariance = np.kron(correlation, [[0.4, 0.15], [0.15, 0.5]])
    return Believed(
        np.vstack([mean, [0, 0]]), covariance, np.array([3.0, 4.0]), np.zeros(2), ("a", "b"), goals or Goals(("a", "b"))
    )


@pytest.mark.parametrize("with_present", [False, True])
@pytest.mark.parametrize("votes", [4, 7, 20, 59, 300, 3001])
@pytest.mark.parametrize(("wanted", "most", "budget"), [(10, 100, None), (3, 5, None), (40, 100, 12), (2, 1, None)])
def test_plans_spend_all_votes_and_no_more_and_every_picture_gets_one(votes, wanted, most, budget, with_present):
    plans = plans_to_try(votes, wanted, most, budget, with_present=with_present)
    assert plans
    for plan in plans:
        assert plan.votes == votes
        assert min(plan.first.votes_each + plan.second.votes_each) >= 1
        assert plan.second.pictures <= plan.first.pictures <= min(most, budget or most)
        assert bool(plan.first.present) == bool(plan.second.present) == with_present
        assert max(plan.first.votes_each) == min(plan.first.votes_each)


def test_too_few_votes_for_two_rounds_are_refused():
    with pytest.raises(UsageError, match="3 votes: two rounds need at least 4, one of a picture and of your current"):
        plans_to_try(3, 10, 100, with_present=True)
    with pytest.raises(UsageError, match="1 votes: two rounds need at least 2, one of a picture in each"):
        plans_to_try(1, 10, 100)
    assert plans_to_try(2, 10, 100)[0].second.votes_each == (1,)


def test_more_votes_plan_more_hits_and_any_votes_more_than_none():
    known = believed()
    hits = [expected_hits([(1.0, known)], plans_to_try(n, 5, 30)).max() for n in (10, 40, 160, 640, 2560)]
    chance = p_better(known.mean[:-1], 1.2 * known.covariance[:2, :2], known.level, known.traits, known.goals).joint
    assert np.sort(chance)[-5:].sum() < hits[0]  # a difference has 2 * (1 - 0.4) times the variance
    assert (np.diff(hits) > 0.05).all()
    assert hits[-1] < 5


def test_the_best_plan_has_most_hits_and_sends_more_pictures_than_are_wanted():
    known = believed()
    plans = plans_to_try(300, 5, 30, with_present=True)
    worlds = [(0.5, known), (0.5, believed(share=0.8))]
    best = best_rounds(plans, known, worlds, 2.0)
    hits = expected_hits([(1.0, known)], plans)
    assert best.first == plans[hits.argmax()].first
    assert best.second == plans[hits.argmax()].second
    assert best.hits == expected_hits(worlds, [best])[0]
    assert best.before == 2.0
    assert best.first.pictures > best.second.pictures > best.wanted == 5
    assert best == best_rounds(plans, known, worlds, 2.0)


def test_votes_on_what_is_certain_change_nothing():
    known = believed(k=6)
    certain = Believed(known.mean, 1e-9 * np.eye(14), known.noise, known.level, known.traits, known.goals)
    hits = expected_hits([(1.0, certain)], plans_to_try(100, 4, 6))
    np.testing.assert_allclose(hits, (known.mean[:-1] > 0).all(axis=1).sum(), atol=1e-6)


def test_hits_are_averages_over_what_may_be_true():
    one, other = believed(k=6, share=0.0), believed(k=6, share=0.8)
    plans = plans_to_try(60, 3, 6)
    apart = [expected_hits([(1.0, world)], plans)[0] for world in (one, other)]
    assert abs(apart[0] - apart[1]) > 0.2
    both = expected_hits([(0.25, one), (0.75, other)], plans)[0]
    assert both == pytest.approx(0.25 * apart[0] + 0.75 * apart[1], abs=0.05)


@pytest.mark.parametrize(
    "goals",
    [Goals(("a", "b")), Goals(("a",), ("b",), keep_margin=1.0), Goals(("a", "b"), any_of=True)],
    ids=["all", "kept", "any"],
)
def test_the_expected_hits_are_those_of_tests_drawn_one_by_one(goals):
    known = believed(k=6, seed=3, goals=goals)
    plan = TwoRounds(2, VotePlan((6,) * 5, 6), VotePlan((15,) * 3, 15))
    margin = np.array([0.0, 0.0 if goals.keep == () else -0.2533])  # a point below 5 is z = -0.2533
    rng = np.random.default_rng(7)
    found = []
    for _ in range(600):
        truth = rng.multivariate_normal(known.mean.ravel(), known.covariance).reshape(7, 2)
        votes = np.zeros(7)
        sums = np.zeros((7, 2))
        chance = None
        for each, sent in ((6, 5), (15, 3)):
            order = np.arange(6) if chance is None else np.argsort(-chance)
            rows = np.append(order[:sent], 6)
            sums[rows] += each * truth[rows] + np.sqrt(each * known.noise) * rng.normal(size=(sent + 1, 2))
            votes[rows] += each
            told = np.flatnonzero(np.repeat(votes > 0, 2))
            noise = (known.noise / np.maximum(votes, 1)[:, None]).ravel()[told]
            said = (sums / np.maximum(votes, 1)[:, None]).ravel()[told]
            gain = known.covariance[:, told] @ np.linalg.inv(known.covariance[np.ix_(told, told)] + np.diag(noise))
            mean = known.mean.ravel() + gain @ (said - known.mean.ravel()[told])
            left = known.covariance - gain @ known.covariance[told]
            across = np.kron(np.hstack([np.eye(6), -np.ones((6, 1))]), np.eye(2))
            bounds = (across @ mean).reshape(6, 2) - margin
            each_trait = ndtr(bounds / np.sqrt(np.diag(across @ left @ across.T)).reshape(6, 2))
            chance = 1 - np.prod(1 - each_trait, axis=1) if goals.any_of else each_trait.prod(axis=1)
        above = truth[:6] - truth[6] > margin
        met = above.any(axis=1) if goals.any_of else above.all(axis=1)
        found.append(met[np.argsort(-chance)[:2]].sum())
    assert expected_hits([(1.0, known)], [plan])[0] == pytest.approx(np.mean(found), abs=0.12)


def test_the_plan_is_said_in_plain_sentences():
    plan = TwoRounds(10, VotePlan((3,) * 25, 3), VotePlan((15,) * 14 + (14,), 14), 6.44, 5.5)
    assert plan.describe() == (
        "Round 1: send these 25 pictures and your current photo, 3 votes each (78 votes). Round 2: prescreen learn "
        "--plan names the best 15; send them and your current photo, 14 or 15 votes each (238 votes). Of the 10 "
        "pictures in the list after that, 6.4 are expected to meet the goals; 5.5 without votes."
    )
    assert TwoRounds(2, VotePlan((1,)), VotePlan((1,))).describe() == (
        "Round 1: send this picture, 1 vote each (1 vote). Round 2: prescreen learn --plan names the best; send it, "
        "1 vote each (1 vote)."
    )
