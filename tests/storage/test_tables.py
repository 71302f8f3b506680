import csv
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prescreen.errors import PrescreenError, UsageError
from prescreen.storage import tables
from prescreen.storage.tables import TableWriter, read_table, read_table_bytes, table_bytes, table_format, write_table

FORMATS = ["csv", "parquet", "jsonl"]
ODD_NAMES = [
    "0001",
    "plain.jpg",
    'two\nlines, "quotes".jpg',
    "return\rhere",
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@x",
    "\ttab",
    "'=kept",
    "''-kept",
    "'plain",
    "＝wide",
    "<script>alert(1)</script>",
    os.fsdecode(b"latin\xe9.jpg"),
    "\\udce9 that only looks like an escape",
    "back\\slash\\\\" + os.fsdecode(b"\xff\\"),
    "C:\\users\\u",
    " spaces ",
    "",
    "NA",
    "naïve 🙂\u2028.jpg",
]


@pytest.fixture(params=FORMATS)
def table(request, tmp_path):
    return tmp_path / f"table.{request.param}"


def names(values):
    return pd.Series(values, dtype=object)


def test_every_odd_name_survives(table):
    write_table(pd.DataFrame({"image": names(ODD_NAMES), "n": range(len(ODD_NAMES))}), table)
    table.read_bytes().decode("utf-8", "ignore" if table.suffix == ".parquet" else "strict")
    assert read_table(table)["image"].tolist() == ODD_NAMES


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.sampled_from("\\ud9ae'=-,\"\n\r\udc80\ud800x"), max_size=8), min_size=1, max_size=6))
@pytest.mark.parametrize("format", FORMATS)
def test_any_text_survives(tmp_path_factory, format, texts):
    table = tmp_path_factory.mktemp("any") / f"table.{format}"
    write_table(pd.DataFrame({"image": names(texts)}), table)
    assert read_table(table)["image"].tolist() == texts


def test_all_kinds_of_columns_survive_with_their_type(table):
    frame = pd.DataFrame(
        {
            "image": ["0001", "0002"],
            "selected": [True, False],
            "rank": [1, 2],
            "likeability": [0.1 + 0.2, np.nan],
            "p_better": [1e-7, 1.0],
            "nothing": [np.nan, np.nan],
        }
    )
    write_table(frame, table)
    pd.testing.assert_frame_equal(read_table(table), frame)


def test_missing_text_is_empty_text_and_missing_whole_numbers_are_nan(table):
    write_table(pd.DataFrame({"reason": ["x", None], "faces": pd.array([1, None], dtype="Int64")}), table)
    back = read_table(table)
    assert back["reason"].tolist() == ["x", ""]
    assert back["faces"].dtype == np.float64
    assert np.isnan(back["faces"][1])


def test_equal_data_give_equal_bytes(table):
    frame = pd.DataFrame({"image": ["a", "b"], "p": [0.25, np.nan]})
    write_table(frame, table)
    first = table.read_bytes()
    write_table(frame.copy(), table)
    assert table.read_bytes() == first


def test_a_single_column_keeps_its_empty_cells(table):
    write_table(pd.DataFrame({"p": [1.5, np.nan, 2.5]}), table)
    assert len(read_table(table)) == 3


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_a_table_without_rows_keeps_its_columns(tmp_path, format):
    table = tmp_path / f"table.{format}"
    write_table(pd.DataFrame({"image": pd.Series([], dtype=str), "p": pd.Series([], dtype=float)}), table)
    assert list(read_table(table).columns) == ["image", "p"]


