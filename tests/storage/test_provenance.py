import hashlib
import json
from dataclasses import replace
from importlib import metadata

import pytest

from prescreen.errors import PredictorMismatch, PrescreenError, UsageError
from prescreen.storage import provenance
from prescreen.storage.atomic import write_bytes_atomic
from prescreen.storage.provenance import ScoresMetadata

NOTE = ScoresMetadata(
    table_sha256=hashlib.sha256(b"the scores").hexdigest(),
    predictor="/models/sample",
    predictor_name="sample",
    predictor_sha256="ab" * 32,
    encoder="bundled",
    encoder_sha256="cd" * 32,
    traits=("smart", "kind"),
    inputs=("/pictures/Bö", "/pictures/caf\udce9"),
    scored=3,
    failed=1,
    tolerant=False,
    simulated=True,
    versions={"python": "3.11"},
)


def put(note, table, content):
    note.write(table, lambda: write_bytes_atomic(table, content))


def test_a_note_stands_beside_its_table(tmp_path):
    for name in ("scores.csv", "scores.parquet"):
        put(NOTE, tmp_path / name, b"the scores")
    put(replace(NOTE, scored=9), tmp_path / "scores.csv", b"the scores")
    notes = ["scores.csv.meta.json", "scores.parquet.meta.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["scores.csv", "scores.parquet", *notes])
    assert (tmp_path / "scores.csv").read_bytes() == b"the scores"
    assert ScoresMetadata.read(tmp_path / "scores.parquet") == NOTE
    assert ScoresMetadata.read(tmp_path / "scores.csv").scored == 9


def test_a_missing_note_is_a_usage_error_that_says_where_it_was_sought(tmp_path):
    (tmp_path / "scores.csv").touch()
    with pytest.raises(UsageError, match=r"scores\.csv\.meta\.json.*prescreen score"):
        ScoresMetadata.read(tmp_path / "scores.csv")


def test_a_missing_note_may_be_allowed(tmp_path):
    assert ScoresMetadata.read(tmp_path / "scores.csv", optional=True) is None
    put(NOTE, tmp_path / "scores.csv", b"the scores")
    assert ScoresMetadata.read(tmp_path / "scores.csv", optional=True) == NOTE
    (tmp_path / "scores.csv.meta.json").write_text("{")
    with pytest.raises(PrescreenError, match="score the folder again"):
        ScoresMetadata.read(tmp_path / "scores.csv", optional=True)


def test_a_note_knows_its_table_and_its_predictor(tmp_path):
    table = tmp_path / "scores.csv"
    table.write_bytes(b"the scores")
    NOTE.check(table, "ab" * 32)
    with pytest.raises(PredictorMismatch, match="sample abab"):
        NOTE.check(table, "ff" * 32)
    table.write_bytes(b"other scores")
    with pytest.raises(PredictorMismatch, match=r"scores\.csv: not the table"):
        NOTE.check(table, "ab" * 32)


PAIR = """
import hashlib, shutil
from dataclasses import replace
from pathlib import Path
from prescreen.storage.atomic import stage_file
from prescreen.storage.provenance import ScoresMetadata
FILES = ("storage/atomic.py", "storage/provenance.py")
table = Path(PLACE) / "scores.csv"
NOTE = ScoresMetadata("", "p", "p", "ab", "bundled", "cd", ("smart",), ("x",), 1, 0, False, True, {})

def write(content):
    with stage_file(table) as file:
        file.write(content[:1])
        file.write(content[1:])
        replace(NOTE, table_sha256=file.sha256).write(table, file.commit)

def prepare():
    shutil.rmtree(table.parent, ignore_errors=True)
    write(b"old")

def work():
    write(b"new")

def check():
    assert table.read_bytes() in (b"old", b"new")
    ScoresMetadata.read(table).check(table, "ab")
    work()
    assert ScoresMetadata.read(table).table_sha256 == hashlib.sha256(b"new").hexdigest()
    assert sorted(path.name for path in table.parent.iterdir()) == ["scores.csv", "scores.csv.meta.json"]
"""


def test_table_and_note_fit_each_other_at_whatever_line_the_kill_comes(tmp_path, kills):
    assert kills(PAIR, PLACE=str(tmp_path / "work")) > 50


def damaged():
    content = json.loads(json.dumps(NOTE.__dict__))
    return {
        "empty": "",
        "cut": json.dumps(content)[:40],
        "a list": "[]",
        "a text": '"text"',
        "nothing": "null",
        "a field missing": json.dumps({name: value for name, value in content.items() if name != "traits"}),
        "another field missing": json.dumps({name: value for name, value in content.items() if name != "scored"}),
        "a field more": json.dumps(content | {"colour": "grey"}),
        "no traits": json.dumps(content | {"traits": None}),
    }


@pytest.mark.parametrize("text", damaged().values(), ids=damaged())
def test_a_damaged_note_says_to_score_again(tmp_path, text):
    (tmp_path / "scores.csv.meta.json").write_text(text)
    with pytest.raises(PrescreenError, match="score the folder again"):
        ScoresMetadata.read(tmp_path / "scores.csv")


def test_versions_name_what_takes_part_in_a_result(monkeypatch):
    found = provenance.versions()
    assert found["prescreen"] == metadata.version("portrait-prescreen")
    assert {"python", "numpy", "torch", "open_clip", "openvino", "lightgbm"} <= set(found)
    assert "not installed" not in found.values()
    version = metadata.version

    def without_torch(name):
        if name == "torch":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without_torch)
    assert provenance.versions() == found | {"torch": "not installed"}


@pytest.mark.parametrize("place", ["predictor", "inputs"])
def test_half_a_character_in_a_place_is_a_damaged_note(tmp_path, place):
    table = tmp_path / "scores.csv"
    table.write_text("image\n")
    NOTE.write(table, lambda: None)
    path = tmp_path / "scores.csv.meta.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {place: "\ud800" if place == "predictor" else ["\ud800"]}))
    with pytest.raises(PrescreenError, match="UnicodeEncodeError.*score the folder again"):
        ScoresMetadata.read(table)
