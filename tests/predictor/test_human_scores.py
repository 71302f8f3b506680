"""Planted offsets and planted likenesses must come back out of human scores."""

from dataclasses import replace

import numpy as np
import pytest

from prescreen.predictor.calibration import Calibration
from prescreen.predictor.human_scores import Errors, HumanResults, Pictures, offset, update_predictions
from prescreen.ranking.error_correlation import ErrorCorrelation
from prescreen.ranking.within_person import WithinPerson

COVARIANCE = np.array([[0.5, 0.2], [0.2, 0.4]])
SHARE, SIMILAR, GAMMA = 0.6, 0.3, 1.0
KERNEL = ErrorCorrelation.within_person(SHARE, SIMILAR, GAMMA)
VARIANCE = 3 / 30  # 30 votes of an ICC of .25


def errors(reference=None):
    scale = np.sort(np.random.default_rng(0).normal(size=(200, 2)), axis=0)
    calibration = Calibration(
        scale, np.ones(2), COVARIANCE, True, WithinPerson.exactly(SHARE), similar_share=SIMILAR, similar_gamma=GAMMA
    )
    return Errors(calibration, np.zeros((0, 128), np.float32) if reference is None else reference)


def pictures(count, seed, faces=None):
    rng = np.random.default_rng(seed)
    return Pictures(
        z=rng.normal(size=(count, 2)),
        features=rng.normal(size=(count, 4)).astype(np.float32),
        faces=np.zeros((count, 128), np.float32) if faces is None else faces,
        keys=np.arange(1, count + 1, dtype=np.uint64) + np.uint64(1000 * seed),
    )


def results(seen, z):
    m = len(seen)
    return HumanResults(
        seen.keys,
        np.zeros((m, 8), np.float16),
        z,
        np.full((m, 2), VARIANCE),
        np.ones(m, dtype=np.int64),
        np.zeros(m, dtype=bool),
    )


def simulated(seen, rng):
    """True z and human scores under the model: the person's offset, likeness and a rest of each picture's own."""
    squared = ((seen.features[:, None] - seen.features[None]) ** 2).sum(axis=2)
    correlation = KERNEL.cross_correlation(squared, same_picture=np.eye(len(seen), dtype=bool))
    draw = np.linalg.cholesky(correlation) @ rng.normal(size=seen.z.shape) @ np.linalg.cholesky(COVARIANCE).T
    truth = seen.z + draw
    return truth, truth + np.sqrt(VARIANCE) * rng.normal(size=truth.shape)


def test_the_persons_planted_offset_comes_back():
    seen = pictures(40, 1)
    planted = np.array([0.8, -0.5])
    rng = np.random.default_rng(2)
    mean, variance = offset(errors(), seen, results(seen, seen.z + planted + 0.3 * rng.normal(size=seen.z.shape)))
    assert (np.sqrt(variance) < 0.25).all()
    assert np.abs(mean - planted).max() < 2 * np.sqrt(variance.max())


def test_other_pictures_of_the_person_move_and_those_of_others_do_not():
    mine, strangers = np.zeros((1, 128), np.float32), np.ones((3, 128), np.float32)
    scored, others = pictures(10, 1), pictures(3, 2)
    alien = pictures(3, 3, strangers)
    came = results(scored, scored.z + 1.0)
    model = errors(mine)
    moved = update_predictions(model, scored, came, others)[0] - others.z
    unmoved = update_predictions(model, scored, came, alien)[0] - alien.z
    assert moved.min() > 0.5
    assert np.abs(unmoved).max() < 0.25 * moved.min()


def test_learning_brings_predictions_nearer_to_the_truth_and_knows_how_near():
    rng = np.random.default_rng(5)
    before, after, inside = [], [], []
    for seed in range(1, 31):
        everything = pictures(40, seed)
        truth, told = simulated(everything, rng)
        scored, rest = everything.take(np.arange(6)), everything.take(np.arange(6, 40))
        mean, variance = update_predictions(errors(), scored, results(scored, told[:6]), rest)
        before.append(((rest.z - truth[6:]) ** 2).mean())
        after.append(((mean - truth[6:]) ** 2).mean())
        inside.append((np.abs(mean - truth[6:]) < 1.645 * np.sqrt(variance)).mean())
    assert np.mean(after) < 0.8 * np.mean(before)
    assert np.mean(inside) == pytest.approx(0.9, abs=0.03)


def test_the_order_of_rounds_does_not_matter():
    seen, others = pictures(8, 1), pictures(5, 2)
    told = seen.z + 0.5
    parts = [results(seen.take(rows), told[rows]) for rows in (np.arange(3), np.arange(3, 8))]
    both = [parts[0].with_round(parts[1]), parts[1].with_round(parts[0])]
    ordered = [seen, seen.take(np.array([3, 4, 5, 6, 7, 0, 1, 2]))]
    one, other = (
        update_predictions(errors(), where, came, others)[0] for where, came in zip(ordered, both, strict=True)
    )
    np.testing.assert_allclose(one, other, atol=1e-8)


