"""Closed forms equal the refits that they replace."""

import numpy as np
import pytest
from tests.regressors.conftest import predict

from prescreen.errors import RatingsError
from prescreen.regressors import kernel_solver
from prescreen.regressors.blocks import BlockDesign
from prescreen.regressors.kernel_ridge import BlockKernelRidge
from prescreen.regressors.kernel_solver import MANY, PENALTIES, downhill, solve, solve_parts


@pytest.fixture
def problem():
    generator = np.random.default_rng(1)
    X = generator.standard_normal((40, 6))
    kernel = np.exp(-0.1 * ((X[:, None] - X[None]) ** 2).sum(2))
    Y = 50 + 10 * (X[:, :3] + generator.standard_normal((40, 3)))
    return X, kernel, Y, generator.uniform(0.2, 3, size=40), np.sort(generator.integers(0, 15, size=40))


def refit(kernel, Y, penalty, weight):
    """Solve the normal equations with an unpenalised intercept directly; returns (dual, intercept)."""
    n = len(kernel)
    system = np.block([[kernel + penalty * np.diag(1 / weight), np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
    solution = np.linalg.solve(system, np.vstack([Y, np.zeros((1, Y.shape[1]))]))
    return solution[:n], solution[n]


def brute_force(kernel, Y, penalty, weight, groups):
    out = np.empty_like(Y)
    for group in np.unique(groups):
        test = groups == group
        dual, intercept = refit(kernel[np.ix_(~test, ~test)], Y[~test], penalty, weight[~test])
        out[test] = kernel[np.ix_(test, ~test)] @ dual + intercept
    return out


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_left_out_predictions_equal_refits(problem, weighted, grouped, penalty):
    _, kernel, Y, weight, groups = problem
    weight = weight if weighted else np.ones(40)
    groups = groups if grouped else np.arange(40)
    fit = solve(kernel, Y, [penalty], weight=weight, groups=groups)
    np.testing.assert_allclose(
        fit.cv_predictions, brute_force(kernel, Y, penalty, weight, groups), rtol=1e-7, atol=1e-7
    )
    dual, intercept = refit(kernel, Y, penalty, weight)
    np.testing.assert_allclose(fit.dual, dual, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(fit.intercept, intercept)


def test_penalty_of_each_trait_has_the_smallest_left_out_error(problem):
    _, kernel, Y, weight, groups = problem
    Y[:, 2] = np.random.default_rng(3).standard_normal(40)
    grid = np.logspace(-3, 3, 13)
    errors = np.array(
        [
            np.average((brute_force(kernel, Y, penalty, weight, groups) - Y) ** 2, axis=0, weights=weight)
            for penalty in grid
        ]
    )
    fit = solve(kernel, Y, grid, weight=weight, groups=groups)
    np.testing.assert_allclose(fit.penalty, grid[errors.argmin(axis=0)])
    np.testing.assert_allclose(fit.cv_error, errors.min(axis=0))
    assert len(set(fit.penalty)) > 1


def test_rows_of_a_group_may_stand_anywhere(problem):
    _, kernel, Y, weight, groups = problem
    order = np.random.default_rng(0).permutation(40)
    straight = solve(kernel, Y, [0.3], weight=weight, groups=groups)
    mixed = solve(kernel[np.ix_(order, order)], Y[order], [0.3], weight=weight[order], groups=groups[order])
    np.testing.assert_allclose(mixed.cv_predictions, straight.cv_predictions[order])


def test_whole_weights_equal_repetition(problem):
    _, kernel, Y, _, _ = problem
    times = np.random.default_rng(2).integers(1, 4, size=40)
    repeated = np.repeat(np.arange(40), times)
    once = solve(kernel, Y, [0.7], weight=times, groups=np.arange(40))
    often = solve(kernel[np.ix_(repeated, repeated)], Y[repeated], [0.7], groups=repeated)
    np.testing.assert_allclose(kernel @ once.dual + once.intercept, kernel[:, repeated] @ often.dual + often.intercept)
    np.testing.assert_allclose(once.cv_predictions[repeated], often.cv_predictions)
    np.testing.assert_allclose(once.cv_error, often.cv_error)


def test_weighted_regressor_equals_repetition(problem):
    X, _, Y, _, _ = problem
    times = np.random.default_rng(2).integers(0, 4, size=(40, 3))
    design = BlockDesign.fit(X, None)
    model = BlockKernelRidge(penalties=(0.7,)).fit(design, Y, sample_weight=times)
    for trait in range(3):
        rows = np.repeat(np.arange(40), times[:, trait])
        often = BlockKernelRidge(penalties=(0.7,)).fit(BlockDesign(design.scaler, X[rows]), Y[rows, trait : trait + 1])
        np.testing.assert_allclose(predict(model, X)[:, trait], predict(often, X)[:, 0], rtol=1e-5)


def test_left_out_predictions_of_the_regressor_equal_refits(problem):
    X, _, Y, weight, groups = problem
    design = BlockDesign.fit(X, None)
    model = BlockKernelRidge(penalties=(0.2,)).fit(design, Y, weight, groups)
    for group in np.unique(groups):
        test = groups == group
        without = BlockKernelRidge(penalties=(0.2,)).fit(BlockDesign(design.scaler, X[~test]), Y[~test], weight[~test])
        np.testing.assert_allclose(model.cv_predictions_[test], predict(without, X[test]), rtol=1e-4)


def test_one_group_has_no_left_out_error(problem):
    _, kernel, Y, _, _ = problem
    with pytest.raises(RatingsError, match="at least 2"):
        solve(kernel, Y, [1.0], groups=np.zeros(40))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_fits_without_a_part_equal_fits_to_the_other_rows(problem, weighted, grouped):
    _, kernel, Y, weight, groups = problem
    weight = weight if weighted else np.ones(40)
    groups = groups if grouped else np.arange(40)
    parts = [np.flatnonzero(groups % 4 == k) for k in range(4)]
    whole, *fits = solve_parts(kernel, Y, PENALTIES, weight=weight, groups=groups, left_out=parts)
    np.testing.assert_array_equal(whole.dual, solve(kernel, Y, PENALTIES, weight=weight, groups=groups).dual)
    for part, fit in zip(parts, fits, strict=True):
        rows = np.setdiff1d(np.arange(40), part)
        alone = solve(kernel[np.ix_(rows, rows)], Y[rows], PENALTIES, weight=weight[rows], groups=groups[rows])
        for found, expected in zip(vars(fit).values(), vars(alone).values(), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_the_penalty_of_many_rows_is_that_of_the_whole_grid(monkeypatch):
    generator = np.random.default_rng(4)
    X = generator.standard_normal((MANY + 100, 6))
    kernel = np.exp(-0.1 * ((X[:, None] - X[None]) ** 2).sum(2))
    Y = X[:, :3] + generator.standard_normal((len(X), 3)) * [0.01, 1, 30]
    some, tried = solve(kernel, Y, PENALTIES), []
    monkeypatch.setattr(kernel_solver, "MANY", len(X))
    every = solve(kernel, Y, PENALTIES)
    for found, expected in zip(vars(some).values(), vars(every).values(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len(set(every.penalty)) == 3
    best, _ = downhill(lambda ks: [tried.append(k) or np.array([(k - 4.0) ** 2]) for k in ks], np.array([9]), 19)
    assert best == 4
    assert sorted(tried) == list(range(3, 11))
