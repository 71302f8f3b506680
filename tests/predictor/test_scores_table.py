import tracemalloc
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from prescreen.embeddings.pipeline import Embedded, Quality
from prescreen.encoders import EncoderSpecification, MemberSpecification
from prescreen.errors import PredictorError, PredictorMismatch, PrescreenError
from prescreen.evaluation.report import Evaluation
from prescreen.predictor.calibration import Calibration
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.scores_table import check_scores, score_columns, score_parts, score_pictures
from prescreen.predictor.training_portraits import TrainingPortraits, content_keys
from prescreen.storage.tables import TableWriter, read_table, write_table

MEMBER = MemberSpecification("network", "nowhere", "00", ("chip",), 8, 2)
MANIFEST = Manifest(
    name="planted",
    encoder=EncoderSpecification("planted", (MEMBER,)),
    traits=("smart", "kind"),
    scale="0:100",
    is_score=False,
    data={},
    reliability={},
    seed=0,
    simulated=True,
    versions={},
)
TRAINED_ON = "1234567890abcdef" * 4
APPEARANCE = {
    "face_margin": 0.5, "nose_offset": 0.01, "eye_crossing": -0.02, "eye_skew": 0.03,
    "iris_lightness": 40.0, "iris_a": 3.0, "iris_b": 9.0, "iris_gap": 2.0,
}  # fmt: skip
QUALITY = Quality(400, 300, 1, 2, "cnn", 0.25, -3.5, 9.75, **APPEARANCE)


class Planted:
    """Predicts the features themselves: two features, two traits."""

    def predict(self, features, prior=None):
        return features.astype(np.float64)


@pytest.fixture
def predictor():
    """Return a predictor whose training ratings were 0 to 99 and 0 to 198."""
    levels = np.arange(100.0)
    calibration = Calibration(np.column_stack([levels, 2 * levels]), np.array([10.0, 30.0]), np.eye(2), False)
    portraits = TrainingPortraits(
        keys=content_keys([TRAINED_ON]),
        faces=np.zeros((1, 128), np.float16),
        predictions=np.array([[99.0, 0]]),
    )
    return Predictor(MANIFEST, Planted(), calibration, portraits, Evaluation())


def picture(name, smart, kind):
    return Embedded(name, "ab" * 32, np.array([smart, kind], np.float16), QUALITY)


def test_columns_are_those_that_are_documented(predictor):
    expected = [
        "image", "status", "reason",
        "smart", "smart_low", "smart_high", "smart_raw", "smart_raw_low", "smart_raw_high",
        "kind", "kind_low", "kind_high", "kind_raw", "kind_raw_low", "kind_raw_high",
        *APPEARANCE, "width", "height", "frames", "faces", "face_detector", "face_share", "face_roll", "sharpness",
        "truncated", "novelty", "content",
    ]  # fmt: skip
    assert score_columns(("smart", "kind")) == expected
    assert list(score_pictures([picture("a.jpg", 50, 60)], predictor).columns) == expected


def test_scores_are_shares_of_the_training_pictures_beaten(predictor):
    table = score_pictures([picture("a.jpg", 49.5, 99), picture("b.jpg", 90, 20)], predictor).set_index("image")
    assert table.loc["a.jpg", ["smart", "kind"]].tolist() == [5, 5]
    assert table.loc["b.jpg", "smart"] == pytest.approx(9.05)
    assert table.loc["b.jpg", "kind"] == pytest.approx(1.05)
    assert table.loc["b.jpg", ["smart_raw", "smart_raw_low", "smart_raw_high"]].tolist() == [90, 80, 100]
    assert table.loc["b.jpg", ["kind_raw", "kind_raw_low", "kind_raw_high"]].tolist() == [20, -10, 50]
    assert table.loc["a.jpg", "smart_low"] == pytest.approx(4, abs=0.01)
    assert table.loc["a.jpg", "smart_high"] == pytest.approx(6, abs=0.01)


