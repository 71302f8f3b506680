import csv
import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from damage import attempt, damaged
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from prescreen.ratings.reading import read_ratings
from prescreen.ratings.results import read_results
from prescreen.storage.tables import read_table, table_bytes

IMAGES = [f"{i:02d}.jpg" for i in range(12)]
VOTES = "image,trait,vote,rater\n" + "".join(
    f"{image},{trait},{(i + rater) % 4},r{rater}\n"
    for i, image in enumerate(IMAGES)
    for trait in ("smart", "kind")
    for rater in range(2)
)
MEANS = "image,trait,mean,votes,std\n" + "".join(
    f"{image},smart,{i / 2},{5 + i},1.5\n" for i, image in enumerate(IMAGES)
)
SCORES = "image,competence,likeability\n" + "".join(f"{image},{i / 2},{9 - i / 4}\n" for i, image in enumerate(IMAGES))
LINES = "".join(json.dumps({"file_name": image, "smart": i / 2}) + "\n" for i, image in enumerate(IMAGES))
IMPRESSIONS = "rating,attribute,rating_type,stimulus\n" + "".join(
    f"{10 * vote + face},smart,normal,{face}\n" for face in range(12) for vote in range(3)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("rated")
    for name in [*IMAGES, *(f"{i}.jpg" for i in range(12))]:
        (made / name).write_bytes(b"picture")
    return made


def records(data):
    """Rows below the header, as a plain reader of CSV counts them."""
    rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) if row]
    return [dict(zip([name.strip().lower() for name in rows[0]], row, strict=False)) for row in rows[1:]]


def test_without_damage_all_are_read(folder):
    for text in (VOTES, MEANS, SCORES):
        (folder / "r.csv").write_text(text)
        assert read_ratings(folder / "r.csv").traits


@given(damaged(VOTES.encode()))
def test_votes_are_refused_or_counted_to_the_last(folder, data):
    (folder / "votes.csv").write_bytes(data)
    rated = attempt(read_ratings, folder / "votes.csv")
    if rated is not None and rated.format == "votes":
        assert rated.table["votes"].sum() == len(records(data))


@given(damaged(MEANS.encode()))
def test_means_are_refused_or_read_to_the_last(folder, data):
    (folder / "means.csv").write_bytes(data)
    rated = attempt(read_ratings, folder / "means.csv")
    if rated is not None and rated.format == "ratings":
        assert len(rated.table) == len(records(data))


@given(damaged(SCORES.encode()))
def test_scores_are_refused_or_read_to_the_last(folder, data):
    (folder / "scores.csv").write_bytes(data)
    rated = attempt(read_ratings, folder / "scores.csv")
    if rated is not None and rated.format == "scores":
        traits = [trait.lower() for trait in rated.traits]
        cells = [row.get(trait, "").strip() for row in records(data) for trait in traits]
        assert len(rated.table) == sum(
            bool(cell) and cell.lower() not in {"nan", "na", "n/a", "null"} for cell in cells
        )


@given(damaged(LINES.encode()))
def test_json_lines_are_refused_or_read_to_the_last(folder, data):
    (folder / "metadata.jsonl").write_bytes(data)
    rated = attempt(read_ratings, folder / "metadata.jsonl")
    if rated is not None:
        assert len(set(rated.table["image"])) <= data.count(b"\n") + 1
        assert len(rated.table) >= 10


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    made = tmp_path_factory.mktemp("impressions")
    (made / "images").mkdir()
    for face in range(12):
        (made / "images" / f"{face}.jpg").write_bytes(b"picture")
    return made


def zipped(text):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("attribute_ratings.csv"), text)
    return stream.getvalue()


@given(st.one_of(damaged(zipped(IMPRESSIONS)), damaged(IMPRESSIONS.encode()).map(zipped)))
def test_an_archive_of_impressions_is_refused_or_read_to_the_last(archives, data):
    (archives / "attribute_ratings.zip").write_bytes(data)
    rated = attempt(read_ratings, archives)
    if rated is not None:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            rows = records(archive.read("attribute_ratings.csv"))
        normal = sum(row["rating_type"] != "repeat" for row in rows)
        assert rated.table["votes"].sum() == normal