def test_votes_of_two_tests_of_a_picture_count_together():
    seen, others = pictures(4, 1), pictures(5, 2)
    first, second = seen.z + 0.5, seen.z - 1.0
    twice = results(seen, first).with_round(replace(results(seen, second), rounds=np.full(4, 2)))
    # The mean of two scores of equal noise, with half of it.
    pooled = replace(results(seen, (first + second) / 2), variance=np.full((4, 2), VARIANCE / 2))
    again = seen.take(np.array([0, 1, 2, 3, 0, 1, 2, 3]))
    found, wanted = (
        update_predictions(errors(), again, twice, others),
        update_predictions(errors(), seen, pooled, others),
    )
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert twice.rounds.tolist() == [1] * 4 + [2] * 4


def test_a_test_on_one_trait_leaves_the_scores_on_the_others():
    seen, others = pictures(4, 1), pictures(5, 2)
    told = seen.z + 0.7
    later = np.where([False, True], seen.z - 0.3, np.nan)
    newer = replace(results(seen, later), variance=np.where(np.isfinite(later), VARIANCE, np.nan))
    together = results(seen, told).with_round(newer)
    again = seen.take(np.array([0, 1, 2, 3, 0, 1, 2, 3]))
    pooled = np.column_stack([told[:, 0], (told[:, 1] + later[:, 1]) / 2])
    alone = replace(results(seen, pooled), variance=np.tile([VARIANCE, VARIANCE / 2], (4, 1)))
    found, wanted = (
        update_predictions(errors(), again, together, others)[0],
        update_predictions(errors(), seen, alone, others)[0],
    )
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_scores_that_are_known_already_count_once():
    seen = pictures(4, 1)
    first = results(seen.take(np.arange(3)), seen.z[:3] + 0.5)
    grown = results(seen, seen.z + 0.5)
    assert first.holds(grown).all(axis=1).tolist() == [True, True, True, False]
    together = first.with_round(grown)
    assert together.keys.tolist() == seen.keys.tolist()
    on_one = replace(grown, z=np.where([True, False], grown.z, np.nan))
    assert len(together.with_round(on_one)) == 4
    other_votes = replace(grown, variance=grown.variance / 2)
    assert not together.holds(other_votes).any()


def test_scores_of_another_service_move_others_less_and_are_saved_as_such():
    seen, others = pictures(10, 1), pictures(5, 2)
    own = results(seen, seen.z + 0.5)
    foreign = replace(own, foreign=np.ones(10, dtype=bool))
    near, far = (np.abs(update_predictions(errors(), seen, one, others)[0] - others.z).mean() for one in (own, foreign))
    assert far < 0.95 * near
    assert "foreign" not in foreign.to_arrays()  # as all were before it was asked
    for one in (own, foreign):
        np.testing.assert_array_equal(HumanResults.from_arrays(one.to_arrays()).foreign, one.foreign)


def test_a_picture_that_is_not_there_counts_as_a_usual_one_of_the_person():
    scored, gone = pictures(3, 1), pictures(1, 2)
    unknown = replace(gone, features=np.full((1, 4), np.nan, np.float32), faces=np.full((1, 128), np.nan, np.float32))
    model = errors(np.zeros((1, 128), np.float32))
    (prior,) = model.priors(scored, unknown, np.zeros(2))
    np.testing.assert_allclose(prior.correlation[3, :3], SHARE, atol=1e-6)


def test_predictions_of_the_person_are_drawn_in_by_the_slope_and_those_of_others_are_not():
    mine, other = pictures(3, 1), pictures(2, 2, np.ones((2, 128), np.float32))
    model = errors(np.zeros((1, 128), np.float32))
    calibration = replace(model.calibration, within_person=WithinPerson.exactly(0.6, 0.5))
    centre = np.array([0.2, -0.1])
    (prior,) = replace(model, calibration=calibration).priors(mine, other, centre)
    np.testing.assert_allclose(prior.mean[:3], (mine.z + centre) / 2)
    np.testing.assert_allclose(prior.mean[3:], other.z)


def test_a_score_as_predicted_leaves_the_persons_other_pictures_where_they_are():
    model = errors()
    wide = replace(model, calibration=replace(model.calibration, within_person=WithinPerson.prior()))
    scored, others = pictures(1, 1), pictures(5, 2)
    mean, variance = update_predictions(wide, scored, results(scored, scored.z), others)
    np.testing.assert_allclose(mean, others.z, atol=1e-9)
    assert (variance < np.diag(COVARIANCE)).all()
