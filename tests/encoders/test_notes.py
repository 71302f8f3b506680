"""What notes in the cache spare, and when they are not believed."""

import hashlib
import os
import subprocess
import sys

import open_clip
import pytest

from prescreen.encoders import notes
from prescreen.encoders.clip import describe
from prescreen.encoders.notes import file_sha256, remembered


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


@pytest.fixture
def settled(monkeypatch):
    """Believe time stamps at once."""
    monkeypatch.setattr(notes, "_SETTLED_NS", -1)


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"weights")
    return file


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def refuse(*_, **__):
    raise AssertionError("the note was to be believed")


def test_a_file_is_hashed_once(weights, settled, monkeypatch):
    assert file_sha256(weights) == sha256(b"weights")
    monkeypatch.setattr(hashlib, "file_digest", refuse)
    assert file_sha256(weights) == sha256(b"weights")


def test_what_follows_the_file_counts(weights, settled):
    assert file_sha256(weights, b" and more") == sha256(b"weights and more")
    assert file_sha256(weights, b" and less") == sha256(b"weights and less")


def test_other_bytes_with_the_same_size_and_time_are_noticed(weights, settled):
    file_sha256(weights)
    before = weights.stat()
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file_sha256(weights) == sha256(b"WEIGHTS")


def test_a_file_that_has_just_changed_gets_no_note(weights, cache):
    file_sha256(weights)
    assert not cache.exists()


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\xfe", b'\n{"sha256": "0"}'])
def test_a_damaged_note_is_made_again(weights, settled, cache, damage):
    file_sha256(weights)
    (note,) = cache.iterdir()
    whole = note.read_bytes()
    note.write_bytes(damage or whole.replace(b'"sha256": "', b'"sha256": "0'))
    assert file_sha256(weights) == sha256(b"weights")
    assert note.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_time_only(weights, settled, monkeypatch, tmp_path):
    monkeypatch.setenv("PRESCREEN_CACHE", str(weights))
    assert file_sha256(weights) == sha256(b"weights")
    assert remembered("answer", [1], lambda: {"is": 42}) == {"is": 42}


def test_an_answer_is_found_once_for_what_it_depends_on():
    found = iter([{"is": 1}, {"is": 2}])
    assert [remembered("answer", [key], lambda: next(found))["is"] for key in "aab"] == [1, 1, 2]


def test_a_model_is_built_once_to_describe_it(clip_folder, settled, monkeypatch):
    first = describe(f"tiny@{clip_folder}")
    monkeypatch.setattr(open_clip.model, "_build_vision_tower", refuse)
    assert describe(f"tiny@{clip_folder}") == first


def test_describing_what_is_known_imports_neither_torch_nor_open_clip(clip_folder):
    program = (
        "import sys; from prescreen.encoders import make_encoder; make_encoder(sys.argv[1]);"
        "print(sorted({'torch', 'open_clip'} & set(sys.modules)))"
    )
    for expected in ("['open_clip', 'torch']", "[]"):
        run = [sys.executable, "-W", "ignore", "-c", program, f"clip:tiny@{clip_folder}"]
        found = subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
        assert found == expected


def test_what_is_remembered_has_the_order_in_which_it_was_found():
    found = {"openai": 1, "laion": {"z": 1, "a": 2}}
    for _ in range(2):
        assert list(remembered("order", "x", lambda: found)) == ["openai", "laion"]
        assert list(remembered("order", "x", lambda: found)["laion"]) == ["z", "a"]