def parquet(text):
    stream = io.BytesIO()
    pd.read_csv(io.StringIO(text)).to_parquet(stream)
    return stream.getvalue()


@given(damaged(parquet(SCORES)))
def test_parquet_is_refused_or_holds_all_pictures(folder, data):
    (folder / "scores.parquet").write_bytes(data)
    rated = attempt(read_ratings, folder / "scores.parquet")
    if rated is not None:
        assert len(rated.table) >= 10 * len(rated.traits)


RESULTS = "image,competence,likeability,votes\n01.jpg,7.5,8.25,40\n02.jpg,6,7,40\nsub/03.jpg,5.5,9,\n"
LONG = "image,trait,mean,votes\n" + "".join(
    f"{image},{trait},{mean},20\n"
    for image, mean in (("01.jpg", 7), ("02.jpg", 6))
    for trait in ("competence", "likeability")
)


@pytest.mark.parametrize("text", [RESULTS, LONG], ids=["wide", "long"])
@given(data=st.data())
def test_results_are_refused_or_read_to_the_last(tmp_path_factory, text, data):
    content = data.draw(damaged(text.encode()))
    file = tmp_path_factory.getbasetemp() / "results.csv"
    file.write_bytes(content)
    known = [*IMAGES, "sub/03.jpg"]
    typed = attempt(read_results, file, ["competence", "likeability"], known, where="scores.csv")
    if typed is not None:
        rows = records(content)
        assert len(typed.images) == len({row["image"].strip() for row in rows})
        assert typed.scores.notna().all(axis=None)
        assert typed.scores.to_numpy().min() >= 0
        assert typed.scores.to_numpy().max() <= 10
        assert set(typed.images) <= set(known)


NAMES = st.text(max_size=6) | st.sampled_from(["", "=1", "'=1", "\udcff", "\\udcff", "0001", "True", "nan", "a\r\nb"])
FRAMES = st.integers(1, 6).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            "image": st.lists(NAMES, min_size=n, max_size=n),
            "status": st.lists(st.sampled_from(["ok", "failed"]), min_size=n, max_size=n),
            "T": st.lists(st.floats(allow_infinity=False), min_size=n, max_size=n),
            "rank": st.lists(st.integers(-(2**53), 2**53), min_size=n, max_size=n),
            "selected": st.lists(st.booleans(), min_size=n, max_size=n),
        }
    )
)


@pytest.mark.parametrize("format_", ["csv", "parquet", "jsonl"])
@given(columns=FRAMES)
def test_any_table_makes_the_round_trip(tmp_path_factory, format_, columns):
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    frame = frame.astype({"T": np.float64, "rank": np.int64, "selected": bool})
    path = tmp_path_factory.getbasetemp() / f"round.{format_}"
    path.write_bytes(table_bytes(frame, path))
    back = read_table(path)
    assert back["image"].tolist() == columns["image"]
    assert_frame_equal(back[["T", "rank", "selected"]], frame[["T", "rank", "selected"]])
    assert table_bytes(back, path) == path.read_bytes()


TABLE = pd.DataFrame({"image": IMAGES, "status": "ok", "T": np.linspace(0, 10, 12), "n": range(12), "yes": True})


@pytest.mark.parametrize("format_", ["csv", "parquet", "jsonl"])
@given(data=st.data())
def test_a_damaged_table_is_refused_or_read_to_the_last_row(tmp_path_factory, format_, data):
    path = tmp_path_factory.getbasetemp() / f"damaged.{format_}"
    content = data.draw(damaged(table_bytes(TABLE, path)))
    path.write_bytes(content)
    back = attempt(read_table, path)
    if back is not None and format_ == "csv":
        assert len(back) == len(records(content))
    if back is not None and format_ == "jsonl":
        assert len(back) == sum(bool(line.strip()) for line in content.decode().split("\n"))
