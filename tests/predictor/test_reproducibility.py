import hashlib
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

from heard import Heard
from prescreen.encoders import Encoder, EncoderSpecification
from prescreen.encoders.bundled import FACE
from prescreen.errors import EncoderError, PredictorError
from prescreen.evaluation.report import Evaluation
from prescreen.predictor import reproducibility
from prescreen.predictor.calibration import Calibration, sorted_columns
from prescreen.predictor.canaries import Canaries
from prescreen.predictor.files import FILES
from prescreen.predictor.human_scores import HumanResults
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.reproducibility import (
    STANDS_IN,
    TOLERANCE,
    TOLERANCE_BF16,
    TOLERANCE_STAND_IN,
    check_reproducibility,
)
from prescreen.predictor.training_portraits import TrainingPortraits
from prescreen.progress import NullReporter
from prescreen.regressors.stacking import fit_final
from prescreen.storage import provenance

SPECIFICATION = EncoderSpecification(name="face", members=(FACE,))
D = SPECIFICATION.dimension


@pytest.fixture(scope="module")
def place(session_cache):
    """Where converted networks are, of all tests of this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESCREEN_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="module")
def encoder(place):
    made = Encoder(SPECIFICATION)
    made.load()
    return made


@pytest.fixture(scope="module")
def watched(encoder):
    """Return a predictor of two traits with its canaries."""
    rng = np.random.default_rng(0)
    faces = rng.normal(0, 0.1, (80, D)).astype(np.float32)
    ratings = np.column_stack([1.5 + 3 * faces[:, 0], 2 + 4 * faces[:, 1]]) + 0.1 * rng.normal(size=(80, 2))
    data = {"source": "v.csv", "sha256": "ab", "images": 80, "columns": {"smart": "smart", "kind": "kind"}}
    reliability = {"smart": {"icc1": None}, "kind": {"icc1": None}}
    manifest = Manifest(
        "mine", SPECIFICATION, ("smart", "kind"), "0:3", False, data, reliability, 0, True, provenance.versions()
    )
    plain = Predictor(
        manifest=manifest,
        regressors=fit_final(faces, ratings, None, SPECIFICATION.blocks, seed=0),
        calibration=Calibration(sorted_columns(ratings), np.ones(2), np.eye(2), is_score=False),
        portraits=TrainingPortraits(np.zeros(0, np.uint64), np.zeros((0, 128), np.float16), np.zeros((0, 2))),
        evaluation=Evaluation(),
    )
    return reproducibility.with_canaries(plain, encoder)


@pytest.fixture(autouse=True)
def cache(place, tmp_path, monkeypatch):
    """An empty memory for each test."""
    monkeypatch.setattr(reproducibility, "cache_directory", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "canaries"


def shifted(encoder, monkeypatch, change):
    """Let the encoder give other vectors, as after an update of a library."""
    original = encoder.encode
    monkeypatch.setattr(encoder, "encode", lambda views: change(original(views).astype(np.float32)).astype(np.float16))


def never(*_, **__):
    raise AssertionError("canaries were scored again")


def test_a_predictor_that_is_as_it_was_says_nothing(watched, encoder):
    result = check_reproducibility(watched, encoder)
    assert result.difference == 0
    assert not result.differs
    assert result.warning == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_reproducibility(watched, encoder, NullReporter())


def test_other_vectors_are_noticed_and_what_they_change_is_named(watched, encoder, monkeypatch):
    versions = provenance.versions()
    monkeypatch.setattr(provenance, "versions", lambda: versions | {"pillow": "99.0"})
    shifted(encoder, monkeypatch, lambda vectors: vectors + np.float32(0.02))
    result = check_reproducibility(watched, encoder)
    vectors = encoder.encode([watched_views(encoder, picture) for picture in watched.canaries.pictures])
    now = watched.predict(vectors)
    then = watched.calibration.score(watched.canaries.raw)
    moved = np.abs(
        10 / np.sqrt(2 * np.pi) * (watched.calibration.z(now.raw) - watched.calibration.z(watched.canaries.raw))
    )
    row, trait = np.unravel_index(moved.argmax(), moved.shape)
    assert result.difference == pytest.approx(moved.max())
    assert result.text == (
        f"{watched.traits[trait]} from {then[row, trait]:.2f} to {now.score[row, trait]:.2f} "
        f"(largest difference {abs(now.score - then)[row, trait]:.2f} points, {moved.max():.2f} as at the middle of "
        f"the scale); changed since: pillow from {versions['pillow']} to 99.0"
    )
    with pytest.warns(UserWarning, match="now scores its canaries differently: .* from .* to .*train again"):
        check_reproducibility(watched, encoder, NullReporter())


def watched_views(encoder, picture):
    from prescreen.embeddings.workers import shared_workers

    return shared_workers().inspect(picture, encoder.views, False)[0]


@pytest.mark.parametrize("size", [1e-5, 1e-4, 1e-3])
def test_rounding_is_no_difference(watched, encoder, monkeypatch, size):
    noise = np.random.default_rng(1)
    shifted(encoder, monkeypatch, lambda vectors: vectors * (1 + size * noise.normal(size=vectors.shape)))
    result = check_reproducibility(watched, encoder)
    assert result.difference < TOLERANCE
    assert result.text.startswith("canaries scored as at training")


def test_a_change_beyond_the_ends_of_the_scale_is_noticed(watched, encoder, monkeypatch):
    best = replace(watched, canaries=Canaries(watched.canaries.pictures, watched.canaries.raw + 50))
    shifted(encoder, monkeypatch, lambda vectors: vectors)
    monkeypatch.setattr(reproducibility, "_measure", lambda *_: best.canaries.raw + 0.5)
    result = check_reproducibility(best, encoder)
    assert np.ptp(best.calibration.score(np.stack([best.canaries.raw[0], best.canaries.raw[0] + 0.5]))[:, 0]) < 0.01
    assert result.differs


def test_what_was_measured_is_remembered_until_something_changes(watched, encoder, monkeypatch, cache):
    check_reproducibility(watched, encoder)
    (record,) = cache.iterdir()
    monkeypatch.setattr(encoder, "encode", never)
    assert check_reproducibility(watched, encoder).difference == 0
    assert check_reproducibility(replace(watched, results=results()), encoder).difference == 0
    for change in (
        (provenance, "versions", lambda: {"python": "4.0"}),
        (reproducibility, "_processor", lambda: "another one"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(*change)
            with pytest.raises(AssertionError, match="scored again"):
                check_reproducibility(watched, encoder)
    with pytest.raises(AssertionError, match="scored again"):
        check_reproducibility(watched, encoder, force=True)
    for damage in (b"", b"[]", b'{"raw": 3}', b'{"raw": [["a"]]}', b"\xff", b'{"raw": [[1.0]]}'):
        record.write_bytes(damage)
        with pytest.raises(AssertionError, match="scored again"):
            check_reproducibility(watched, encoder)


def test_a_difference_is_told_each_time(watched, encoder, monkeypatch):
    shifted(encoder, monkeypatch, lambda vectors: vectors + np.float32(0.02))
    first = check_reproducibility(watched, encoder)
    monkeypatch.setattr(encoder, "encode", never)
    assert first.differs
    assert check_reproducibility(watched, encoder) == first


def moved_by(points, predictor):
    """Return raw predictions of the canaries that are so many points above those of training."""
    z = predictor.calibration.z(predictor.canaries.raw) + points * np.sqrt(2 * np.pi) / 10
    return predictor.calibration.raw(z)


def in_bf16(predictor):
    return replace(predictor, manifest=replace(predictor.manifest, encoder=replace(SPECIFICATION, precision="bf16")))


def test_where_f32_stands_in_for_bf16_it_is_said_and_more_is_tolerated(watched, encoder, computes_in, monkeypatch):
    computes_in("f32")
    fast, heard = in_bf16(watched), Heard()
    check_reproducibility(fast, fast.make_encoder(), heard)
    assert heard.lines == [f"precision  {STANDS_IN}"]
    for moved, differs in ((0.9 * TOLERANCE_STAND_IN, False), (1.1 * TOLERANCE_STAND_IN, True)):
        raw = moved_by(moved, watched)
        monkeypatch.setattr(reproducibility, "_measure", lambda *_, raw=raw: raw)
        found = check_reproducibility(fast, fast.make_encoder(), force=True)
        assert (found.difference == pytest.approx(moved), found.differs) == (True, differs)
        assert "in f32 instead of bf16" in found.text


def test_bf16_of_another_processor_may_differ_more_than_f32(watched, encoder, computes_in, monkeypatch):
    computes_in("f32", "bf16")
    monkeypatch.setattr(reproducibility, "_measure", lambda *_: moved_by(0.9 * TOLERANCE_BF16, watched))
    fast, heard = in_bf16(watched), Heard()
    assert check_reproducibility(watched, encoder).differs
    found = check_reproducibility(fast, fast.make_encoder(), heard)
    assert TOLERANCE < found.difference < TOLERANCE_BF16
    assert (found.differs, heard.lines) == (False, [])


def test_each_precision_is_measured_for_itself(watched, encoder, computes_in, cache):
    fast = in_bf16(watched)
    for here in (("f32",), ("f32", "bf16")):
        computes_in(*here)
        made = fast.make_encoder()
        assert made.specification.precision == here[-1]
        reproducibility._remember(reproducibility._record(fast, watched.canaries, made), watched.canaries.raw)
    assert len(list(cache.iterdir())) == 2


def test_a_memory_that_cannot_be_written_does_no_harm(watched, encoder, cache):
    cache.parent.write_bytes(b"a file where the folder should be")
    assert check_reproducibility(watched, encoder).difference == 0


def results():
    """People see the one picture far above what was predicted."""
    return HumanResults(
        np.ones(1, np.uint64),
        np.zeros((1, D), np.float16),
        np.full((1, 2), 2.0),
        np.full((1, 2), 0.01),
        np.ones(1, int),
        np.ones(1, dtype=bool),
    )


def test_what_people_said_is_no_difference(watched, encoder):
    assert check_reproducibility(replace(watched, results=results()), encoder, force=True).difference == 0


def test_a_canary_that_cannot_be_decoded_any_more_is_a_difference(watched, encoder):
    pictures = (b"no picture", *watched.canaries.pictures[1:])
    result = check_reproducibility(replace(watched, canaries=Canaries(pictures, watched.canaries.raw)), encoder)
    assert result.differs
    assert "1 of 4 canaries cannot be scored any more" in result.text


def test_an_encoder_that_cannot_work_here_leaves_it_open(watched, encoder, monkeypatch):
    def fail():
        raise EncoderError("no weights")

    monkeypatch.setattr(encoder, "load", fail)
    result = check_reproducibility(watched, encoder)
    assert result.difference is None
    assert result.text == "canaries not scored (no weights)"


def test_an_older_predictor_has_none_and_is_loaded_all_the_same(watched, encoder, tmp_path):
    older = replace(watched, canaries=None)
    older.save(tmp_path / "older")
    assert FILES.canaries not in {path.name for path in (tmp_path / "older").iterdir()}
    loaded = Predictor.load(tmp_path / "older")
    assert loaded.canaries is None
    assert loaded.fingerprint == watched.fingerprint
    assert not check_reproducibility(loaded, encoder).differs
    watched.save(tmp_path / "older")
    assert Predictor.load(tmp_path / "older").canaries.pictures == watched.canaries.pictures
    older.save(tmp_path / "older")
    assert Predictor.load(tmp_path / "older").canaries is None


def test_damaged_canaries_are_refused(watched, tmp_path):
    watched.save(tmp_path / "mine")
    file = tmp_path / "mine" / FILES.canaries
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(PredictorError, match=f"{FILES.canaries} is damaged"):
        Predictor.load(tmp_path / "mine")
    manifest = json.loads((tmp_path / "mine" / FILES.manifest).read_text())
    manifest["files"][FILES.canaries] = hashlib.sha256(file.read_bytes()).hexdigest()
    (tmp_path / "mine" / FILES.manifest).write_text(json.dumps(manifest))
    with pytest.raises(PredictorError, match="not a sound predictor"):
        Predictor.load(tmp_path / "mine")
