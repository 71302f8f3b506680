import json

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from prescreen.errors import RatingsError
from prescreen.ratings.reading import read_ratings
from prescreen.ratings.scale import Scale


def lines(frame):
    return "".join(json.dumps(row) + "\n" for row in frame.to_dict("records"))


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
@pytest.mark.parametrize("kind", ["votes", "means"])
def test_an_imagefolder_is_read_like_the_table_in_it(folder, request, name, kind):
    table = request.getfixturevalue(kind)
    table.to_csv(folder / "plain.csv", index=False)
    expected = read_ratings(folder / "plain.csv")
    named = table.rename(columns={"image": "file_name"})
    if name.endswith("csv"):
        named.to_csv(folder / name, index=False)
    elif name.endswith("jsonl"):
        (folder / name).write_text(lines(named))
    else:
        named.to_parquet(folder / name)
    found = read_ratings(folder)
    assert_frame_equal(found.table, expected.table)
    assert (found.images_dir, found.format) == (folder, expected.format)


def test_numbers_that_look_like_names_stay_names(folder):
    for number in range(12):
        (folder / f"{number:04d}").write_bytes(b"picture")
    table = pd.DataFrame({"file_name": [f"{i:04d}" for i in range(12)], "smart": [i / 2 for i in range(12)]})
    (folder / "metadata.jsonl").write_text(lines(table))
    assert read_ratings(folder).table["image"].tolist() == table["file_name"].tolist()


def test_two_metadata_files_are_refused(folder):
    (folder / "metadata.csv").write_text("file_name,smart\n01.jpg,5\n")
    (folder / "metadata.jsonl").write_text('{"file_name": "01.jpg", "smart": 5}\n')
    with pytest.raises(RatingsError, match=r"metadata\.csv and metadata\.jsonl"):
        read_ratings(folder)


@pytest.mark.parametrize(
    ("line", "says"),
    [("{broken", "line 2 is not JSON"), ("[1]", "line 2: not an object"), ('{"a": [1]}', "'a' holds more than one")],
)
def test_a_faulty_line_is_named(folder, line, says):
    (folder / "metadata.jsonl").write_text(f'{{"file_name": "01.jpg", "smart": 5}}\n{line}\n')
    with pytest.raises(RatingsError, match=says):
        read_ratings(folder)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (b'{"file_name": "01.jpg", "smart": 5, "smart": 6}', "line 1: 'smart' stands there twice"),
        (b'{"file_name": "01.jpg", "smart": 5}\n{"file_name": "\xe9.jpg", "smart": 5}', "line 2 is not UTF-8"),
        (b'{"file_name": "\\ud800.jpg", "smart": 5}', "ud800"),
    ],
)
def test_what_a_table_cannot_hold_is_named(folder, lines, says):
    (folder / "metadata.jsonl").write_bytes(lines)
    with pytest.raises(RatingsError, match=says):
        read_ratings(folder)


def test_a_byte_order_mark_and_blank_lines_change_nothing(folder):
    lines = [f'{{"file_name": "{number:02d}.jpg", "smart": {number % 10}, "kind": null}}' for number in range(1, 13)]
    path = folder / "metadata.jsonl"
    path.write_text("\n".join(lines))
    plain = read_ratings(folder, {"smart": "smart"}).table
    path.write_bytes(b"\xef\xbb\xbf" + "\n\n".join(lines).encode())
    assert read_ratings(folder, {"smart": "smart"}).table.equals(plain)


def test_numbers_are_read_as_they_stand_there(folder):
    raters = (9007199254740992, 9007199254740993)  # one float for both
    rows = [(image, rater) for image in range(1, 13) for rater in raters]
    lines = [
        f'{{"image": "{image:02d}.jpg", "trait": "smart", "vote": {image % 4}, "rater": {rater}}}'
        for image, rater in rows
    ]
    (folder / "votes.jsonl").write_text("\n".join(lines))
    assert read_ratings(folder / "votes.jsonl", scale=Scale(0, 3)).table["votes"].eq(2).all()
    (folder / "votes.jsonl").write_text('{"image": 70, "trait": "smart", "vote": 3}\n')
    with pytest.raises(RatingsError, match="image '70' is not in"):
        read_ratings(folder / "votes.jsonl")
    (folder / "votes.jsonl").write_text(f'{{"image": "01.jpg", "trait": "smart", "vote": {10**400}}}\n')
    with pytest.raises(RatingsError, match="row 1: vote '10000"):
        read_ratings(folder / "votes.jsonl")
