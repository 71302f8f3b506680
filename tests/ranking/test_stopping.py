import numpy as np
import pytest

from prescreen.ranking.error_correlation import ErrorCorrelation
from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Prior
from prescreen.ranking.stopping import agreement, decide, next_round

TRAITS = ("a", "b")
GOALS = Goals(("a",), ("b",))
NONE = np.zeros(4, dtype=bool)
ALL = np.ones(4, dtype=bool)


def prior(means, person=0.0, covariance=None):
    means = np.asarray(means, float)
    far = np.full((len(means), len(means)), 1e3)
    own = np.diag([0.3, 0.3]) if covariance is None else covariance
    return Prior(means, ErrorCorrelation(0.0, 1.0, person).matrix(far), own, person=person)


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


def test_decisions():
    joint = np.array([0.1, 0.9, 0.3, np.nan])
    tested = np.array([False, True, False, False])
    assert decide(joint, tested, ~tested) == decide(joint, tested, ~tested, switch_above=0.9)
    assert decide(joint, tested, ~tested).verdict == "switch"
    assert decide(joint, tested, ~tested).row == 1
    test = decide(joint, tested, ~tested, switch_above=0.95)
    assert (test.verdict, test.row, test.chance) == ("test", 2, 0.3)
    stay = decide(joint, tested, ~tested, switch_above=0.95, stay_below=0.4)
    assert (stay.verdict, stay.row) == ("stay", 2)
    nothing = decide(joint, NONE, NONE)
    assert (nothing.verdict, nothing.row, nothing.chance) == ("stay", None, 0.0)
    with pytest.raises(ValueError, match="level 2"):
        decide(joint, NONE, ALL, stay_below=2)


def test_a_failed_picture_is_not_proposed_again_and_the_next_best_is():
    known = prior([[0, 0], [1.5, 1.5], [1.0, 1.0], [-3, -3]])
    before = next_round(known, None, TRAITS, GOALS, 1, baseline=0)
    assert before.proposal.tolist() == [1]
    assert before.order.tolist() == [1, 2, 3]
    assert np.isnan(before.chance.joint[0])
    after = next_round(known, scores([1], [[-1.0, -1.0]]), TRAITS, GOALS, 1, baseline=0)
    assert after.proposal.tolist() == [2]
    assert after.chance.joint[1] < 0.1 < before.chance.joint[1]
    assert after.hope == pytest.approx(after.chance.joint[2], abs=0.02)


def test_a_picture_that_people_like_better_ends_the_search():
    known = prior([[0, 0], [0.3, 0.3], [0.1, 0.1]])
    told = scores([0, 1], [[0.0, 0.0], [2.0, 2.0]], variance=0.01)
    found = next_round(known, told, TRAITS, GOALS, 2, baseline=0)
    assert (found.decision.verdict, found.decision.row) == ("switch", 1)
    assert len(found.proposal) == 0


def test_staying_is_an_answer():
    known = prior([[2.5, 2.5], [0, 0], [0.1, 0.1]], covariance=0.1 * np.eye(2))
    found = next_round(known, scores([0], [[2.5, 2.5]]), TRAITS, GOALS, 2, baseline=0)
    assert found.decision.verdict == "stay"
    assert len(found.proposal) == 0


def test_unusable_pictures_are_never_proposed():
    known = prior([[0, 0], [1.5, 1.5], [1.0, 1.0]])
    usable = np.array([True, False, True])
    assert next_round(known, None, TRAITS, GOALS, 2, baseline=0, usable=usable).proposal.tolist() == [2]


def test_a_baseline_known_by_its_scores_only():
    known = prior([[1.5, 1.5], [0.5, 0.5]])
    found = next_round(known, None, TRAITS, GOALS, 2, baseline=(np.array([0.0, 0.0]), 0.1 * np.eye(2)))
    assert found.order.tolist() == [0, 1]
    assert found.hope >= found.chance.joint.max() - 0.02
    np.testing.assert_allclose(found.covariance[0], 0.4 * np.eye(2))
