"""The noise of votes from the reliability of the training ratings, whatever that was measured to be."""

from types import SimpleNamespace

import numpy as np
import pytest

from prescreen.ranking.goals import Goals
from prescreen.ranking.posterior import HumanScores, Prior, condition
from prescreen.ranking.vote_plan import chance_to_show, plan_votes
from prescreen.ratings.reliability import DEFAULT_ICC
from prescreen.shortlist.baseline import LEAST_ICC, _shrunk, icc_of_one_vote, noise_of_one_vote

MEASURED = {"none": 0.0, "little": 0.2, "not": None, "undefined": float("nan"), "all": 1.0}


@pytest.fixture
def predictor():
    reliability = {trait: {"icc1": icc} for trait, icc in MEASURED.items()}
    return SimpleNamespace(traits=(*MEASURED, "older"), manifest=SimpleNamespace(reliability=reliability))


def test_a_measured_0_is_not_taken_for_the_usual_reliability(predictor):
    found = [icc_of_one_vote(predictor, trait) for trait in predictor.traits]
    assert found == [LEAST_ICC, 0.2, DEFAULT_ICC, DEFAULT_ICC, 1 - LEAST_ICC, DEFAULT_ICC]


def test_votes_without_reliability_move_next_to_nothing_and_break_nothing(predictor):
    noise = noise_of_one_vote(predictor)
    assert np.isfinite(noise).all()
    assert (noise > 0).all()
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


def test_a_baseline_from_votes_without_reliability_is_in_the_middle(predictor):
    found = _shrunk({"none": 9.0, "all": 9.0}, 20, predictor)
    assert found.levels["none"] < 6 < 8.9 < found.levels["all"]
    assert found.low["none"] < 2 < 8 < found.high["none"]
