import numpy as np
import pandas as pd
import pytest

from prescreen.evaluation.slices import evaluate_slices, label_slices, lowest_coverage, terciles


def test_terciles():
    labels = terciles(np.array([5.0, 1, 9, np.nan, 2, 6, 8]))
    assert labels.tolist() == ["middle", "low", "high", None, "low", "middle", "high"]
    assert set(terciles(np.full(5, np.nan))) == {None}


def test_gender_by_halves_ethnicity_by_the_highest_and_the_rest_by_thirds():
    attributes = pd.DataFrame(
        {
            "happy": [1.0, 2, 3, 4, 5, np.nan],
            "age": [60.0, 50, 40, 30, 20, 10],
            "asian": [90.0, 5, 5, 5, 5, 5],
            "white": [5.0, 80, 80, 80, np.nan, 80],
            "gender": [10.0, 49.9, 50, 90, np.nan, 10],
        }
    )
    labels = label_slices(attributes, middle=50)
    assert list(labels.columns) == ["gender", "age", "ethnicity", "happy"]
    assert labels["gender"].tolist() == ["lower half", "lower half", "upper half", "upper half", None, "lower half"]
    assert labels["ethnicity"].tolist() == ["asian", "white", "white", "white", None, "white"]
    assert labels["age"].tolist() == ["high", "high", "middle", "middle", "low", "low"]
    assert labels["happy"].tolist() == ["low", "low", "middle", "high", "high", None]
    alone = label_slices(attributes[["white"]], middle=50)
    assert alone["white"].tolist()[0] == "low"


def test_slices_are_judged_on_their_own():
    truth = np.array([[1.0, 1], [2, np.nan], [3, 3], [1, 1], [2, 2], [3, 3]])
    predictions = np.nan_to_num(truth)
    predictions[3:, 0] = [3.5, 2.5, 1.5]
    labels = pd.DataFrame({"kind": list("xxxyyy")})
    slices = evaluate_slices(truth, predictions, ["a", "b"], labels, lower=truth - 1, upper=truth - [0, 0.5])
    found = {(part.label, part.trait): part for part in slices if part.characteristic == "kind"}
    assert list(found) == [("x", None), ("x", "a"), ("x", "b"), ("y", None), ("y", "a"), ("y", "b")]
    assert found["x", "a"].pearson == pytest.approx(1)
    assert found["y", "a"].pearson == pytest.approx(-1)
    assert found["y", "a"].bias == pytest.approx(0.5)
    assert found["y", "a"].mae == pytest.approx((2.5 + 0.5 + 1.5) / 3)
    assert found["x", "b"].n == 2
    assert found["x", "b"].pearson is None
    assert found["x", None].n == 3
    assert found["x", None].pearson is None
    assert found["x", None].coverage.share.value == pytest.approx(3 / 5)
    assert found["x", None].coverage.width == pytest.approx((3 * 1 + 2 * 0.5) / 5)
    assert [found["x", trait].coverage.share.value for trait in "ab"] == [1, 0]


def test_a_trait_is_sliced_by_its_prediction_and_not_by_its_own_rating():
    generator = np.random.default_rng(0)
    predictions = generator.standard_normal((3000, 2))
    truth = predictions + generator.standard_normal((3000, 2))
    labels = label_slices(pd.DataFrame(truth, columns=["a", "b"]), middle=0)
    half = 1.645
    slices = evaluate_slices(truth, predictions, ["a", "b"], labels, lower=predictions - half, upper=predictions + half)
    assert not [part for part in slices if part.characteristic == part.trait]
    assert {part.n for part in slices if part.characteristic == "prediction" and part.trait} == {1000}
    for part in slices:
        assert part.coverage.share.value == pytest.approx(0.9, abs=0.03)
        assert part.bias == pytest.approx(0, abs=0.1)


def test_the_lowest_coverage_is_found_where_it_was_planted():
    generator = np.random.default_rng(1)
    labels = pd.DataFrame({"kind": np.repeat(["good", "bad", "tiny"], [300, 100, 20])})
    truth = generator.standard_normal((420, 2)) * np.repeat([1, 2, 9], [300, 100, 20])[:, None]
    zero = np.zeros((420, 2))
    zero += generator.standard_normal((420, 2)) * 1e-9
    slices = evaluate_slices(truth, zero, ["a", "b"], labels, lower=zero - 1.645, upper=zero + 1.645)
    lowest = lowest_coverage(slices)
    assert (lowest.characteristic, lowest.label) == ("kind", "bad")
    assert lowest.coverage.share.value == pytest.approx(0.59, abs=0.1)
    assert lowest.coverage.share.high < 0.8
    together = lowest_coverage(slices, together=True)
    assert (together.trait, together.label) == (None, "bad")
    assert lowest_coverage(slices, at_least=20).label == "tiny"
    assert lowest_coverage(slices, at_least=1000) is None
    assert lowest_coverage(evaluate_slices(truth, zero, ["a", "b"], labels)) is None


def test_one_label_a_row():
    with pytest.raises(ValueError, match="labels"):
        evaluate_slices(np.zeros((3, 1)), np.zeros((3, 1)), ["a"], pd.DataFrame({"kind": ["x"]}))
