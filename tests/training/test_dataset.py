from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prescreen.embeddings.pipeline import Embedded, Quality
from prescreen.encoders import IDENTITY_BLOCK, EncoderSpecification
from prescreen.encoders.bundled import FACE
from prescreen.errors import RatingsError
from prescreen.predictor.training_portraits import NEAR_DUPLICATE_DISTANCE
from prescreen.ratings.reading import Ratings
from prescreen.ratings.scale import Scale
from prescreen.training.dataset import Dataset, join
from prescreen.training.steps import usual_folds

SPECIFICATION = EncoderSpecification(name="face", members=(FACE,))
QUALITY = Quality(10, 10, 1, 1, "hog", 0.3, 0.0, 9.0)
IMAGES = [f"{letter}.jpg" for letter in "abcdef"]


def ratings(rows, persons=None, traits=("smart", "kind")):
    """Make ratings from rows of image, trait, mean, votes and standard deviation."""
    table = pd.DataFrame(rows, columns=["image", "trait", "mean", "votes", "std"])
    return Ratings(
        table=table,
        traits=traits,
        scale=Scale(0, 10),
        reliability={},
        persons=persons or {},
        format="ratings",
        source=Path("ratings.csv"),
        images_dir=None,
        fingerprint="",
        is_score=False,
        method="mean",
    )


@pytest.fixture
def rated():
    smart = [(image, "smart", 3.0 + i, 10.0, 2.0) for i, image in enumerate(IMAGES)]
    kind = [(image, "kind", 8.0 - i, 5.0, 1.0) for i, image in enumerate(IMAGES[:4])]
    return ratings([*smart, *kind])


def picture(name, number):
    """Embed a picture far from all others: its descriptors are unit vectors along an axis of its own."""
    vector = np.zeros(SPECIFICATION.dimension, np.float16)
    vector[number::128] = 1
    return Embedded(name, f"{number:064d}", vector, QUALITY)


@pytest.fixture
def embedded():
    return [picture(image, i) for i, image in enumerate(IMAGES)]


