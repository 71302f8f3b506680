import numpy as np
import pytest

from prescreen.errors import PredictorError
from prescreen.regressors.blocks import BlockDesign, BlockScaler
from prescreen.regressors.relevance import _chance, _unit_targets, feature_relevance
from prescreen.regressors.stacking import TraitRegressors, cross_validate, fit_final

BLOCKS = {"wide": slice(0, 150), "narrow": slice(150, 200)}
PLANTED = (3, 70, 160)


@pytest.fixture
def planted():
    """200 features of which three shape two traits; the third is noise."""
    generator = np.random.default_rng(4)
    X = generator.standard_normal((120, 200)).astype(np.float32)
    signal = X[:, PLANTED] @ generator.standard_normal((3, 2))
    Y = np.column_stack([signal, generator.standard_normal(120)]) + 0.3 * generator.standard_normal((120, 3))
    return X, Y


def relevance(X, Y, weight=None, groups=None):
    weight = np.isfinite(Y).astype(float) if weight is None else weight
    groups = np.arange(len(X)) if groups is None else groups
    return feature_relevance(BlockScaler.fit(X, BLOCKS).transform(X), BLOCKS, Y, weight, groups)


def test_features_that_shape_the_ratings_weigh_most(planted):
    found = relevance(*planted)
    wide, narrow = found[BLOCKS["wide"]], found[BLOCKS["narrow"]]
    assert set(np.argsort(wide)[-2:]) == {3, 70}
    assert narrow.argmax() == 10
    assert found[list(PLANTED)].min() > 3 * np.median(found)
    for block in (wide, narrow):
        assert block.mean() == pytest.approx(1, abs=1e-5)
        assert (block >= 0).all()


def test_the_weight_is_the_shrunk_squared_correlation(planted):
    X, Y = planted
    Z = BlockScaler.fit(X, BLOCKS).standardise(X).astype(float)
    unit = (Y - Y.mean(0)) / Y.std(0)
    squares = np.square(Z.T @ unit / np.sqrt(len(X))).mean(1)
    means = [squares[block].mean() for block in BLOCKS.values()]
    chance = np.mean([np.square(Z[:, block]).mean(1) for block in BLOCKS.values()], axis=0) @ np.square(unit) / len(X)
    share = 1 - chance.mean() * 120 / 119 / np.mean(means)
    assert 0 < share < 1
    expected = [1 - share + share * squares[block] / mean for block, mean in zip(BLOCKS.values(), means, strict=True)]
    np.testing.assert_allclose(relevance(X, Y), np.concatenate(expected), rtol=1e-3)


def test_ratings_without_relation_leave_the_weights_about_equal(planted):
    X, _ = planted
    for seed in range(20):
        noise = np.random.default_rng(seed).standard_normal((120, 8))
        assert np.abs(relevance(X, noise) - 1).max() < 0.75


def of_persons(generator, persons, pictures, traits):
    """Pictures and ratings that are alike within a person, and have nothing to do with each other."""
    groups = np.repeat(np.arange(persons), pictures)
    X = 2 * generator.standard_normal((persons, 200))[groups] + generator.standard_normal((len(groups), 200))
    Y = generator.standard_normal((persons, traits))[groups] + 0.3 * generator.standard_normal((len(groups), traits))
    return X.astype(np.float32), Y, groups


def test_persons_that_are_rated_alike_leave_the_weights_about_equal():
    strangers, known = [], []
    for seed in range(20):
        X, Y, groups = of_persons(np.random.default_rng(seed), 12, 10, 8)
        strangers.append(np.abs(relevance(X, Y) - 1).max())
        known.append(np.abs(relevance(X, Y, groups=groups) - 1).max())
    assert np.mean(known) < 0.4 < 1.2 < np.mean(strangers)


