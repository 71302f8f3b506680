"""A ratings file is read whatever program wrote it, and what was understood of it is said."""

import io
import json
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from prescreen.errors import RatingsError
from prescreen.ratings.formats import read_rows
from prescreen.ratings.reading import read_ratings
from prescreen.storage.tables import write_table

IMAGES = [f"{i:02d}.jpg" for i in range(1, 13)]


@pytest.fixture
def plain(folder, scores):
    scores.to_csv(folder / "plain.csv", index=False)
    return read_ratings(folder / "plain.csv")


def excel(frame, sheet="Sheet1"):
    stream = io.BytesIO()
    frame.to_excel(stream, index=False, sheet_name=sheet)
    return stream.getvalue()


def parquet(frame):
    stream = io.BytesIO()
    frame.to_parquet(stream)
    return stream.getvalue()


WRITERS = {
    "semicolons, decimal commas": lambda f: f.to_csv(sep=";", decimal=",", index=False).encode(),
    "semicolons": lambda f: f.to_csv(sep=";", index=False).encode(),
    "tabs": lambda f: f.to_csv(sep="\t", index=False).encode(),
    "tabs, decimal commas": lambda f: f.to_csv(sep="\t", decimal=",", index=False).encode(),
    "bars": lambda f: f.to_csv(sep="|", index=False).encode(),
    "decimal commas": lambda f: f.to_csv(decimal=",", index=False).encode(),  # as Google's sheets do in Europe
    "the line sep=;, decimal commas": lambda f: b"sep=;\r\n" + f.to_csv(sep=";", decimal=",", index=False).encode(),
    "the line sep=,": lambda f: b"sep=,\n" + f.to_csv(index=False).encode(),
    "UTF-16": lambda f: f.to_csv(index=False).encode("utf-16"),
    "tabs, UTF-16": lambda f: f.to_csv(index=False, sep="\t", lineterminator="\r\n").encode("utf-16"),  # "Unicode text"
    "semicolons, UTF-16": lambda f: f.to_csv(index=False, sep=";").encode("utf-16-le"),
    "an Excel workbook": excel,
    "a JSON array of rows": lambda f: f.to_json(orient="records").encode(),
    "": lambda f: f.to_csv(index=False).encode("utf-8-sig"),
}


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_gives_the_same_and_is_said(folder, scores, plain, form):
    path = folder / "ratings.dat"  # the content decides, not the name
    path.write_bytes(WRITERS[form](scores))
    found = read_ratings(path)
    assert_frame_equal(found.table, plain.table)
    assert found.notes == ((f"read       {form}",) if form else ())


@pytest.mark.parametrize("write", [parquet, lambda f: f.to_json(orient="records", lines=True).encode()])
def test_what_programs_write_needs_no_word(folder, scores, plain, write):
    (folder / "r").write_bytes(write(scores))
    found = read_ratings(folder / "r")
    assert_frame_equal(found.table, plain.table)
    assert found.notes == ()


@pytest.mark.parametrize(
    "indexed",
    [
        lambda f: f.set_index("image"),
        lambda f: f[f["image"] != "none"].set_axis(range(5, 17)),
        lambda f: f.assign(person="anna").set_index(["image", "person"]),
    ],
)
def test_an_index_of_pandas_is_a_column_if_it_has_a_name(folder, scores, plain, indexed):
    (folder / "r.parquet").write_bytes(parquet(indexed(scores)))
    assert_frame_equal(read_ratings(folder / "r.parquet").table, plain.table)


def test_windows_1252_is_read_and_damaged_utf_8_is_not(folder, scores):
    (folder / "café.jpg").write_bytes(b"picture")
    scores.loc[3, "image"] = "café.jpg"
    text = scores.to_csv(index=False)
    (folder / "r.csv").write_bytes(text.encode("cp1252"))
    found = read_ratings(folder / "r.csv")
    assert "café.jpg" in found.wide().index
    assert found.notes == ("read       Windows-1252",)
    (folder / "r.csv").write_bytes(text.encode() + b"na\xefve.jpg,1,2,3\n")
    with pytest.raises(RatingsError, match="line 14 is not UTF-8"):
        read_ratings(folder / "r.csv")


