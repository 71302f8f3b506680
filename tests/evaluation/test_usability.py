import json
from dataclasses import replace

import numpy as np
import pytest

from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.noise_ceiling import NoiseCeiling
from prescreen.evaluation.report import Evaluation, Overall, TraitEvaluation, evaluate
from prescreen.evaluation.slices import Coverage
from prescreen.evaluation.usability import FEWEST_PICTURES, REMEDY, Usability, usability, verdict

GOOD = Estimate(0.6, 0.4, 0.75)


def reason(n=60, pearson=GOOD, width=2.0, n_groups=None, scale_width=4.0):
    trait = TraitEvaluation("warm", n, pearson=pearson, coverage=Coverage(width=width))
    return usability(Evaluation(n, n_groups or n, traits=(trait,), scale_width=scale_width)).reasons["warm"]


def test_a_good_trait_of_few_pictures_can_be_used():
    assert reason(FEWEST_PICTURES, Estimate(0.5, 0.1, 0.75)) == ""


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"n": 12, "pearson": Estimate(0.8, 0.5, 0.9)}, "r 0.80 [0.50, 0.90] on 12 pictures, too few to tell"),
        ({"pearson": Estimate()}, "do not vary"),
        ({"pearson": Estimate(-0.1, -0.3, 0.1)}, "r -0.10 [-0.30, 0.10] on 60 pictures, not above 0"),
        ({"pearson": Estimate(0.1, -0.15, 0.35)}, "r 0.10 [-0.15, 0.35] on 60 pictures, which may be chance"),
        ({"width": 4.0}, "as wide as the scale"),
    ],
)
def test_the_reason_is_said(figures, why):
    assert why in reason(**figures)


def test_what_is_not_known_of_the_intervals_refuses_nothing():
    assert reason(width=None) == reason(scale_width=None, width=9.0) == ""


def test_an_older_evaluation_without_intervals_of_r_has_those_of_its_pictures():
    assert reason(60, Estimate(0.2)) == ""
    assert "chance" in reason(40, Estimate(0.2))


def test_pictures_of_few_persons_say_as_much_as_persons():
    assert reason(60, Estimate(0.3)) == ""
    assert "chance" in reason(60, Estimate(0.3), n_groups=6)


def test_predictions_of_shuffled_ratings_cannot_be_used_and_those_of_the_ratings_can():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(40, 2))
    predictions = truth + rng.normal(size=truth.shape)
    predictions[:, 1] = rng.permutation(predictions[:, 1])
    found = usability(evaluate(truth, predictions, ["warm", "smart"], naive=np.zeros(2)))
    assert list(found.unusable) == ["smart"]
    assert found.usable


def test_a_predictor_can_be_used_if_any_of_its_traits_can_or_nothing_is_known():
    assert Usability({}).usable
    assert Usability({"warm": "", "smart": "why"}).usable
    assert not Usability({"warm": "why", "smart": "why"}).usable


def test_only_traits_that_are_asked_for_are_described():
    found = Usability({"warm": "", "smart": "a", "dull": "b", "tall": "c", "loud": "d"})
    assert found.describe(["warm"]) == ""
    assert found.describe(["warm", "dull"]) == "not usable for dull: b"
    assert found.describe() == "not usable for smart: a; dull: b; tall: c; and 1 more"


def test_the_width_of_the_scale_is_kept_and_may_be_missing():
    evaluation = Evaluation(3, 3, scale_width=4.0)
    content = json.loads(json.dumps(evaluation.to_json()))
    assert Evaluation.from_json(content) == evaluation
    del content["scale_width"]
    assert Evaluation.from_json(content) == replace(evaluation, scale_width=None)


def judged(**votes):
    """Say the verdict on traits with these equivalent numbers of votes; None for a trait that cannot be used."""
    traits = tuple(
        TraitEvaluation(
            name, 60, GOOD if worth is not None else Estimate(-0.1), ceiling=NoiseCeiling(votes=Estimate(worth))
        )
        for name, worth in votes.items()
    )
    return verdict(Evaluation(60, 60, traits=traits))


def test_the_verdict_says_what_predictions_are_worth_and_where_they_are_weak():
    assert judged(warm=16.2, smart=20, dull=9) == "Usable: a prediction is worth about 16 votes a picture."
    weak = judged(warm=16.2, smart=7.04, dull=20)
    assert weak == "Usable: a prediction is worth about 16 votes a picture; weak: smart (7.0)."


def test_the_verdict_averages_what_can_be_used_only():
    r = {"warm": Estimate(0.87, 0.8, 0.9), "smart": Estimate(-0.87), "dull": Estimate(0.17, -0.2, 0.5)}
    bad = NoiseCeiling(votes=Estimate(0.1))
    traits = tuple(TraitEvaluation(name, 60, found) for name, found in r.items())
    assert verdict(Evaluation(60, 60, Overall(3, Estimate(0.06)), traits)).startswith("Usable: mean r 0.87 on")
    good = replace(traits[0], ceiling=NoiseCeiling(votes=Estimate(12.0)))
    rest = [replace(trait, ceiling=bad) for trait in traits[1:]]
    told = verdict(Evaluation(60, 60, Overall(3, votes=Estimate(0.1)), (good, *rest)))
    assert told.startswith("Usable: a prediction is worth about 12 votes a picture. Not usable for smart: r -0.87")


def test_the_verdict_names_what_cannot_be_used():
    assert judged(warm=16.2, smart=None).endswith(
        "votes a picture. Not usable for smart: r -0.10 on 60 pictures, not above 0."
    )
    nothing = judged(smart=None)
    assert nothing.startswith("Not usable for smart: r -0.10")
    assert nothing.endswith(f"{REMEDY}.")


def test_the_verdict_without_votes_is_r_and_simulated_votes_are_said():
    plain = Evaluation(60, 60, Overall(1, GOOD), (TraitEvaluation("warm", 60, GOOD),))
    assert verdict(plain) == "Usable: mean r 0.60 on pictures that it had not seen."
    assert verdict(replace(plain, simulated=True)).startswith("Usable (simulated votes): mean r")
