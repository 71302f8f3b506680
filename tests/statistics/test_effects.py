"""Effects on planted worlds: they are found, what is not there is not, and both intervals cover what they are about."""

import numpy as np
import pytest
from scipy.stats import kstest, norm, ttest_ind

from prescreen.ranking.effect_tests import Hypothesis, clustered_slopes, find_effects, holm
from prescreen.ranking.error_correlation import ErrorCorrelation

NO_ERRORS = ErrorCorrelation(0.0, 1.0, 0.0)


def groups(rng, n, share):
    inside = np.zeros(n)
    inside[rng.choice(n, max(6, int(share * n)), replace=False)] = 1
    return inside


def effects(scores, hypotheses, clusters=None, variances=None, likeness=NO_ERRORS, features=None):
    n, t = scores.shape
    points = np.zeros((n, 1)) if features is None else features
    return find_effects(
        scores,
        norm.ppf(np.clip(scores, 0.01, 9.99) / 10),
        hypotheses,
        np.arange(n) if clusters is None else clusters,
        np.full(t, 0.3) if variances is None else variances,
        likeness,
        np.isfinite(points).all(axis=1),
        lambda rows: points[rows],
    )


def test_without_near_copies_a_group_s_effect_is_welch_s():
    rng = np.random.default_rng(0)
    inside = groups(rng, 60, 0.3)
    y = rng.normal(5, np.where(inside == 1, 0.4, 1.2))
    slope = clustered_slopes(inside, y[:, None], np.arange(60))
    welch = ttest_ind(y[inside == 1], y[inside == 0], equal_var=False)
    assert slope.value[0] == pytest.approx(y[inside == 1].mean() - y[inside == 0].mean())
    assert slope.value[0] / slope.se[0] == pytest.approx(welch.statistic)


def test_degrees_of_freedom_are_those_of_the_definition():
    rng = np.random.default_rng(1)
    x, clusters = rng.normal(size=12), np.array([0, 0, 0, 1, 1, 2, 3, 4, 5, 5, 6, 7])
    design = np.column_stack([np.ones(12), x])
    hat = design @ np.linalg.solve(design.T @ design, design.T)
    weights = np.linalg.solve(design.T @ design, design.T)[1]
    columns, e = [], rng.normal(size=12)
    residual = e - hat @ e
    for cluster in range(8):
        rows = np.flatnonzero(clusters == cluster)
        values, vectors = np.linalg.eigh((np.eye(12) - hat)[np.ix_(rows, rows)])
        root = vectors @ np.diag(values**-0.5) @ vectors.T
        columns.append((np.eye(12) - hat)[:, rows] @ root @ weights[rows])
    inner = np.array(columns) @ np.array(columns).T
    found = clustered_slopes(x, e[:, None], clusters)
    assert found.dof == pytest.approx(np.trace(inner) ** 2 / np.trace(inner @ inner))
    own = [
        (weights[rows] @ np.linalg.pinv(_root((np.eye(12) - hat)[np.ix_(rows, rows)])) @ residual[rows]) ** 2
        for rows in (np.flatnonzero(clusters == cluster) for cluster in range(8))
    ]
    assert found.se[0] == pytest.approx(np.sqrt(np.sum(own)))


def _root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(np.sqrt(values)) @ vectors.T


def test_planted_effects_of_a_group_and_of_a_measure_are_found():
    rng = np.random.default_rng(2)
    inside, measured = groups(rng, 400, 0.2), rng.normal(3, 7, size=400)
    scores = np.column_stack(
        [6 + 0.8 * inside + rng.normal(0, 0.5, 400), 5 - 0.03 * measured + rng.normal(0, 0.5, 400)]
    )
    found = effects(scores, [Hypothesis("folder", "suit", inside), Hypothesis("steps", "", measured)])
    by = {(effect.hypothesis, effect.trait): effect for effect in found}
    assert by[0, 0].predicted.value == pytest.approx(0.8, abs=0.15)
    assert by[1, 1].predicted.value == pytest.approx(-0.03 * 7, abs=0.08)
    for planted in (by[0, 0], by[1, 1]):
        assert planted.p_predicted < 0.001
        assert planted.predicted.low < planted.predicted.value < planted.predicted.high
    assert min(by[0, 1].p_predicted, by[1, 0].p_predicted) > 0.05
    assert (by[0, 0].pictures, by[0, 0].others, by[1, 0].pictures) == (80, 320, 400)


