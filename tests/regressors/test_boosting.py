import numpy as np
from sklearn.base import clone

from prescreen.regressors.boosting import BoostedTrees


def test_learns_and_is_deterministic(problem):
    X, Y, groups, blocks = problem
    model = BoostedTrees(blocks, seed=3).fit(X, Y, groups=groups)
    assert np.corrcoef(model.cv_predictions_[:, 0], Y[:, 0])[0, 1] > 0.3
    np.testing.assert_array_equal(clone(model).fit(X, Y, groups=groups).predict(X), model.predict(X))
    np.testing.assert_array_equal(model.predict(X[40:41]), model.predict(X)[40:41])


def test_left_out_predictions_do_not_know_their_own_ratings(problem):
    X, Y, groups, blocks = problem
    model = BoostedTrees(blocks, n_trees=40).fit(X, Y, groups=groups)
    changed = Y.copy()
    own = groups == groups[30]
    changed[own] = 1000.0
    again = BoostedTrees(blocks, n_trees=40).fit(X, changed, groups=groups)
    np.testing.assert_array_equal(again.cv_predictions_[own], model.cv_predictions_[own])
    assert not np.array_equal(again.cv_predictions_[~own], model.cv_predictions_[~own])


def test_weights_decide_which_of_two_truths_is_learned(problem):
    X, Y, _, blocks = problem
    twice, contradicting = np.vstack([X, X]), np.vstack([Y, -Y])
    first = np.repeat([1.0, 0.0], 90)
    predictions = BoostedTrees(blocks, n_trees=40).fit(twice, contradicting, sample_weight=first).predict(X)
    assert np.corrcoef(predictions[:, 0], Y[:, 0])[0, 1] > 0.5


def test_a_handful_of_rows_is_enough_to_say_the_mean():
    X = np.random.default_rng(0).standard_normal((6, 10)).astype(np.float32)
    Y = np.arange(6.0)[:, None]
    np.testing.assert_allclose(BoostedTrees().fit(X, Y).predict(X), 2.5)
