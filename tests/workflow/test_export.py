import hashlib
import json
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from click.testing import CliRunner

from prescreen.cli.main import main
from prescreen.errors import NothingScored, UsageError
from prescreen.storage.provenance import ScoresMetadata, file_sha256
from prescreen.storage.tables import write_table
from prescreen.workflow.export import export
from prescreen.workflow.exported import Exported, scored_traits
from prescreen.workflow.fiftyone_dataset import fiftyone_files
from prescreen.workflow.label_studio_tasks import label_studio_files

SHORTLIST = {
    "rank": [1, 2, 3],
    "image": ["b/two.jpg", "a ö&.jpg", "three.jpg"],
    "p_better": [0.8, 0.25, float("nan")],
    "p_better_low": [0.7, 0.2, float("nan")],
    "p_better_high": [0.9, 0.3, float("nan")],
    "selected": [True, False, False],
    "status": ["ok", "ok", "failed"],
    "gates": ["", "copies,nose", ""],
    "why": ["influence +2.1", "near-copy of b/two.jpg", "failed: truncated"],
} | {
    f"{trait}{end}": [level + gap, level + gap - 1, float("nan")]
    for trait, level in {"competence": 6.04, "influence": 7.26}.items()
    for end, gap in {"": 0, "_low": -2, "_high": 2, "_raw": 0, "_raw_low": -1, "_raw_high": 1}.items()
}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "portraits"
    for name in SHORTLIST["image"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"picture")
    return folder


@pytest.fixture
def shortlist(tmp_path):
    path = tmp_path / "shortlist.csv"
    write_table(pd.DataFrame(SHORTLIST), path)
    return path


@pytest.fixture
def exported(pictures):
    table = pd.DataFrame(SHORTLIST).query("status == 'ok'")
    files = {name: pictures / name for name in table["image"]}
    return Exported(table, scored_traits(table), files, "mine 0123456789ab")


def labels(exported, **options):
    files = label_studio_files(exported, **({"blind": False, "prefix": None} | options))
    return json.loads(files["tasks.json"]), ElementTree.fromstring(files["config.xml"])


def test_traits_are_columns_with_an_interval_and_not_their_raw_forms():
    assert scored_traits(pd.DataFrame(SHORTLIST)) == ("competence", "influence")
    with pytest.raises(UsageError, match="prescreen score or prescreen rank"):
        scored_traits(pd.DataFrame({"image": ["a.jpg"], "status": ["ok"]}))


def test_predictions_answer_the_controls_of_the_configuration(exported):
    tasks, config = labels(exported)
    controls = {tag.attrib["name"]: tag for tag in config.iter("Number")}
    assert list(controls) == ["competence", "influence"]
    (picture,) = config.iter("Image")
    for task in tasks:
        assert picture.attrib["value"].removeprefix("$") in task["data"]
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "mine 0123456789ab"
        for region in prediction["result"]:
            control = controls[region["from_name"]]
            assert region["to_name"] == control.attrib["toName"] == picture.attrib["name"]
            assert float(control.attrib["min"]) <= region["value"]["number"] <= float(control.attrib["max"])
    assert [region["value"]["number"] for region in tasks[0]["predictions"][0]["result"]] == [6.0, 7.3]
    assert [task["predictions"][0]["score"] for task in tasks] == [0.8, 0.25]
    assert "competence 6.0 [4.0, 8.0]" in tasks[0]["data"]["prediction"]


def test_pictures_are_named_below_the_folder_that_label_studio_serves(exported):
    tasks, _ = labels(exported)
    places = [task["data"]["image"] for task in tasks]
    assert places == [
        "/data/local-files/?d=portraits/b/two.jpg",
        "/data/local-files/?d=portraits/a%20%C3%B6%26.jpg",
    ]
    tasks, _ = labels(exported, prefix="https://pictures.example/")
    assert tasks[0]["data"] | {"image": "https://pictures.example/b/two.jpg"} == tasks[0]["data"]