def test_quality_and_status_stand_beside_the_scores(predictor):
    (row,) = score_pictures([picture("a.jpg", 50, 60)], predictor).to_dict("records")
    assert (row["status"], row["reason"]) == ("ok", "")
    assert {name: row[name] for name in asdict(QUALITY)} == asdict(QUALITY)
    assert row["content"] == "ab" * 32


def test_a_picture_that_was_trained_on_has_its_cross_validated_prediction(predictor):
    rows = [Embedded("bad.jpg", content=TRAINED_ON, reason="damaged"), picture("a.jpg", 50, 60)]
    rows.append(replace(picture("b.jpg", 50, 60), content=TRAINED_ON))
    table = score_pictures(rows, predictor)
    assert table["smart_raw"].tolist()[1:] == [50, 99]
    assert table["kind_raw"].tolist()[1:] == [60, 0]
    assert table["content"].tolist() == [TRAINED_ON, "ab" * 32, TRAINED_ON]


def test_failed_pictures_are_rows_without_numbers(predictor):
    rows = [Embedded("a.jpg", reason="empty file"), picture("b.jpg", 50, 60), Embedded("c.jpg", reason="file vanished")]
    table = score_pictures(rows, predictor)
    assert table["image"].tolist() == ["a.jpg", "b.jpg", "c.jpg"]
    assert table["status"].tolist() == ["failed", "ok", "failed"]
    assert table["reason"].tolist() == ["empty file", "", "file vanished"]
    assert table["face_detector"].tolist() == ["", "cnn", ""]
    numbers = table.drop(columns=["image", "status", "reason", "face_detector", "novelty", "content"])
    assert (numbers.dtypes == np.float64).all()
    assert numbers.iloc[[0, 2]].isna().all(axis=None)
    assert numbers.iloc[1].notna().all()
    alone = score_pictures(rows[1:2], predictor)
    pd.testing.assert_frame_equal(table.iloc[1:2].reset_index(drop=True), alone)


@pytest.mark.parametrize("rows", [[], [Embedded("a.jpg", reason="empty file")]])
def test_nothing_to_score_is_a_table_all_the_same(predictor, rows):
    table = score_pictures(rows, predictor)
    assert list(table.columns) == score_columns(predictor.traits)
    assert len(table) == len(rows)
    assert table["smart"].dtype == np.float64


def test_ends_of_intervals_are_in_order_and_on_the_scale(predictor):
    values = np.random.default_rng(0).normal(60, 80, (600, 2))
    table = score_pictures([picture(f"{i:03d}", *value) for i, value in enumerate(values)], predictor)
    assert table["image"].tolist() == [f"{i:03d}" for i in range(600)]
    for name in ("smart", "kind", "smart_raw", "kind_raw"):
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()
    for name in ("smart", "kind"):
        assert table[[name, f"{name}_low", f"{name}_high"]].stack().between(0, 10).all()
    order = table["smart_raw"].argsort()
    assert (np.diff(table["smart"][order]) >= 0).all()


def test_the_same_pictures_give_the_same_bytes_in_any_company(predictor, tmp_path):
    rng = np.random.default_rng(0)
    rows = [picture(f"{i:03d}", *rng.normal(60, 20, 2)) for i in range(300)]
    rows[7] = Embedded("007", reason="empty file")
    for place in ("one.csv", "two.csv"):
        write_table(score_pictures(iter(rows), predictor), tmp_path / place)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    whole = score_pictures(rows, predictor)
    parts = pd.concat([score_pictures(rows[i : i + 50], predictor) for i in range(0, 300, 50)], ignore_index=True)
    pd.testing.assert_frame_equal(whole, parts, check_exact=True)


def test_pictures_are_taken_as_they_come(predictor):
    with pytest.raises(RuntimeError, match="stop here"):
        score_pictures(stopping(picture("a.jpg", 1, 2), 1000), predictor)


def stopping(row, after):
    for _ in range(after):
        yield row
    raise RuntimeError("stop here")


