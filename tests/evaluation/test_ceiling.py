import math

import numpy as np
import pytest

from prescreen.evaluation.ceiling import ceiling, spearman_brown, true_score_correlation, worth_in_votes
from prescreen.evaluation.metrics import Estimate


def test_spearman_brown():
    assert spearman_brown(0.3, 1) == pytest.approx(0.3)
    assert spearman_brown(0.2, 4) == pytest.approx(0.5)
    assert spearman_brown(-0.1, 10) == 0
    assert spearman_brown(1, 5) == 1


@pytest.mark.parametrize("votes", [1, 3.5, 40])
@pytest.mark.parametrize("icc1", [0.05, 0.3, 0.8])
def test_a_mean_of_votes_is_worth_its_votes(icc1, votes):
    assert worth_in_votes(math.sqrt(spearman_brown(icc1, votes)), icc1) == pytest.approx(votes)


def test_simulated_panel_is_worth_its_votes():
    generator = np.random.default_rng(0)
    true = generator.standard_normal(20000)
    panels = [true[:, None] + 2 * generator.standard_normal((20000, n)) for n in (30, 6)]
    ratings, predictor = (panel.mean(axis=1) for panel in panels)
    icc1 = 1 / 5
    r = np.corrcoef(ratings, predictor)[0, 1]
    corrected = true_score_correlation(r, spearman_brown(icc1, 30))
    assert corrected == pytest.approx(np.corrcoef(true, predictor)[0, 1], abs=0.01)
    assert worth_in_votes(corrected, icc1) == pytest.approx(6, rel=0.06)


def test_where_no_number_of_votes_can_be_named():
    assert worth_in_votes(1.0, 0.3) is None
    assert worth_in_votes(0.5, 0.0) is None
    assert worth_in_votes(None, 0.3) is None
    assert worth_in_votes(-0.2, 0.3) == 0
    assert true_score_correlation(0.5, 0) is None
    assert true_score_correlation(0.9, 0.5) == 1


def test_ceiling_of_a_trait():
    result = ceiling(Estimate(0.72, 0.6, 0.95), Estimate(0.5), icc1=0.3, reliability=0.81)
    assert result.highest_r == pytest.approx(0.9)
    assert result.true_score_r == Estimate(pytest.approx(0.8), pytest.approx(2 / 3), 1)
    assert result.r_share == pytest.approx(0.8)
    assert result.r2_share == pytest.approx(0.5 / 0.81)
    assert result.votes.value == pytest.approx(0.64 * 0.7 / (0.3 * 0.36))
    assert result.votes.low < result.votes.value
    assert result.votes.high is None


@pytest.mark.parametrize("reliability", [0.0, -0.2, float("nan")])
def test_ratings_without_reliability_have_no_ceiling(reliability):
    result = ceiling(Estimate(0.5, 0.4, 0.6), Estimate(0.2), icc1=reliability, reliability=reliability)
    assert result.true_score_r.value is None
    assert result.r_share is None
    assert result.votes.value is None
