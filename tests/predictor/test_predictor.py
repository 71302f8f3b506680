import hashlib
import json
import os
import pickletools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from heard import Heard
from prescreen.encoders import EncoderSpecification
from prescreen.encoders.bundled import FACE
from prescreen.errors import PredictorError, PredictorMismatch
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, TraitEvaluation
from prescreen.predictor.calibration import Calibration, sorted_columns
from prescreen.predictor.canaries import Canaries
from prescreen.predictor.files import FILES, FORMAT, announce_overwrite
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import TrainingPortraits, content_keys
from prescreen.regressors.stacking import fit_final
from prescreen.storage import atomic

SPECIFICATION = EncoderSpecification(name="face", members=(replace(FACE, views=("chip",)),))
D = SPECIFICATION.dimension
MANIFEST = Manifest(
    name="sample",
    encoder=SPECIFICATION,
    traits=("smart", "kind"),
    scale="0:3",
    is_score=False,
    data={
        "source": "Böö \udce9.csv",
        "sha256": "ab",
        "images": 60,
        "columns": {"smart": "smart", "kind": "kind"},
        "contents": ["ab", "cd"],
    },
    reliability={"smart": {"icc1": 0.2, "votes_per_image": None, "of_mean": 0.7}, "kind": {"icc1": None}},
    seed=7,
    simulated=True,
    versions={"prescreen": "0.1.0"},
)

CONTENTS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(60)]


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(4).normal(size=(25, D)).astype(np.float16)


@pytest.fixture(scope="module")
def predictor():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, D)).astype(np.float32)
    Y = np.column_stack([1.5 + 0.3 * X[:, 0], 2 + np.sin(X[:, 1])]) + 0.2 * rng.normal(size=(60, 2))
    Y[:5, 1] = np.nan
    return Predictor(
        manifest=MANIFEST,
        regressors=fit_final(X, Y, None, SPECIFICATION.blocks, seed=7),
        calibration=Calibration(
            sorted_columns(Y), np.array([0.4, 0.6]), np.array([[1, 0.2], [0.2, 1]]), is_score=False
        ),
        portraits=TrainingPortraits(
            keys=content_keys(CONTENTS),
            faces=X.astype(np.float16),
            predictions=np.column_stack([np.linspace(1, 2, 60), np.linspace(2, 1, 60)]),
        ),
        evaluation=Evaluation(
            n=60, traits=(TraitEvaluation("smart \udcff", 60, pearson=Estimate(0.5)),), simulated=True
        ),
        canaries=Canaries((b"one picture", b"another"), np.array([[1.0, 2], [1.5, 1.75]])),
    )


@pytest.fixture(scope="module")
def original(predictor, tmp_path_factory):
    directory = tmp_path_factory.mktemp("models") / "sample"
    predictor.save(directory)
    return directory


@pytest.fixture
def saved(original, tmp_path):
    """Return a copy of the saved predictor that a test may damage."""
    return Path(shutil.copytree(original, tmp_path / "models" / "sample"))


def contents(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)


def rewrite(directory, **changes):
    path = directory / FILES.manifest
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes))


def test_what_is_loaded_predicts_bit_for_bit_the_same(predictor, original, features):
    loaded = Predictor.load(original)
    assert same(loaded.predict(features), predictor.predict(features))
    assert loaded.manifest == predictor.manifest
    assert loaded.evaluation == predictor.evaluation
    assert loaded.fingerprint == predictor.fingerprint
    assert np.array_equal(loaded.calibration.error_covariance, predictor.calibration.error_covariance)
    assert same(loaded.portraits, predictor.portraits)
    assert same(loaded.predict(features, CONTENTS[:25]), predictor.predict(features, CONTENTS[:25]))


def test_a_directory_may_be_named_by_text(original, tmp_path):
    loaded = Predictor.load(str(original))
    loaded.save(str(tmp_path / "again"))
    assert Predictor.load(str(tmp_path / "again")).fingerprint == loaded.fingerprint
    with pytest.raises(PredictorError, match="nowhere"):
        Predictor.load(str(tmp_path / "nowhere"))


