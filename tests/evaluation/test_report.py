import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from prescreen.evaluation.curves import CurvePoint, LearningCurve
from prescreen.evaluation.headline_metrics import FIGURES, OVERALL_FIGURES, flat_metrics
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.noise_ceiling import VoteNoise
from prescreen.evaluation.report import Evaluation, evaluate


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    truth = 50 + 10 * generator.standard_normal((90, 2))
    truth[:30, 1] = np.nan
    predictions = 50 + 0.7 * (np.nan_to_num(truth, nan=50) - 50) + 4 * generator.standard_normal((90, 2))
    return truth, predictions


def judge(data, **options):
    truth, predictions = data
    return evaluate(truth, predictions, ["competence", "influence"], naive=np.array([50.0, 51.0]), **options)


def test_each_trait_on_its_rated_pictures(data):
    truth, predictions = data
    result = judge(data)
    assert (result.n, result.n_groups) == (90, 90)
    competence, influence = result.traits
    assert (competence.n, influence.n) == (90, 60)
    assert influence.pearson.value == pytest.approx(np.corrcoef(truth[30:, 1], predictions[30:, 1])[0, 1])
    assert influence.naive.mae.value == pytest.approx(np.abs(truth[30:, 1] - 51).mean())
    assert influence.naive.r2.value < 0
    assert influence.mae.value < influence.naive.mae.value
    assert influence.coverage is influence.ceiling is influence.within_person is None


def test_everything_that_was_asked_for(data):
    truth, predictions = data
    options = {
        "lower": predictions - 9,
        "upper": predictions + 9,
        "noise": {"competence": VoteNoise(np.full(90, 20.0), np.full(90, 30.0))},
        "groups": np.arange(90) // 10,
        "persons": np.arange(90) // 5,
        "labels": pd.DataFrame({"age": np.repeat(["low", "high"], 45)}),
    }
    result = judge(data, **options)
    competence, influence = result.traits
    assert result.n_groups == 9
    assert competence.coverage.share.value == pytest.approx((np.abs(truth - predictions)[:, 0] <= 9).mean())
    assert competence.coverage.width == pytest.approx(18)
    within = 20**2 / 30
    total = truth[:, 0].var(ddof=1)
    assert competence.ceiling.reliability == pytest.approx((total - within) / total)
    assert influence.ceiling is None
    assert competence.within_person.n_persons == 18
    assert competence.within_person.highest_r is not None
    assert competence.screening.attainable_recall is not None
    assert influence.screening.attainable_recall is None

    flat = flat_metrics(result)
    assert flat["competence/pearson"] == competence.pearson.value
    assert flat["competence/coverage_share"] == competence.coverage.share.value
    assert flat["competence/ceiling_votes"] == competence.ceiling.votes.value
    assert flat["all_traits/coverage_share"] == result.overall.coverage.share.value
    assert "influence/ceiling_votes" not in flat
    assert len(flat) <= 2 * len(FIGURES) + len(OVERALL_FIGURES) + 1 <= 12
    old = (np.abs(truth - predictions)[45:] <= 9)[np.isfinite(truth[45:])].mean()
    (part,) = [
        part
        for part in result.to_json()["slices"]
        if (part["characteristic"], part["label"], part["trait"]) == ("age", "high", None)
    ]
    assert part["coverage"]["share"]["value"] == pytest.approx(old)
    assert all(isinstance(value, float) and np.isfinite(value) for value in flat.values())

    plain = result.to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["traits"]["competence"]["pearson"]["value"] == competence.pearson.value
    assert plain["overall"]["r_share"]["value"] == competence.ceiling.r_share.value
    assert {part["characteristic"] for part in plain["slices"]} == {"prediction", "age"}


def test_overall_figures_are_means_over_the_traits(data):
    truth, predictions = data
    result = judge(data, lower=predictions - 9, upper=predictions + 9)
    for name in ("pearson", "spearman", "r2", "mae"):
        figure = getattr(result.overall, name)
        assert figure.value == pytest.approx(np.mean([getattr(trait, name).value for trait in result.traits]))
        assert figure.low < figure.value < figure.high
    rated = np.isfinite(truth)
    assert result.overall.coverage.share.value == pytest.approx((np.abs(truth - predictions)[rated] <= 9).mean())
    assert result.overall.votes.value is None
    assert result.overall.n_traits == 2


