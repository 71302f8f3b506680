"""Persons among faces, named or not: found cluster by cluster, and nobody merged who only looks a little alike."""

import numpy as np
import pytest

from prescreen.predictor.training_portraits import NEAR_DUPLICATE_DISTANCE
from prescreen.training.grouping import group, likely_persons


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def faces(persons, spread, seed=0):
    """Descriptors of pictures of persons: persons about 0.85 apart, pictures of one person about ``spread``."""
    rng = np.random.default_rng(seed)
    centres = 0.6 * unit(rng.normal(size=(max(persons) + 1, 128)))
    noise = spread / np.sqrt(2) * unit(rng.normal(size=(len(persons), 128)))
    return (centres[persons] + noise).astype(np.float32)


def nobody(count):
    return np.full(count, "", dtype=np.str_)


def together(labels):
    return labels[:, None] == labels


def test_groups_are_chained_over_duplicates_and_persons():
    descriptors = np.zeros((6, 128), np.float32)
    descriptors[:, 0] = np.array([0, 0.9, 1.8, 20, 20.9, 40]) * NEAR_DUPLICATE_DISTANCE
    persons = np.array(["", "", "Ada", "Ada", "", ""])
    assert group(descriptors, persons).labels.tolist() == [0, 0, 0, 0, 0, 1]
    assert group(descriptors, np.array([*"ABCDEF"])).labels.tolist() == [0, 0, 0, 1, 1, 2]


def test_pictures_without_a_person_are_not_one_person():
    assert len(set(group(np.eye(5, 128, dtype=np.float32), nobody(5)).labels)) == 5


@pytest.mark.parametrize("spread", [0.28, 0.35, 0.45])
def test_persons_that_nobody_named_are_found_where_there_are_several_pictures_of_each(spread):
    persons = np.repeat(np.arange(20), 3)
    np.testing.assert_array_equal(together(group(faces(persons, spread), nobody(60)).labels), together(persons))


@pytest.mark.parametrize(("album", "spread"), [(2, 0.35), (6, 0.35), (50, 0.28), (50, 0.4)])
def test_one_persons_pictures_are_found_among_many_strangers(album, spread):
    persons = np.concatenate([np.zeros(album, int), np.arange(1, 401)])
    found = group(faces(persons, spread), nobody(len(persons)))
    np.testing.assert_array_equal(together(found.labels), together(persons))
    assert found.alike == (1, album)
    assert found.describe().startswith(
        f"401 of {400 + album} pictures; kept together: {album} that look like one person"
    )


def test_different_persons_are_left_apart():
    found = group(faces(np.arange(300), 0.35), nobody(300))
    assert len(set(found.labels)) == 300
    assert found.describe().startswith("none: every picture stands alone")


def test_many_faces_that_are_alike_by_chance_are_left_nearly_alone():
    """Faces of 30 free dimensions, 60 of 360 crowded in one place, as those of children are among generated faces."""
    rng = np.random.default_rng(3)
    descriptors = np.zeros((360, 128), np.float32)
    descriptors[:, :30] = 0.103 * rng.normal(size=(360, 30)) * np.where(np.arange(360) < 60, 0.65, 1)[:, None]
    sizes = np.bincount(group(descriptors, nobody(360)).labels)
    assert sizes.max() <= 3
    assert sizes[sizes > 1].sum() < 0.1 * 360


def test_only_near_copies_are_not_said_to_be_persons():
    descriptors = faces(np.arange(30), 0.3)
    descriptors[1] = descriptors[0] + 0.5 * NEAR_DUPLICATE_DISTANCE * np.eye(1, 128)[0]
    found = group(descriptors, nobody(30))
    assert (found.named, found.alike, found.copies) == ((0, 0), (0, 0), (1, 2))
    assert found.describe() == "29 of 30 pictures; kept together: 2 near-copies (1 group)"


def test_where_some_persons_are_named_the_others_are_still_looked_for():
    persons = np.repeat(np.arange(20), 3)
    names = nobody(60).astype("U3")
    names[0], names[3:6], names[57] = "Ada", ["Bob", "Bob", ""], "Cy"
    found = group(faces(persons, 0.35), names)
    np.testing.assert_array_equal(together(found.labels), together(persons))
    assert found.named == (1, 3)
    assert found.alike == (19, 57)


def test_names_outweigh_likeness():
    """Six pictures that look like one person, of two persons who are named: each other one joins the nearest."""
    persons = np.repeat([0, 1], 3)
    rng = np.random.default_rng(1)
    centres = np.stack([np.zeros(128), np.eye(128)[0] * 0.27])
    alike = (centres[persons] + 0.1 * unit(rng.normal(size=(6, 128)))).astype(np.float32)
    strangers = faces(np.arange(20), 0.3) + np.eye(1, 128)[0]
    names = np.array(["Ada", "", "", "Eve", "", "", *[""] * 20])
    labels = group(np.vstack([alike, strangers]).astype(np.float32), names).labels
    np.testing.assert_array_equal(together(labels[:6]), together(persons))
    assert len(set(likely_persons(np.vstack([alike, strangers]))[:6])) == 1


def test_where_all_are_named_none_are_guessed():
    names = np.array([str(number) for number in range(60)])
    found = group(faces(np.repeat(np.arange(20), 3), 0.4), names)
    assert len(set(found.labels)) == 60


@pytest.mark.parametrize("n", [0, 1])
def test_of_one_picture_nothing_is_guessed(n):
    assert likely_persons(np.zeros((n, 128), np.float32)).tolist() == [0] * n