def test_what_excel_leaves_behind_is_left_out_and_counted(folder, scores, plain):
    text = scores.to_csv(index=False).replace("\n", ",,\n") + ",,,,,\n,,,,,\n"
    (folder / "r.csv").write_text(text)
    found = read_ratings(folder / "r.csv")
    assert_frame_equal(found.table, plain.table)
    assert found.notes == ("ignored    2 empty rows; 2 empty columns",)


def test_blank_cells_beyond_the_header_are_no_cells(folder, scores, plain):
    lines = scores.to_csv(index=False).splitlines()
    lines[4] += ",,"
    (folder / "r.csv").write_text("\n".join(lines))
    assert_frame_equal(read_ratings(folder / "r.csv").table, plain.table)
    lines[6] += ",x"
    (folder / "r.csv").write_text("\n".join(lines))
    with pytest.raises(RatingsError, match="row 7 has 5 cells, the header 4"):
        read_ratings(folder / "r.csv")


def test_a_column_that_only_numbers_the_rows_is_no_trait(folder, scores, plain):
    for name in ("", "Unnamed: 0"):
        (folder / "r.csv").write_text(scores.to_csv(index_label=name))
        found = read_ratings(folder / "r.csv")
        assert_frame_equal(found.table, plain.table)
        assert found.notes == ("ignored    the first column, which only numbers the rows",)


@pytest.mark.parametrize(
    ("text", "row"),
    [("sep=;\nimage;c\n01.jpg;3\n02.jpg;x\n", 3), ("image;c\n\n01.jpg;3\n02.jpg;x\n", 4)],
)
def test_rows_are_numbered_as_a_spreadsheet_shows_them(folder, text, row):
    (folder / "r.csv").write_text(text)
    with pytest.raises(RatingsError, match=f"row {row}: c 'x' is not a number"):
        read_ratings(folder / "r.csv", {"c": "c"})


def test_rows_of_a_workbook_are_numbered_as_excel_shows_them(folder):
    book = openpyxl.Workbook()
    for cells in ([], ["My ratings"], [None, "image", "c"], [None, "01.jpg", 3], [], [None, "02.jpg", "x"]):
        book.active.append(cells)
    book.active["A2"] = None
    book.save(folder / "r.xlsx")
    with pytest.raises(RatingsError, match="row 6: c 'x' is not a number"):
        read_ratings(folder / "r.xlsx", {"c": "c"})


def test_a_title_above_the_header_of_a_workbook_is_passed_over(folder, scores, plain):
    with pd.ExcelWriter(folder / "r.xlsx") as writer:
        scores.to_excel(writer, index=False, startrow=2)
        writer.book.active["A1"] = "My ratings"
    found = read_ratings(folder / "r.xlsx")
    assert_frame_equal(found.table, plain.table)
    assert found.notes == ("read       an Excel workbook, header in row 3",)


def test_semicolons_inside_of_cells_separate_nothing(folder, scores, plain):
    scores["remark"] = "a; b; c"
    (folder / "r.csv").write_text(scores.to_csv(index=False))
    found = read_ratings(folder / "r.csv", dict(zip(plain.traits, plain.traits, strict=True)))
    assert_frame_equal(found.table, plain.table)


def test_apostrophes_with_which_prescreen_defuses_formulas_are_taken_off(tmp_path):
    """Votes collected by prescreen ballot, and shortlists filled in, name pictures so."""
    names = ["=1.jpg", "- 2.jpg", "'3.jpg", "it's 4.jpg", "5.jpg"]
    votes = pd.DataFrame({"image": names, "trait": ["+warm"] * 5, "vote": range(5), "rater": ["@anna"] * 5})
    write_table(votes, tmp_path / "votes.csv")
    assert (tmp_path / "votes.csv").read_text().splitlines()[1] == "'=1.jpg,'+warm,0,'@anna"
    read = read_rows(tmp_path / "votes.csv").frame
    assert [*read["image"]] == names
    assert {*read["trait"]} == {"+warm"}
    assert {*read["rater"]} == {"@anna"}


