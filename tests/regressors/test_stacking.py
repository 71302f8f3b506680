import io
import json
from functools import partial

import numpy as np
import pytest
from tests.regressors.conftest import predict

from prescreen.errors import PredictorError, RatingsError
from prescreen.regressors.blocks import BlockDesign
from prescreen.regressors.boosting import BoostedTrees
from prescreen.regressors.kernel_ridge import BlockKernelRidge
from prescreen.regressors.stacking import (
    BASE,
    STACK,
    TraitRegressors,
    candidates,
    cross_validate,
    fit_final,
    steps_of_fold,
)


def through_files(state):
    arrays, config = state
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    with np.load(file, allow_pickle=False) as loaded:
        return dict(loaded), json.loads(json.dumps(config, allow_nan=False))


@pytest.fixture(scope="module")
def noisy():
    generator = np.random.default_rng(2)
    X = generator.standard_normal((80, 20)).astype(np.float32)
    Y = np.column_stack([X[:, 0] + X[:, 1], X[:, 2] * X[:, 3], X[:, 4]]) + 0.5 * generator.standard_normal((80, 3))
    Y[::4, 2] = np.nan
    return X, Y, np.arange(80) // 2, {"a": slice(0, 10), "b": slice(10, 20)}


def all_candidates_used(noisy):
    """A model in which each trait uses another candidate, and so all parts have to be kept."""
    X, Y, groups, blocks = noisy
    model = fit_final(X, Y, groups, blocks)
    design = BlockDesign(model.scaler, X)
    fits = {name: candidate.fit(design, Y, groups=groups) for name, candidate in candidates(0, trees=True).items()}
    return TraitRegressors(model.scaler, fits, np.eye(len(fits)), tuple(fits), model.inner_errors)


def test_state_of_all_traits_keeps_predictions_bit_for_bit(noisy):
    X = noisy[0]
    model = all_candidates_used(noisy)
    again = TraitRegressors.from_state(*through_files(model.to_state()))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.choices == model.choices
    assert {name: errors.tolist() for name, errors in again.inner_errors.items()} == {
        name: errors.tolist() for name, errors in model.inner_errors.items()
    }


def test_training_rows_are_kept_once_in_half_precision(noisy):
    X = noisy[0]
    arrays, _ = all_candidates_used(noisy).to_state()
    of_that_size = [array for array in arrays.values() if array.shape == X.shape]
    assert [array.dtype for array in of_that_size] == [np.float16]


def test_damaged_state_is_refused(noisy):
    arrays, config = all_candidates_used(noisy).to_state()
    for missing in arrays:
        with pytest.raises(PredictorError, match="train"):
            TraitRegressors.from_state({name: array for name, array in arrays.items() if name != missing}, config)
    with pytest.raises(PredictorError, match="train"):
        TraitRegressors.from_state(arrays, config | {"regressors": [{"name": "x", "kind": "os.system"}]})


def test_prediction_is_the_mean_by_shares(noisy):
    X, Y, groups, blocks = noisy
    model = fit_final(X, Y, groups, blocks)
    design = BlockDesign(model.scaler, X)
    fits = {name: candidate.fit(design, Y, groups=groups) for name, candidate in candidates(0).items()}
    parts = zip(model.regressors, model.weights, strict=True)
    expected = sum(share * predict(fits[name], X) for name, share in parts)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-9)
    np.testing.assert_allclose(model.weights.sum(axis=0), 1)
    assert (model.weights >= 0).all()
    for choice, shares in zip(model.choices, model.weights.T, strict=True):
        if choice == STACK:
            assert (shares > 0).sum() > 1
        else:
            assert shares[list(model.regressors).index(choice)] == 1


def test_stack_is_no_worse_than_its_parts_on_what_it_was_weighed_by(noisy):
    X, Y, groups, blocks = noisy
    errors = fit_final(X, Y[:, :1], groups, blocks).inner_errors
    assert errors[STACK] <= 1.01 * min(values for name, values in errors.items() if name != STACK)


def test_inner_errors_are_those_of_left_out_groups(noisy):
    X, Y, groups, blocks = noisy
    model = fit_final(X, Y, groups, blocks, trees=True)
    design = BlockDesign(model.scaler, X)
    ridge = BlockKernelRidge().fit(design, Y, groups=groups)
    trees = BoostedTrees(seed=0).fit(design, Y, groups=groups)
    for name, regressor in (("ridge", ridge), ("lightgbm", trees)):
        expected = np.nanmean((regressor.cv_predictions_ - Y) ** 2, axis=0)
        np.testing.assert_allclose(model.inner_errors[name], expected, rtol=1e-9)


