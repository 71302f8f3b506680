import numpy as np
import pytest
from tests.regressors.conftest import fitted, predict

from prescreen.regressors.blocks import BlockDesign
from prescreen.regressors.kernel_ridge import BlockKernelRidge


def test_it_is_ridge_regression(problem):
    X, Y, _, blocks = problem
    design = BlockDesign.fit(X, blocks)
    model = BlockKernelRidge(penalties=(0.5,)).fit(design, Y)
    Z = design.features.astype(np.float64)
    centred = Z - Z.mean(0)
    primal = np.linalg.solve(centred.T @ centred + 0.5 * np.eye(24), centred.T @ (Y - Y.mean(0)))
    np.testing.assert_allclose(model.coef_, primal, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(predict(model, X), centred @ primal + Y.mean(0), atol=1e-4)


def test_a_missing_rating_leaves_the_other_traits_alone(problem):
    X, Y, groups, blocks = problem
    whole = fitted(BlockKernelRidge(), X, Y, groups=groups, blocks=blocks)
    gaps = Y.copy()
    gaps[::3, 1] = np.nan
    partial = fitted(BlockKernelRidge(), X, gaps, groups=groups, blocks=blocks)
    np.testing.assert_allclose(predict(partial, X)[:, 0], predict(whole, X)[:, 0], rtol=1e-9)
    np.testing.assert_allclose(partial.cv_predictions_[:, 0], whole.cv_predictions_[:, 0], rtol=1e-9)
    assert np.isnan(partial.cv_predictions_[::3, 1]).all()
    assert np.isfinite(np.delete(partial.cv_predictions_[:, 1], np.s_[::3])).all()


def test_a_missing_rating_is_as_if_the_row_were_not_there(problem):
    X, Y, groups, blocks = problem
    rated = np.arange(90) % 3 > 0
    gaps = np.where(rated[:, None], Y, np.nan)
    design = BlockDesign.fit(X, blocks)
    model = BlockKernelRidge().fit(design, gaps, groups=groups)
    fewer = BlockDesign(design.scaler, X[rated])
    reference = BlockKernelRidge().fit(fewer, Y[rated], groups=groups[rated])
    np.testing.assert_allclose(predict(model, X), predict(reference, X), rtol=1e-5)
    zero = BlockKernelRidge().fit(design, Y, sample_weight=rated * 1.0, groups=groups)
    np.testing.assert_array_equal(predict(zero, X), predict(model, X))


def test_another_kernel_is_refused():
    with pytest.raises(ValueError, match="rbf"):
        BlockKernelRidge(kernel="rbf")
