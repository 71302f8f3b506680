"""The regressors keep scikit-learn's rules for estimators."""

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from prescreen.regressors.boosting import BoostedTrees
from prescreen.regressors.kernel_ridge import BlockKernelRidge
from prescreen.regressors.multitask_kernel_ridge import SharedKernelRidge

ON_PURPOSE = {
    "check_sample_weight_equivalence_on_dense_data": "standardisation counts each picture once, whatever its votes",
    "check_supervised_y_no_nan": "NaN means not rated; a trait without any rating is a RatingsError",
}


@parametrize_with_checks(
    [BlockKernelRidge(kernel="linear"), BlockKernelRidge(), SharedKernelRidge(), BoostedTrees()],
    expected_failed_checks=lambda estimator: ON_PURPOSE,
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_one_column_comes_back_as_it_went_in_and_equals_the_same_in_two_dimensions():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 8))
    y = X[:, 0] - X[:, 1]
    flat = make_pipeline(StandardScaler(), BlockKernelRidge()).fit(X, y)
    assert flat.predict(X).shape == (60,)
    assert flat.score(X, y) > 0.9
    column = make_pipeline(StandardScaler(), BlockKernelRidge()).fit(X, y[:, None])
    np.testing.assert_array_equal(column.predict(X)[:, 0], flat.predict(X))
