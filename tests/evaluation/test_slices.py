import numpy as np
import pytest

from prescreen.evaluation.slices import by_slice, terciles


def test_terciles():
    labels = terciles(np.array([5.0, 1, 9, np.nan, 2, 6, 8]))
    assert labels.tolist() == ["middle", "low", "high", "unknown", "low", "middle", "high"]
    assert set(terciles(np.full(5, np.nan))) == {"unknown"}


def test_slices_are_judged_on_their_own():
    truth = np.array([[1.0, 1], [2, np.nan], [3, 3], [1, 1], [2, 2], [3, 3]])
    predictions = truth.copy()
    predictions[3:, 0] = [3.5, 2.5, 1.5]
    table = by_slice(
        truth, np.nan_to_num(predictions), ["a", "b"], np.array(list("xxxyyy")), lower=truth - 1, upper=truth - [0, 0.5]
    ).set_index(["trait", "slice"])
    assert table.loc[("a", "x"), "pearson"] == pytest.approx(1)
    assert table.loc[("a", "y"), "pearson"] == pytest.approx(-1)
    assert table.loc[("a", "y"), "bias"] == pytest.approx(0.5)
    assert table.loc[("a", "y"), "mae"] == pytest.approx((2.5 + 0.5 + 1.5) / 3)
    assert table["coverage"].tolist() == [1, 1, 0, 0]
    assert table.loc[("b", "x"), "n"] == 2
    assert np.isnan(table.loc[("b", "x"), "pearson"])


def test_one_label_a_row():
    with pytest.raises(ValueError, match="labels"):
        by_slice(np.zeros((3, 1)), np.zeros((3, 1)), ["a"], np.array(["x"]))