def test_csv_defuses_formulas_in_text_and_leaves_numbers_alone(tmp_path):
    write_table(pd.DataFrame({"=trait": [-1.5], "why": ["-1 likeability"], "image": ["@x"]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "'=trait,why,image\n-1.5,'-1 likeability,'@x\n"
    assert list(read_table(tmp_path / "t.csv").columns) == ["=trait", "why", "image"]


STARTS = ["", "a;", ";", "a\t", "a\n", "a\r"]
BLANKS = ["", " ", "\u00a0", "\x0b", "\x0c", "\u3000", "\ufeff", "\u200b", " \u00a0 ", "'", '"']
SIGNS = [*"=+-@", *"＝＋－＠", *"﹦﹢﹣﹫", "\u2212"]


@pytest.mark.parametrize("start", STARTS)
def test_no_cell_can_begin_like_a_formula_however_the_file_is_divided(tmp_path, start):
    """At commas, semicolons and tabs, blanks and invisible characters before the sign aside."""
    texts = [start + blank + sign + "1+1" for blank in BLANKS for sign in SIGNS]
    write_table(pd.DataFrame({"image": texts, "n": range(len(texts))}), tmp_path / "t.csv")
    for cell in re.split("[,;\t\r\n]", (tmp_path / "t.csv").read_text("utf-8")):
        assert not re.match(r'[\s\u200b\ufeff"]*[=+\-@＝＋－＠﹦﹢﹣﹫\u2212]', cell), ascii(cell)
    assert read_table(tmp_path / "t.csv")["image"].tolist() == texts


@pytest.mark.parametrize("text", ["a; b", "why: 1 - 2", "x;y", "a-b", "'a'", '"a"', "it's", "; ", "'", "a;' b"])
def test_other_text_stays_as_it_is_in_csv(tmp_path, text):
    write_table(pd.DataFrame({"image": [text, "x"]}), tmp_path / "t.jsonl")
    write_table(pd.DataFrame({"image": [text], "n": [1]}), tmp_path / "t.csv")
    assert next(csv.reader([(tmp_path / "t.csv").read_text().splitlines()[1]]))[0] == text


@given(
    st.lists(st.text(alphabet=st.sampled_from([*"'\";=+-@ ab\t\r\n,", "\xa0", "\x0b", "＝", "\u200b"]), max_size=12))
)
def test_every_text_comes_back_from_csv(texts):
    frame = pd.DataFrame({"image": pd.Series(texts, dtype=object), "n": range(len(texts))})
    back = read_table_bytes(table_bytes(frame, "t.csv"), "t.csv")
    assert back["image"].tolist() == texts


def test_a_cell_of_blanks_and_tabs_takes_no_time():
    for filler in "\t", " ", ";", "'", " \t", "' ;":
        text = filler * (100_000 // len(filler))
        frame = pd.DataFrame({"image": [text], "n": [1]})
        assert read_table_bytes(table_bytes(frame, "t.csv"), "t.csv")["image"][0] == text


@pytest.mark.parametrize("separators", ["44", "59", "44/59/9"])
def test_no_cell_is_a_formula_in_libreoffice(tmp_path, separators):
    office = shutil.which("soffice") or pytest.skip("needs LibreOffice: apt-get install libreoffice-calc")
    texts = [start + blank + sign + "1+1;b" for start in STARTS for blank in BLANKS for sign in "=+-@＝"]
    frame = pd.DataFrame({"image": [*texts, 'a";=1+1;"b', '=HYPERLINK("http://x","y")'], "n": 1})
    write_table(frame, tmp_path / "t.csv")
    (tmp_path / "control.csv").write_text("image,n\n=1+1,2\n;=1+1;,2\n")
    options = f"{separators},34,76,1,,0,false,true,false,false,false,-1"
    subprocess.run(
        [
            office, f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}", "--headless",
            f"--infilter=Text - txt - csv (StarCalc):{options}", "--convert-to", "fods", "--outdir", tmp_path,
            tmp_path / "t.csv", tmp_path / "control.csv",
        ],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    assert "table:formula" in (tmp_path / "control.fods").read_text("utf-8")  # or nothing is tried here
    assert "table:formula" not in (tmp_path / "t.fods").read_text("utf-8")


def test_jsonl_is_plain_json_with_null_for_missing_numbers(tmp_path):
    write_table(pd.DataFrame({"image": ["=a"], "p": [np.nan]}), tmp_path / "t.jsonl")
    assert json.loads((tmp_path / "t.jsonl").read_text()) == {"image": "=a", "p": None}


def test_csv_of_a_spreadsheet_with_byte_order_mark_and_crlf_is_read(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfimage,p\r\n007,0.5\r\n008,\r\n")
    back = read_table(tmp_path / "t.csv")
    assert back["image"].tolist() == ["007", "008"]
    assert back["p"][0] == 0.5
    assert np.isnan(back["p"][1])


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.csv.gz"])
def test_other_endings_are_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.csv, \.parquet, \.jsonl"):
        write_table(pd.DataFrame({"a": [1]}), tmp_path / name)
    with pytest.raises(UsageError):
        read_table(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_format_is_told_by_the_ending_in_any_case():
    assert table_format("A.CSV") == "csv"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "no header"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "line 3 has 3 fields"),
        ("t.csv", b"a,a\n1,2\n", "same name"),
        ("t.csv", b'a,b\n"1,2\n', "not a readable table"),
        ("t.csv", b"a\n\xff\n", "not a readable table"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "line 2"),
        ("t.jsonl", b'{"a": 1}\n{"b": 1}\n', "same keys"),
        ("t.jsonl", b'{"a": 1}\n{"a": "x"}\n', "mixes"),
        ("t.jsonl", b'{"a": 1' + 40 * b"0" + b"}\n", "not a readable table"),
        ("t.parquet", b"PAR1 but not really", "not a readable table"),
        ("t.parquet", b"", "not a readable table"),
    ],
)
def test_a_broken_table_is_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PrescreenError, match=said) as caught:
        read_table(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, UsageError)


def test_no_such_table_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_table(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": ["x", 1]}),
        pd.DataFrame({"a": [True, None]}),
        pd.DataFrame({"a": [np.inf]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
    ],
)
def test_a_frame_that_is_no_table_is_refused_and_the_old_file_stays(table, frame):
    table.write_bytes(b"old")
    with pytest.raises(ValueError, match="column"):
        write_table(frame, table)
    assert table.read_bytes() == b"old"


def in_parts(frame, path, sizes):
    with path.open("wb") as file, TableWriter(file, path) as writer:
        for start, end in zip([0, *np.cumsum(sizes)], np.cumsum(sizes), strict=False):
            writer.write(frame.iloc[start:end])


def test_a_table_written_in_parts_is_the_whole_one(table, monkeypatch):
    n = len(ODD_NAMES)
    numbers = np.where(np.arange(n) < 9, np.nan, np.arange(n) / 7)
    frame = pd.DataFrame({"image": names(ODD_NAMES), "n": range(n), "p": numbers, "yes": np.arange(n) % 2 == 0})
    write_table(frame, table)
    whole, content = read_table(table), table.read_bytes()
    for row_group in (1, 4, 1000):
        monkeypatch.setattr(tables, "_ROW_GROUP", row_group)
        in_parts(frame, table, [1, 8, n - 9])
        pd.testing.assert_frame_equal(read_table(table), whole, check_exact=True)
        if table.suffix != ".parquet":
            assert table.read_bytes() == content


def test_parts_of_one_table_have_the_same_columns(table):
    frame = pd.DataFrame({"image": ["a"], "p": [1.0]})
    with table.open("wb") as file, TableWriter(file, table) as writer:
        writer.write(frame)
        with pytest.raises(ValueError, match="after columns"):
            writer.write(frame.assign(p="one"))
        writer.write(frame)
    assert len(read_table(table)) == 2


def test_a_table_that_is_given_up_half_way_raises_what_went_wrong(table):
    frame = pd.DataFrame({"image": ["a"], "p": [1.0]})

    def fail():
        with table.open("wb") as file, TableWriter(file, table) as writer:
            for part in (frame, frame.rename(columns={"p": "q"})):
                writer.write(part)

    with pytest.raises(ValueError, match="after columns"):
        fail()