def test_what_will_be_overwritten_is_said_before_and_only_then(original, tmp_path):
    heard = Heard()
    announce_overwrite(tmp_path / "new", heard)
    assert heard.lines == []
    announce_overwrite(original, heard)
    assert heard.lines == [f"output     {original}: will overwrite the predictor there"]


def test_saving_what_was_loaded_gives_the_same_bytes(original, tmp_path):
    Predictor.load(original).save(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(original)


def test_predictions_are_intervals_around_the_middle_in_both_scales(predictor, features):
    found = predictor.predict(features)
    assert found.raw.shape == (25, 2)
    np.testing.assert_allclose(found.raw - found.raw_low, np.tile([0.4, 0.6], (25, 1)))
    np.testing.assert_allclose(found.raw_high - found.raw, np.tile([0.4, 0.6], (25, 1)))
    assert (found.score_low < found.score).all()
    assert (found.score < found.score_high).all()
    assert found.score_low.min() >= 0
    assert found.score_high.max() <= 10
    np.testing.assert_allclose(found.score, predictor.calibration.score(found.raw))


def test_a_prediction_does_not_depend_on_the_other_pictures(predictor, features):
    together = predictor.predict(features)
    for i in (0, 7, 24):
        assert np.array_equal(predictor.predict(features[i : i + 1]).score[0], together.score[i])


def test_half_precision_and_single_precision_give_the_same(predictor, features):
    assert same(predictor.predict(features), predictor.predict(features.astype(np.float32)))


def test_a_picture_that_was_trained_on_gets_what_was_predicted_without_it(predictor, features):
    contents = [hashlib.sha256(bytes([200 + number])).hexdigest() for number in range(25)]
    strangers = predictor.predict(features, contents)
    assert same(strangers, predictor.predict(features))
    contents[3], contents[20] = CONTENTS[10], CONTENTS[59]
    found = predictor.predict(features, contents)
    np.testing.assert_allclose(found.raw[[3, 20]], predictor.portraits.predictions[[10, 59]])
    np.testing.assert_allclose(found.raw_high - found.raw, np.tile([0.4, 0.6], (25, 1)))
    np.testing.assert_allclose(found.score, predictor.calibration.score(found.raw))
    others = np.delete(np.arange(25), [3, 20])
    assert np.array_equal(found.raw[others], strangers.raw[others])


def test_places_of_pictures_by_content(predictor):
    asked = [CONTENTS[7], "", "0" * 64, CONTENTS[0], CONTENTS[7][:16] + "f" * 48]
    assert predictor.portraits.find(content_keys(asked)).tolist() == [7, -1, -1, 0, 7]
    assert predictor.portraits.find(content_keys([])).tolist() == []


@pytest.mark.parametrize("shape", [(3, D + 1), (3, D - 1), (D,), (3, D, 1), (0, 5)])
def test_vectors_of_another_shape_are_refused(predictor, shape):
    with pytest.raises(PredictorMismatch, match=f"{D}"):
        predictor.predict(np.zeros(shape, np.float32))


def test_nothing_in_a_predictor_can_run_code(original):
    assert {path.name for path in original.iterdir()} == {
        "manifest.json", "arrays.safetensors", "regressors.json", "evaluation.json", "canaries.safetensors"
    }  # fmt: skip
    for path in original.iterdir():
        data = path.read_bytes()
        assert not data.startswith((b"\x80", b"PK"))
        with pytest.raises(ValueError, match="opcode|pickle exhausted|expected|invalid literal"):
            list(pickletools.genops(data))
        if path.suffix == ".json":
            json.loads(data)
        else:
            load_file(path)


@pytest.mark.parametrize("name", FILES.content)
def test_an_altered_file_is_refused(saved, name):
    data = bytearray((saved / name).read_bytes())
    data[len(data) // 2] ^= 1
    (saved / name).write_bytes(data)
    with pytest.raises(PredictorError, match=f"{name} is damaged"):
        Predictor.load(saved)


@pytest.mark.parametrize("name", FILES.content)
def test_a_missing_file_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(PredictorError, match=name):
        Predictor.load(saved)


def test_a_folder_without_a_predictor(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(PredictorError, match="prescreen train"):
            Predictor.load(place)


@pytest.mark.parametrize("version", [FORMAT - 1, FORMAT + 1, str(FORMAT), None])
def test_another_format_version_is_refused(saved, version):
    rewrite(saved, format=version)
    with pytest.raises(PredictorError, match=f"format {version}.*train it again"):
        Predictor.load(saved)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "5",
        "null",
        '"text"',
        "{}",
        f'{{"format": {FORMAT}}}',
        "\x80\x81",
        pytest.param("[" * 10**5, id="deep"),
        pytest.param(f'{{"format": {"9" * 10**6}}}', id="a long integer"),
    ],
)
def test_a_damaged_manifest_is_refused(saved, text):
    (saved / FILES.manifest).write_text(text, "latin-1")
    with pytest.raises(PredictorError, match=r"manifest\.json"):
        Predictor.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {}},
        {"files": {"../../secret": "00"}},
        {"files": None},
        {"encoder": {}},
        {"encoder": None},
        {"traits": None},
        {"traits": ["smart"]},
        {"traits": ["smart", "kind", "rich"]},
        {"colour": "grey"},
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(saved, changes):
    rewrite(saved, **changes)
    with pytest.raises(PredictorError):
        Predictor.load(saved)