def test_scale_of_the_weights_does_not_matter(noisy):
    X, Y, groups, blocks = noisy
    weight = np.random.default_rng(0).uniform(0.5, 2, size=Y.shape)
    one, many = (fit_final(X, Y, groups, blocks, sample_weight=factor * weight) for factor in (1, 40))
    assert one.choices == many.choices
    np.testing.assert_allclose(one.predict(X), many.predict(X), rtol=1e-6)


def test_auxiliary_ratings_help_the_stack_and_survive_saving():
    generator = np.random.default_rng(4)
    X = generator.standard_normal((170, 60)).astype(np.float32)
    signal = np.sin(X[:, :1] + X[:, 1:2]) + X[:, :1]
    Y = signal + generator.standard_normal((170, 9))
    Y[:40, 5] = np.nan
    Y[2:, 8] = np.nan  # rated too rarely to help; not an error
    train, test = np.arange(170) < 120, np.arange(170) >= 120
    helped = fit_final(X[train], Y[train, :1], None, None, auxiliary=Y[train, 1:])
    alone = fit_final(X[train], Y[train, :1], None, None)
    errors = [((model.predict(X[test]) - signal[test]) ** 2).mean() for model in (helped, alone)]
    assert errors[0] < 0.95 * errors[1]
    again = TraitRegressors.from_state(*through_files(helped.to_state()))
    np.testing.assert_array_equal(again.predict(X), helped.predict(X))


def test_auxiliary_ratings_of_the_test_fold_are_not_seen():
    """The target itself as an auxiliary trait helps nobody, where features say nothing."""
    generator = np.random.default_rng(5)
    X, Y = generator.standard_normal((150, 30)).astype(np.float32), generator.standard_normal((150, 2))
    predictions = cross_validate(X, Y, None, None, auxiliary=Y, n_splits=5).predictions
    assert all(abs(np.corrcoef(predictions[:, k], Y[:, k])[0, 1]) < 0.25 for k in range(2))


def test_test_fold_is_never_used(noisy):
    X, Y, groups, blocks = noisy
    auxiliary = Y[:, :2] + Y[:, 1:2]
    reference = cross_validate(X, Y, groups, blocks, auxiliary=auxiliary, n_splits=4, seed=1)
    fold = reference.folds == 2
    ratings, pictures = Y.copy(), X.copy()
    ratings[fold], auxiliary[fold] = 1e3, -1e3
    changed = cross_validate(pictures, ratings, groups, blocks, auxiliary=auxiliary, n_splits=4, seed=1)
    np.testing.assert_array_equal(changed.predictions[fold], reference.predictions[fold])
    np.testing.assert_array_equal(changed.naive[fold], reference.naive[fold])
    assert not np.allclose(changed.predictions[~fold], reference.predictions[~fold])
    others = np.flatnonzero(fold)[1:]
    pictures[others] *= 50
    changed = cross_validate(pictures, Y, groups, blocks, auxiliary=auxiliary, n_splits=4, seed=1)
    first = np.flatnonzero(fold)[0]
    np.testing.assert_array_equal(changed.predictions[first], reference.predictions[first])


def test_cross_validation_says_what_it_did(noisy):
    X, Y, groups, blocks = noisy
    result = cross_validate(X, Y, groups, blocks, n_splits=3)
    assert result.n_splits == 3
    assert result.predictions.shape == Y.shape
    assert np.isfinite(result.predictions).all()
    assert {choice for fold in result.choices for choice in fold} <= {*candidates(0), STACK}
    for group in np.unique(groups):
        assert len(np.unique(result.folds[groups == group])) == 1
    train = result.folds != 0
    np.testing.assert_allclose(result.naive[~train][0], np.nanmean(Y[train], axis=0))


@pytest.mark.parametrize("stack", [{}, {"trees": True}, {"hold_rows": False}])
def test_threads_change_no_prediction_and_report_all_steps(noisy, stack):
    X, Y, groups, blocks = noisy
    found = []
    for threads in (1, 3):
        steps = []
        step = partial(steps.append, None)
        found.append(cross_validate(X, Y, groups, blocks, n_splits=5, threads=threads, step=step, **stack))
        assert len(steps) == 5 * steps_of_fold(**stack)
    np.testing.assert_array_equal(found[0].predictions, found[1].predictions)
    np.testing.assert_array_equal(found[0].folds, found[1].folds)
    assert found[0].choices == found[1].choices