def test_chance_is_exact_on_average_for_groups_of_any_size():
    shares = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        X, Y, groups = of_persons(generator, 15, 4, 1)
        keep = generator.random(60) < 0.7
        features = BlockScaler.fit(X[keep], BLOCKS).transform(X[keep])
        targets = _unit_targets(Y[keep], np.ones((keep.sum(), 1)))
        shares.append((np.square(features.T @ targets).sum(), _chance(features, targets, groups[keep])))
    total, chance = np.mean(shares, axis=0)
    assert chance == pytest.approx(total, rel=0.05)


def test_gaps_weights_and_constant_traits(planted):
    X, Y = planted
    gaps = Y.copy()
    gaps[::3, 0] = np.nan
    shifted = np.where(np.isfinite(gaps), gaps, 1e6)
    rated = np.isfinite(gaps).astype(float)
    np.testing.assert_array_equal(relevance(X, gaps), relevance(X, shifted, rated))
    np.testing.assert_allclose(relevance(X, gaps, 7 * rated), relevance(X, gaps), rtol=1e-5)
    np.testing.assert_array_equal(relevance(X, np.column_stack([Y, np.full(120, 0.1)])), relevance(X, Y))
    np.testing.assert_array_equal(relevance(X, np.full((120, 2), 5.0)), 1)


def test_distances_follow_the_relevance_and_plain_ones_do_not(planted):
    X, Y = planted
    plain, learned = BlockDesign.fit(X, BLOCKS), BlockDesign.fit(X, BLOCKS, (Y, np.ones_like(Y), np.arange(120)))
    np.testing.assert_allclose(learned.features, learned.scaler.transform(X), rtol=1e-6)
    far = (learned.distances / np.maximum(plain.distances, 1e-9))[~np.eye(120, dtype=bool)]
    gap = np.square(X[:, None, PLANTED] - X[None, :, PLANTED]).mean(2)[~np.eye(120, dtype=bool)]
    assert np.corrcoef(far, gap)[0, 1] > 0.5
    np.testing.assert_array_equal(learned.scaler.plain.transform(X), plain.features)


def test_planted_effects_are_predicted_better_and_noise_as_badly(planted):
    X, Y = planted
    found = cross_validate(X, Y, None, BLOCKS, n_splits=5).predictions
    r2 = 1 - np.square(found - Y).sum(0) / np.square(Y - Y.mean(0)).sum(0)
    assert r2[:2].min() > 0.85  # 0.63 with equal weights
    assert abs(r2[2]) < 0.15


def test_shuffled_ratings_are_not_predicted(planted):
    X, Y = planted
    generator = np.random.default_rng(0)
    r, r2 = [], []
    for _ in range(5):
        shuffled = generator.permutation(Y)[:, :1]
        found = cross_validate(X, shuffled, None, BLOCKS, n_splits=5).predictions
        r.append(np.corrcoef(found[:, 0], shuffled[:, 0])[0, 1])
        r2.append(1 - np.square(found - shuffled).sum() / np.square(shuffled - shuffled.mean()).sum())
    assert abs(np.mean(r)) < 0.15
    assert np.mean(r2) > -0.1


def test_a_model_keeps_its_weights_and_refuses_damaged_ones(planted):
    X, Y = planted
    model = fit_final(X, Y, None, BLOCKS)
    arrays, config = model.to_state()
    again = TraitRegressors.from_state(arrays, config)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    for damaged in (np.ones(1), np.full(200, np.nan), np.full(200, -1.0)):
        with pytest.raises(PredictorError, match="damaged"):
            TraitRegressors.from_state(arrays | {"scaler/relevance": damaged}, config)
    del arrays["scaler/relevance"]
    with pytest.raises(PredictorError, match="incomplete"):
        TraitRegressors.from_state(arrays, config)


def test_beside_other_predictors_weights_are_equal(planted):
    X, Y = planted
    np.testing.assert_array_equal(fit_final(X, Y, None, BLOCKS, prior=Y[:, :1]).scaler.relevance, 1)
    assert fit_final(X, Y, None, BLOCKS, prior=np.zeros((120, 0))).scaler.relevance.std() > 0.1
