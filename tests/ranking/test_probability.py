import time

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from prescreen.errors import UsageError
from prescreen.ranking.goals import Goals
from prescreen.ranking.probability import p_better
from prescreen.ratings.vote_noise import score_to_z, z_to_score

ABC = ("a", "b", "c")
ALL = Goals(ABC)
COVARIANCE = np.array([[0.5, 0.2, 0.1], [0.2, 0.4, 0.25], [0.1, 0.25, 0.6]])


def chance(candidates, baseline=(0, 0, 0), covariance=COVARIANCE, goals=ALL, traits=ABC):
    """Both pictures err independently, with one covariance each."""
    baseline = np.array(baseline, dtype=float)
    return p_better(np.atleast_2d(candidates) - baseline, 2 * np.asarray(covariance), baseline, traits, goals)


def random_covariance(rng, t, ridge=0.1):
    root = rng.normal(size=(t, t))
    return root @ root.T / t + ridge * np.eye(t)


@pytest.mark.parametrize("t", [2, 3, 4, 6])
def test_joint_chance_agrees_with_scipy(t):
    rng = np.random.default_rng(t)
    traits = tuple("abcdef"[:t])
    for _ in range(6):
        covariance = random_covariance(rng, t)
        candidates = rng.normal(size=(10, t)) * 0.7 + 0.3
        ours = p_better(candidates, 2 * covariance, np.zeros(t), traits, Goals(traits)).joint
        theirs = [
            multivariate_normal.cdf(row, np.zeros(t), 2 * covariance, abseps=1e-5, rng=np.random.default_rng(0))
            for row in candidates
        ]
        np.testing.assert_allclose(ours, theirs, atol=0.003)


def test_joint_chance_agrees_with_drawn_differences():
    rng = np.random.default_rng(0)
    errors = rng.multivariate_normal(np.zeros(3), COVARIANCE, size=(2, 200_000))
    candidate, baseline = np.array([0.6, 0.1, 0.4]), np.array([0.2, 0.3, 0.1])
    won = ((candidate + errors[0]) > (baseline + errors[1])).all(axis=1).mean()
    assert chance(candidate, baseline).joint[0] == pytest.approx(won, abs=0.005)


def test_each_trait_alone_is_the_normal_distribution_of_distance_over_deviation():
    candidates = np.array([[0.5, -0.2, 0.0], [1.0, 1.0, -2.0]])
    expected = norm.cdf(candidates / np.sqrt(2 * np.diag(COVARIANCE)))
    np.testing.assert_allclose(chance(candidates).per_trait, expected, rtol=1e-12)


def test_one_goal_is_exact_and_other_traits_do_not_matter():
    result = chance([[0.7, -3.0, -3.0]], goals=Goals(("a",)))
    assert result.joint[0] == result.per_trait[0, 0] == pytest.approx(norm.cdf(0.7), rel=1e-12)


def test_a_candidate_like_the_baseline_beats_it_half_the_time():
    assert chance([[0.3]], [0.3], np.eye(1), Goals(("a",)), ("a",)).joint[0] == 0.5


def test_independent_traits_multiply():
    result = chance([[0.5, -0.2, 0.9]], covariance=np.diag([0.5, 1.0, 2.0]))
    assert result.joint[0] == pytest.approx(result.per_trait[0].prod(), abs=0.001)


@pytest.mark.parametrize("scales", [[1.0, 1.0, 1.0], [0.5, 1.0, 2.0]])
def test_perfectly_correlated_traits_win_or_lose_together(scales):
    result = chance([[0.5, 0.1, 0.9]], covariance=np.outer(scales, scales))
    assert result.joint[0] == pytest.approx(result.per_trait[0].min(), abs=0.003)


def test_perfectly_opposed_traits_leave_the_overlap():
    covariance = np.array([[1.0, -1.0], [-1.0, 1.0]])
    result = chance([[0.5, 0.4]], [0, 0], covariance, Goals(("a", "b")), ("a", "b"))
    assert result.joint[0] == pytest.approx(result.per_trait[0].sum() - 1, abs=0.003)


def test_a_trait_that_repeats_another_changes_nothing():
    two = chance([[0.5, 0.2]], [0, 0], COVARIANCE[:2, :2], Goals(("a", "b")), ("a", "b"))
    repeated = COVARIANCE[np.ix_([0, 0, 1], [0, 0, 1])]
    three = chance([[0.5, 0.5, 0.2]], covariance=repeated)
    assert three.joint[0] == pytest.approx(two.joint[0], abs=0.003)


def test_three_equal_and_independent_coins():
    assert chance([[0, 0, 0]], covariance=np.eye(3)).joint[0] == pytest.approx(1 / 8, abs=1e-3)


def test_a_better_prediction_never_lowers_the_chance():
    steps = np.linspace(-4, 4, 161)
    for t in range(3):
        candidates = np.full((len(steps), 3), 0.2)
        candidates[:, t] = steps
        assert (np.diff(chance(candidates).joint) > 0).all()


def test_hopeless_candidates_keep_their_order_and_size():
    candidates = np.linspace(-6, -5, 50)[:, None] * np.ones(3)
    joint = chance(candidates, covariance=np.eye(3) / 2).joint
    assert (np.diff(joint) > 0).all()
    np.testing.assert_allclose(joint, norm.cdf(candidates[:, 0]) ** 3, rtol=0.1)


def test_without_any_error_the_chance_is_zero_or_one():
    candidates = [[0.1, 0.1, 0.1], [0.1, 0.0, 0.1], [0.1, 0.1, 0.0]]
    result = chance(candidates, covariance=np.zeros((3, 3)), goals=Goals(("a", "b"), ("c",)))
    assert result.joint.tolist() == [1.0, 0.0, 1.0]


