"""Files that a stranger may have made: each attack is made here, and ends at once, in one line, in little memory."""

import json
import os
import resource
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prescreen.errors import PrescreenError
from prescreen.images.files import ImageFile, read_bytes
from prescreen.predictor.files import FILES
from prescreen.predictor.predictor import Predictor
from prescreen.ratings.reading import read_ratings
from prescreen.ratings.results import read_results
from prescreen.reports.decisions import read_decided
from prescreen.shortlist.effect_groups import read_tags
from prescreen.storage import bounded_files
from prescreen.storage.bounded_files import check_csv, check_extent, check_parquet, open_plain, read_bounded
from prescreen.storage.provenance import ScoresMetadata
from prescreen.storage.tables import read_table

MANY = bounded_files.MAX_ROWS + 1
MEMORY = 300 << 20
"""Bytes that an attack may need beside the libraries: the data that it stands for are many times as large."""


def sparse(path, size=5 << 30):
    with path.open("wb") as file:
        file.truncate(size)


KINDS = {"pipe": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero"), "sparse": sparse}

READERS = {
    "ratings": ("v.csv", lambda path: read_ratings(path)),
    "imagefolder": ("metadata.csv", lambda path: read_ratings(path.parent)),
    "omi": ("attribute_ratings.zip", lambda path: read_ratings(path.parent)),
    "table": ("t.csv", lambda path: read_table(path)),
    "table in Parquet": ("t.parquet", lambda path: read_table(path)),
    "part of a table": ("part-00000.parquet", lambda path: read_table(path.parent)),
    "results": ("r.csv", lambda path: read_results(path, ["a"], ["x"], where="scores.csv")),
    "tags": ("t.csv", lambda path: read_tags(path, ["a.jpg"])),
    "decisions": ("d.csv", lambda path: read_decided(path)),
    "note": ("s.csv.meta.json", lambda path: ScoresMetadata.read(path.with_name("s.csv"))),
    "manifest": (FILES.manifest, lambda path: Predictor.load(path.parent)),
    "picture": ("p.jpg", lambda path: read_bytes(ImageFile(path, path.name))),
}


@pytest.fixture
def quick():
    """Fail where a test takes seconds or hundreds of megabytes; a pipe that blocks is interrupted."""
    import signal

    def late(*_):
        raise TimeoutError("it hangs")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 10)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_plain_file_of_bounded_size_is_refused_in_one_line(tmp_path, kind, reader, quick):
    name, read = READERS[reader]
    KINDS[kind](tmp_path / name)
    with pytest.raises(PrescreenError) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES.content)
def test_no_file_of_a_predictor_is_read_without_a_limit(tmp_path, kind, name, quick):
    for other in FILES.content:
        (tmp_path / other).write_bytes(b"{}")
    (tmp_path / name).unlink()
    KINDS[kind](tmp_path / name)
    sums = dict.fromkeys(FILES.content, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
    (tmp_path / FILES.manifest).write_text(json.dumps({"format": 1, "files": sums}))
    with pytest.raises(
        PrescreenError,
        match=rf"{name} cannot be read \((not a plain file; save what it gives to one|file too large: 5368709120 b)",
    ):
        Predictor.load(tmp_path)


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path, compression="zstd")
    assert path.stat().st_size < 1 << 20  # or it would be no bomb


def repeated(text, count):
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))


BOMBS = {
    "rows of nothing": lambda: {"vote": pa.nulls(MANY, pa.int8())},
    "a long text, again and again": lambda: {"image": repeated("x" * 1_000_000, 100_000)},
    "a text, again and again": lambda: {"image": repeated("x" * 1000, 2_000_000)},
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("read", [read_ratings, read_table])
def test_a_small_parquet_of_a_huge_table_is_refused_from_what_it_says_of_itself(tmp_path, bomb, read, quick):
    parquet(tmp_path / "t.parquet", **BOMBS[bomb]())
    with pytest.raises(PrescreenError, match=r"at most \d+ are read|when unpacked"):
        read(tmp_path / "t.parquet")


def test_many_columns_row_groups_and_cells_in_lists_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    columns = {f"c{i}": pa.array([1.0]) for i in range(bounded_files.MAX_COLUMNS + 1)}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(ValueError, match="10001 columns, at most 10000"):
        check_parquet(path.read_bytes())
    pq.write_table(pa.table({"a": np.arange(30)}), path, row_group_size=1)
    monkeypatch.setattr(bounded_files, "MAX_ROW_GROUPS", 29)
    with pytest.raises(ValueError, match="30 row groups, at most 29"):
        check_parquet(path.read_bytes())
    pq.write_table(pa.table({"image": ["a.jpg"], "vote": [[0] * 100]}), path)
    monkeypatch.setattr(bounded_files, "MAX_CELLS", 50)
    with pytest.raises(ValueError, match="101 cells, at most 50"):
        check_parquet(path.read_bytes())


def test_texts_are_counted_as_they_unpack(tmp_path, monkeypatch):
    """Not more is refused than must be: distinct texts, and one text many times, at the limit and one beyond it."""
    monkeypatch.setattr(bounded_files, "_FINE", 0)
    name = "a.b"
    for column in (pa.array(["abcde"] * 100), repeated("abcde", 100), pa.array([f"{i:05d}" for i in range(100)])):
        pq.write_table(pa.table({name: column}), tmp_path / "t.parquet")
        data = (tmp_path / "t.parquet").read_bytes()
        monkeypatch.setattr(bounded_files, "MAX_TEXT_BYTES", 500)
        check_parquet(data)
        monkeypatch.setattr(bounded_files, "MAX_TEXT_BYTES", 499)
        with pytest.raises(ValueError, match="the texts of 'a.b' are more than 499 bytes"):
            check_parquet(data)


@pytest.mark.parametrize("read", [read_ratings, read_table])
def test_a_csv_of_a_million_columns_is_refused(tmp_path, read, quick):
    (tmp_path / "t.csv").write_text(",".join(f"c{i}" for i in range(1_000_000)) + "\n")
    with pytest.raises(PrescreenError, match="1000000 columns, at most 10000 are read"):
        read(tmp_path / "t.csv")


def test_a_csv_or_lines_of_too_many_rows_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bounded_files, "MAX_ROWS", 3)
    for name, text in {"t.csv": "a\n1\n2\n3\n", "t.jsonl": '{"a": 1}\n' * 4}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(PrescreenError, match="rows, at most 3 are read"):
            read_table(tmp_path / name)