def test_ratings_and_vectors_are_joined_by_image(rated, embedded):
    order = np.random.default_rng(1).permutation(len(embedded))
    dataset = join(rated, [embedded[i] for i in order], SPECIFICATION)
    assert dataset.images == tuple(IMAGES)
    assert dataset.traits == ("smart", "kind")
    assert dataset.features.dtype == np.float32
    np.testing.assert_array_equal(dataset.features, [row.vector for row in embedded])
    np.testing.assert_array_equal(dataset.ratings[:, 0], [3, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(dataset.ratings[:, 1], [8, 7, 6, 5, np.nan, np.nan])
    np.testing.assert_allclose(dataset.sampling_variance[:, 0], 4 / 10)
    np.testing.assert_allclose(dataset.sampling_variance[:, 1], [1 / 5] * 4 + [np.nan] * 2)
    assert dataset.blocks == SPECIFICATION.blocks
    assert dataset.contents == tuple(row.content for row in embedded)
    np.testing.assert_array_equal(dataset.faces, dataset.features[:, :128])


def test_pictures_without_ratings_are_left_out(rated, embedded):
    dataset = join(rated, [picture("unrated.jpg", 50), *embedded], SPECIFICATION)
    assert dataset.images == tuple(IMAGES)


def test_a_rated_picture_that_cannot_be_used_ends_the_training(rated, embedded):
    embedded[2] = Embedded("c.jpg", reason="JPEG file is truncated")
    embedded[4] = Embedded("e.jpg", reason="empty file")
    with pytest.raises(RatingsError, match=r"ratings\.csv: 2 of 6 .*'c\.jpg' \(JPEG file is truncated\)"):
        join(rated, embedded, SPECIFICATION)


def test_a_rated_picture_that_is_not_there_ends_the_training(rated, embedded):
    with pytest.raises(RatingsError, match=r"1 of 6 rated pictures cannot be used; first 'f\.jpg' \(not found\)"):
        join(rated, embedded[:-1], SPECIFICATION)


def test_persons_keep_their_names_and_stay_together(rated, embedded):
    persons = {"a.jpg": "Ada", "d.jpg": "Ada", "b.jpg": "Bob"}
    dataset = join(replace(rated, persons=persons), embedded, SPECIFICATION)
    assert dataset.known_persons.tolist() == ["Ada", "Bob", None, "Ada", None, None]
    assert dataset.groups[0] == dataset.groups[3]
    assert len(set(dataset.groups)) == 5


def test_near_duplicates_stay_together(rated, embedded):
    block = SPECIFICATION.blocks[IDENTITY_BLOCK]
    near = embedded[1].vector.copy()
    near[block][100] = 0.8 * NEAR_DUPLICATE_DISTANCE
    far = embedded[2].vector.copy()
    far[block][100] = 1.2 * NEAR_DUPLICATE_DISTANCE
    embedded[5] = replace(embedded[5], vector=near)
    embedded[4] = replace(embedded[4], vector=far)
    persons = {"a.jpg": "Ada", "c.jpg": "Cy", "e.jpg": "Eve"}
    dataset = join(replace(rated, persons=persons), embedded, SPECIFICATION)
    groups = dataset.groups
    assert dataset.grouping == "5 of 6 pictures; kept together: 2 near-copies (1 group)"
    assert groups[5] == groups[1]
    assert groups[4] != groups[2]
    assert len(set(groups)) == 5


def test_without_spread_the_noise_follows_from_the_numbers_of_votes():
    """Planted: true ratings of variance 1, single votes of variance 3 about them, so ICC(1) is 0.25."""
    rng = np.random.default_rng(2)
    votes = rng.choice([2, 5, 20], 400)
    means = 5 + rng.normal(size=400) + rng.normal(size=400) * np.sqrt(3 / votes)
    names = [f"{i:03d}" for i in range(400)]
    rated = ratings(
        [(*row, np.nan) for row in zip(names, ["smart"] * 400, means, votes, strict=True)], traits=("smart",)
    )
    found = join(rated, [picture(name, i % 128) for i, name in enumerate(names)], SPECIFICATION)
    np.testing.assert_allclose(found.sampling_variance[:, 0], 3 / votes, rtol=0.2)


def test_auxiliary_ratings_stand_in_the_order_of_the_pictures(rated, embedded):
    others = pd.DataFrame({"kind": np.arange(6.0), "odd": [np.nan, *range(5)]}, index=sorted(IMAGES))
    dataset = join(replace(rated, auxiliary=others.iloc[::-1]), embedded, SPECIFICATION)
    np.testing.assert_array_equal(dataset.auxiliary, others.to_numpy())
    assert join(rated, embedded, SPECIFICATION).auxiliary.shape == (6, 0)


def test_without_votes_the_noise_is_not_known(embedded):
    rated = ratings([(image, "smart", i, np.nan, np.nan) for i, image in enumerate(IMAGES)], traits=("smart",))
    dataset = join(rated, embedded, SPECIFICATION)
    assert np.isnan(dataset.sampling_variance).all()
    np.testing.assert_array_equal(dataset.weights, 1)


def dataset(means, variance):
    n, t = np.shape(means)
    return Dataset(
        images=tuple(map(str, range(n))),
        traits=tuple(map(str, range(t))),
        features=np.zeros((n, 3), np.float32),
        blocks={},
        ratings=np.array(means, float),
        sampling_variance=np.array(variance, float),
        contents=tuple(map(str, range(n))),
        persons=np.array([""] * n),
        groups=np.arange(n),
        auxiliary=np.zeros((n, 0)),
    )


def test_ratings_from_few_votes_weigh_less_with_mean_1():
    means = np.random.default_rng(0).normal(5, 1, (40, 2))
    votes = np.tile([2, 5, 20, 80], 10)
    weights = dataset(means, np.column_stack([4 / votes, 1 / votes])).weights
    np.testing.assert_allclose(weights.mean(axis=0), 1)
    for column in weights.T:
        few, some, many, most = column[:4]
        assert few < 0.7 * some < some < many < most < 2 * many
    noisy, calm = weights.T
    assert noisy[3] / noisy[0] > calm[3] / calm[0]


def test_a_weight_is_the_inverse_of_noise_and_what_stays_unexplained():
    means = np.array([[0.0], [2.0]] * 10)
    weights = dataset(means, [[0.7], [0.2]] * 10).weights
    assert weights[1, 0] / weights[0, 0] == pytest.approx((0.3 + 0.7) / (0.3 + 0.2))


def test_what_nobody_rated_weighs_nothing():
    means = np.random.default_rng(0).normal(5, 1, (12, 2))
    means[3:6, 1] = np.nan
    variance = np.where(np.isnan(means), np.nan, np.linspace(0.1, 3, 12)[:, None])
    weights = dataset(means, variance).weights
    assert (weights[3:6, 1] == 0).all()
    assert (np.delete(weights[:, 1], [3, 4, 5]) > 0).all()
    np.testing.assert_allclose(weights.sum(axis=0), [12, 9])


def test_nearly_equal_numbers_of_votes_weigh_the_same():
    means = np.random.default_rng(0).normal(5, 1, (30, 1))
    votes = np.tile([29, 30, 31], 10)[:, None]
    np.testing.assert_array_equal(dataset(means, 4 / votes).weights, 1)


def test_without_known_votes_all_weigh_the_same():
    means = np.random.default_rng(0).normal(5, 1, (30, 1))
    means[4] = np.nan
    weights = dataset(means, np.full((30, 1), np.nan)).weights
    np.testing.assert_array_equal(weights, np.where(np.isnan(means), 0, 1))


def test_an_unknown_number_of_votes_weighs_no_more_than_a_large_one():
    means = np.random.default_rng(0).normal(5, 1, (20, 1))
    variance = np.tile([[0.05], [2.0], [np.nan], [1.0]], (5, 1))
    many, few, unknown, _ = dataset(means, variance).weights[:4, 0]
    assert few < unknown < many


def test_equal_ratings_of_all_pictures_have_weights():
    np.testing.assert_array_equal(dataset(np.full((12, 1), 5.0), np.full((12, 1), np.nan)).weights, 1)
    np.testing.assert_array_equal(dataset(np.full((12, 1), 5.0), np.full((12, 1), 0.2)).weights, 1)
    np.testing.assert_array_equal(dataset(np.full((12, 1), 5.0), np.zeros((12, 1))).weights, 1)


def test_large_data_sets_have_half_as_many_folds():
    assert [usual_folds(np.arange(pictures)) for pictures in (100, 5000, 5001)] == [10, 10, 5]
    assert [usual_folds(np.arange(100) % groups) for groups in (3, 30)] == [3, 10]  # as many as there will be