HEADERS = {
    "longer than the file": (1 << 40).to_bytes(8, "little") + b"{}",
    "longer than a number": b"\xff" * 8 + b"{}",
    "an end before its start": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
    "beyond the file": {"a": {"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 1 << 32]}},
    "a shape that overflows": {"a": {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 0]}},
    "two over each other": {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in ("regressors/a", "regressors/b")
    },
    "a long integer": b'{"a": {"dtype": "F32", "shape": [' + b"9" * 100_000 + b'], "data_offsets": [0, 4]}}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", [FILES.arrays, FILES.canaries])
@pytest.mark.parametrize("header", HEADERS)
def test_a_header_of_arrays_that_lies_is_refused(saved, name, header):
    """The sums fit: whoever wrote the file wrote them."""
    content = HEADERS[header]
    if isinstance(content, dict):
        content = json.dumps(content).encode()
    if header not in ("longer than the file", "longer than a number"):
        content = len(content).to_bytes(8, "little") + content + b"\0" * 4
    (saved / name).write_bytes(content)
    sums = json.loads((saved / FILES.manifest).read_text())["files"]
    rewrite(saved, files=sums | {name: hashlib.sha256(content).hexdigest()})
    with pytest.raises(PredictorError, match="not a sound predictor"):
        Predictor.load(saved)


def test_a_manifest_leads_to_no_other_folder(saved):
    """A name with a path in it is refused, even where its sum is that of the file."""
    outside = saved.parent / FILES.arrays
    (saved / FILES.arrays).rename(outside)
    sums = json.loads((saved / FILES.manifest).read_text())["files"]
    for name in (f"../{FILES.arrays}", str(outside)):
        rewrite(saved, files={name: sums[FILES.arrays]} | {key: sums[key] for key in sums if key != FILES.arrays})
        with pytest.raises(PredictorError, match="expected the files"):
            Predictor.load(saved)


def test_an_encoder_of_another_dimension_is_refused(saved):
    other = EncoderSpecification(name="face", members=(replace(FACE, layouts=()),))
    rewrite(saved, encoder=other.to_json())
    with pytest.raises(PredictorError, match=str(other.dimension)):
        Predictor.load(saved)


def replace_arrays(directory, **changes):
    """Change arrays and let the manifest vouch for them."""
    arrays = load_file(directory / FILES.arrays) | changes
    save_file({name: array for name, array in arrays.items() if array is not None}, directory / FILES.arrays)
    files = json.loads((directory / FILES.manifest).read_text())["files"]
    digest = hashlib.sha256((directory / FILES.arrays).read_bytes()).hexdigest()
    rewrite(directory, files=files | {FILES.arrays: digest})


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("calibration/half_widths", None),
        ("calibration/half_widths", np.ones(3)),
        ("calibration/distribution", np.ones((5, 1))),
        ("calibration/error_size", np.ones((4, 3))),
        ("calibration/error_size", np.ones((2, 2))),
        ("portraits/keys", None),
        ("portraits/keys", np.zeros(3, np.uint64)),
        ("portraits/predictions", np.zeros((60, 3))),
        ("portraits/faces", np.zeros((59, 128), np.float16)),
        ("regressors/weights", None),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(saved, name, array):
    replace_arrays(saved, **{name: array})
    with pytest.raises(PredictorError):
        Predictor.load(saved)


def test_arrays_that_are_as_they_were_are_accepted(saved, predictor, features):
    replace_arrays(saved)
    assert same(Predictor.load(saved).predict(features), predictor.predict(features))


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": replace(SPECIFICATION, mirror=False)},
        {"is_score": True},
        {"traits": ("kind", "smart")},
    ],
)
def test_whatever_decides_a_score_changes_the_fingerprint(predictor, change):
    assert replace(predictor, manifest=replace(MANIFEST, **change)).fingerprint != predictor.fingerprint


