from dataclasses import replace

import numpy as np
import pytest

from prescreen.evaluation.headline_metrics import flat_metrics
from prescreen.evaluation.noise_ceiling import VoteNoise
from prescreen.evaluation.report import Evaluation
from prescreen.regressors.folds import grouped_folds
from prescreen.regressors.stacking import fit_final
from prescreen.training.dataset import Dataset
from prescreen.training.learning_curve import FOLDS, Thinning, learning_curve, thinnings, with_fewer_votes


def simulate(n=240, d=30, votes=30, noise=3.0, seed=0):
    """Two traits, linear in the features and of variance 1, rated by simulated votes."""
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((n, d)).astype(np.float32)
    true = features @ generator.standard_normal((d, 2)) / np.sqrt(d)
    ratings = true + noise / np.sqrt(votes) * generator.standard_normal((n, 2))
    dataset = Dataset(
        images=tuple(f"{row:03d}.jpg" for row in range(n)),
        traits=("a", "b"),
        features=features,
        blocks={"all": slice(0, d)},
        ratings=ratings,
        sampling_variance=np.full((n, 2), noise**2 / votes),
        contents=("",) * n,
        persons=np.full(n, ""),
        groups=np.arange(n) // 2,
        auxiliary=np.zeros((n, 0)),
    )
    return true, dataset, {trait: VoteNoise(np.full(n, noise), np.full(n, float(votes))) for trait in "ab"}


def test_fewer_votes_have_the_noise_of_as_many_votes():
    true, dataset, noise = simulate(n=20000, d=2, votes=30, noise=3)
    thinned = with_fewer_votes(dataset, noise, 5, seed=1)
    np.testing.assert_allclose((thinned.ratings - true).var(axis=0), 9 / 5, rtol=0.03)
    np.testing.assert_allclose(thinned.sampling_variance, 9 / 5)
    # A mean of some of the votes and the mean of all of them go together as real ones do.
    covariance = [np.cov(thinned.ratings[:, k] - true[:, k], dataset.ratings[:, k] - true[:, k])[0, 1] for k in (0, 1)]
    np.testing.assert_allclose(covariance, 9 / 30, rtol=0.1)
    same = with_fewer_votes(dataset, noise, 30, seed=1)
    assert np.array_equal(same.ratings, dataset.ratings)


def test_auxiliary_ratings_lose_as_many_votes():
    _, dataset, noise = simulate(n=20000, d=2, votes=30, noise=3)
    other = 10 * dataset.ratings[:, :1]
    half = np.where(np.arange(20000) % 2, np.nan, other[:, 0])
    thinned = with_fewer_votes(replace(dataset, auxiliary=np.column_stack([other, half])), noise, 5, 1)
    share = np.mean((9 / 5 - 9 / 30) / dataset.ratings.var(axis=0))  # of their variance that the ratings get as noise
    np.testing.assert_allclose((thinned.auxiliary[:, :1] - other).var(), share * other.var(), rtol=0.05)
    np.testing.assert_array_equal(np.isnan(thinned.auxiliary[:, 1]), np.isnan(half))
    assert np.array_equal(thinned.ratings, with_fewer_votes(dataset, noise, 5, 1).ratings)


def test_points_of_the_curve():
    _, dataset, noise = simulate(n=240, votes=12)
    shares = [Thinning(1 / 4, None), Thinning(1 / 2, None), Thinning(1, None)]
    assert thinnings(dataset, noise) == [*shares, Thinning(1, 2), Thinning(1, 5), Thinning(1, 10)]
    assert thinnings(dataset, {"a": noise["a"]}) == shares
    unknown = VoteNoise(np.full(240, np.nan), noise["b"].votes)
    assert thinnings(dataset, noise | {"b": unknown}) == shares
    few = replace(dataset, groups=np.arange(240) // 20)
    assert thinnings(few, {}) == [Thinning(1, None)]


@pytest.mark.parametrize("stack", [{"hold_rows": False}, {"trees": True}])
def test_the_curve_is_of_the_stack_that_is_asked_for(stack):
    """At its last point it is an ordinary cross-validation."""
    _, dataset, _ = simulate(n=90, d=8)
    (*_, last) = learning_curve(dataset, {}, seed=0, **stack).by_pictures
    predictions = np.zeros(dataset.ratings.shape)
    for train, test in grouped_folds(dataset.groups, FOLDS, 0):
        model = fit_final(
            dataset.features[train],
            dataset.ratings[train],
            dataset.groups[train],
            dataset.blocks,
            sample_weight=dataset.weights[train],
            **stack,
        )
        predictions[test] = model.predict(dataset.features[test])
    r = [np.corrcoef(predictions[:, k], dataset.ratings[:, k])[0, 1] for k in range(2)]
    assert [last.traits[trait].value for trait in "ab"] == pytest.approx(r)


@pytest.fixture(scope="module")
def curve():
    _, dataset, noise = simulate()
    calls = []
    found = learning_curve(dataset, noise, seed=0, advance=lambda: calls.append(1))
    assert len(calls) == len(thinnings(dataset, noise))
    return found


def test_more_pictures_and_more_votes_predict_better(curve):
    assert [point.pictures for point in curve.by_pictures] == [48, 96, 192]
    assert [point.votes for point in curve.by_votes] == [2, 5, 10, 20, None]
    assert curve.by_votes[-1] == curve.by_pictures[-1]
    for points in (curve.by_pictures, curve.by_votes):
        values = [point.pearson.value for point in points]
        assert values[-1] > values[0] + 0.1
        assert values[-1] > max(values) - 0.03
        assert all(point.pearson.low < point.pearson.value < point.pearson.high for point in points)
    assert curve.by_pictures[-1].traits["a"].value > 0.7


def test_the_curve_is_in_the_evaluation_and_no_metric(curve):
    evaluation = Evaluation(learning_curve=curve)
    points = evaluation.to_json()["learning_curve"]["by_pictures"]
    assert [point["pictures"] for point in points] == [48, 96, 192]
    assert flat_metrics(evaluation) == {}
