import hashlib
import json
import shutil
import sqlite3
from dataclasses import asdict, replace

import numpy as np
import pytest
from damage import attempt, damaged, twisted
from hypothesis import given
from hypothesis import strategies as st

from prescreen.cli.output import accuracy_table
from prescreen.embeddings.cache import EmbeddingCache
from prescreen.encoders import Encoder, EncoderSpecification
from prescreen.encoders.bundled import FACE
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, TraitEvaluation
from prescreen.images.inspection import Quality
from prescreen.predictor.calibration import Calibration, sorted_columns
from prescreen.predictor.canaries import Canaries
from prescreen.predictor.files import FILES
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import TrainingPortraits
from prescreen.ratings.scale import Scale
from prescreen.regressors.stacking import fit_final
from prescreen.storage.provenance import ScoresMetadata
from prescreen.workflow.inputs import load_predictor

SPECIFICATION = EncoderSpecification(name="face", members=(replace(FACE, views=("chip",), layouts=()),))
D = SPECIFICATION.dimension
NOTE = ScoresMetadata(
    "ab" * 32, "models/a", "a", "cd" * 32, "bundled", "ef" * 32, ("smart",), ("/x",), 3, 1, False, True, {"numpy": "2"}
)


def as_it_should_be(note):
    kinds = {name: type(getattr(NOTE, name)) for name in asdict(NOTE)}
    assert all(type(getattr(note, name)) is kind for name, kind in kinds.items()), note
    assert all(isinstance(text, str) for text in (*note.traits, *note.inputs, *note.versions, *note.versions.values()))
    attempt(load_predictor, note.predictor)


@given(
    st.one_of(
        twisted(asdict(NOTE)).map(lambda content: json.dumps(content).encode()),
        damaged(json.dumps(asdict(NOTE)).encode()),
    )
)
def test_a_damaged_note_is_refused_or_read(tmp_path_factory, content):
    table = tmp_path_factory.getbasetemp() / "noted.csv"
    table.with_name("noted.csv.meta.json").write_bytes(content)
    note = attempt(ScoresMetadata.read, table)
    if note is not None:
        as_it_should_be(note)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, D)).astype(np.float32)
    Y = np.column_stack([1.5 + 0.3 * X[:, 0], 2 + np.sin(X[:, 1])]) + 0.2 * rng.normal(size=(40, 2))
    reliability = {"smart": {"icc1": 0.2, "votes_per_image": 9.0, "of_mean": 0.7}, "kind": {"icc1": None}}
    data = {"source": "v.csv", "sha256": "ab", "images": 40, "columns": {"smart": "smart", "kind": "kind"}}
    manifest = Manifest(
        "mine", SPECIFICATION, ("smart", "kind"), "0:3", False, data, reliability, 0, True, {"numpy": "2"}
    )
    predictor = Predictor(
        manifest,
        fit_final(X, Y, None, SPECIFICATION.blocks, seed=0),
        Calibration(sorted_columns(Y), np.ones(2), np.eye(2), False),
        TrainingPortraits(np.arange(40, dtype=np.uint64), np.zeros((40, 128), np.float16), np.ones((40, 2))),
        Evaluation(n=40, traits=(TraitEvaluation("smart", 40, pearson=Estimate(0.5, 0.1, 0.8)),)),
        canaries=Canaries((b"picture",), np.ones((1, 2))),
    )
    folder = tmp_path_factory.mktemp("models") / "mine"
    predictor.save(folder)
    return folder


def usable(predictor):
    """What commands take from a predictor is there."""
    features = np.zeros((2, D), np.float16)
    found = predictor.predict(features)
    assert found.score.shape == (2, len(predictor.traits))
    assert Scale.parse(predictor.manifest.scale)
    assert predictor.fingerprint
    Encoder(predictor.manifest.encoder)
    json.dumps(asdict(predictor.manifest))
    assert set(predictor.manifest.data.get("columns", predictor.traits)) == set(predictor.traits)
    assert all(isinstance(text, str) for text in predictor.manifest.versions.values())
    assert accuracy_table(predictor.evaluation)


def load_and_use(folder):
    usable(Predictor.load(folder))