def test_a_blind_test_tells_nothing_and_loses_the_order(exported):
    tasks, config = labels(exported, blind=True)
    assert [task["data"]["name"] for task in tasks] == ["a ö&.jpg", "b/two.jpg"]
    assert all(set(task) == {"data"} and set(task["data"]) == {"image", "name"} for task in tasks)
    assert not list(config.iter("Text"))


def test_names_of_traits_are_quoted(exported):
    odd = '<b>"kind" & so'
    table = exported.table.rename(columns=lambda name: name.replace("influence", odd))
    _, config = labels(Exported(table, scored_traits(table), exported.files, "mine"))
    assert [tag.attrib["name"] for tag in config.iter("Number")] == ["competence", odd]


def test_label_studio_accepts_it(exported):
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    files = label_studio_files(exported, blind=False, prefix=None)
    checked = interface.LabelInterface(files["config.xml"])
    checked.validate()
    for task in json.loads(files["tasks.json"]):
        assert checked.validate_task({"data": task["data"]})
        assert not checked.validate_prediction(task["predictions"][0], return_errors=True)


def test_fiftyone_gets_labels_numbers_and_tags(exported, pictures):
    files = {name: json.loads(text) for name, text in fiftyone_files(exported, "shortlist").items()}
    first, second = files["samples.json"]["samples"]
    assert first["filepath"] == str(pictures / "b/two.jpg")
    assert first["influence"] == {"_cls": "Regression", "tags": [], "value": 7.26, "confidence": None}
    assert (first["tags"], second["tags"]) == (["shortlist"], ["copies", "nose"])
    assert (first["p_better"], first["influence_low"], first["rank"]) == (0.8, 5.26, 1)
    assert "version" not in files["metadata.json"]  # with it, FiftyOne expects its database's documents
    assert files["metadata.json"]["info"]["model"] == "mine 0123456789ab"


def test_fiftyone_reads_it(exported, tmp_path):
    importers = pytest.importorskip("fiftyone.utils.data.importers")
    for name, text in fiftyone_files(exported, "shortlist").items():
        (tmp_path / name).write_text(text)
    importer = importers.FiftyOneDatasetImporter(str(tmp_path))
    assert importer._is_legacy_format_data()
    with importer._to_legacy_importer() as reading:
        samples = list(reading)
    assert [sample.influence.value for sample in samples] == [7.26, 6.26]
    assert samples[0].tags == ["shortlist"]


def test_a_name_that_is_not_utf8_survives(exported, pictures):
    name = b"k\xe4thi.jpg".decode("utf-8", "surrogateescape")
    table = exported.table.head(1).assign(image=pd.Series([name], dtype=object))
    odd = Exported(table, exported.traits, {name: pictures / name}, "mine")
    tasks, _ = labels(odd)
    assert tasks[0]["data"]["image"].endswith("k%E4thi.jpg")
    (sample,) = json.loads(fiftyone_files(odd, "x")["samples.json"])["samples"]
    assert Path(sample["filepath"]).name == name


