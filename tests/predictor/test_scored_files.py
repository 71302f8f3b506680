"""Scored pictures are found again by what is in them."""

import shutil

import numpy as np
import pandas as pd
import pytest

from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.encoders import Encoder, make_encoder
from prescreen.errors import EncoderError
from prescreen.images.files import find_images
from prescreen.predictor.scored_files import find_scored, scored_vectors


class Unloadable(Encoder):
    """An encoder that can serve only what is in the cache."""

    def load(self):
        raise EncoderError("the weights are gone")


@pytest.fixture
def cache(tmp_path):
    with EmbeddingCache(tmp_path / "cache.sqlite") as cache:
        yield cache


@pytest.fixture
def folders(tmp_path, patches, encoded):
    """Two folders of pictures that all differ."""
    for n, name in enumerate(["a/1.png", "a/2.png", "b/1.png"]):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(patches.rotate(90 * n, expand=True), "PNG"))
    return tmp_path / "pictures" / "a", tmp_path / "pictures" / "b"


@pytest.fixture
def encoder(clip_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "networks"))
    return make_encoder(f"clip:tiny@{clip_folder}")


def scored(places, encoder, cache, tolerant=False):
    rows = list(embed_images(find_images(places), encoder, cache, tolerant=tolerant))
    table = pd.DataFrame([{"image": row.name, "status": "ok", "content": row.content} for row in rows])
    return table, {row.name: row.vector for row in rows}


def there(places, table, cache):
    return {file.name: file.path.relative_to(places[0].parent).as_posix() for file in find_scored(places, table, cache)}


def test_what_is_left_of_several_inputs_keeps_its_names(folders, encoder, cache):
    table, _ = scored(folders, encoder, cache)
    assert list(there(folders, table, cache)) == ["a/1.png", "a/2.png", "b/1.png"]
    shutil.rmtree(folders[1])
    assert there(folders, table, cache) == {"a/1.png": "a/1.png", "a/2.png": "a/2.png"}
    names_only = table.drop(columns="content")
    assert list(there(folders, names_only, cache)) == ["a/1.png", "a/2.png"]
    shutil.rmtree(folders[0])
    assert there(folders, table, cache) == {}


def test_moved_pictures_are_found_and_changed_ones_are_not_taken(folders, encoder, cache):
    table, _ = scored(folders, encoder, cache)
    a, b = folders
    (a / "1.png").rename(b / "moved.png")
    (a / "2.png").write_bytes((b / "1.png").read_bytes())
    assert there(folders, table, cache) == {"a/1.png": "b/moved.png", "b/1.png": "b/1.png"}


@pytest.mark.parametrize("tolerant", [False, True])
def test_pictures_that_are_gone_keep_their_vectors(folders, encoder, cache, tolerant):
    table, vectors = scored(folders, encoder, cache, tolerant)
    for folder in folders:
        shutil.rmtree(folder)
    counted = []
    found = scored_vectors(table, [], Unloadable(encoder.specification), cache, lambda: counted.append(1))
    assert found.keys() == vectors.keys()
    assert len(counted) == 3
    for name, vector in vectors.items():
        np.testing.assert_array_equal(found[name], vector)


def test_a_file_that_holds_another_picture_gives_no_vector(folders, encoder, cache, tmp_path):
    table, vectors = scored(folders, encoder, cache)
    files = list(find_images(folders))
    (folders[0] / "1.png").write_bytes((folders[1] / "1.png").read_bytes())
    with EmbeddingCache(tmp_path / "empty.sqlite") as empty:
        found = scored_vectors(table, files, encoder, empty, lambda: None)
    assert found.keys() == {"a/2.png", "b/1.png"}
    np.testing.assert_array_equal(found["a/2.png"], vectors["a/2.png"])
