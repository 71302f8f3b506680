import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from prescreen.regressors.blocks import SMALL, BlockDesign, BlockScaler, blas_threads, product, squared_distances

BLOCKS = {"large": slice(0, 30), "small": slice(30, 33)}


@pytest.fixture
def features():
    return (np.random.default_rng(0).standard_normal((50, 33)) * np.arange(1, 34) + 5).astype(np.float32)


def test_distance_is_the_mean_over_blocks_of_the_mean_squared_difference(features):
    design = BlockDesign.fit(features, BLOCKS)
    z = np.clip((features - features.mean(0)) / features.std(0), -3, 3)
    expected = np.mean(
        [((z[:, None, block] - z[None, :, block]) ** 2).mean(axis=2) for block in BLOCKS.values()], axis=0
    )
    np.testing.assert_allclose(design.distances, expected, rtol=2e-3, atol=2e-3)
    assert (np.diag(design.distances) == 0).all()
    np.testing.assert_allclose(squared_distances(design.features, design.features), expected, rtol=2e-3, atol=2e-3)


def test_gram_is_the_inner_product_of_the_weighed_rows(features):
    design = BlockDesign.fit(features, BLOCKS)
    np.testing.assert_allclose(design.gram, design.features @ design.features.T, atol=1e-5)
    assert np.trace(design.gram) / len(design) == pytest.approx(1, abs=0.01)


def test_constant_features_and_outliers_stay_harmless(features):
    features[:, 3] = 7.0
    scaler = BlockScaler.fit(features, BLOCKS)
    odd = features[:1].copy()
    odd[0, 3], odd[0, 4] = 1e6, 1e6
    standardised = scaler.standardise(odd)
    assert standardised[0, 3] == 0
    assert standardised[0, 4] == 3


@pytest.mark.parametrize(
    "blocks",
    [
        {"a": slice(0, 20)},
        {"a": slice(0, 20), "b": slice(19, 33)},
        {"a": slice(0, 20), "b": slice(21, 33)},
        {"a": slice(0, 33, 2)},
        {"a": slice(0, 33), "empty": slice(33, 33)},
    ],
)
def test_blocks_that_do_not_tile_the_features_are_refused(features, blocks):
    with pytest.raises(ValueError, match="expected"):
        BlockScaler.fit(features, blocks)


def test_features_that_are_not_finite_or_of_another_width_are_refused(features):
    scaler = BlockScaler.fit(features, BLOCKS)
    with pytest.raises(ValueError, match=r"expected \(n, 33\)"):
        scaler.transform(features[:, :5])
    features[7, 2] = np.nan
    with pytest.raises(ValueError, match="row 7"):
        scaler.transform(features)


@pytest.mark.parametrize("width", [24, 5000])
def test_products_of_equal_rows_are_equal_wherever_they_stand(width):
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=shape).astype(np.float32) for shape in ((64, width), (width, 91)))
    order = rng.permutation(64)
    found = product(left, right)
    np.testing.assert_allclose(found, left.astype(float) @ right, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(product(left[order], right), found[order])
    repeated = product(np.repeat(left[:1], 64, axis=0), right)
    np.testing.assert_array_equal(repeated, np.repeat(found[:1], 64, axis=0))


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_small_problems_use_one_thread_and_the_setting_returns():
    np.eye(2) @ np.eye(2)
    with threadpool_limits(2, "blas"):
        assert set(threads()) == {2}
        with blas_threads(100):
            assert set(threads()) == {1}
        assert set(threads()) == {2}
        with blas_threads(SMALL + 1):
            assert set(threads()) == {2}


def test_one_blas_thread_lasts_as_long_as_somebody_needs_it():
    def limits():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(limits=2, user_api="blas"):
        first, second = blas_threads(10), blas_threads(10)
        first.__enter__()
        second.__enter__()  # as another thread would
        first.__exit__(None, None, None)
        assert limits() == {1}
        second.__exit__(None, None, None)
        assert limits() == {2}