def test_a_decimal_comma_among_points_is_a_mistake(folder, scores):
    text = scores.to_csv(index=False, sep=";").replace("02.jpg;0.5", "02.jpg;0,5")
    (folder / "r.csv").write_text(text)
    with pytest.raises(RatingsError, match="row 3: competence '0,5' is not a number"):
        read_ratings(folder / "r.csv")


def test_a_comma_that_may_divide_thousands_is_a_mistake(folder, scores):
    scores["competence"] = [f"{i},250" for i in range(1, 13)]
    (folder / "r.csv").write_text(scores.to_csv(index=False))
    with pytest.raises(RatingsError, match="row 2: competence '1,250' is not a number"):
        read_ratings(folder / "r.csv")


def test_a_file_without_a_header_is_told_to_get_one(folder, scores):
    (folder / "r.csv").write_text(scores.to_csv(index=False, header=False))
    with pytest.raises(RatingsError, match="the first row must name the columns"):
        read_ratings(folder / "r.csv")


class TestSheets:
    def test_the_sheet_with_the_ratings_is_found(self, folder, scores, plain):
        with pd.ExcelWriter(folder / "r.xlsx") as writer:
            pd.DataFrame({"to do": ["ask Anna"], "when": ["soon"]}).to_excel(writer, sheet_name="Notes", index=False)
            scores.to_excel(writer, sheet_name="Ratings", index=False)
            pd.DataFrame().to_excel(writer, sheet_name="Empty", index=False)
        found = read_ratings(folder / "r.xlsx")
        assert_frame_equal(found.table, plain.table)
        assert found.notes == ("read       an Excel workbook, sheet Ratings",)

    @pytest.mark.parametrize(
        ("columns", "says"),
        [("image", "the sheets One, Two could all be ratings"), ("when", "no sheet has a column image")],
    )
    def test_several_or_none_are_named(self, folder, scores, columns, says):
        with pd.ExcelWriter(folder / "r.xlsx") as writer:
            for name in ("One", "Two"):
                scores.rename(columns={"image": columns}).to_excel(writer, sheet_name=name, index=False)
        with pytest.raises(RatingsError, match=says):
            read_ratings(folder / "r.xlsx")

    def test_numbers_that_are_names_have_no_point(self, folder, scores):
        scores["image"] = list(range(1, 13))
        (folder / "r.xlsx").write_bytes(excel(scores))
        assert read_ratings(folder / "r.xlsx").wide().index.tolist() == IMAGES


def archive(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name, content in members.items():
            made.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"an old Excel file \(.xls\).*save it as .xlsx or CSV"),
        (archive(mimetype="application/vnd.oasis.opendocument.spreadsheet"), r"\(.ods\); save it as .xlsx or CSV"),
        (archive(Index__Document_iwa="").replace(b"_iwa", b".iwa"), "Apple Numbers; export it as .xlsx or CSV"),
        (archive(votes="a"), "a zip archive and no table; unpack it"),
        (archive(xl__worksheets="<worksheet/>"), "a damaged Excel workbook .* save it as .xlsx or CSV"),
        (b"PK\x03\x04 and nothing", "a damaged zip archive or workbook"),
    ],
)
def test_other_spreadsheets_are_named_with_what_to_do(folder, data, says):
    (folder / "r.xlsx").write_bytes(data)
    with pytest.raises(RatingsError, match=says):
        read_ratings(folder / "r.xlsx")


def test_other_json_of_pandas_is_told_from_rows(folder, scores):
    (folder / "r.json").write_text(scores.to_json())
    with pytest.raises(RatingsError, match=r"orient='records'"):
        read_ratings(folder / "r.json")
    (folder / "r.json").write_text(json.dumps([{"image": "01.jpg", "c": 3}, {"image": "02.jpg", "c": [3]}]))
    with pytest.raises(RatingsError, match="entry 2: 'c' holds more than one value"):
        read_ratings(folder / "r.json")