def test_persons_are_resampled_as_wholes_where_no_groups_are_given(data):
    persons = np.array([*(np.arange(80) // 4), *[None] * 10], dtype=object)
    assert judge(data, persons=persons).n_groups == 20 + 10


def test_the_seed_decides_and_nothing_else(data):
    assert judge(data, seed=3).to_json() == judge(data, seed=3).to_json()
    assert judge(data, seed=3).to_json() != judge(data, seed=4).to_json()


def test_intervals_of_a_group_are_wider_than_those_of_as_many_single_pictures():
    generator = np.random.default_rng(1)
    truth = np.repeat(generator.standard_normal((30, 1)), 4, axis=0)
    predictions = truth + np.repeat(generator.standard_normal((30, 1)), 4, axis=0)
    widths = []
    for groups in (np.repeat(np.arange(30), 4), None):
        figure = evaluate(truth, predictions, ["a"], naive=np.zeros(1), groups=groups).traits[0].pearson
        widths.append(figure.high - figure.low)
    assert widths[0] > 1.5 * widths[1]


def test_undefined_figures_are_none_and_not_nan():
    truth = np.column_stack([np.full(12, 3.0), np.full(12, np.nan)])
    result = evaluate(truth, np.ones((12, 2)), ["flat", "unrated"], naive=np.zeros(2))
    assert result.traits[0].pearson.value is None
    assert result.traits[1].n == 0
    json.dumps(result.to_json(), allow_nan=False)
    assert "flat/pearson" not in flat_metrics(result)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_of_fewer_than_five_pictures_no_figure_has_an_interval(n):
    values = np.arange(float(n))[:, None]
    trait = evaluate(values, values[::-1] + 0.1 * values**2, ["a"], naive=np.zeros(1)).traits[0]
    assert (trait.pearson.value is None) == (n == 2)  # a correlation of two pairs is 1 or -1 whatever they are
    for figure in (trait.pearson, trait.spearman, trait.mae, trait.r2, trait.screening.recall):
        assert (figure.low, figure.high) == (None, None)
    assert trait.mae.value > 0


def test_two_persons_say_nothing_of_how_certain_the_order_within_persons_is():
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((40, 1))
    persons = np.array([None] * 36 + ["p", "p", "q", "q"], dtype=object)
    trait = evaluate(truth, truth + generator.standard_normal((40, 1)), ["a"], naive=np.zeros(1), persons=persons)
    within = trait.traits[0].within_person
    assert trait.traits[0].pearson.low is not None
    assert (within.n_persons, within.n_pictures) == (2, 4)
    assert within.pearson.low is within.pearson.high is within.pairs_in_order.low is None


def test_what_is_written_is_read_back(data):
    truth, predictions = data
    options = {"lower": predictions - 9, "upper": predictions + 9, "persons": np.arange(90) // 5}
    noise = {"competence": VoteNoise(np.full(90, 20.0), np.full(90, 30.0))}
    point = CurvePoint(48, 5, Estimate(0.5, 0.4), traits={"competence": Estimate(0.6)})
    curve = LearningCurve((replace(point, votes=None),), (point,))
    whole = replace(judge(data, noise=noise, **options), simulated=True, learning_curve=curve)
    for evaluation in (whole, judge(data), Evaluation()):
        text = json.dumps(evaluation.to_json(), allow_nan=False)
        assert Evaluation.from_json(json.loads(text)) == evaluation
        assert json.dumps(Evaluation.from_json(json.loads(text)).to_json()) == text


def test_an_evaluation_of_another_version_is_read_as_far_as_it_goes():
    told = {"traits": {"a": {"n": 12, "pearson": 0.5, "r2": None, "ceiling": {"votes": {"value": 3}}, "new": [1]}}}
    (trait,) = Evaluation.from_json(told).traits
    assert (trait.trait, trait.n, trait.pearson, trait.r2) == ("a", 12, Estimate(0.5), Estimate())
    assert (trait.limits.votes.value, trait.limits.highest_r, trait.within.pearson.value) == (3, None, None)


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"traits": []},
        {"traits": {"a": {}}},
        {"traits": {"a": {"n": "12"}}},
        {"traits": {"a": {"n": 12, "pearson": {"value": "0.5"}}}},
        {"traits": {"a": {"n": 12, "pearson": True}}},
        {"n": float("nan")},
        {"slices": {}},
        {"learning_curve": {"by_pictures": [{"votes": 3}]}},
    ],
)
def test_what_is_no_evaluation_is_refused(content):
    with pytest.raises((TypeError, AttributeError)):
        Evaluation.from_json(content)


def test_columns_must_match_the_traits(data):
    truth, predictions = data
    with pytest.raises(ValueError, match="predictions"):
        evaluate(truth, predictions[:, :1], ["competence", "influence"], naive=np.zeros(2))