def test_what_does_not_decide_a_score_leaves_the_fingerprint(predictor):
    other = replace(
        predictor, manifest=replace(MANIFEST, name="other", seed=8, versions={}), evaluation=Evaluation(), canaries=None
    )
    assert other.fingerprint == predictor.fingerprint
    widths = replace(predictor.calibration, half_widths=np.array([0.4, 0.7]))
    assert replace(predictor, calibration=widths).fingerprint != predictor.fingerprint


def test_a_predictor_takes_the_place_of_another(predictor, saved, features):
    other = replace(predictor, manifest=replace(MANIFEST, name="newer"))
    other.save(saved)
    assert Predictor.load(saved).manifest.name == "newer"
    assert [path.name for path in saved.parent.iterdir()] == ["sample"]


def test_folders_are_made_and_an_empty_one_is_used(predictor, tmp_path):
    predictor.save(tmp_path / "a" / "b" / "c")
    (tmp_path / "empty").mkdir()
    predictor.save(tmp_path / "empty")
    for place in (tmp_path / "a" / "b" / "c", tmp_path / "empty"):
        assert Predictor.load(place).fingerprint == predictor.fingerprint


@pytest.mark.parametrize("strangers", [["notes.txt"], ["manifest.json", "index.html"], ["arrays.safetensors"], ["a/b"]])
def test_a_folder_that_is_no_predictor_is_left_alone(predictor, tmp_path, strangers):
    folder = tmp_path / "website"
    for name in strangers:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"this is {name}")
    before = contents(folder)
    with pytest.raises(PredictorError, match="--output"):
        predictor.save(folder)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["website"]


def test_a_predictor_beside_other_files_is_left_alone(predictor, saved):
    (saved / "notes.txt").write_text("mine")
    before = contents(saved)
    with pytest.raises(PredictorError, match="--output"):
        predictor.save(saved)
    assert contents(saved) == before


def test_a_file_is_left_alone(predictor, tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(PredictorError):
            predictor.save(place)
    assert (tmp_path / "file").read_text() == "mine"


def failing(module, method, successes):
    """Make a function that fails after a number of successes, as on a full disk."""
    original, calls = getattr(module, method), []

    def fail(*arguments, **options):
        calls.append(arguments)
        if len(calls) == successes + 1:
            raise OSError(28, "No space left on device")
        return original(*arguments, **options)

    return fail


@pytest.mark.parametrize(
    ("module", "method", "successes"),
    [(Path, "mkdir", 0), (os, "write", 0), (os, "write", 2), (os, "fsync", 1), (atomic, "_exchange", 0)],
)
def test_a_failure_in_the_middle_leaves_the_old_predictor(predictor, saved, monkeypatch, module, method, successes):
    before = contents(saved)
    monkeypatch.setattr(module, method, failing(module, method, successes))
    with pytest.raises(PredictorError, match="No space left"):
        replace(predictor, manifest=replace(MANIFEST, name="newer")).save(saved)
    monkeypatch.undo()
    assert contents(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["sample"]


def test_an_interrupt_in_the_middle_leaves_the_old_predictor(predictor, saved, monkeypatch):
    before = contents(saved)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        predictor.save(saved)
    monkeypatch.undo()
    assert contents(saved) == before
    assert [path.name for path in saved.parent.iterdir()] == ["sample"]