@pytest.mark.parametrize("size", [6, 40])
@pytest.mark.parametrize("copies", [1, 3])
def test_without_an_effect_p_is_uniform_also_with_near_copies_in_small_groups(size, copies):
    rng = np.random.default_rng(3)
    n, p = 80, []
    for _ in range(250):
        inside = np.repeat(groups(rng, n, size / n), copies)
        y = np.repeat(rng.normal(5, 1, n), copies) + 0.05 * rng.normal(size=n * copies)
        clusters = np.repeat(np.arange(n), copies)
        p.append(effects(y[:, None], [Hypothesis("tag", "a", inside)], clusters)[0].predicted.p)
    assert kstest(p, "uniform").pvalue > 0.01
    if copies > 1:
        naive = effects(y[:, None], [Hypothesis("tag", "a", inside)])[0].predicted
        clustered = effects(y[:, None], [Hypothesis("tag", "a", inside)], clusters)[0].predicted
        assert naive.high - naive.low < 0.7 * (clustered.high - clustered.low)


def test_the_same_portraits_before_two_backgrounds_are_compared_in_pairs():
    rng = np.random.default_rng(4)
    portraits = rng.normal(5, 1.0, 12)
    scores = np.concatenate([portraits, portraits + 0.5]) + 0.05 * rng.normal(size=24)
    inside, clusters = np.repeat([0.0, 1.0], 12), np.tile(np.arange(12), 2)
    hypothesis = [Hypothesis("background", "plain", inside)]
    paired = effects(scores[:, None], hypothesis, clusters)[0].predicted
    apart = effects(scores[:, None], hypothesis)[0].predicted
    assert paired.p < 0.001 < 0.1 < apart.p


def test_any_false_claim_in_the_whole_table_is_as_rare_as_promised():
    rng = np.random.default_rng(5)
    n, traits, claims = 150, 3, 0
    for _ in range(250):
        shared = rng.normal(size=(n, 1))
        scores = 5 + 0.7 * shared + 0.7 * rng.normal(size=(n, traits))
        column = rng.integers(0, 6, n)  # the values of one column exclude each other
        tests = [Hypothesis("scene", str(k), (column == k).astype(float)) for k in range(6)]
        tests += [Hypothesis("text", str(k), rng.normal(size=n)) for k in range(4)]
        claims += min(effect.p_predicted for effect in effects(scores, tests)) <= 0.05
    assert 0.008 < claims / 250 < 0.085


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.04, np.nan, 0.01, 0.03])), [0.06, np.nan, 0.03, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1, 1])
    assert len(holm(np.zeros(0))) == 0


def test_the_interval_of_the_predictor_covers_the_difference_of_its_predictions():
    rng = np.random.default_rng(6)
    inside = []
    for _ in range(500):
        group = groups(rng, 60, 0.15)
        y = 5 + 0.6 * group + rng.normal(0, np.where(group == 1, 0.4, 0.9))
        found = effects(y[:, None], [Hypothesis("tag", "a", group)])[0].predicted
        inside.append(found.low <= 0.6 <= found.high)
    assert 0.925 <= np.mean(inside) <= 0.975


def expected_truth(z, error, own):
    """Mean score of pictures with predictions around z, an error in common with others, and errors of their own."""
    return 10 * norm.cdf((z + error) / np.sqrt(1 + 0.4**2 + own))