@pytest.mark.parametrize("tool", ["label-studio", "fiftyone"])
def test_the_command_writes_the_files_and_says_what_is_next(shortlist, pictures, tmp_path, tool):
    words = ["export", str(shortlist), "--to", tool, "--images", str(pictures), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    paths = [Path(line) for line in done.stdout.split("\n") if line]
    assert len(paths) == 2
    assert all(path.is_file() for path in paths)
    assert "2 pictures, 1 left out" in done.stderr
    assert str(tmp_path / "out" if tool == "fiftyone" else pictures) in done.stderr


def test_selected_takes_the_shortlist_only(shortlist, pictures, tmp_path):
    done = export(shortlist, to="fiftyone", output=tmp_path / "out", images=pictures, selected=True)
    assert (done.pictures, done.left_out, done.folder) == (1, 0, pictures / "b")


def test_nothing_is_said_to_be_left_out_where_nothing_is(shortlist, pictures, tmp_path):
    words = ["export", str(shortlist), "--to", "fiftyone", "--images", str(pictures), "--selected"]
    done = CliRunner().invoke(main, [*words, "--output", str(tmp_path / "out")])
    assert "1 picture" in done.stderr
    assert "left out" not in done.stderr


def test_what_cannot_be_exported_is_said(shortlist, pictures, tmp_path):
    with pytest.raises(UsageError, match="--images"):
        export(shortlist, to="fiftyone", output=tmp_path / "out")
    with pytest.raises(UsageError, match="Label Studio"):
        export(shortlist, to="fiftyone", output=tmp_path / "out", images=pictures, blind=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingScored, match="none of its 2 pictures"):
        export(shortlist, to="fiftyone", output=tmp_path / "out", images=tmp_path / "empty")
    assert not (tmp_path / "out").exists()


def test_a_shortlist_without_excluded_pictures_has_no_tags(pictures, tmp_path):
    """In a CSV a column without any value has no kind of its own."""
    frame = pd.DataFrame(SHORTLIST).assign(gates="", why="", selected=False, reason="")
    frame = frame[frame["status"] == "ok"]
    for ending in ("csv", "parquet", "jsonl"):
        write_table(frame, tmp_path / f"short.{ending}")
        export(tmp_path / f"short.{ending}", to="fiftyone", output=tmp_path / ending, images=pictures)
        samples = json.loads((tmp_path / ending / "samples.json").read_text())["samples"]
        assert [sample["tags"] for sample in samples] == [[], []]


def test_fields_of_names_that_look_alike_differ(exported):
    table = exported.table.drop(columns=[name for name in exported.table if "influence" in name])
    alike = ["a.b", "a_b", "tags", "1st", "😀"]
    more = {f"{name}{end}": [float(n), n + 0.5] for n, name in enumerate(alike) for end in ("", "_low", "_high")}
    table = table.assign(**more)
    made = Exported(table, scored_traits(table), exported.files, "mine")
    first = json.loads(fiftyone_files(made, "x")["samples.json"])["samples"][0]
    found = {field: label["value"] for field, label in first.items() if isinstance(label, dict)}
    assert found == {"competence": 6.04, "a_b": 0, "a_b_2": 1, "tags_2": 2, "field_1st": 3, "field_": 4}
    assert first["tags"] == ["shortlist"]


@pytest.fixture
def remote(tmp_path):
    """Scores of pictures at a URL."""
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for name in ("b/two.jpg", "a ö&.jpg"):
        system.pipe(f"/exported/{name}", b"picture")
    table = tmp_path / "scores.csv"
    frame = pd.DataFrame(SHORTLIST).drop(columns=["rank", "p_better", "selected", "gates", "why"])
    write_table(frame.assign(reason="", content=hashlib.sha256(b"picture").hexdigest()), table)
    note = ScoresMetadata(
        file_sha256(table), "m", "mine", "0" * 64, "tiny", "1" * 64, ("competence", "influence"),
        ("memory://exported",), 2, 1, False, False, {},
    )  # fmt: skip
    note.write(table, lambda: None)
    yield table
    system.rm("/exported", recursive=True)


def test_pictures_at_a_url_are_named_by_it(remote, tmp_path):
    with pytest.raises(UsageError, match="is not known; name their folder with --images"):
        export(remote, to="label-studio", output=tmp_path / "out")  # only the note names the address
    done = export(remote, to="label-studio", output=tmp_path / "out", images="memory://exported")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert [task["data"]["image"] for task in tasks] == ["memory:///exported/b/two.jpg", "memory:///exported/a ö&.jpg"]
    assert done.folder is None
    with pytest.raises(UsageError, match=r"memory://exported: FiftyOne .* --images"):
        export(remote, to="fiftyone", output=tmp_path / "other", images="memory://exported")