def test_questions_of_qualtrics_name_the_pictures(folder, votes):
    smart = votes[votes["trait"] == "smart"]
    wide = smart.pivot(index="rater", columns="image", values="vote").reset_index(names="ResponseId")
    questions = ["Response ID", *(f'"How smart,\nis {name}?"' for name in wide.columns[1:])]
    ids = ",".join('"{""ImportId"":""QID1""}"' for _ in questions)
    head = ",".join(["ResponseId", *(f"Q{i}" for i in range(1, 13))])
    rows = wide.to_csv(index=False, header=False)
    (folder / "r.csv").write_text("\n".join([head, ",".join(questions), ids, rows]))
    with pytest.raises(RatingsError, match=r"""--columns 'competence="How smart, is \*\?"'$"""):
        read_ratings(folder / "r.csv")
    found = read_ratings(folder / "r.csv", columns={"smart": "How smart, is *?"})
    np.testing.assert_array_equal(found.wide()["smart"], smart.groupby("image")["vote"].mean())
    assert found.notes == (
        "read       the questions of Qualtrics as names",
        "ignored    row 3, which is a heading of Qualtrics; column ResponseId",
    )


def test_names_of_columns_may_have_line_breaks(folder, scores, plain):
    names = {"competence": "competence\n(0 to 10)"}
    scores.rename(columns=names).to_csv(folder / "r.csv", index=False)
    scores.rename(columns=names).to_excel(folder / "r.xlsx", index=False)
    for name in ("r.csv", "r.xlsx"):
        assert read_ratings(folder / name).traits == ("competence (0 to 10)", *plain.traits[1:])


def test_vectors_in_parquet_are_named_as_no_ratings(folder, scores, plain):
    scores["vector"] = [[1.0, 2.0]] * 12
    scores.to_parquet(folder / "r.parquet")
    with pytest.raises(RatingsError, match=r"row 1: vector '\[.*' is not a number .*--traits competence,likeability"):
        read_ratings(folder / "r.parquet")
    assert_frame_equal(read_ratings(folder / "r.parquet", {name: name for name in plain.traits}).table, plain.table)


def test_a_rater_that_is_blank_in_every_row_makes_no_votes_of_scores(folder, scores, plain):
    scores.assign(user="").to_csv(folder / "r.csv", index=False)
    found = read_ratings(folder / "r.csv")
    assert_frame_equal(found.table, plain.table)
    assert found.is_score


def test_columns_without_anything_in_them_are_left_out_and_named(folder, scores):
    scores.to_csv(folder / "plain.csv", index=False)
    scores.insert(2, "Unnamed: 5", "")
    scores.assign(remark=" ").to_csv(folder / "r.csv", index=False)
    plain, found = read_ratings(folder / "plain.csv"), read_ratings(folder / "r.csv")
    assert_frame_equal(found.table, plain.table)
    assert found.notes == ("ignored    blank columns Unnamed: 5, remark",)


def test_headings_of_qualtrics_are_no_answers(folder, scores):
    head, *rows = scores.to_csv(index=False).splitlines()
    heading = '"Which,\npicture?","How competent?",b,c'
    ids = ",".join('"{""ImportId"":""QID1""}"' for _ in range(4))
    (folder / "r.csv").write_text("\n".join([head, heading, ids, *rows]))
    found = read_ratings(folder / "r.csv")
    assert len(found.table) == 36
    assert found.notes == ("ignored    rows 2 and 3, which are headings of Qualtrics",)
    rows[1] = "02.jpg,?,1,1"
    (folder / "r.csv").write_text("\n".join([head, heading, ids, *rows]))
    with pytest.raises(RatingsError, match="row 5: competence"):
        read_ratings(folder / "r.csv")
