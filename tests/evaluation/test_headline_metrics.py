from prescreen.evaluation.headline_metrics import headline
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, TraitEvaluation
from prescreen.evaluation.screening import Screening
from prescreen.evaluation.slices import Coverage


def test_known_figures_are_picked_and_the_others_left_out():
    smart = TraitEvaluation(
        "smart",
        60,
        pearson=Estimate(0.71239, 0.6, 0.8),
        mae=Estimate(0.3, 0.2, 0.4),
        coverage=Coverage(Estimate(0.9, 0.8, 1.0), 1.2),
        screening=Screening(top=12, recall=Estimate(0.5, 0.1, 0.9)),
    )
    assert headline(Evaluation(n=60, traits=(smart,))) == {
        "smart": {"r": 0.7124, "mae": 0.3, "coverage": 0.9, "recall_of_best": 0.5}
    }
