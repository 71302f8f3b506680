import numpy as np
import pytest

from prescreen.ratings.rater_checks import MIN_VOTES, TraitVotes, check_raters
from prescreen.ratings.raters import plain_means
from simulated_crowd import simulated_votes

PLANTED = {"straight": 0.06, "reversed": 0.06, "random": 0.06}


def check(images, raters, votes):
    (found,) = check_raters([TraitVotes(images, raters, votes)], images.max() + 1, raters.max() + 1).single
    return found


@pytest.mark.parametrize("high", [3, 10, 100])
def test_planted_raters_are_found_and_told_apart(high):
    hits = dict.fromkeys(PLANTED, 0)
    planted = 0
    for seed in range(6):
        _, *votes, kind = simulated_votes(seed, PLANTED, per_rater=200, n_raters=50, high=high)
        checked = check(*votes)
        for name, found in zip(PLANTED, (checked.same, checked.reversed, checked.random), strict=True):
            hits[name] += np.count_nonzero(found & (kind == name))
        planted += np.count_nonzero(kind == "straight")
    assert hits["straight"] == planted
    assert hits["reversed"] >= 0.75 * planted
    assert hits["random"] >= 0.25 * planted  # whoever answers at random agrees at times


@pytest.mark.parametrize("high", [3, 10, 100])
@pytest.mark.parametrize("kinds", [{}, {"own noise": 1}])
@pytest.mark.parametrize(("per_rater", "n_raters"), [(20, 100), (40, 50)])
def test_about_one_honest_rater_in_a_thousand_is_named_at_most(high, kinds, per_rater, n_raters):
    named = 0
    for seed in range(3000 // n_raters):
        _, *votes, _ = simulated_votes([seed, 7], kinds, per_rater=per_rater, n_raters=n_raters, high=high)
        named += np.count_nonzero(check(*votes).found)
    assert named <= 6  # 3,000 raters; with one in a thousand, more than 6 in 3 % of such tests


@pytest.mark.parametrize(
    ("kinds", "per_rater", "least"),
    [({"straight": 0.2}, 100, 0.005), ({"reversed": 0.1}, 200, 0.015), ({"random": 0.2}, 200, 0.015)],
)
def test_leaving_out_who_is_found_brings_ratings_nearer_to_the_truth(kinds, per_rater, least):
    gains = []
    for seed in range(8):
        quality, images, raters, votes, _ = simulated_votes(seed, kinds, per_rater=per_rater, n_raters=20)
        kept = ~check(images, raters, votes).found[raters]
        means = [plain_means(images[rows], votes[rows], 200).means for rows in (np.ones_like(kept), kept)]
        gains.append(np.corrcoef(means[1], quality)[0, 1] - np.corrcoef(means[0], quality)[0, 1])
    assert np.mean(gains) > least


@pytest.mark.parametrize("votes_a_rater", [3, MIN_VOTES - 1])
def test_nobody_with_few_votes_is_named(votes_a_rater):
    rng = np.random.default_rng(0)
    raters = np.repeat(np.arange(200), votes_a_rater)
    images = np.concatenate([rng.choice(40, votes_a_rater, replace=False) for _ in range(200)])
    quality = rng.normal(0, 1, 40)
    votes = np.where(raters < 50, 5, np.where(raters < 100, 5 - 2 * quality[images], 5 + 2 * quality[images]))
    assert not check(images, raters, votes).found.any()


def test_few_votes_beside_many_are_not_named():
    _, images, raters, votes, _ = simulated_votes(0, {}, per_rater=100, n_raters=20)
    kept = (raters > 0) | (np.arange(raters.size) < MIN_VOTES - 1)
    votes = np.where(raters == 0, 3, votes)
    assert not check(images[kept], raters[kept], votes[kept]).found[0]
    assert check(images, raters, votes).same[0]


@pytest.mark.parametrize("n_raters", [1, 2, 4])
def test_too_few_raters_to_compare_are_not_named(n_raters):
    images, raters = np.tile(np.arange(30), n_raters), np.repeat(np.arange(n_raters), 30)
    votes = np.where(raters == 0, 2.0, images % 4)
    assert not check(images, raters, votes).found.any()


def test_lenient_raters_on_four_steps_are_no_straight_liners():
    """Many give nearly everybody a 3; some of them everybody."""
    rng = np.random.default_rng(0)
    images, raters = np.tile(np.arange(20), 60), np.repeat(np.arange(60), 20)
    lenient = rng.beta(6, 1, 60)
    votes = np.where(rng.random(1200) < lenient[raters], 3, rng.integers(0, 3, 1200)).astype(float)
    constant = [rater for rater in range(60) if np.ptp(votes[raters == rater]) == 0]
    assert len(constant) > 3
    assert not check(images, raters, votes).same.any()


def test_the_same_vote_for_pictures_that_are_alike_is_no_fault():
    _, images, raters, votes, _ = simulated_votes(1, {}, per_rater=200, n_raters=15, high=100, agree=0.3)
    order = np.argsort(np.bincount(images, votes))
    seen = np.isin(images, order[95:105]) | (raters > 0)  # of the first rater, pictures of one level
    votes = np.where(raters == 0, 50, votes)
    assert check(images, raters, votes).same[0]
    assert not check(images[seen], raters[seen], votes[seen]).found[0]


def test_where_raters_do_not_agree_nobody_stands_out():
    rng = np.random.default_rng(3)
    images, raters = np.tile(np.arange(50), 30), np.repeat(np.arange(30), 50)
    assert not check(images, raters, rng.integers(0, 11, 1500).astype(float)).found.any()


def test_correlations_are_with_the_others():
    quality, images, raters, votes, kind = simulated_votes(2, {"reversed": 0.1}, per_rater=100, n_raters=20)
    checked = check(images, raters, votes)
    assert checked.usual == pytest.approx(np.nanmedian(checked.correlation[kind == "honest"]), abs=0.02)
    assert (checked.correlation[kind == "reversed"] < -0.2).all()
    assert (checked.votes == 100).all()
