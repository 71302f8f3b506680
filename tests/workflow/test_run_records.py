import numpy as np
import pytest

from prescreen.workflow.run_records import candidate_runs, fold_runs


def test_folds_are_measured_on_their_own_rows():
    truth = np.array([[1.0, np.nan], [2, np.nan], [3, 5], [4, 1], [5, 2], [6, 9]])
    predictions = np.array([[1.0, 0], [2, 0], [3, 0], [6, 1], [5, 2], [4, 9]])
    first, second = fold_runs(truth, predictions, np.array([0, 0, 0, 1, 1, 1]), [("a", "b"), ("c", "d")], ("x", "y"))
    assert first.parameters == {"fold": "0", "regressor/x": "a", "regressor/y": "b"}
    assert first.metrics == pytest.approx(
        {"all_traits/pictures": 3, "x/pearson": 1, "x/rmse": 0, "y/rmse": 5, "mean/pearson": 1}
    )
    assert second.metrics["x/pearson"] == pytest.approx(-1)
    assert second.metrics["x/rmse"] == pytest.approx((8 / 3) ** 0.5)
    assert second.metrics["mean/pearson"] == pytest.approx(0)
    assert [first.tags, second.name] == [{"prescreen.kind": "fold"}, "fold 02 of 2"]


def test_candidates_have_errors_in_the_unit_of_the_ratings_and_their_share():
    errors = {"ridge": np.array([0.25, 4.0]), "trees": np.array([1.0, 1.0]), "stack": np.array([0.16, 1.0])}
    runs = candidate_runs(errors, {"ridge": np.array([0.75, 1.0])}, ("x", "y"))
    by_name = {run.parameters["regressor"]: run.metrics for run in runs}
    assert by_name["ridge"] == {"x/inner_rmse": 0.5, "y/inner_rmse": 2.0, "x/share": 0.75, "y/share": 1.0}
    assert by_name["trees"]["x/share"] == 0
    assert by_name["stack"] == pytest.approx({"x/inner_rmse": 0.4, "y/inner_rmse": 1.0})
