import numpy as np
import pytest

from prescreen.ranking.posterior import HumanScores, Prior
from prescreen.ranking.stopping import agreement, decide

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