def test_too_few_groups_are_refused(noisy):
    X, Y, _, blocks = noisy
    with pytest.raises(RatingsError, match=r"2 group.*at least 3"):
        cross_validate(X, Y, np.arange(80) // 40, blocks)
    with pytest.raises(RatingsError, match=r"1 group.*at least 2"):
        fit_final(X, Y, np.zeros(80), blocks)


def test_without_rows_nothing_of_a_single_row_is_kept():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(37, 50)).astype(np.float32)
    Y = X[:, :2] ** 2 + rng.normal(size=(37, 2))
    blocks = {"a": slice(0, 20), "b": slice(20, 50)}
    assert fit_final(X, Y, None, blocks).rows_held == 37
    model = fit_final(X, Y, None, blocks, hold_rows=False)
    arrays, _ = model.to_state()
    assert model.rows_held == 0
    assert not [name for name, array in arrays.items() if 37 in array.shape]
    assert set(model.inner_errors) == {"ridge", "lightgbm", STACK}
    outer = cross_validate(X, Y, None, blocks, n_splits=3, hold_rows=False)
    assert all(set(errors) == {"ridge", "lightgbm", STACK} for errors in outer.inner_errors)


@pytest.fixture(scope="module")
def told():
    """A trait of many features, 40 rated rows, and what others say: the trait itself in part, two others, noise."""
    generator = np.random.default_rng(6)
    X = generator.standard_normal((440, 60)).astype(np.float32)
    truth = X @ generator.standard_normal(60) / np.sqrt(60)
    others = X @ generator.standard_normal((60, 3)) / np.sqrt(60) + 0.3 * generator.standard_normal((440, 3))
    prior = np.column_stack([0.7 * truth + others[:, 0], others])
    Y = (truth + 0.3 * generator.standard_normal(440))[:, None]
    return X, Y, prior, slice(0, 40), slice(40, None)


def fit_and_test(told, prior, blocks=None):
    X, Y, _, train, test = told
    model = fit_final(X[train], Y[train], None, None, prior=prior[train], prior_blocks=blocks)
    return model, np.corrcoef(model.predict(X[test], prior[test])[:, 0], Y[test, 0])[0, 1]


def test_what_others_say_helps_where_ratings_are_few(told):
    (_, alone), (model, with_base) = fit_and_test(told, told[2][:, :0]), fit_and_test(told, told[2])
    assert model.weights[list(model.regressors).index(BASE), 0] > 0.3
    assert with_base > alone + 0.15


@pytest.mark.parametrize("seed", range(4))
def test_what_is_said_of_other_rows_does_no_harm(told, seed):
    order = np.random.default_rng(seed).permutation(len(told[2]))
    assert fit_and_test(told, told[2][order])[1] > fit_and_test(told, told[2][:, :0])[1] - 0.03


def test_state_with_a_prior_keeps_predictions_bit_for_bit(told):
    X, _, prior, _, _ = told
    model, _ = fit_and_test(told, prior, {"0": slice(0, 1), "1": slice(1, 4)})
    again = TraitRegressors.from_state(*through_files(model.to_state()))
    assert again.needs_prior
    np.testing.assert_array_equal(again.predict(X, prior), model.predict(X, prior))
    np.testing.assert_array_equal(again.predict(X[3:5], prior[3:5]), model.predict(X, prior)[3:5])
    with pytest.raises(ValueError, match="predictions of their bases"):
        again.predict(X)


def test_cross_validation_gives_a_test_fold_its_own_prior(told):
    X, Y, prior, train, _ = told
    given = X[train], Y[train], None, None
    found = cross_validate(*given, prior=prior[train], n_splits=5)
    moved = prior[train].copy()
    moved[found.folds == 0] += 1.0
    again = cross_validate(*given, prior=moved, n_splits=5)
    inside = found.folds == 0
    splits = fit_final(X[train][~inside], Y[train][~inside], None, None, prior=prior[train][~inside])
    np.testing.assert_allclose(again.predictions[inside], splits.predict(X[train][inside], moved[inside]))
    assert (again.predictions[inside] != found.predictions[inside]).all()
