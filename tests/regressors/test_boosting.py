import lightgbm
import numpy as np
import pytest
from tests.regressors.conftest import fitted, predict

from prescreen.regressors.boosting import BoostedTrees, check_trees


def test_learns_and_is_deterministic(problem):
    X, Y, groups, blocks = problem
    model = fitted(BoostedTrees(seed=3), X, Y, groups=groups, blocks=blocks)
    assert np.corrcoef(model.cv_predictions_[:, 0], Y[:, 0])[0, 1] > 0.3
    again = fitted(BoostedTrees(seed=3), X, Y, groups=groups, blocks=blocks)
    np.testing.assert_array_equal(predict(again, X), predict(model, X))
    np.testing.assert_array_equal(predict(model, X[40:41]), predict(model, X)[40:41])


def test_left_out_predictions_do_not_know_their_own_ratings(problem):
    X, Y, groups, blocks = problem
    model = fitted(BoostedTrees(n_trees=40), X, Y, groups=groups, blocks=blocks)
    changed = Y.copy()
    own = groups == groups[30]
    changed[own] = 1000.0
    again = fitted(BoostedTrees(n_trees=40), X, changed, groups=groups, blocks=blocks)
    np.testing.assert_array_equal(again.cv_predictions_[own], model.cv_predictions_[own])
    assert not np.array_equal(again.cv_predictions_[~own], model.cv_predictions_[~own])


def test_weights_decide_which_of_two_truths_is_learned(problem):
    X, Y, _, blocks = problem
    twice, contradicting = np.vstack([X, X]), np.vstack([Y, -Y])
    first = np.repeat([1.0, 0.0], 90)
    predictions = predict(fitted(BoostedTrees(n_trees=40), twice, contradicting, sample_weight=first, blocks=blocks), X)
    assert np.corrcoef(predictions[:, 0], Y[:, 0])[0, 1] > 0.5


def test_a_handful_of_rows_is_enough_to_say_the_mean():
    X = np.random.default_rng(0).standard_normal((6, 10)).astype(np.float32)
    Y = np.arange(6.0)[:, None]
    np.testing.assert_allclose(predict(fitted(BoostedTrees(), X, Y), X), 2.5)


def text_of(n_features=5, **parameters):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, n_features))
    settings = {"objective": "regression", "verbosity": -1, "min_data_in_leaf": 10, "num_leaves": 6} | parameters
    trained = lightgbm.train(settings, lightgbm.Dataset(X, X[:, 0] + X[:, -1] ** 2), num_boost_round=4)
    return trained.model_to_string()


TEXT = text_of()


def test_what_lightgbm_writes_is_accepted():
    check_trees(TEXT, 5)
    check_trees(text_of(1), 1)
    check_trees(text_of(min_data_in_leaf=150), 5)  # trees without a split
    check_trees(lightgbm.Booster(model_str=TEXT).model_to_string(), 5)


def test_trees_for_other_features_are_refused():
    with pytest.raises(ValueError, match="for 5 features, expected 6"):
        check_trees(TEXT, 6)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version=v4", "version=v3"),
        ("objective=regression", "objective=binary"),
        ("tree_sizes=", "tree_sizes=1"),
        ("tree_sizes=", "tree_sizes=9 "),
        ("Tree=1", "Tree=7"),
        ("num_leaves=6", "num_leaves=7"),
        ("num_leaves=6", "num_leaves=-6"),
        ("num_leaves=6", "num_leaves=600000000"),
        ("num_cat=0", "num_cat=3"),
        ("split_feature=", "split_feature=9"),
        ("split_feature=", "split_feature=-"),
        ("left_child=", "left_child=1"),
        ("right_child=", "right_child=9 "),
        ("leaf_value=", "leaf_value=x"),
        ("threshold=", "threshold=1e"),
        ("decision_type=2", "decision_type=1"),
        ("is_linear=0", "is_linear=1"),
        ("shrinkage=", "shrinkage=1 "),
        ("end of trees", "end of trees\nmore"),
        ("split_gain=", "gain="),
        ("max_feature_idx=4", "max_feature_idx=99999999"),
    ],
)
def test_what_would_end_the_process_is_refused(old, new):
    assert old in TEXT
    with pytest.raises(ValueError, match="tree"):
        check_trees(TEXT.replace(old, new, 1), 5)


def test_a_text_that_is_cut_or_empty_is_refused():
    for end in range(0, len(TEXT) - 40, 97):
        with pytest.raises(ValueError, match="tree"):
            check_trees(TEXT[:end], 5)
