"""Ratings of other files: what they bring, and what they must not have seen."""

from dataclasses import replace

import numpy as np
import pytest

from prescreen.encoders import IDENTITY_BLOCK
from prescreen.predictor.bases import predict_all
from prescreen.predictor.training_portraits import content_keys
from prescreen.regressors.stacking import cross_validate
from prescreen.training import steps
from prescreen.training.dataset import Dataset, fit_dataset
from prescreen.training.other_ratings import with_others

D = 40
BLOCKS = {"other": slice(0, D), IDENTITY_BLOCK: slice(D, D + 128)}
WEIGHTS = np.random.default_rng(0).normal(size=(D, 4))  # of four impressions that are learned from the other file


def pictures(n, seed, traits, noise=0.3):
    """Make pictures with ratings in traits that are mixtures of the four impressions."""
    rng = np.random.default_rng(seed)
    features = np.hstack([rng.normal(size=(n, D)), rng.normal(size=(n, 128))]).astype(np.float32)
    truth = features[:, :D] @ WEIGHTS
    mixed = truth @ np.random.default_rng(9).normal(size=(4, 9))[:, traits]
    return Dataset(
        images=tuple(f"{seed}-{row}.jpg" for row in range(n)),
        traits=tuple(f"trait {trait}" for trait in traits),
        features=features,
        blocks=BLOCKS,
        ratings=mixed + noise * mixed.std(axis=0) * rng.normal(size=mixed.shape),
        sampling_variance=np.full(mixed.shape, np.nan),
        contents=tuple(f"{seed:08x}{row:08x}" for row in range(n)),
        persons=np.full(n, ""),
        groups=np.arange(n),
        auxiliary=np.zeros((n, 0)),
    )


@pytest.fixture(scope="module")
def own():
    return pictures(30, 1, [0])


@pytest.fixture(scope="module")
def other():
    return pictures(120, 2, list(range(1, 9)))


def accuracy(dataset, test):
    prior = None
    if dataset.others:
        unknown = np.zeros(len(test.images), np.uint64)
        prior = predict_all([found.as_base() for found in dataset.others], dataset.traits, test.features, unknown)
    predictions = fit_dataset(dataset, seed=0).predict(test.features, prior)
    return np.corrcoef(predictions[:, 0], test.ratings[:, 0])[0, 1]


def test_pictures_that_are_rated_on_other_traits_help(own, other):
    test = pictures(200, 3, [0])
    alone, merged = accuracy(own, test), accuracy(with_others(own, [other], 0), test)
    assert merged > alone + 0.1


def test_other_ratings_that_belong_to_other_pictures_do_no_harm(own, other):
    test = pictures(200, 3, [0])
    order = np.random.default_rng(0).permutation(len(other.images))
    shuffled = with_others(own, [replace(other, ratings=other.ratings[order])], 0)
    assert accuracy(shuffled, test) > accuracy(own, test) - 0.02


def test_cross_validation_says_what_they_bring(own, other):
    def r(dataset):
        return np.corrcoef(steps.cross_validate_dataset(dataset, 0).predictions[:, 0], own.ratings[:, 0])[0, 1]

    assert r(with_others(own, [other], 0)) > r(own) + 0.1


def test_a_file_of_other_pictures_is_the_same_as_a_base(own, other):
    merged = with_others(own, [other], 0)
    base = merged.others[0].as_base()
    said = predict_all([base], own.traits, own.features, content_keys(own.contents), own.faces)
    np.testing.assert_array_equal(merged.prior, said)
    given = own.features, own.ratings, own.groups, own.blocks
    expected = cross_validate(*given, sample_weight=own.weights, prior=said, prior_blocks=merged.prior_blocks)
    np.testing.assert_array_equal(steps.cross_validate_dataset(merged, 0).predictions, expected.predictions)


def same_pictures(own, n, distance=0.0):
    """Rate n pictures of a dataset, or near-copies of them, on another trait, at random."""
    rows = np.arange(n)
    features = own.features[rows].copy()
    features[:, D] += distance
    return replace(
        own,
        images=tuple(f"again {row}.jpg" for row in rows),
        traits=("of the picture",),
        features=features,
        ratings=np.random.default_rng(4).normal(size=(n, 1)),
        sampling_variance=np.full((n, 1), np.nan),
        contents=tuple(own.contents[row] if distance == 0 else f"{0xC0:x}{row:014x}" for row in rows),
        persons=own.persons[rows],
        groups=rows,
        auxiliary=np.zeros((n, 0)),
    )


@pytest.mark.parametrize("distance", [0.0, 0.1])
def test_nothing_said_of_a_picture_has_seen_it_or_a_near_copy_in_another_file(own, other, distance):
    """What it was rated in the other file, changed beyond measure, changes nothing that is said of it."""
    copies = same_pictures(own, 20, distance)
    merged = with_others(own, [copies], 0)
    np.testing.assert_array_equal(merged.groups[:20], merged.others[0].data.groups)
    ratings = copies.ratings.copy()
    ratings[7] = 1e3
    changed = with_others(own, [replace(copies, ratings=ratings)], 0)
    differs = (merged.prior != changed.prior).any(axis=1)
    assert not differs[7]
    assert differs[20:].all()
    # Where it is tested, no picture of its fold has been seen in the other file either.
    before, after = (steps.cross_validate_dataset(dataset, 0) for dataset in (merged, changed))
    assert before.predictions[7] == after.predictions[7]
    said, again = (dataset.others[0].as_base().portraits.predictions for dataset in (merged, changed))
    assert said[7] == again[7]


def test_ratings_of_the_same_pictures_flatter_nobody(own):
    """A trait that is the target itself, on the same pictures with features that say nothing, gives no accuracy."""
    found = []
    for seed in range(5):
        random = np.random.default_rng([5, seed]).normal(size=own.features.shape).astype(np.float32)
        noise = replace(own, features=random)
        again = replace(same_pictures(noise, 30), ratings=noise.ratings)
        predictions = steps.cross_validate_dataset(with_others(noise, [again], seed), seed).predictions
        found.append(np.corrcoef(predictions[:, 0], noise.ratings[:, 0])[0, 1])
    assert np.mean(found) < 0  # -0.28; 0.09 where a fold's ratings are seen in other pictures' predictions only


def test_persons_of_both_files_stand_on_one_side(own, other):
    persons = np.array([f"p{row}" for row in range(30)])
    named = replace(other, persons=np.array([f"p{row % 40}" for row in range(120)]))
    merged = with_others(replace(own, persons=persons), [named], 0)
    theirs = merged.others[0].data.groups
    assert (merged.groups == theirs[:30]).all()
    assert (theirs[:40] == theirs[40:80]).all()
    assert "of named persons" in merged.grouping


def test_a_trait_of_few_groups_is_the_mean_of_what_may_be_seen_where_it_cannot_be_learned(own, other):
    few = np.full((120, 8), np.nan)
    few[:, 1:] = other.ratings[:, 1:]
    few[:2, 0] = other.ratings[:2, 0]
    merged = with_others(own, [replace(other, ratings=few)], 0)
    for rows, expected in ((slice(1), few[1, 0]), (slice(2), 0.0)):
        kept = np.ones(120, dtype=bool)
        kept[rows] = False
        said = merged.others[0].predict(own.features, merged.groups, kept)
        np.testing.assert_allclose(said[:, 0], expected)
        assert (said[:, 1:].std(axis=0) > 0).all()
