"""What every regressor keeps to, whatever it computes."""

import json

import numpy as np
import pytest
from tests.regressors.conftest import fitted, predict

from prescreen.errors import RatingsError
from prescreen.regressors.boosting import BoostedTrees
from prescreen.regressors.kernel_ridge import BlockKernelRidge
from prescreen.regressors.multitask_kernel_ridge import SharedKernelRidge

REGRESSORS = {
    "ridge": BlockKernelRidge,
    "shared": SharedKernelRidge,
    "trees": lambda: BoostedTrees(n_trees=20),
}


@pytest.fixture(params=REGRESSORS)
def make(request):
    return REGRESSORS[request.param]


def test_prediction_does_not_depend_on_the_other_rows(make, problem):
    X, Y, _, blocks = problem
    model = fitted(make(), X, Y, blocks=blocks)
    together = predict(model, X)
    np.testing.assert_array_equal(predict(model, X[77:78]), together[77:78])
    np.testing.assert_array_equal(predict(model, X[::-1]), together[::-1])
    assert predict(model, X[:0]).shape == (0, 2)


def test_fitting_again_gives_the_same_and_changes_no_argument(make, problem):
    X, Y, groups, blocks = problem
    weight = np.random.default_rng(0).uniform(0.5, 2, Y.shape)
    given = [part.copy() for part in (X, Y, weight, groups)]
    model = make()
    first = predict(fitted(model, X, Y, weight, groups, blocks), X)
    np.testing.assert_array_equal(predict(fitted(model, X, Y, weight, groups, blocks), X), first)
    for now, before in zip((X, Y, weight, groups), given, strict=True):
        np.testing.assert_array_equal(now, before)


def test_a_single_trait_is_a_column(make, problem):
    X, Y, groups, blocks = problem
    model = fitted(make(), X, Y[:, :1], groups=groups, blocks=blocks)
    assert predict(model, X).shape == model.cv_predictions_.shape == (90, 1)
    assert np.isfinite(model.cv_predictions_).all()


def test_what_is_saved_predicts_the_same(make, problem):
    X, Y, groups, blocks = problem
    model = fitted(make(), X, Y, groups=groups, blocks=blocks)
    arrays, config = model.state()
    parameters, config = json.loads(json.dumps([model.parameters, config]))
    again = type(model).from_state(model.scaler_, parameters, arrays, config)
    np.testing.assert_array_equal(predict(again, X), predict(model, X))
    assert json.dumps(again.parameters) == json.dumps(model.parameters)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda Y: {"Y": Y[:-1]}, "expected"),
        (lambda Y: {"Y": Y[:, 0]}, "expected"),
        (lambda Y: {"Y": Y[:, :0]}, "expected"),
        (lambda Y: {"Y": np.where(Y.min() < Y, Y, np.inf)}, "infinite"),
        (lambda Y: {"sample_weight": np.ones(5)}, "expected"),
        (lambda Y: {"sample_weight": np.full(90, -1.0)}, "not negative"),
        (lambda Y: {"sample_weight": np.full(90, np.nan)}, "finite"),
        (lambda Y: {"groups": np.zeros(5)}, "groups"),
    ],
)
def test_what_does_not_fit_is_refused(make, problem, change, message):
    X, Y, _, blocks = problem
    with pytest.raises(ValueError, match=message):
        fitted(make(), X, **({"Y": Y, "blocks": blocks} | change(Y)))


def test_ratings_of_one_group_are_refused(make, problem):
    X, Y, _, blocks = problem
    Y[:, 1] = np.where(np.arange(90) == 4, 1.0, np.nan)
    with pytest.raises(RatingsError, match=r"trait 2: .*1 group"):
        fitted(make(), X, Y, blocks=blocks)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_are_finite(make, problem, bad):
    X, Y, _, blocks = problem
    X[3, 2] = bad
    with pytest.raises(ValueError, match="finite|infinite|NaN"):
        fitted(make(), X, Y, blocks=blocks)
