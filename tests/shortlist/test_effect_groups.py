import numpy as np
import pandas as pd
import pytest

from prescreen.errors import RatingsError, UsageError
from prescreen.shortlist.effect_groups import MEASURED, by_folder, by_tags, by_text, read_tags

NAMES = [f"{folder}/{number}.jpg" for folder in ("suit", "stage", "plain") for number in range(6)]


def tags(tmp_path, text, known=NAMES):
    path = tmp_path / "tags.csv"
    path.write_text(text, encoding="utf-8")
    return read_tags(path, known)


def column(cells):
    return "image,outfit\n" + "".join(f"{name},{cell}\n" for name, cell in zip(NAMES, cells, strict=True))


def shapes(found):
    return [(one.by, one.value, one.against, one.numbers[:7].tolist()) for one in found]


def test_each_folder_is_compared_with_all_others():
    found = by_folder(NAMES)
    assert [(one.value, one.against, one.numbers.sum()) for one in found] == [
        ("plain", "the rest", 6), ("stage", "the rest", 6), ("suit", "the rest", 6)
    ]  # fmt: skip
    assert by_folder(["a.jpg", "b.jpg"]) == []
    top = by_folder([*(f"{k}.jpg" for k in range(7)), *(f"x/{k}.jpg" for k in range(6))])
    assert [(one.value, one.against) for one in top] == [("x", ".")]


def test_several_tags_in_a_cell_and_blank_cells_that_are_not_known(tmp_path):
    cells = ["suit; tie", "suit", "", *["suit"] * 4, *["casual"] * 5, *["tie"] * 6]
    found = {one.value: one.numbers for one in by_tags(tags(tmp_path, column(cells)), NAMES, None, ";")}
    assert set(found) == {"suit", "tie", "casual"}
    assert found["tie"][:2].tolist() == [1, 0]
    assert all(np.isnan(numbers[2]) for numbers in found.values())
    whole = by_tags(tags(tmp_path, column(cells)), NAMES, None, "")
    assert [one.value for one in whole] == ["casual", "suit", "tie"]
    assert whole[2].numbers[0] == 0  # "suit; tie" is one tag here


@pytest.mark.parametrize(("yes", "no", "kept"), [("yes", "no", "yes"), ("1", "0", "1"), ("True", "False", "True")])
def test_of_yes_and_no_the_yes_is_asked_about_once(tmp_path, yes, no, kept):
    (found,) = by_tags(tags(tmp_path, column([yes] * 11 + [no] * 7)), NAMES, None, ";")
    assert (found.value, found.against, found.numbers.sum()) == (kept, no, 11)


def test_numbers_are_a_measure_where_there_are_many_and_groups_where_there_are_few(tmp_path):
    (measured,) = by_tags(tags(tmp_path, column(range(18))), NAMES, None, ";")
    assert (measured.value, measured.against, measured.numbers.tolist()) == ("", MEASURED, list(range(18)))
    groups = by_tags(tags(tmp_path, column([1, 2, 3] * 6)), NAMES, None, ";")
    assert [one.value for one in groups] == ["1", "2", "3"]


def test_values_of_too_few_pictures_and_columns_without_a_difference_give_nothing(tmp_path):
    assert by_tags(tags(tmp_path, column([f"prompt {k}" for k in range(18)])), NAMES, None, ";") == []
    assert by_tags(tags(tmp_path, column(["same"] * 18)), NAMES, None, ";") == []


@pytest.mark.parametrize("prefix", ["candidates/", "/home/me/candidates/", "./", "candidates\\"])
def test_names_are_found_by_the_end_of_their_path(tmp_path, prefix):
    rows = "".join(f"{prefix}{name},a\n" for name in NAMES[:9]) + "".join(f"{name},b\n" for name in NAMES[9:])
    read = tags(tmp_path, "file,outfit\n" + rows + "gone.jpg,b\n")
    assert read.unknown == 1
    assert read.frame.index.tolist() == NAMES


def test_a_bare_file_name_counts_where_only_one_picture_has_it(tmp_path):
    read = tags(tmp_path, "image,outfit\n7.jpg,a\n0.jpg,b\n", ["x/7.jpg", "x/0.jpg", "y/0.jpg"])
    assert read.frame.index.tolist() == ["x/7.jpg"]


def test_numbers_of_a_picture_in_several_rows_are_averaged_and_its_tags_joined(tmp_path):
    rows = "".join(f"{name},{k},t{k % 2}\n" for k, name in enumerate(NAMES)) + f"{NAMES[0]},10,t1\n"
    found = by_tags(tags(tmp_path, "image,steps,kind\n" + rows), NAMES, None, ";")
    assert found[0].numbers[0] == 5
    assert [one.value for one in found[1:]] == ["t0", "t1"]  # the first picture is both
    assert [one.numbers[0] for one in found[1:]] == [1, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("picture,outfit\na.jpg,b\n", "expected a column image"),
        ("image\nsuit/0.jpg\n", "at least one more"),
        ("image,outfit\nx.jpg,b\n", "none of its 1 pictures was scored.*'x.jpg'.*'plain/0.jpg'"),
        ("image,outfit\n", "no rows"),
    ],
)
def test_tables_that_are_no_tags_are_one_line(tmp_path, text, says):
    with pytest.raises((UsageError, RatingsError), match=says) as raised:
        tags(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_a_missing_file_and_a_column_that_was_mistyped_are_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.csv: cannot be read"):
        read_tags(tmp_path / "none.csv", NAMES)
    with pytest.raises(UsageError, match="outfit"):
        by_tags(tags(tmp_path, column(["a", "b"] * 9)), NAMES, ["outfits"], ";")


def test_a_text_is_a_measure():
    found = by_text("on a stage", np.array([0.2, np.nan], np.float32))
    assert (found.by, found.value) == ("text", "on a stage")
    assert not found.is_group


def test_parquet_with_numbers_and_missing_cells(tmp_path):
    frame = pd.DataFrame({"image": NAMES, "steps": [*range(17), None], "lora": [True] * 6 + [False] * 12})
    frame.to_parquet(tmp_path / "tags.parquet")
    found = by_tags(read_tags(tmp_path / "tags.parquet", NAMES), NAMES, None, ";")
    assert np.isnan(found[0].numbers[17])
    assert (found[1].value, found[1].against) == ("True", "False")
