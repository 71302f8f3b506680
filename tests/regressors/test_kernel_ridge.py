import numpy as np
import pytest
from sklearn.base import clone

from prescreen.errors import RatingsError
from prescreen.regressors.blocks import BlockDesign
from prescreen.regressors.kernel_ridge import BlockKernelRidge


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_predicts_what_it_was_shown(problem, kernel):
    X, Y, _, blocks = problem
    predictions = BlockKernelRidge(blocks, kernel=kernel, penalties=(1e-6,)).fit(X, Y).predict(X)
    if kernel == "rbf":
        np.testing.assert_allclose(predictions, Y, atol=0.01)
    else:
        assert np.corrcoef(predictions[:, 0], Y[:, 0])[0, 1] > 0.95


def test_linear_kernel_is_ridge_regression(problem):
    X, Y, _, blocks = problem
    design = BlockDesign.fit(X, blocks)
    model = BlockKernelRidge(blocks, kernel="linear", penalties=(0.5,)).fit_design(design, Y)
    Z = design.features.astype(np.float64)
    centred = Z - Z.mean(0)
    primal = np.linalg.solve(centred.T @ centred + 0.5 * np.eye(24), centred.T @ (Y - Y.mean(0)))
    np.testing.assert_allclose(model.coef_, primal, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(model.predict(X), centred @ primal + Y.mean(0), atol=1e-4)


def test_a_missing_rating_leaves_the_other_traits_alone(problem):
    X, Y, groups, blocks = problem
    whole = BlockKernelRidge(blocks).fit(X, Y, groups=groups)
    gaps = Y.copy()
    gaps[::3, 1] = np.nan
    partial = BlockKernelRidge(blocks).fit(X, gaps, groups=groups)
    np.testing.assert_allclose(partial.predict(X)[:, 0], whole.predict(X)[:, 0], rtol=1e-9)
    np.testing.assert_allclose(partial.cv_predictions_[:, 0], whole.cv_predictions_[:, 0], rtol=1e-9)
    assert np.isnan(partial.cv_predictions_[::3, 1]).all()
    assert np.isfinite(np.delete(partial.cv_predictions_[:, 1], np.s_[::3])).all()


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_a_missing_rating_is_as_if_the_row_were_not_there(problem, kernel):
    X, Y, groups, blocks = problem
    rated = np.arange(90) % 3 > 0
    gaps = np.where(rated[:, None], Y, np.nan)
    design = BlockDesign.fit(X, blocks)
    model = BlockKernelRidge(blocks, kernel=kernel).fit_design(design, gaps, groups=groups)
    fewer = BlockDesign(design.scaler, X[rated])
    reference = BlockKernelRidge(blocks, kernel=kernel).fit_design(fewer, Y[rated], groups=groups[rated])
    np.testing.assert_allclose(model.predict(X), reference.predict(X), rtol=1e-5)
    zero = BlockKernelRidge(blocks, kernel=kernel).fit_design(design, Y, sample_weight=rated * 1.0, groups=groups)
    np.testing.assert_array_equal(zero.predict(X), model.predict(X))


def test_prediction_does_not_depend_on_the_other_rows(problem):
    X, Y, _, blocks = problem
    model = BlockKernelRidge(blocks).fit(X, Y)
    together = model.predict(X)
    np.testing.assert_array_equal(model.predict(X[77:78]), together[77:78])
    np.testing.assert_array_equal(model.predict(X[::-1]), together[::-1])
    assert model.predict(X[:0]).shape == (0, 2)


def test_follows_scikit_learn(problem):
    X, Y, _, blocks = problem
    model = BlockKernelRidge(blocks, kernel="linear", penalties=(2.0,))
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    np.testing.assert_array_equal(copy.fit(X, Y).predict(X), model.fit(X, Y).predict(X))
    assert model.score(X, Y) > 0.2


def test_what_does_not_fit_is_refused(problem):
    X, Y, _, blocks = problem
    with pytest.raises(RatingsError, match=r"trait 2: .*1 group"):
        BlockKernelRidge(blocks).fit(X, np.column_stack([Y[:, 0], np.where(np.arange(90) == 4, 1.0, np.nan)]))
    with pytest.raises(ValueError, match="expected"):
        BlockKernelRidge(blocks).fit(X, Y[:-1])
    with pytest.raises(ValueError, match="expected"):
        BlockKernelRidge(blocks).fit(X, Y, sample_weight=np.ones(5))
    with pytest.raises(ValueError, match="not negative"):
        BlockKernelRidge(blocks).fit(X, Y, sample_weight=np.full(90, -1.0))
    with pytest.raises(ValueError, match="cubic"):
        BlockKernelRidge(blocks, kernel="cubic").fit(X, Y)
