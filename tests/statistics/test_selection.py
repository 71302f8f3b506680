"""Planted effects are found; effects that are not there are not."""

import numpy as np
import pytest
from tests.regressors.conftest import fitted, predict

from prescreen.regressors.kernel_ridge import BlockKernelRidge
from prescreen.regressors.stacking import cross_validate, fit_final


def correlation(a, b):
    return np.corrcoef(a, b)[0, 1]


def explained(predictions, truth):
    return 1 - ((predictions - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


def test_planted_linear_effect_is_recovered():
    generator = np.random.default_rng(0)
    X = generator.standard_normal((300, 40)).astype(np.float32)
    signal = X[:, :4].sum(1)
    Y = (signal + generator.standard_normal(300))[:, None]  # 80 % of the variance can be explained
    result = cross_validate(X, Y, None, None, n_splits=5)
    assert 0.7 < explained(result.predictions[:, 0], Y[:, 0]) < 0.82
    for errors in result.inner_errors:
        assert min(errors["ridge"][0], errors["stack"][0]) == min(values[0] for values in errors.values())


def test_planted_curved_effect_needs_and_gets_a_curved_regressor():
    generator = np.random.default_rng(0)
    X = generator.standard_normal((300, 4)).astype(np.float32)
    Y = (X[:, 0] * X[:, 1] + X[:, 2] ** 2 + 0.3 * generator.standard_normal(300))[:, None]
    result = cross_validate(X, Y, None, None, n_splits=5)
    assert explained(result.predictions[:, 0], Y[:, 0]) > 0.6
    assert all(fold[0] != "ridge" for fold in result.choices)
    for errors in result.inner_errors:
        assert errors["shared_kernel_ridge"][0] < 0.6 * errors["ridge"][0]


def test_block_of_few_features_is_heard_beside_a_block_of_many():
    generator = np.random.default_rng(1)
    X = generator.standard_normal((200, 1004)).astype(np.float32)
    Y = X[:, 1000:].sum(1, keepdims=True)
    apart = {"many": slice(0, 1000), "few": slice(1000, 1004)}
    errors = [
        ((fitted(BlockKernelRidge(), X, Y, blocks=blocks).cv_predictions_ - Y) ** 2).mean() for blocks in (apart, None)
    ]
    assert errors[0] < 0.2 * errors[1]


def test_choosing_among_many_in_pure_noise_does_not_leak():
    generator = np.random.default_rng(4)
    X = generator.standard_normal((150, 400)).astype(np.float32)
    Y = generator.standard_normal((150, 6))
    result = cross_validate(X, Y, None, None, n_splits=5)
    found = [correlation(result.predictions[:, k], Y[:, k]) for k in range(6)]
    assert np.mean(found) < 0.08
    assert max(found) < 0.3
    assert all(explained(result.predictions[:, k], Y[:, k]) < 0.05 for k in range(6))


def test_shuffled_ratings_are_not_predicted():
    generator = np.random.default_rng(5)
    X = generator.standard_normal((150, 30)).astype(np.float32)
    Y = X[:, :1] + 0.2 * generator.standard_normal((150, 1))
    assert correlation(cross_validate(X, Y, None, None, n_splits=5).predictions[:, 0], Y[:, 0]) > 0.9
    shuffled = np.column_stack([generator.permutation(Y[:, 0]) for _ in range(4)])
    result = cross_validate(X, shuffled, None, None, n_splits=5)
    assert np.mean([correlation(result.predictions[:, k], shuffled[:, k]) for k in range(4)]) < 0.1


def duplicates(generator):
    """60 pictures, each three times with small changes; ratings are noise that copies share."""
    X = np.repeat(generator.standard_normal((60, 30)), 3, axis=0) + 0.05 * generator.standard_normal((180, 30))
    Y = np.repeat(generator.standard_normal((60, 2)), 3, axis=0)
    return X.astype(np.float32), Y, np.repeat(np.arange(60), 3)


def test_groups_are_what_keeps_near_duplicates_from_being_remembered():
    X, Y, groups = duplicates(np.random.default_rng(6))
    grouped = cross_validate(X, Y, groups, None, n_splits=5)
    alone = cross_validate(X, Y, None, None, n_splits=5)
    for trait in range(2):
        assert correlation(grouped.predictions[:, trait], Y[:, trait]) < 0.2
        assert correlation(alone.predictions[:, trait], Y[:, trait]) > 0.7


def test_groups_keep_the_penalty_from_being_chosen_for_remembering():
    X, Y, groups = duplicates(np.random.default_rng(6))
    grouped, alone = (fitted(BlockKernelRidge(), X, Y, groups=g) for g in (groups, None))
    assert (grouped.penalty_ > 10 * alone.penalty_).all()
    inner = fit_final(X, Y, groups, None).inner_errors
    assert all((errors > 0.8 * Y.var(axis=0)).all() for errors in inner.values())


def test_weighing_down_noisy_ratings_brings_predictions_closer_to_the_truth():
    generator = np.random.default_rng(7)
    X = generator.standard_normal((200, 15)).astype(np.float32)
    signal = X[:, :3].sum(1, keepdims=True)
    noise = np.where(np.arange(200) % 2 == 0, 0.3, 4.0)[:, None]
    Y = signal + noise * generator.standard_normal((200, 1))
    errors = [
        ((fit_final(X, Y, None, None, sample_weight=weight).predict(X) - signal) ** 2).mean()
        for weight in (1 / noise[:, 0] ** 2, None)
    ]
    assert errors[0] < 0.3 * errors[1]


def test_inner_error_is_near_the_error_on_new_pictures():
    generator = np.random.default_rng(8)
    inner, new = [], []
    for _ in range(25):
        X = generator.standard_normal((500, 20)).astype(np.float32)
        Y = X[:, :2] + generator.standard_normal((500, 2))
        model = fitted(BlockKernelRidge(), X[:200], Y[:200])
        inner.append(((model.cv_predictions_ - Y[:200]) ** 2).mean())
        new.append(((predict(model, X[200:]) - Y[200:]) ** 2).mean())
    assert np.mean(inner) == pytest.approx(np.mean(new), rel=0.06)
