import numpy as np
import pytest

from prescreen.regressors import novelty
from prescreen.regressors.novelty import NoveltyDetector


@pytest.fixture(scope="module")
def world():
    """Features that lie near a plane of 12 dimensions, as those of networks do."""
    generator = np.random.default_rng(0)
    plane = generator.normal(size=(12, 200))

    def pictures(count, shift=0.0):
        inside = generator.normal(size=(count, 12)) + shift
        return (inside @ plane + 0.1 * generator.normal(size=(count, 200))).astype(np.float32)

    return pictures


def test_new_pictures_of_the_same_kind_seldom_raise_the_alarm_and_others_do(world):
    trained = world(400)
    known = NoveltyDetector.fit(trained, np.arange(400))
    assert np.mean(known.novelty(world(2000)) > 1) < 0.03
    assert np.mean(known.novelty(world(200, shift=2.5)) > 1) > 0.95


def test_training_portraits_are_as_unlike_as_was_promised(world):
    trained = world(300)
    known = NoveltyDetector.fit(trained, np.arange(300))
    # A training portrait's nearest is itself, so that its own novelty is lower than it was when left out.
    assert np.mean(known.novelty(trained) > 1) <= 0.01


def test_pictures_of_one_person_do_not_make_new_persons_strange(world):
    persons = world(100)
    noise = np.random.default_rng(1).normal(size=(300, 200)) * 0.05
    trained = (np.repeat(persons, 3, axis=0) + noise).astype(np.float32)
    groups = np.repeat(np.arange(100), 3)
    new = world(500)
    assert np.mean(NoveltyDetector.fit(trained, groups).novelty(new) > 1) < 0.05
    assert np.mean(NoveltyDetector.fit(trained, np.arange(300)).novelty(new) > 1) > 0.2


def test_it_survives_being_saved(world):
    known = NoveltyDetector.fit(world(50), np.arange(50))
    new = world(10)
    assert np.array_equal(NoveltyDetector.from_arrays(known.to_arrays()).novelty(new), known.novelty(new))


def test_too_few_groups_tell_nothing(world):
    assert NoveltyDetector.fit(world(20), np.repeat([0, 1], 10)) is None
    assert NoveltyDetector.from_arrays({}) is None


def test_constant_features_count_for_nothing(world):
    trained = np.hstack([world(50), np.full((50, 1), 7, np.float32)])
    known = NoveltyDetector.fit(trained, np.arange(50))
    new = np.hstack([world(10), np.full((10, 1), 7, np.float32)])
    other = new.copy()
    other[:, -1] = 1e6
    assert np.allclose(known.novelty(new), known.novelty(other))


def test_the_largest_components_of_many_portraits_are_those_of_all(monkeypatch):
    generator = np.random.default_rng(2)
    gram = generator.standard_normal((120, 200))
    gram = gram @ gram.T
    values, vectors = novelty._largest(gram)
    monkeypatch.setattr(novelty, "FEW", 50)
    few, of_few = novelty._largest(gram)
    assert len(few) == novelty.COMPONENTS
    np.testing.assert_allclose(few, values[: len(few)], rtol=1e-9)
    np.testing.assert_allclose(np.abs(of_few), np.abs(vectors[:, : len(few)]), atol=1e-7)