@pytest.mark.parametrize(
    ("likeness", "narrow"), [(ErrorCorrelation(0.5, 0.1, 0.3), (0.2, 0.7)), (NO_ERRORS, (0.9, 0.985))]
)
def test_the_interval_for_raters_covers_the_true_difference_where_groups_are_mispredicted_as_a_whole(likeness, narrow):
    rng = np.random.default_rng(7)
    n, many, variance = 80, 120, 0.35
    raters, predicted = [], []
    for _ in range(300):
        kinds = [np.repeat([0.0, 1.0], size // 2) for size in (n, many)]
        # Pictures of the group are alike, and unlike the others; those that could have been made are as they are.
        features, possible = (rng.normal(size=(len(k), 4)) + 4 * k[:, None] * np.array([1, 0, 0, 0]) for k in kinds)
        squared = ((possible[:, None] - possible[None]) ** 2).sum(axis=2)
        common = likeness.person + likeness.similar * np.exp(-likeness.gamma * squared)
        error = np.linalg.cholesky(variance * common + 1e-9 * np.eye(many)) @ rng.normal(size=many)
        own = variance * (1 - likeness.person - likeness.similar)
        truth = expected_truth(0.2 + 0.3 * kinds[1], error, own)
        wanted = truth[kinds[1] == 1].mean() - truth[kinds[1] == 0].mean()
        z = rng.normal(0.2, 0.4, n) + 0.3 * kinds[0]
        found = effects(
            10 * norm.cdf(z[:, None]),
            [Hypothesis("tag", "a", kinds[0])],
            variances=np.array([variance]),
            likeness=likeness,
            features=features,
        )[0]
        raters.append(found.raters.low <= wanted <= found.raters.high)
        predicted.append(found.predicted.low <= wanted <= found.predicted.high)
    assert 0.92 <= np.mean(raters) <= 0.98
    assert narrow[0] < np.mean(predicted) < narrow[1]


def test_too_few_different_pictures_are_counted_and_not_tested():
    rng = np.random.default_rng(8)
    scores = rng.normal(5, 1, (30, 1))
    inside = np.repeat([1.0, 0.0], [6, 24])
    clusters = np.array([0, 0, 0, 1, 1, 1, *range(2, 26)])
    found = effects(scores, [Hypothesis("tag", "a", inside), Hypothesis("tag", "b", groups(rng, 30, 0.4))], clusters)
    assert np.isnan(found[0].predicted.p)
    assert (found[0].pictures, found[0].distinct) == (6, 2)
    assert found[1].p_predicted == found[1].predicted.p  # the family is of one


def test_pictures_without_a_tag_or_without_a_vector_are_left_out_where_they_must_be():
    rng = np.random.default_rng(9)
    scores = rng.normal(5, 1, (60, 1))
    inside = groups(rng, 60, 0.3)
    inside[:10] = np.nan
    features = rng.normal(size=(60, 2))
    features[30:] = np.nan
    found = effects(scores, [Hypothesis("tag", "a", inside)], features=features, likeness=ErrorCorrelation(0.5, 1.0))[0]
    assert found.pictures + found.others == 50
    assert np.isfinite([found.predicted.p, found.raters.p]).all()
    without = effects(scores, [Hypothesis("tag", "a", inside)], features=np.full((60, 1), np.nan))[0]
    assert np.isfinite(without.predicted.p)
    assert np.isnan(without.raters.p)


def test_of_many_pictures_some_are_compared_and_small_groups_among_them():
    rng = np.random.default_rng(10)
    n = 5000
    inside = np.zeros(n)
    inside[:40] = 1
    features = np.column_stack([5 * inside, rng.normal(size=n)])
    likeness = ErrorCorrelation(0.5, 0.1, 0.2)
    found = effects(rng.normal(5, 1, (n, 1)), [Hypothesis("tag", "a", inside)], features=features, likeness=likeness)
    assert found[0].raters.high - found[0].raters.low > 1.5 * (found[0].predicted.high - found[0].predicted.low)
