import numpy as np
import pytest
from tests.regressors.conftest import fitted, predict

from prescreen.regressors import multitask_kernel_ridge
from prescreen.regressors.blocks import BlockDesign
from prescreen.regressors.kernel_ridge import BlockKernelRidge
from prescreen.regressors.kernel_solver import solve
from prescreen.regressors.multitask_kernel_ridge import SharedKernelRidge, trait_shares


def left_out_error(model, Y):
    return ((model.cv_predictions_ - Y) ** 2).mean(axis=0)


@pytest.fixture(scope="module")
def related():
    """Ratings of eight traits that all follow one direction of many, each with its own noise."""
    generator = np.random.default_rng(3)
    X = generator.standard_normal((160, 60)).astype(np.float32)
    signal = np.sin(X[:, :1] + X[:, 1:2]) + X[:, :1]
    return X, signal + generator.standard_normal((160, 8)), signal[:, 0]


def test_traits_learn_from_each_other(related):
    X, Y, signal = related
    train, test = np.arange(160) < 110, np.arange(160) >= 110
    together = predict(fitted(SharedKernelRidge(), X[train], Y[train]), X[test])
    alone = np.column_stack(
        [predict(fitted(SharedKernelRidge(), X[train], Y[train, k : k + 1]), X[test]) for k in range(8)]
    )
    plain = predict(fitted(BlockKernelRidge(), X[train], Y[train]), X[test])
    errors = [((p - signal[test, None]) ** 2).mean() for p in (together, alone, plain)]
    assert errors[0] < 0.95 * errors[1]
    assert errors[0] < 0.9 * errors[2]


def test_auxiliary_columns_help_without_being_predicted(related):
    X, Y, signal = related
    train, test = np.arange(160) < 110, np.arange(160) >= 110
    helped = fitted(SharedKernelRidge(n_targets=1), X[train], Y[train])
    together = fitted(SharedKernelRidge(), X[train], Y[train])
    alone = fitted(SharedKernelRidge(), X[train], Y[train, :1])
    assert predict(helped, X[test]).shape == (50, 1)
    assert helped.cv_predictions_.shape == (110, 1)
    np.testing.assert_allclose(predict(helped, X[test]), predict(together, X[test])[:, :1], rtol=1e-9)
    np.testing.assert_allclose(helped.cv_predictions_, together.cv_predictions_[:, :1], rtol=1e-9)
    errors = [((predict(model, X[test])[:, 0] - signal[test]) ** 2).mean() for model in (helped, alone)]
    assert errors[0] < 0.95 * errors[1]


@pytest.mark.parametrize("n_targets", [0, 9])
def test_targets_are_columns(related, n_targets):
    X, Y, _ = related
    with pytest.raises(ValueError, match="n_targets"):
        fitted(SharedKernelRidge(n_targets=n_targets), X, Y)


def test_without_pull_it_is_kernel_ridge(problem):
    X, Y, groups, blocks = problem
    model = fitted(SharedKernelRidge(gamma=0.1, pull=0.0, penalties=(0.5,)), X, Y, groups=groups, blocks=blocks)
    design = BlockDesign.fit(X, blocks)
    kernel = np.exp(-0.1 * design.distances.astype(np.float64))
    plain = solve(kernel, Y, [0.5], groups=groups)
    np.testing.assert_allclose(predict(model, X), kernel @ plain.dual + plain.intercept, rtol=1e-3)
    alone = fitted(SharedKernelRidge(0.1, 0.0, (0.5,), cv_splits=90), X, Y, groups=groups, blocks=blocks)
    np.testing.assert_allclose(alone.cv_predictions_, plain.cv_predictions, rtol=1e-3)


def test_left_out_error_does_not_flatter():
    generator = np.random.default_rng(8)
    inner, new = [], []
    for _ in range(12):
        X = generator.standard_normal((400, 20)).astype(np.float32)
        Y = X[:, :2] @ generator.standard_normal((2, 5)) + generator.standard_normal((400, 5))
        model = fitted(SharedKernelRidge(), X[:150], Y[:150])
        inner.append(left_out_error(model, Y[:150]).mean())
        new.append(((predict(model, X[150:]) - Y[150:]) ** 2).mean())
    assert 0.95 * np.mean(new) < np.mean(inner) < 1.15 * np.mean(new)


