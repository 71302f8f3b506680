import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from click.testing import CliRunner

from prescreen.cli.main import main
from prescreen.errors import UsageError
from prescreen.storage.provenance import ScoresMetadata, file_sha256
from prescreen.storage.tables import write_table
from prescreen.workflow.export import export
from prescreen.workflow.xmp_sidecars import PROGRAMS, sidecar, sidecar_paths, stars, tags

DIGIKAM = PROGRAMS["digikam"]
ROWS = {
    "image": ["b/two.jpg", "Käthe & Jörg.JPG", "three.jpg", "gone.jpg"],
    "selected": [True, False, False, False],
    "status": ["ok", "ok", "ok", "failed"],
    "gates": ["", "", "copies,nose", ""],
    "why": ["", "", "near-copy", "truncated"],
    "p_better": [0.8, 0.4, 0.2, float("nan")],
    "p_better_low": [0.7, 0.3, 0.1, float("nan")],
    "p_better_high": [0.9, 0.5, 0.3, float("nan")],
} | {
    f"{trait}{end}": [score + gap if score else float("nan") for score in scores]
    for trait, scores in {"competence": (3.2, 9.4, 7, None), "führung": (4.9, 8.8, 6, None)}.items()
    for end, gap in {"": 0, "_low": -1, "_high": 1}.items()
}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pictures(tmp_path):
    for name in ROWS["image"]:
        (tmp_path / "portraits" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "portraits" / name).write_bytes(b"picture")
    return tmp_path / "portraits"


@pytest.fixture
def shortlist(tmp_path):
    write_table(pd.DataFrame(ROWS), tmp_path / "short.csv")
    return tmp_path / "short.csv"


def command(shortlist, pictures, *words):
    return CliRunner().invoke(main, ["export", str(shortlist), "--xmp", "--images", str(pictures), *words])


def values(path, name):
    root = ElementTree.fromstring(path.read_bytes())
    spaces = {"rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "dc": "http://purl.org/dc/elements/1.1/",
              "xmp": "http://ns.adobe.com/xap/1.0/"}  # fmt: skip
    (found,) = root.iterfind(f".//{name}", spaces)
    return [item.text for item in found.iterfind(".//rdf:li", spaces)] or found.text


def test_every_scored_picture_gets_stars_and_tags_in_a_folder_of_their_own(shortlist, pictures):
    done = command(shortlist, pictures)
    assert done.exit_code == 0, done.output
    folder = shortlist.with_name("short-xmp")
    assert done.stdout == f"{folder}\n"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} == {
        "b/two.jpg.xmp", "Käthe & Jörg.JPG.xmp", "three.jpg.xmp"
    }  # fmt: skip
    assert "3 pictures, 1 left out" in done.stderr
    assert not list(pictures.rglob("*.xmp"))
    read = {path.name: values(path, "xmp:Rating") for path in folder.rglob("*.xmp")}
    assert read == {"two.jpg.xmp": "5", "Käthe & Jörg.JPG.xmp": "4", "three.jpg.xmp": "1"}
    assert values(folder / "b/two.jpg.xmp", "dc:subject") == [
        "prescreen", "shortlist", "competence 3", "führung 5", "predicted by prescreen (predictor not known)"
    ]  # fmt: skip
    assert values(folder / "three.jpg.xmp", "dc:subject")[1:3] == ["excluded: copies", "excluded: nose"]


def test_a_shortlist_beside_its_scores_says_who_predicted_them_and_that_votes_were_simulated(shortlist, pictures):
    def subjects():
        command(shortlist, pictures)
        return values(shortlist.with_name("short-xmp") / "b" / "two.jpg.xmp", "dc:subject")

    scores = shortlist.with_name("scores.csv")
    scored = pd.DataFrame(ROWS).drop(columns="selected")
    write_table(scored.assign(competence=scored["competence"] + 0.0005), scores)  # a shortlist is rounded
    note = ScoresMetadata(
        table_sha256=file_sha256(scores), predictor="models/mine", predictor_name="mine", predictor_sha256="5" * 64,
        encoder="bundled", encoder_sha256="0" * 64, traits=("competence", "führung"), inputs=("portraits",), scored=3,
        failed=1, tolerant=False, simulated=True, versions={},
    )  # fmt: skip
    note.write(scores, lambda: None)
    shortlist.with_name("odd.csv.meta.json").write_text("{")  # not a note
    assert subjects()[-1] == "predicted by mine 555555555555 (simulated votes)"
    write_table(pd.DataFrame(ROWS).assign(competence=1.0), scores)  # other scores
    assert subjects()[-1] == "predicted by prescreen (predictor not known)"


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
def test_the_command_knows_all_programs():
    (option,) = (each for each in main.commands["export"].params if each.name == "program")
    assert list(option.type.choices) == sorted(PROGRAMS)


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_exiftool_reads_what_was_written(shortlist, pictures, program):
    command(shortlist, pictures, "--beside", "--for", program)
    ending = ".xmp" if program == "lightroom" else ".JPG.xmp"
    read = subprocess.run(
        ["exiftool", "-json", "-G1", "-a", "-validate", "-all", str(pictures / f"Käthe & Jörg{ending}")],
        capture_output=True, check=True,
    )  # fmt: skip
    (found,) = json.loads(read.stdout)
    assert found["ExifTool:Validate"] == "OK"
    assert found["XMP-xmp:Rating"] == 4
    assert found["XMP-dc:Subject"] == [
        "prescreen",
        "competence 9",
        "führung 9",
        "predicted by prescreen (predictor not known)",
    ]
    assert found["XMP-lr:HierarchicalSubject"][1] == "prescreen|competence 9"
    assert found["XMP-digiKam:TagsList"][2] == "prescreen/führung 9"
    assert found["XMP-prescreen:Scores"].startswith("competence 9.4 [8.4, 10.4]; führung 8.8")


