import numpy as np
import pytest

from prescreen.ranking.posterior import HumanScores, Prior
from prescreen.ranking.stopping import Advice, Decision, agreement, decide

TRAITS = ("a", "b")
NONE = np.zeros(4, dtype=bool)
ALL = np.ones(4, dtype=bool)


def prior(means):
    return Prior(np.asarray(means, float), np.eye(len(means)), np.diag([0.3, 0.3]))


def scores(rows, z, variance=0.05):
    z = np.asarray(z, float)
    return HumanScores(np.array(rows), z, np.full(z.shape, variance))


def test_agreement_gives_correlation_offset_and_share_inside():
    told = scores([0, 1, 2], [[0.5, 0.0], [1.5, np.nan], [2.5, 3.0]])
    first, second = agreement(prior([[0, 0], [1, 0], [2, 0]]), told, TRAITS)
    assert (first.trait, first.pictures, first.pearson, first.offset) == ("a", 3, pytest.approx(1), pytest.approx(0.5))
    assert first.inside == 1
    assert (second.pictures, second.pearson, second.offset) == (2, None, pytest.approx(1.5))
    assert second.inside == 0.5


def test_agreement_without_scores_of_a_trait_says_nothing_about_it():
    _, second = agreement(prior([[0, 0], [1, 1]]), scores([0], [[1.0, np.nan]]), TRAITS)
    assert (second.pictures, second.pearson, second.offset, second.inside) == (0, None, None, None)


def advice(chance, pictures=1):
    return Advice(pictures, chance, chance, chance)


JOINT = np.array([0.1, 0.9, 0.3, np.nan])
TESTED = np.array([False, True, False, False])


def test_a_tested_picture_that_is_likely_better_is_taken():
    assert decide(JOINT, TESTED, ~TESTED, advice(0.4)) == Decision("switch", 1, 0.9)


def test_pictures_worth_their_votes_are_tested_next():
    assert decide(np.where(TESTED, 0.5, JOINT), TESTED, ~TESTED, advice(0.6)) == Decision("test", 2, 0.3)


def test_a_tested_picture_more_likely_than_all_that_are_left_gets_more_votes_first():
    assert decide(np.where(TESTED, 0.79, JOINT), TESTED, ~TESTED, Advice(3, 0.4, 0.1, 0.6)) == Decision(
        "test", 1, 0.79, again=True
    )


def test_where_no_picture_left_is_worth_its_votes_a_promising_tested_one_gets_more():
    found = decide(np.where(TESTED, 0.5, JOINT), TESTED, ~TESTED, advice(0.1))
    assert found == Decision("test", 1, 0.5, again=True)
    assert decide(np.where(TESTED, 0.5, JOINT), TESTED, NONE, advice(0.0, 0)) == found


def test_the_current_photo_stays_where_neither_tested_pictures_nor_others_are_likely_better():
    assert decide(np.where(TESTED, 0.1, JOINT), TESTED, ~TESTED, advice(0.1)) == Decision("stay", 2, 0.3)
    assert decide(JOINT, NONE, NONE, advice(0.0, 0)) == Decision("stay", None, 0.0)


def test_what_is_not_known_well_enough_is_tested_rather_than_given_up():
    unclear = Advice(2, 0.15, 0.01, 0.6)
    assert unclear.verdict == "unclear"
    assert decide(JOINT, NONE, ALL, unclear).verdict == "test"


def test_without_a_current_photo_advice_says_that_nothing_was_compared():
    assert Advice(3, np.nan, np.nan, np.nan).verdict == "ranked"
    assert "no current photo was given" in Advice(3, np.nan, np.nan, np.nan).describe()
    assert Advice(0, np.nan, np.nan, np.nan).describe() == "No picture is left to test."


@pytest.mark.parametrize(
    "advice",
    [Advice(3, 0.9, 0.8, 0.95, "not usable for a: r"), Advice(0, np.nan, np.nan, np.nan, "not usable for a: r")],
)
def test_a_predictor_that_cannot_be_used_advises_nothing(advice):
    assert advice.verdict == "unclear"
    text = advice.describe()
    assert text.startswith("The predictor is not usable for a: r. ")
    assert not any(word in text for word in ("%", "Test", "Keep", "chance"))


def test_with_a_predictor_that_cannot_be_used_only_what_people_said_decides():
    unusable = Advice(3, 0.4, 0.3, 0.5, "not usable for a: r")
    assert decide(JOINT, TESTED, ~TESTED, unusable).verdict == "switch"
    for joint in (np.where(TESTED, 0.5, JOINT), np.where(TESTED, 0.01, JOINT)):
        assert decide(joint, TESTED, ~TESTED, unusable) == Decision("unclear", None, np.nan)
    assert decide(JOINT, NONE, NONE, unusable) == Decision("unclear", None, np.nan)