@given(data=st.data())
def test_a_damaged_manifest_is_refused_or_does_no_harm(original, tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "manifest"
    shutil.copytree(original, folder, dirs_exist_ok=True)
    text = (original / FILES.manifest).read_text()
    content = data.draw(
        st.one_of(twisted(json.loads(text)).map(lambda document: json.dumps(document).encode()), damaged(text.encode()))
    )
    (folder / FILES.manifest).write_bytes(content)
    attempt(load_and_use, folder)


@pytest.mark.parametrize("name", [FILES.regressors, FILES.evaluation])
@given(data=st.data())
def test_a_signed_file_with_odd_content_is_refused_or_does_no_harm(original, tmp_path_factory, name, data):
    folder = tmp_path_factory.getbasetemp() / "signed"
    shutil.copytree(original, folder, dirs_exist_ok=True)
    text = (original / name).read_text()
    content = data.draw(
        st.one_of(twisted(json.loads(text)).map(lambda document: json.dumps(document).encode()), damaged(text.encode()))
    )
    (folder / name).write_bytes(content)
    manifest = json.loads((original / FILES.manifest).read_text())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (folder / FILES.manifest).write_text(json.dumps(manifest))
    attempt(load_and_use, folder)


@pytest.mark.parametrize("name", FILES.content)
@given(data=st.data())
def test_damage_to_any_other_file_is_found(original, tmp_path_factory, name, data):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    shutil.copytree(original, folder, dirs_exist_ok=True)
    before = (original / name).read_bytes()
    content = data.draw(damaged(before))
    (folder / name).write_bytes(content)
    assert (attempt(Predictor.load, folder) is None) == (content != before)


APPEARANCE = dict.fromkeys(
    ["face_margin", "nose_offset", "eye_crossing", "eye_skew", "iris_lightness", "iris_a", "iris_b", "iris_gap"], 0.5
)
QUALITY = Quality(
    width=400,
    height=300,
    frames=1,
    faces=1,
    face_detector="hog",
    face_share=0.25,
    face_roll=-3.5,
    sharpness=9.75,
    **APPEARANCE,
)
VECTORS = [np.arange(i, i + 6).astype(np.float16) for i in range(5)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = tmp_path_factory.mktemp("cache") / "embeddings.sqlite"
    with EmbeddingCache(path) as cache:
        cache.put("s", [(f"c{i}", vector, QUALITY) for i, vector in enumerate(VECTORS)])
    return path


def look(path):
    """Everything that commands do with a cache; what it gives out is what was put in."""
    with EmbeddingCache(path) as cache:
        for i, vector in enumerate(VECTORS):
            found = cache.get(f"c{i}", "s", 6)
            assert found is None or (np.array_equal(found[0], vector) and found[1] == QUALITY)
        cache.stats()
        cache.put("s", [("new", VECTORS[0], QUALITY)])
        intact, _ = cache.verify()
        assert intact <= len(VECTORS) + 1
        cache.clear()


ODD_CELLS = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=9), st.binary(max_size=20)
)


@given(st.sampled_from(["vector", "check_sum", "quality", "content", "specification"]), ODD_CELLS, st.integers(0, 4))
def test_a_cell_of_the_cache_with_odd_content_is_never_given_out(filled, tmp_path_factory, column, value, row):
    path = tmp_path_factory.getbasetemp() / "cells.sqlite"
    for name in (path, f"{path}-wal", f"{path}-shm"):
        type(path)(name).unlink(missing_ok=True)
    shutil.copy(filled, path)
    database = sqlite3.connect(path)
    try:
        database.execute(f"UPDATE OR IGNORE vectors SET {column} = ? WHERE content = ?", (value, f"c{row}"))
        database.commit()
    except (sqlite3.Error, UnicodeEncodeError):
        pass
    finally:
        database.close()
    look(path)


@given(data=st.data())
def test_a_damaged_cache_is_refused_or_gives_what_was_put_in(filled, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "file.sqlite"
    for name in (path, f"{path}-wal", f"{path}-shm"):
        type(path)(name).unlink(missing_ok=True)
    path.write_bytes(data.draw(damaged(filled.read_bytes())))
    attempt(look, path)