def test_vectors_of_another_encoder_are_refused(predictor):
    row = replace(picture("a.jpg", 1, 2), vector=np.zeros(3, np.float16))
    with pytest.raises(PredictorMismatch):
        score_pictures([row], predictor)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_prediction_that_is_no_number_is_never_written(predictor, value):
    with pytest.raises(PredictorError, match="planted.*not a number"):
        score_pictures([picture("a.jpg", 1, value)], predictor)


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_parts_make_the_bytes_of_the_whole_table(predictor, tmp_path, format):
    rng = np.random.default_rng(0)
    rows = [picture(f"{i:03d}", *rng.normal(60, 20, 2)) for i in range(600)]
    rows[256:512] = [Embedded(f"{i:03d}", reason="empty file") for i in range(256, 512)]  # a part without a number
    whole, parts = tmp_path / f"whole.{format}", tmp_path / f"parts.{format}"
    write_table(score_pictures(rows, predictor), whole)
    with parts.open("wb") as file, TableWriter(file, parts) as writer:
        for part in score_parts(iter(rows), predictor):
            writer.write(part)
    assert parts.read_bytes() == whole.read_bytes()


def test_memory_is_flat_in_the_number_of_pictures(predictor, tmp_path):
    def peak(n):
        tracemalloc.start()
        with (tmp_path / "scores.csv").open("wb") as file, TableWriter(file, "scores.csv") as writer:
            for part in score_parts((picture(f"{i:05d}", 50, 60) for i in range(n)), predictor):
                writer.write(part)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(256)  # imports and caches
    assert peak(16 * 256) < 1.5 * peak(4 * 256)  # all rows at once would be four times as much


ODD_CELLS = {
    "smart": ["abc", "inf", "", "11", "-1"],
    "smart_low": ["9.99"],
    "kind_raw_low": ["x", "", "1e9"],
    "width": ["0", "-5"],
    "faces": ["two", "inf", ""],
    "novelty": ["far"],
    "status": ["done"],
    "content": ["0"],
    "image": ["b.jpg"],
}


@pytest.mark.parametrize(
    ("column", "value"), [(column, value) for column, values in ODD_CELLS.items() for value in values]
)
def test_a_cell_that_was_edited_is_named(predictor, tmp_path, column, value):
    path = tmp_path / "scores.csv"
    write_table(score_pictures([picture("a.jpg", 50, 60), picture("b.jpg", 40, 60)], predictor), path)
    cells = pd.read_csv(path, dtype=str, keep_default_na=False)
    check_scores(read_table(path), ("smart", "kind"), path)
    cells.loc[0, column] = value
    cells.to_csv(path, index=False)
    row = 3 if column == "image" else 2
    with pytest.raises(PrescreenError, match=rf"scores\.csv: row {row}: {column} '.*', expected "):
        check_scores(read_table(path), ("smart", "kind"), path)


def test_what_is_no_table_of_scores_is_named(predictor, tmp_path):
    table = score_pictures([picture("a.jpg", 50, 60)], predictor)
    for lacking in ("content", "smart_raw", "faces"):
        with pytest.raises(PrescreenError, match=f"no column {lacking}"):
            check_scores(table.drop(columns=lacking), ("smart", "kind"), tmp_path / "s.csv")
    with pytest.raises(PrescreenError, match="no rows"):
        check_scores(table.iloc[:0], ("smart", "kind"), tmp_path / "s.csv")
    older = table.drop(columns=["iris_a", "novelty"])
    check_scores(older, ("smart", "kind"), tmp_path / "s.csv")


def test_numbers_for_names_and_failures_without_numbers(predictor, tmp_path):
    table = score_pictures([picture("a.jpg", 50, 60), Embedded("b.jpg", reason="empty file")], predictor)
    check_scores(table, ("smart", "kind"), tmp_path / "s.jsonl")
    with pytest.raises(PrescreenError, match="row 1: image '7', expected text"):
        check_scores(table.assign(image=[7, 8]), ("smart", "kind"), tmp_path / "s.jsonl")