def test_noise_is_not_predicted_through_the_other_traits():
    generator = np.random.default_rng(9)
    X = generator.standard_normal((150, 200)).astype(np.float32)
    Y = generator.standard_normal((150, 6))
    assert (left_out_error(fitted(SharedKernelRidge(), X, Y), Y) > 0.97 * Y.var(axis=0)).all()
    copies = np.repeat(generator.standard_normal((50, 30)), 3, axis=0).astype(np.float32)
    copies += 0.05 * generator.standard_normal((150, 30)).astype(np.float32)
    shared = np.repeat(generator.standard_normal((50, 3)), 3, axis=0)
    model = fitted(SharedKernelRidge(), copies, shared, groups=np.arange(150) // 3)
    assert (left_out_error(model, shared) > 0.8 * shared.var(axis=0)).all()


def test_gaps_stay_gaps_and_are_filled_for_the_distance(problem):
    X, Y, groups, blocks = problem
    gaps = Y.copy()
    gaps[::3, 1] = np.nan
    model = fitted(SharedKernelRidge(), X, gaps, groups=groups, blocks=blocks)
    assert np.isnan(model.cv_predictions_[::3, 1]).all()
    assert np.isfinite(np.delete(model.cv_predictions_[:, 1], np.s_[::3])).all()
    assert np.isfinite(model.cv_predictions_[:, 0]).all()
    whole = fitted(SharedKernelRidge(), X, Y, groups=groups, blocks=blocks)
    assert np.corrcoef(predict(model, X)[:, 0], predict(whole, X)[:, 0])[0, 1] > 0.99


def test_a_trait_of_two_groups_is_learned_and_judged(problem):
    X, Y, _, blocks = problem
    few = np.full(90, np.nan)
    few[[3, 50]] = 1.0, 2.0
    model = fitted(SharedKernelRidge(), X, np.column_stack([Y, few]), blocks=blocks)
    assert np.isfinite(predict(model, X)).all()
    judged = model.cv_predictions_[[3, 50], 2]
    assert ((judged >= 1) & (judged <= 2)).all()


def test_a_weight_of_zero_is_a_gap(problem):
    X, Y, groups, blocks = problem
    rated = np.arange(90) % 3 > 0
    design = BlockDesign.fit(X, blocks)
    gaps = np.where(rated[:, None], Y, np.nan)
    model = SharedKernelRidge().fit(design, gaps, groups=groups)
    zero = SharedKernelRidge().fit(design, Y, sample_weight=rated * 1.0, groups=groups)
    np.testing.assert_array_equal(predict(zero, X), predict(model, X))
    fewer = BlockDesign(design.scaler, X[rated])
    reference = SharedKernelRidge().fit(fewer, Y[rated], groups=groups[rated])
    np.testing.assert_allclose(predict(model, X), predict(reference, X), rtol=1e-4)


def test_weights_count(problem):
    X, Y, _, blocks = problem
    weight = np.random.default_rng(0).uniform(0.1, 5, size=Y.shape)
    weighted, plain = (
        fitted(SharedKernelRidge(), X, Y, weight, blocks=blocks),
        fitted(SharedKernelRidge(), X, Y, blocks=blocks),
    )
    assert not np.allclose(predict(weighted, X), predict(plain, X), rtol=1e-3)


def test_a_constant_trait_is_predicted_as_it_is(problem):
    X, Y, _, blocks = problem
    model = fitted(SharedKernelRidge(), X, np.column_stack([Y, np.full(90, 4.0)]), blocks=blocks)
    np.testing.assert_allclose(predict(model, X)[:, 2], 4.0)


def test_units_of_the_ratings_do_not_matter(problem):
    X, Y, _, blocks = problem
    one = predict(fitted(SharedKernelRidge(), X, Y, blocks=blocks), X)
    other = predict(fitted(SharedKernelRidge(), X, 100 * Y + [5, -900], blocks=blocks), X)
    np.testing.assert_allclose((other - [5, -900]) / 100, one, rtol=1e-4)


def test_folds_that_say_nothing_of_a_trait_do_not_choose_its_penalty():
    generator = np.random.default_rng(7)
    X = generator.standard_normal((300, 10)).astype(np.float32)
    Y = generator.standard_normal((300, 2))
    folds = multitask_kernel_ridge.grouped_folds(np.arange(300), 10, 0)
    for rated in ([test for _, test in folds[:2]], [test for _, test in folds[8:]]):
        few = np.full(300, np.nan)
        rows = np.concatenate(rated)
        few[rows] = Y[rows, 1]  # noise
        model = fitted(SharedKernelRidge(), X, np.column_stack([Y[:, 0], few]))
        assert model.penalty_[1] > 1


@pytest.mark.parametrize("name", ["trait_shares", "dual", "anchors", "support"])
def test_arrays_that_do_not_fit_together_are_refused(problem, name):
    X, Y, _, blocks = problem
    model = fitted(SharedKernelRidge(), X, Y, blocks=blocks)
    arrays, config = model.state()
    SharedKernelRidge.from_state(model.scaler_, model.parameters, arrays, config)
    for wrong in (arrays[name][:-1], -np.abs(arrays[name]) - 1 if name == "trait_shares" else arrays[name][:1]):
        with pytest.raises(ValueError, match="fit together"):
            SharedKernelRidge.from_state(model.scaler_, model.parameters, arrays | {name: wrong}, config)


@pytest.mark.parametrize("targets", [1, 3, 30])
def test_it_reports_its_steps_whatever_the_number_of_targets(targets):
    generator = np.random.default_rng(6)
    X = generator.standard_normal((40, 5)).astype(np.float32)
    told = []
    SharedKernelRidge().fit(
        BlockDesign.fit(X, None), generator.standard_normal((40, targets)), step=lambda: told.append(1)
    )
    assert len(told) == SharedKernelRidge.steps


@pytest.mark.parametrize("wrong", [{"gamma": float("inf")}, {"pull": -1.0}, {"gamma": 0.0}, {"pull": float("nan")}])
def test_parameters_are_positive(problem, wrong):
    X, Y, _, blocks = problem
    with pytest.raises(ValueError, match="pull"):
        fitted(SharedKernelRidge(**wrong), X, Y, blocks=blocks)


def test_a_trait_learns_most_from_those_that_are_alike_and_well_predicted():
    generator = np.random.default_rng(11)
    X = generator.standard_normal((300, 12)).astype(np.float32)
    noise = generator.standard_normal((300, 4))
    one, other = X[:, 0] + X[:, 1], X[:, 2] + X[:, 3]
    Y = np.column_stack([one, one, one, other]) + noise * [0.5, 0.5, 3.0, 0.5]
    shares = fitted(SharedKernelRidge(), X, Y).trait_shares_
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert shares[0, 1] > 0.35  # the same impression, rated as well
    assert shares[0, 2] < 0.5 * shares[0, 1]  # the same, but noisy
    assert shares[0, 3] < 0.1 * shares[0, 1]  # another impression
    assert shares[2, 0] > shares[2, 2]  # a noisy trait leans on the better known ones


def test_traits_that_nobody_rated_together_learn_from_each_other(related):
    X, Y, signal = related
    train, test = np.arange(160) < 110, np.arange(160) >= 110
    halves = Y[train, :4].copy()
    halves[::2, :2] = np.nan
    halves[1::2, 2:] = np.nan
    together = predict(fitted(SharedKernelRidge(), X[train], halves), X[test])
    alone = np.hstack(
        [
            predict(fitted(SharedKernelRidge(), X[train][rows], halves[rows][:, columns]), X[test])
            for rows, columns in ((slice(1, None, 2), [0, 1]), (slice(0, None, 2), [2, 3]))
        ]
    )
    errors = [((p - signal[test, None]) ** 2).mean() for p in (together, alone)]
    assert errors[0] < 0.95 * errors[1]


def test_trait_shares_of_constant_predictions_are_their_own():
    points = np.random.default_rng(2).standard_normal((50, 3)).astype(np.float32)
    points[:, 1] = 0.25
    shares = trait_shares(points, np.array([0.5, 0.02, 0.5]))
    np.testing.assert_array_equal(shares[1], [0, 1, 0])
    assert shares[0, 1] == shares[2, 1] == 0


def test_with_many_rows_fewer_folds_choose_the_penalty_and_predictions_stay_near(monkeypatch):
    generator = np.random.default_rng(5)
    x = generator.standard_normal((120, 6)).astype(np.float32)
    y = x[:, :2] + 0.3 * generator.standard_normal((120, 2))
    splits, blocks = [], {"all": slice(0, 6)}
    folds = multitask_kernel_ridge.grouped_folds
    monkeypatch.setattr(multitask_kernel_ridge, "grouped_folds", lambda g, k, s: splits.append(k) or folds(g, k, s))

    def predicted():
        splits.clear()
        fitted = SharedKernelRidge().fit(BlockDesign.fit(x[:100], blocks), y[:100], groups=np.arange(100))
        return predict(fitted, x[100:])

    usual, usual_splits = predicted(), set(splits)
    monkeypatch.setattr(multitask_kernel_ridge, "LARGE", 50)
    fewer, fewer_splits = predicted(), set(splits)
    assert (usual_splits, fewer_splits) == ({10}, {5})
    for column in range(2):
        assert np.corrcoef(usual[:, column], fewer[:, column])[0, 1] > 0.99
