"""What is said after a round."""

import numpy as np
import pandas as pd
import pytest

from prescreen.ranking.stopping import Advice, Decision
from prescreen.shortlist.baseline import Baseline
from prescreen.shortlist.next_step import NextStep

NOW = Baseline("now.jpg", {}, {}, {}, None)
RANKED = pd.DataFrame({"image": ["a.jpg", "b.jpg"], "selected": [True, False]})
THREE = Advice(3, 0.4, 0.3, 0.5)


def said(decision, advice=THREE, tested=None):
    return NextStep(decision, RANKED, NOW, advice, tested)


def test_a_picture_is_taken_with_the_chance_that_another_beats_it():
    assert said(Decision("switch", 1, 0.9)).describe() == (
        "Take b.jpg: people have seen it, and it beats now.jpg with a chance of 90 %; "
        "the chance that at least one of the 3 best of the pictures left beats it is 40 %."
    )
    assert said(Decision("switch", 1, 0.9), Advice(0, 0.0, 0.0, 0.0)).describe().endswith("a chance of 90 %.")


@pytest.mark.parametrize(
    ("advice", "others"),
    [
        (THREE, "the 3 best pictures left have 40 % together"),
        (Advice(1, 0.4, 0.3, 0.5), "the best left has 40 %"),
        (Advice(0, 0.0, 0.0, 0.0), "no other picture is left"),
    ],
)
def test_a_picture_that_is_tested_again_is_compared_with_those_that_are_left(advice, others):
    step = said(Decision("test", 1, 0.6, again=True), advice)
    assert step.describe().endswith(f"its scores so far give it a chance of 60 %; {others}.")
    assert step.chance == 0.6


def test_the_best_tested_picture_is_named_beside_those_to_test():
    step = said(Decision("test", 0, 0.3), THREE, ("b.jpg", 0.35))
    assert step.describe() == f"{THREE.describe()} Of the tested pictures b.jpg is the best, with 35 %."
    assert step.chance == 0.4


def test_where_nothing_can_be_told_no_chance_is_said():
    assert said(Decision("unclear", None, np.nan)).chance is None
    assert said(Decision("stay", 0, 0.1)).chance == 0
