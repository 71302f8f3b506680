import numpy as np
import pytest

from prescreen.ratings.rater_checks import TraitVotes, check_raters
from prescreen.ratings.raters import plain_means, raters_overlap, two_way_means
from prescreen.ratings.reliability import reliability
from simulated_crowd import simulated_votes


def simulate(seed, n_images=300, n_raters=60, per_rater=40, bias=0.8, spread=0.0, noise=1.5):
    """Quality of variance 1 around 5; every rater sees some pictures."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(0, 1, n_images)
    biases, spreads = rng.normal(0, bias, n_raters), np.maximum(rng.normal(1, spread, n_raters), 0)
    images = np.concatenate([rng.choice(n_images, per_rater, replace=False) for _ in range(n_raters)])
    raters = np.repeat(np.arange(n_raters), per_rater)
    votes = 5 + spreads[raters] * quality[images] + biases[raters] + rng.normal(0, noise, images.size)
    return quality, biases, spreads, images, raters, votes


def agreement(by_picture, quality):
    rated = by_picture.votes > 0
    return np.corrcoef(by_picture.means[rated], quality[rated])[0, 1]


def test_plain_means():
    result = plain_means(np.array([0, 0, 2]), np.array([1.0, 3, 5]), 3)
    np.testing.assert_allclose(result.means, [2, np.nan, 5])
    np.testing.assert_allclose(result.stds, [np.sqrt(2), np.nan, np.nan])
    np.testing.assert_allclose(result.votes, [2, 0, 1])


def test_recovers_planted_biases_and_spreads():
    _, biases, spreads, images, raters, votes = simulate(1, per_rater=150, spread=0.4)
    found = two_way_means(images, raters, votes, 300, 60)
    bias, spread = found.bias, found.spread
    assert np.corrcoef(bias, biases)[0, 1] > 0.97
    assert np.corrcoef(spread, spreads)[0, 1] > 0.9
    assert np.polyfit(biases, bias, 1)[0] == pytest.approx(1, abs=0.1)
    assert np.polyfit(spreads, spread, 1)[0] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(("bias", "spread"), [(0.8, 0.0), (0.0, 0.6), (0.8, 0.4)])
def test_beats_plain_means_on_biased_raters(bias, spread):
    gains = []
    for seed in range(10):
        quality, _, _, images, raters, votes = simulate(seed, bias=bias, spread=spread)
        adjusted = two_way_means(images, raters, votes, 300, 60).ratings
        gains.append(agreement(adjusted, quality) - agreement(plain_means(images, votes, 300), quality))
    assert np.mean(gains) > 0.01
    assert min(gains) > 0


def test_costs_nothing_where_raters_do_not_differ():
    losses = []
    for seed in range(10):
        quality, _, _, images, raters, votes = simulate(seed, per_rater=6, bias=0)
        adjusted = two_way_means(images, raters, votes, 300, 60).ratings
        losses.append(agreement(plain_means(images, votes, 300), quality) - agreement(adjusted, quality))
    assert np.mean(losses) < 0.005


def test_raters_with_few_votes_are_shrunk_more():
    rng = np.random.default_rng(0)
    quality = rng.normal(0, 1, 400)
    counts = np.array([4] * 50 + [80] * 50)
    raters = np.repeat(np.arange(100), counts)
    images = np.concatenate([rng.choice(400, n, replace=False) for n in counts])
    biases = np.tile([-1.0, 1.0], 50)
    votes = quality[images] + biases[raters] + rng.normal(0, 2, images.size)
    bias = two_way_means(images, raters, votes, 400, 100).bias
    slopes = [np.polyfit(biases[part], bias[part], 1)[0] for part in (slice(50), slice(50, None))]
    assert slopes[0] < 0.75
    assert slopes[1] > 0.9


def test_stays_on_the_scale_of_the_votes():
    quality, _, _, images, raters, votes = simulate(3, per_rater=200, spread=0.3)
    adjusted = two_way_means(images, raters, votes, 300, 60).ratings
    assert adjusted.means.mean() == pytest.approx(votes.mean(), abs=0.1)
    assert np.polyfit(quality, adjusted.means, 1)[0] == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(adjusted.votes, np.bincount(images, minlength=300))


@pytest.mark.parametrize(("per_rater", "spread"), [(15, 0.0), (40, 0.0), (40, 0.4), (300, 0.4)])
def test_reliability_of_adjusted_means_is_their_squared_correlation_with_the_truth(per_rater, spread):
    claimed, true, plain = [], [], []
    for seed in range(10):
        quality, _, _, images, raters, votes = simulate(seed, per_rater=per_rater, spread=spread)
        adjusted = two_way_means(images, raters, votes, 300, 60).ratings
        unadjusted = plain_means(images, votes, 300)
        rated = adjusted.votes > 0
        claimed.append(reliability(*(a[rated] for a in (adjusted.means, adjusted.stds, adjusted.votes))).of_mean)
        plain.append(reliability(*(a[rated] for a in (unadjusted.means, unadjusted.stds, unadjusted.votes))).of_mean)
        true.append(agreement(adjusted, quality) ** 2)
    assert np.mean(claimed) == pytest.approx(np.mean(true), abs=0.04)
    assert np.mean(claimed) > np.mean(plain)


def test_a_rater_who_answers_at_random_counts_little():
    rng = np.random.default_rng(5)
    quality = rng.normal(0, 2, 100)
    images, raters = np.tile(np.arange(100), 6), np.repeat(np.arange(6), 100)
    votes = np.where(raters < 3, 5 + quality[images], 5) + rng.normal(0, 1, 600)
    found = two_way_means(images, raters, votes, 100, 6)
    adjusted, spread = found.ratings, found.spread
    assert spread[:3].min() > 5 * spread[3:].max()
    assert agreement(adjusted, quality) > agreement(plain_means(images, votes, 100), quality)


@pytest.mark.parametrize("votes", [np.full(12, 2.0), np.tile([1.0, 2, 3], 4), np.repeat([0.0, 1, 2, 3], 3)])
def test_votes_without_noise_are_no_trouble(votes):
    """Constant votes, raters who never look, and raters who all agree."""
    images, raters = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    adjusted = two_way_means(images, raters, votes, 4, 3).ratings
    np.testing.assert_allclose(adjusted.means, plain_means(images, votes, 4).means, atol=1e-9)


@pytest.mark.parametrize(
    ("images", "raters", "expected"),
    [
        ([0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 1], True),
        ([0, 1, 0, 1], [0, 0, 1, 1], False),
        ([0, 1, 2, 3, 4, 5], [0, 0, 0, 1, 1, 1], False),
    ],
)
def test_raters_overlap_only_with_enough_votes_on_the_same_pictures(images, raters, expected):
    assert raters_overlap(np.array(images), np.array(raters)) is expected


@pytest.mark.parametrize(
    ("kinds", "least"), [({"own noise": 1}, 0.04), ({"random": 0.3}, 0.015), ({"reversed": 0.1}, 0.005)]
)
@pytest.mark.parametrize("high", [3, 10, 100])
def test_noise_of_raters_own_brings_ratings_nearer_to_the_truth(kinds, least, high):
    crowds = [simulated_votes(seed, kinds, high=high) for seed in range(10)]
    chosen = [two_way_means(*votes, 200, 50) for _, *votes, _ in crowds]
    plainer = [two_way_means(*votes, 200, 50, own_noise=False) for _, *votes, _ in crowds]
    gains = [
        agreement(one.ratings, crowd[0]) - agreement(other.ratings, crowd[0])
        for one, other, crowd in zip(chosen, plainer, crowds, strict=True)
    ]
    assert sum(one.own_noise for one in chosen) >= 8
    assert np.mean(gains) > (0.6 if high == 3 else 1) * least
    assert min(gains) > -0.01


@pytest.mark.parametrize("high", [3, 10])
def test_ordinary_raters_share_one_noise_and_keep_their_ratings(high):
    crowds = [simulated_votes(seed, {}, high=high) for seed in range(20)]
    chosen = [two_way_means(*votes, 200, 50) for _, *votes, _ in crowds]
    for (_, *votes, _), found in zip(crowds, chosen, strict=True):
        assert not found.own_noise
        plainer = two_way_means(*votes, 200, 50, own_noise=False)
        np.testing.assert_array_equal(found.ratings.means, plainer.ratings.means)
        np.testing.assert_array_equal(found.ratings.stds, plainer.ratings.stds)
        assert (found.precision == 1).all()


@pytest.mark.parametrize(
    ("n_images", "n_raters", "middle", "size", "level"), [(60, 30, 0.2, 0.5, 0.5), (20, 30, 2, 0.25, 0)]
)
def test_honest_raters_share_one_noise_where_most_answers_are_the_same(n_images, n_raters, middle, size, level):
    """Near an end of the scale, or between two answers, noise looks unequal."""
    chosen = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        images = np.concatenate([rng.permutation(n_images)[:20] for _ in range(n_raters)])
        raters = np.repeat(np.arange(n_raters), 20)
        said = size * rng.normal(size=n_images)[images] + level * rng.normal(size=n_raters)[raters]
        votes = np.clip(np.round(middle + said + size * rng.normal(size=images.size)), 0, 3)
        chosen += two_way_means(images, raters, votes, n_images, n_raters).own_noise
    assert chosen == 0


def test_recovers_planted_noise_and_a_rater_in_reverse():
    quality, images, raters, votes, _ = simulated_votes(0, {"own noise": 1}, per_rater=100, high=100)
    votes = np.where(raters == 7, 100 - votes, votes)
    found = two_way_means(images, raters, votes, 200, 50)
    residual = votes / 10 - 5 - np.where(raters == 7, -1, 1) * quality[images]
    noise = np.array([residual[raters == rater].var() for rater in range(50)])
    assert found.own_noise
    assert np.corrcoef(np.log(noise), -np.log(found.precision))[0, 1] > 0.9
    assert found.spread[7] < 0


@pytest.mark.parametrize("per_rater", [10, 40])
@pytest.mark.parametrize("kinds", [{"own noise": 1}, {"random": 0.3}, {"reversed": 0.1}])
def test_reliability_with_noise_of_raters_own_is_the_squared_correlation_with_the_truth(kinds, per_rater):
    claimed, true = [], []
    for seed in range(15):
        quality, *votes, _ = simulated_votes(seed, kinds, per_rater=per_rater, n_raters=2000 // per_rater)
        ratings = two_way_means(*votes, 200, 2000 // per_rater).ratings
        claimed.append(reliability(ratings.means, ratings.stds, ratings.votes).of_mean)
        true.append(agreement(ratings, quality) ** 2)
    assert np.mean(claimed) == pytest.approx(np.mean(true), abs=0.06 if per_rater == 10 else 0.03)


def test_raters_who_tell_nothing_do_not_raise_the_reliability():
    """Whoever always gives the same vote has no noise, but no information either."""
    claimed, unsaid, true = [], [], []
    for seed in range(15):
        quality, *votes, kind = simulated_votes(seed, {"straight": 0.16})
        ratings = two_way_means(*votes, 200, 50, kind == "straight").ratings
        careless = two_way_means(*votes, 200, 50).ratings
        claimed.append(reliability(ratings.means, ratings.stds, ratings.votes).of_mean)
        unsaid.append(reliability(careless.means, careless.stds, careless.votes).of_mean)
        true.append(agreement(ratings, quality) ** 2)
    assert np.mean(claimed) == pytest.approx(np.mean(true), abs=0.02)
    assert np.mean(unsaid) - np.mean(true) > 0.025


@pytest.mark.parametrize("differ", [True, False])
def test_a_picture_that_only_silent_raters_saw_is_not_rated(differ):
    _, images, raters, votes, kind = simulated_votes(0, {"straight": 0.1})
    if not differ:
        votes = np.where(
            kind[raters] == "straight", votes, np.random.default_rng(0).permutation(np.tile([4.0, 6], 1000))
        )
        votes -= (plain_means(images, votes, 200).means - 5)[images]
    images = np.where((images == 0) & (kind[raters] != "straight"), 1, images)
    images, raters, votes = np.append(images, 0), np.append(raters, 0), np.append(votes, votes[raters == 0][0])
    ratings = two_way_means(images, raters, votes, 200, 50, kind == "straight").ratings
    assert np.isnan([ratings.means[0], ratings.stds[0]]).all()
    assert ratings.votes[0] >= 1
    assert np.isfinite(ratings.means[1:]).all()


@pytest.mark.parametrize("own_noise", [True, None])
@pytest.mark.parametrize("kind", ["the same", "in reverse", "at random", "concentrated", "three votes each"])
def test_crowds_that_tell_little_get_ratings_near_the_scale(kind, own_noise):
    """Most raters may have no noise at all, or no spread, and a rater may be the only one who tells anything."""
    for seed in range(25):
        rng = np.random.default_rng(seed)
        n_images, n_raters = rng.integers(10, 40), rng.integers(2, 20)
        per_rater = 3 if kind == "three votes each" else rng.integers(3, n_images + 1)
        images = np.concatenate([rng.permutation(n_images)[:per_rater] for _ in range(n_raters)])
        raters = np.repeat(np.arange(n_raters), per_rater)
        middle, size = (2, 0.3) if kind in ("concentrated", "three votes each") else (1.5, 1)
        noise = size / 2 * rng.normal(size=images.size)
        votes = np.clip(np.round(middle + size * rng.normal(size=n_images)[images] + noise), 0, 3)
        careless = raters < n_raters * rng.random()
        if kind == "the same":
            votes[careless] = 2
        elif kind == "in reverse":
            votes[careless] = 3 - votes[careless]
        elif kind == "at random":
            votes[careless] = rng.integers(0, 4, careless.sum())
        same = check_raters([TraitVotes(images, raters, votes)], n_images, n_raters).single[0].same
        for silent in (None, same) if not same.all() else (None,):
            found = two_way_means(images, raters, votes, n_images, n_raters, silent, own_noise=own_noise)
            heard = np.unique(images if silent is None else images[~silent[raters]])
            # Levels taken out of few votes can lead a little beyond the scale.
            assert (np.abs(found.ratings.means[heard] - 1.5) < 2.5).all()
            assert np.isfinite(found.spread).all()
            assert (np.abs(found.precision - 10) <= 10 + 1e-9).all()