def test_margins_are_score_points_at_the_baseline():
    baseline = score_to_z([6.0, 6.0, 6.0])
    goals = Goals(("a",), ("b",), improve_margin=1.0, keep_margin=0.5)
    result = chance(score_to_z([[7.0, 5.5, 6.0]]), baseline, goals=goals)
    np.testing.assert_allclose(result.per_trait, [[0.5, 0.5, 0.5]], atol=1e-12)


def test_a_margin_beyond_the_scale_cannot_be_met_and_a_full_allowance_cannot_be_missed():
    baseline = score_to_z([9.5, 9.5, 9.5])
    goals = Goals(("a",), ("b",), improve_margin=0.5, keep_margin=9.5)
    result = chance([[3.0, -9.0, 0.0]], baseline, goals=goals)
    assert result.per_trait[0, :2].tolist() == [0.0, 1.0]
    assert result.joint[0] == 0


def test_keeping_with_a_wider_margin_is_easier_and_improving_by_more_is_harder():
    baseline = score_to_z([6.0, 6.0, 6.0])
    joints = [
        chance(baseline + 0.2, baseline, goals=Goals(("a", "b"), ("c",), improve_margin=up, keep_margin=down)).joint[0]
        for up, down in [(1.0, 0.0), (0.0, 0.0), (0.0, 1.0)]
    ]
    assert joints[0] < joints[1] < joints[2]


def test_a_missing_prediction_is_nan_and_spoils_no_other():
    result = chance([[0.1, np.nan, 0.1], [0.1, 0.1, 0.1]])
    assert np.isnan(result.joint[0])
    assert result.joint[1] == chance([[0.1, 0.1, 0.1]]).joint[0]


def test_an_unknown_baseline_is_fine_for_a_trait_without_a_goal():
    result = chance([[0.5, 0.5, 0.5]], [0, np.nan, 0], goals=Goals(("a",), ("c",)))
    assert np.isnan(result.per_trait[0, 1])
    assert 0 < result.joint[0] < 1
    with pytest.raises(ValueError, match="baseline"):
        chance([[0.5, 0.5, 0.5]], [0, np.nan, 0])


def test_the_chance_does_not_depend_on_the_company():
    candidates = np.random.default_rng(0).normal(size=(500, 3))
    assert chance(candidates).joint[123] == chance(candidates[123]).joint[0]


def test_many_candidates_take_seconds():
    candidates = np.random.default_rng(0).normal(size=(20_000, 3))
    start = time.process_time()
    chance(candidates)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"covariance": np.eye(2)}, "covariance"),
        ({"baseline": [0, np.nan, 0]}, "baseline"),
    ],
)
def test_input_that_does_not_fit_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        chance([[0.1, 0.1, 0.1]], **options)


def test_an_unknown_goal_is_refused():
    with pytest.raises(UsageError, match="'d'"):
        chance([[0.1, 0.1, 0.1]], goals=Goals(("d",)))


def test_scores_and_z_are_inverse_and_the_ends_are_finite():
    scores = np.array([0.5, 5.0, 8.8, 9.9])
    np.testing.assert_allclose(z_to_score(score_to_z(scores)), scores)
    np.testing.assert_allclose(score_to_z([5.0, 8.413447]), [0.0, 1.0], atol=1e-6)
    assert np.isfinite(score_to_z([0.0, 10.0])).all()


def test_a_covariance_for_each_candidate_is_that_candidate_by_itself():
    rng = np.random.default_rng(5)
    difference = rng.normal(size=(6, 3)) * 0.7
    each = np.stack([random_covariance(rng, 3) for _ in range(6)])
    together = p_better(difference, each, np.zeros(3), ABC, ALL)
    for i in range(6):
        alone = p_better(difference[i : i + 1], each[i], np.zeros(3), ABC, ALL)
        assert together.joint[i] == pytest.approx(alone.joint[0], abs=1e-12)
        np.testing.assert_allclose(together.per_trait[i], alone.per_trait[0])


def test_candidates_known_exactly_stand_beside_uncertain_ones():
    each = np.stack([np.zeros((2, 2)), np.diag([1.0, 0.0]), np.eye(2)])
    found = p_better(np.full((3, 2), 0.5), each, np.zeros(2), ("a", "b"), Goals(("a", "b")))
    np.testing.assert_allclose(found.joint, [1.0, norm.cdf(0.5), norm.cdf(0.5) ** 2], atol=1e-3)


def test_any_of_agrees_with_drawn_differences():
    rng = np.random.default_rng(6)
    goals = Goals(("a", "b"), ("c",), any_of=True)
    each = np.stack([random_covariance(rng, 3) for _ in range(8)])
    difference = rng.normal(size=(8, 3)) * 0.7
    found = p_better(difference, each, np.zeros(3), ABC, goals).joint
    for i in range(8):
        drawn = rng.multivariate_normal(difference[i], each[i], size=100_000)
        met = ((drawn[:, 0] > 0) | (drawn[:, 1] > 0)) & (drawn[:, 2] >= 0)
        assert found[i] == pytest.approx(met.mean(), abs=0.01)


def test_any_of_is_at_least_each_by_itself_and_equals_all_of_for_one_trait():
    difference = np.random.default_rng(7).normal(size=(20, 3))
    either = p_better(difference, COVARIANCE, np.zeros(3), ABC, Goals(("a", "b"), ("c",), any_of=True)).joint
    for name in "ab":
        single = p_better(difference, COVARIANCE, np.zeros(3), ABC, Goals((name,), ("c",))).joint
        assert (either >= single - 0.003).all()
        alone = p_better(difference, COVARIANCE, np.zeros(3), ABC, Goals((name,), ("c",), any_of=True)).joint
        np.testing.assert_allclose(alone, single)
