import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from prescreen.evaluation.curves import CurvePoint, LearningCurve
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.noise_ceiling import VoteNoise
from prescreen.evaluation.report import evaluate
from prescreen.reports.figures import evaluation_figures, training_figures


@pytest.fixture(scope="module")
def evaluation():
    generator = np.random.default_rng(0)
    truth = 5 + generator.standard_normal((80, 2))
    predictions = truth + 0.7 * generator.standard_normal((80, 2))
    found = evaluate(
        truth,
        predictions,
        ["a", "b"],
        naive=np.full(2, 5.0),
        lower=predictions - 1,
        upper=predictions + 1,
        noise={"a": VoteNoise(np.full(80, 2.0), np.full(80, 20.0))},
        labels=pd.DataFrame({"age": np.repeat(["young", "old"], 40)}),
    )
    return replace(found, simulated=True)


def point(pictures, votes, value):
    figure = Estimate(value, value - 0.1)
    return CurvePoint(pictures, votes, figure, traits={"a": figure, "b": figure})


def drawn(axis):
    """Return the points of the first series with error bars."""
    return axis.containers[0].lines[0]


def test_figures_show_the_values_of_the_evaluation(evaluation):
    figures = evaluation_figures(evaluation)
    assert set(figures) == {"accuracy_and_ceiling.png", "screening.png", "coverage_in_slices.png"}
    accuracy, votes = figures["accuracy_and_ceiling.png"].axes
    traits = evaluation.traits
    assert list(drawn(accuracy).get_xdata()) == [trait.pearson.value for trait in traits]
    assert drawn(votes).get_xdata()[0] == traits[0].ceiling.votes.value
    assert np.isnan(drawn(votes).get_xdata()[1])
    low = accuracy.containers[0].lines[2][0].get_segments()[0][0][0]
    assert low == pytest.approx(traits[0].pearson.low)
    gain, recall = figures["screening.png"].axes
    assert list(drawn(gain).get_xdata()) == [trait.screening.top_gain.value for trait in traits]
    assert list(drawn(recall).get_xdata()) == [trait.screening.recall.value for trait in traits]
    (coverage,) = figures["coverage_in_slices.png"].axes
    labels = [label.get_text() for label in coverage.get_yticklabels()]
    assert {"age: young (n = 40)", "age: old (n = 40)"} <= set(labels)
    assert np.all(np.diff(drawn(coverage).get_xdata()) >= 0)
    for figure in figures.values():
        assert "simulated" in figure.get_suptitle()
        figure.canvas.draw()


def test_the_learning_curve_is_drawn_if_there_is_one(evaluation):
    pictures, votes = (point(50, None, 0.5), point(100, None, 0.6)), (point(100, 5, 0.4), point(100, None, 0.6))
    measured = replace(evaluation, learning_curve=LearningCurve(pictures, votes))
    figure = evaluation_figures(measured)["learning_curve.png"]
    by_pictures, by_votes = figure.axes
    assert list(drawn(by_pictures).get_ydata()) == [0.5, 0.6]
    assert [label.get_text() for label in by_votes.get_xticklabels()] == ["5", "all"]
    only = evaluation_figures(replace(evaluation, learning_curve=LearningCurve(pictures)))["learning_curve.png"]
    assert len(only.axes) == 1
    figure.canvas.draw()


def test_without_intervals_there_is_no_coverage_to_draw():
    values = np.arange(20.0)[:, None]
    plain = evaluate(values, values, ["a"], naive=np.zeros(1))
    assert set(evaluation_figures(plain)) == {"accuracy_and_ceiling.png", "screening.png"}


@pytest.mark.parametrize("name", [r"$\nosuch$", "paid $5 or $6"])
def test_names_are_no_formulas(evaluation, name):
    traits = (replace(evaluation.traits[0], trait=name), evaluation.traits[1])
    slices = tuple(replace(part, characteristic=name, label=name) for part in evaluation.slices)
    point_ = CurvePoint(50, None, Estimate(0.5), traits={name: Estimate(0.5)})
    curve = LearningCurve((point_, replace(point_, pictures=100)))
    named = replace(evaluation, traits=traits, slices=slices, learning_curve=curve)
    values = np.arange(20.0)[:, None] ** [1, 2]
    figures = evaluation_figures(named) | training_figures(values, values, [name, "b"], simulated=False)
    assert len(figures) == 6
    for figure in figures.values():
        figure.savefig(io.BytesIO())
        assert not any(text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text())
