"""The current photo and its human scores."""

from types import SimpleNamespace

import numpy as np
import pytest

from prescreen.errors import UsageError
from prescreen.predictor.human_scores import SERVICE_OFFSET
from prescreen.ranking.goals import Goals
from prescreen.ranking.options import RankingOptions
from prescreen.ranking.posterior import HumanScores, Prior, condition
from prescreen.ranking.vote_plan import chance_to_show, plan_votes
from prescreen.ratings.reliability import DEFAULT_ICC
from prescreen.ratings.results import TypedResults
from prescreen.ratings.vote_noise import noise_of_vote, score_to_z
from prescreen.shortlist.baseline import LEAST_ICC, LEAST_NOISE, Baseline, noise_of_one_vote, read_baseline, with_scores
from prescreen.shortlist.comparison import level_of_scores

MEASURED = {"none": 0.0, "little": 0.2, "not": None, "undefined": float("nan"), "all": 1.0}
TRAITS = (*MEASURED, "older")


def predictor(vote_noise=None):
    reliability = {trait: {"icc1": icc} for trait, icc in MEASURED.items()}
    calibration = SimpleNamespace(vote_noise=vote_noise, older_share=None)
    return SimpleNamespace(traits=TRAITS, manifest=SimpleNamespace(reliability=reliability), calibration=calibration)


def typed(**scores):
    return TypedResults.of_one("now.jpg", scores)


def odds(icc):
    return (1 - icc) / icc


def test_where_the_votes_were_not_kept_their_noise_follows_from_their_reliability():
    found = noise_of_one_vote(predictor())
    expected = [LEAST_ICC, 0.2, DEFAULT_ICC, DEFAULT_ICC, 1 - LEAST_ICC, DEFAULT_ICC]
    np.testing.assert_allclose(found, [odds(icc) for icc in expected])


def test_of_the_variance_in_z_only_the_reliable_part_is_the_pictures():
    one = predictor()
    one.manifest.reliability["little"]["of_mean"] = 0.8
    assert noise_of_one_vote(one)[1] == pytest.approx(0.8 * odds(0.2))


def test_an_older_predictor_weighs_votes_as_it_did_so_that_scores_learned_before_count_once():
    one = predictor()
    one.manifest.reliability["little"]["of_mean"] = 0.8
    one.calibration.older_share = 0.3
    assert noise_of_one_vote(one)[1] == pytest.approx(odds(0.2))


def test_where_the_votes_tell_their_noise_is_what_they_had():
    measured = np.array([2.5, 0.0, np.nan, 1.0, 7.0, np.nan])
    found = noise_of_one_vote(predictor(measured))
    np.testing.assert_allclose(found, [2.5, LEAST_NOISE, odds(DEFAULT_ICC), 1.0, 7.0, odds(DEFAULT_ICC)])


def test_votes_without_reliability_move_next_to_nothing_and_break_nothing():
    noise = noise_of_one_vote(predictor())
    prior = Prior(np.zeros((1, 6)), np.eye(1), np.eye(6))
    moved = condition(prior, HumanScores(np.array([0]), np.ones((1, 6)), noise[None] / 20)).mean[0]
    assert moved[0] < 0.2 < moved[1] < moved[4]
    plan = plan_votes(40, 1, with_present=False)
    goals = Goals(("none",))
    chances = [
        chance_to_show(np.array([[1.0], [0.0]]), np.eye(2), noise[[t]], plan, np.zeros(1), ["none"], goals, 0.9)
        for t in (0, 4)
    ]
    assert 0 <= chances[0] < chances[1]


def test_scores_of_a_photo_are_as_sure_as_their_votes_make_them_at_their_level():
    photo = Baseline("now.jpg", dict.fromkeys(TRAITS, 5.0), {}, {}, None)
    few, many = (
        with_scores(photo, typed(little=9.0), RankingOptions(baseline_votes=votes), predictor()) for votes in (20, 80)
    )
    assert few.levels == dict.fromkeys(TRAITS, 5.0) | {"little": pytest.approx(9.0)}
    assert few.low["little"] < many.low["little"] < 9 < many.high["little"] < few.high["little"]
    np.testing.assert_allclose(few.human.variance[0, 1], noise_of_vote(score_to_z(9.0), odds(0.2)) / 20)
    assert np.isnan(few.human.z[0, [0, 2]]).all()


def test_without_a_number_of_votes_20_are_assumed_and_scores_are_never_exact():
    photo = Baseline("now.jpg", {}, {}, {}, None)
    assumed, said = (with_scores(photo, typed(all=7.0), options, predictor()) for options in
                     (RankingOptions(), RankingOptions(baseline_votes=20)))  # fmt: skip
    np.testing.assert_array_equal(assumed.human.variance, said.human.variance)
    assert assumed.human.variance[0, 4] > 0


@pytest.mark.parametrize("same", [False, True])
def test_scores_of_another_service_have_an_offset_in_common(same):
    photo = Baseline("now.jpg", {}, {}, {}, None)
    found = with_scores(photo, typed(all=7.0), RankingOptions(same_raters=same), predictor())
    np.testing.assert_allclose(found.human.offset, 0.0 if same else SERVICE_OFFSET**2)


def read(baseline=None, **options):
    return read_baseline(baseline, RankingOptions(**options), predictor(), None, None)


def test_scores_on_a_trait_that_is_not_predicted_are_refused():
    with pytest.raises(UsageError, match=r"^--baseline-scores: .*'charm'"):
        read("charm=7")


@pytest.mark.parametrize("given", ["baseline", "baseline_scores"])
def test_scores_alone_are_understood_in_either_option_and_in_any_case(given):
    assert read(**{given: "ALL=7,little=6"}).levels == {"all": pytest.approx(7), "little": pytest.approx(6)}


def test_without_a_photo_and_scores_there_is_no_baseline():
    assert read() is None


@pytest.mark.parametrize("options", [{"votes": 100}, {"any_of": True}, {"improve_margin": 0.5}])
def test_without_a_current_photo_options_about_beating_it_are_refused(options):
    with pytest.raises(UsageError, match="is about beating your current photo; give it with --baseline"):
        read(**options)


def test_text_too_long_for_a_path_is_no_file():
    with pytest.raises(UsageError, match="no such picture"):
        read("x" * 5000)


@pytest.mark.parametrize("options", [{"baseline_votes": 40}, {"same_raters": True}])
def test_an_option_that_says_something_of_scores_needs_scores(options):
    with pytest.raises(UsageError, match="give the photo's --baseline-scores"):
        read(**options)


def test_scores_that_are_neither_text_nor_a_file_are_refused():
    with pytest.raises(UsageError, match=r"^--baseline-scores 'gone.csv': no such file"):
        read(baseline_scores="gone.csv")


def test_scores_alone_are_drawn_to_the_persons_pictures_the_more_the_fewer_their_votes_all_traits_together():
    centre, covariance = np.array([0.2, 0.0]), np.array([[0.5, 0.3], [0.3, 0.5]])
    found = []
    for noise in (0.01, 0.5):
        human = HumanScores(np.array([0]), np.array([[1.2, np.nan]]), np.array([[noise, np.nan]]), np.zeros(2))
        level, spread = level_of_scores(human, centre, covariance)
        found.append(level[0])
        assert np.isnan(level[1])
        assert spread[0, 0] < 0.5
        assert 0.5 - 0.3**2 / 0.5 - 1e-9 < spread[1, 1] < 0.5  # what is known of one trait tells of the other
    assert 0.2 < found[1] < found[0] < 1.2