def test_what_another_program_wrote_or_changed_stays(shortlist, pictures):
    theirs = pictures / "three.jpg.xmp"
    theirs.write_text("<x:xmpmeta/>")
    assert command(shortlist, pictures, "--beside").exit_code == 0
    edited = pictures / "b" / "two.jpg.xmp"
    edited.write_text(edited.read_text("utf-8").replace("Rating>5", "Rating>3"), "utf-8")
    (pictures / "Käthe & Jörg.JPG.xmp").unlink()
    (pictures / "Käthe & Jörg.JPG.xmp").symlink_to(pictures / "elsewhere")
    before = edited.read_bytes()
    done = command(shortlist, pictures, "--beside")
    assert done.exit_code == 0
    assert done.stderr.startswith("0 pictures, 1 left out")
    assert theirs.read_text() == "<x:xmpmeta/>"
    assert edited.read_bytes() == before
    assert not (pictures / "elsewhere").exists()
    for name in ("three.jpg.xmp", "two.jpg.xmp", "Jörg.JPG.xmp"):
        assert name in done.stderr.partition("another program wrote or changed")[2]


def test_what_prescreen_wrote_is_replaced_while_nobody_changed_it(shortlist, pictures):
    command(shortlist, pictures, "--beside")
    write_table(pd.DataFrame(ROWS).assign(selected=False), shortlist)
    done = command(shortlist, pictures, "--beside")
    assert "not written" not in done.stderr
    assert values(pictures / "b" / "two.jpg.xmp", "xmp:Rating") == "3"


def test_stars_follow_the_mean_score():
    assert [stars({"a": mean - 0.5, "b": mean + 0.5}, ["a", "b"]) for mean in (1.9, 2, 4, 6, 8, 10)] == [
        1,
        2,
        3,
        4,
        5,
        5,
    ]


def test_names_that_photo_managers_or_xml_cannot_hold_are_made_plain():
    odd = 'a|b/c, "d" <&>\x00\x1b\ud800'
    made = sidecar(3, tags({odd: 5.0, "gates": "no|se\x00"}, [odd], "by me"), {"origin": odd}, DIGIKAM)
    subjects = [item.text for item in ElementTree.fromstring(made).iter() if item.tag.endswith("li")]
    assert subjects[:4] == ["prescreen", "excluded: no se", 'a b c "d" <&> 5', "by me"]


def test_no_sidecar_is_written_outside_of_the_folder_or_over_another(tmp_path):
    for name in ("../x.jpg", "/x.jpg", "a/../../x.jpg"):
        with pytest.raises(UsageError, match="leads out of"):
            sidecar_paths({name: tmp_path / "x.jpg"}, tmp_path, DIGIKAM)
    two = {name: tmp_path / name for name in ("a.jpg", "a.png")}
    assert len(set(sidecar_paths(two, tmp_path, DIGIKAM).values())) == 2
    with pytest.raises(UsageError, match=r"a\.jpg and a\.png: both would get the sidecar a\.xmp"):
        sidecar_paths(two, tmp_path, PROGRAMS["lightroom"])
    with pytest.raises(UsageError, match="--output"):
        sidecar_paths({"x.jpg": "memory://x.jpg"}, None, DIGIKAM)


def test_options_of_another_tool_are_refused(shortlist, pictures, tmp_path):
    assert "--beside" in command(shortlist, pictures, "--beside", "--output", str(tmp_path / "out")).stderr
    with pytest.raises(UsageError, match="--output"):
        export(shortlist, to="fiftyone", output=None, images=pictures)
    with pytest.raises(UsageError, match="--for"):
        export(shortlist, to="fiftyone", output=Path("out"), images=pictures, program="digikam")