def test_a_zip_that_unpacks_to_too_much_is_refused_by_its_directory(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "attribute_ratings.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("attribute_ratings.csv", b"\n" * (4 << 20))
    monkeypatch.setattr(bounded_files, "MAX_TABLE_BYTES", 1 << 20)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(PrescreenError, match="unpacks to 4194304 bytes, at most 1048576 are read"):
        read_ratings(tmp_path)
    monkeypatch.setattr(bounded_files, "MAX_MEMBERS", 0)
    with pytest.raises(PrescreenError, match="1 files in it, at most 0"):
        read_ratings(tmp_path)


@pytest.mark.parametrize("place", ["XFD1048576", "XFD10000", "A20000001"])
def test_one_cell_far_away_makes_no_huge_sheet(tmp_path, place, quick):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["image", "a"])
    book.save(tmp_path / "v.xlsx")
    with zipfile.ZipFile(tmp_path / "v.xlsx") as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    row = "".join(filter(str.isdigit, place))
    far = f'<row r="{row}"><c r="{place}"><v>1</v></c></row></sheetData>'.encode()
    sheet = "xl/worksheets/sheet1.xml"
    members[sheet] = members[sheet].replace(b"</sheetData>", far)
    with zipfile.ZipFile(tmp_path / "v.xlsx", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(PrescreenError, match="(rows|columns|cells), at most"):
        read_ratings(tmp_path / "v.xlsx")


def test_a_number_of_a_hundred_thousand_digits_takes_no_time(tmp_path, quick):
    from prescreen.regressors import boosting

    (tmp_path / "t.csv").write_text("image,score\na.jpg," + "1" * 100_000 + "x\n")
    assert len(read_table(tmp_path / "t.csv")) == 1
    pattern = boosting.re.compile(boosting._NUMBER)
    assert not pattern.fullmatch("1" * 1_000_000 + "x")
    assert all(map(pattern.fullmatch, ("1", "-1.", "1.5", "1e-05", "-2.5e+10", "inf", "-nan")))
    assert not any(map(pattern.fullmatch, ("", "-", ".5", "1e", "1.2.3", "one")))


def test_a_table_of_a_million_pictures_passes():
    check_extent(1_000_000, 60)
    check_extent(20_000_000, 5)
    check_csv(b"image,trait,vote,rater\n" + b"a,b,1,c\n" * 1000)
    check_csv(b"image;trait\r" + b"a;b\r" * 10_000, ";")  # line ends of old Macs: not one line of many columns


def test_what_is_read_is_what_was_checked(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    assert read_bounded(file, 100) == b"x" * 100
    with pytest.raises(OSError, match="file too large: 100 bytes, at most 99 are read"):
        read_bounded(file, 99)
    (tmp_path / "link").symlink_to(file)
    assert read_bounded(tmp_path / "link") == b"x" * 100
    with pytest.raises(IsADirectoryError):
        open_plain(tmp_path)
    file.write_bytes(b"")
    assert read_bounded(file) == b""
    file.write_bytes(b"\0" * 4096)
    with pytest.raises(OSError, match="it begins with zeros"):
        read_bounded(file)


def test_a_file_that_grows_meanwhile_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(b"x" * 5000)
    fstat = os.fstat

    def earlier(descriptor):
        status = list(fstat(descriptor))
        status[6] = 4990
        return os.stat_result(status)

    monkeypatch.setattr(os, "fstat", earlier)
    with pytest.raises(OSError, match="grows while it is read"):
        read_bounded(file)


def test_the_verbs_end_with_code_1_and_one_line(tmp_path):
    """A predictor of pipes as the command line meets it."""
    for name in (*FILES.content, FILES.manifest):
        os.mkfifo(tmp_path / name)
    (tmp_path / "p.jpg").write_bytes(b"x")
    (tmp_path / FILES.manifest).unlink()
    sums = dict.fromkeys(FILES.content, "0" * 64)
    (tmp_path / FILES.manifest).write_text(json.dumps({"format": 1, "files": sums}))
    words = ["score", "p.jpg", "--predictor", ".", "--output", "scores.csv"]
    done = subprocess.run(
        [sys.executable, "-m", "prescreen", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1
    assert "not a plain file" in done.stderr
