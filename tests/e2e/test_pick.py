"""``prescreen pick`` with a predictor: what it writes, what it refuses, and how ``learn`` goes on by itself."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.e2e.conftest import SAMPLE, Shell

from prescreen.errors import PictureError, PictureFault
from prescreen.images.metadata import without_metadata
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import content_keys
from telling_pictures import SECRET, metadata

CANDIDATES = sorted(path.name for path in (SAMPLE / "candidates").iterdir())[:24]
TRAITS = ("competence", "likeability", "influence")


@pytest.fixture
def place(demo, shell, tmp_path):
    """A folder with portraits, a current photo and nothing else."""
    (tmp_path / "portraits").mkdir()
    for name in CANDIDATES:
        shutil.copy(SAMPLE / "candidates" / name, tmp_path / "portraits")
    shutil.copy(SAMPLE / "baseline.jpg", tmp_path / "now.jpg")
    return Shell(tmp_path, shell.cache)


@pytest.fixture
def pick(place, demo):
    """Runs it with the demo's predictor."""
    return lambda *words: place("pick", *words, "--predictor", demo / "models" / "sample")


@pytest.fixture
def picked(pick, place):
    done = pick("portraits", "--current", "now.jpg")
    assert done.returncode == 0, done.stderr
    return done


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def type_results(place, names, scores=(9.5, 9.0, 9.0), votes=40, to="results.csv"):
    rows = [f"{name},{','.join(map(str, scores))},{votes}" for name in names]
    lines = [f"image,{','.join(TRAITS)},votes", *rows, f"0-now.jpg,7.0,7.5,5.0,{votes}"]
    (place.folder / to).write_text("\n".join(lines))


def test_it_says_what_to_send_why_and_what_is_next(picked, place):
    folder = place.folder / "portraits-shortlist"
    copies = sorted(path.name for path in folder.glob("[123]-*.jpg"))
    table = pd.read_csv(folder / "shortlist.csv")
    assert [f"{rank}-{name}" for rank, name in zip((1, 2, 3), table["image"], strict=False)] == copies
    assert table["selected"].sum() == 3
    lines = picked.stdout.splitlines()
    assert lines[0].startswith("Test these 3 pictures: the chance that at least one beats your current photo is")
    assert [line[:3] for line in lines[1:4]] == ["1. ", "2. ", "3. "]
    assert "excluded   " in picked.stdout
    assert "1 could not be scored: 1 truncated" in picked.stdout
    assert (
        "Predicted from simulated ratings: 120 portraits in votes.csv. This shows how the tool works" in picked.stdout
    )
    assert f"pictures   portraits-shortlist: {', '.join(copies)}, and 0-now.jpg, your current photo" in picked.stdout
    assert "then: prescreen learn results.csv" in picked.stdout
    assert "image,competence,likeability,influence,votes" in picked.stdout
    page = (folder / "report.html").read_text("utf-8")
    assert len(page) > 100_000
    assert "<dt>Scored</dt><dd><bdi>portraits</bdi></dd>" in page
    assert str(place.folder) not in page  # the page may be sent to others
    assert (folder / "scores.csv.meta.json").is_file()
    assert "--baseline" not in picked.stdout + picked.stderr


def test_a_second_run_takes_all_from_the_cache_and_replaces_the_folder(picked, pick, place):
    before = contents(place.folder / "portraits")
    first = contents(place.folder / "portraits-shortlist")
    (place.folder / "portraits-shortlist" / ".DS_Store").write_bytes(b"as the Finder leaves it")
    again = pick("portraits", "--current", "now.jpg", "--budget", "2")
    assert again.returncode == 0, again.stderr
    assert "23 scored: 23 from the cache, 0 new" in again.stderr
    second = contents(place.folder / "portraits-shortlist")
    assert sum(name.name.startswith(("1-", "2-", "3-")) for name in second) == 2 < len(first)
    assert contents(place.folder / "portraits") == before
    assert sorted(path.name for path in place.folder.iterdir()) == ["now.jpg", "portraits", "portraits-shortlist"]


def test_copies_tell_nothing_about_places_and_people(pick, place):
    for path in (place.folder / "portraits").iterdir():
        if path.name not in CANDIDATES[:6]:
            path.unlink()
        else:
            with Image.open(path) as image:
                image.save(path, exif=metadata(1), quality=95)
    assert (
        pick("portraits", "--no-gates", "all", "--current-scores", "competence=1,likeability=1,influence=1").returncode
        == 0
    )
    copies = contents(place.folder / "portraits-shortlist")
    for name, data in copies.items():
        if name.suffix == ".jpg":
            original = (place.folder / "portraits" / name.name.partition("-")[2]).read_bytes()
            assert SECRET.encode() in original
            assert data == without_metadata(original)
            assert SECRET.encode() not in data


@pytest.mark.parametrize(
    ("there", "words", "message"),
    [
        ("portraits-shortlist/notes.txt", [], "holds notes.txt, which prescreen pick did not write"),
        ("portraits-shortlist", [], "a file, not a folder; give another --output"),
        (None, ["--output", "portraits/best"], "lies in"),
        (None, ["--current", "nowhere.jpg"], "--current nowhere.jpg: no such picture"),
        (None, ["--current", "now.jpg", "--current-scores", "charm=3"], "--current-scores: unknown trait 'charm'"),
        (None, ["--current-votes", "5"], "--current-votes: says how many votes"),
        (None, ["--images", "rated"], "--images: says something of ratings"),
        (None, ["--seed", "3"], "--seed: says something of a training"),
        (None, ["--source", "x.zip"], "--source: says where the public ratings are"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(pick, place, there, words, message):
    if there:
        (place.folder / there).parent.mkdir(exist_ok=True)
        (place.folder / there).write_text("mine")
    before = contents(place.folder)
    done = pick("portraits", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()[-1]) < 300
    assert contents(place.folder) == before


def test_what_is_read_is_never_replaced(picked, pick, place):
    current = "portraits-shortlist/0-now.jpg"
    done = pick("portraits", "--current", current)
    assert done.returncode == 2
    assert "lies in it and would be replaced" in done.stderr
    assert (place.folder / current).is_file()


def test_a_shortlist_in_the_folder_is_no_candidate_and_the_folder_itself_stays_clean(picked, demo, place):
    (place.folder / "portraits-shortlist").rename(place.folder / "portraits" / "portraits-shortlist")
    before = contents(place.folder / "portraits")
    inside = Shell(place.folder / "portraits", place.cache)
    done = inside("pick", ".", "--current", "../now.jpg", "--predictor", demo / "models" / "sample")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(place.folder / "portraits-shortlist" / "scores.csv")
    assert table["image"].tolist() == CANDIDATES
    assert contents(place.folder / "portraits") == before


def test_without_a_current_photo_the_best_predicted_are_proposed(pick, place):
    done = pick("portraits", "--budget", "2")
    assert done.returncode == 0, done.stderr
    assert "These 2 pictures have the highest predicted scores" in done.stdout
    names = {path.name for path in (place.folder / "portraits-shortlist").glob("*.jpg")}
    assert {name[:2] for name in names} == {"1-", "2-"}
    assert "your current photo: " not in done.stderr


def test_nothing_that_can_be_scored_is_exit_code_3_and_leaves_nothing(pick, place):
    shutil.rmtree(place.folder / "portraits")
    (place.folder / "portraits").mkdir()
    assert pick("portraits").returncode == 3
    (place.folder / "portraits" / "a.jpg").write_bytes(b"no picture")
    done = pick("portraits")
    assert (done.returncode, done.stdout) == (3, "")
    assert not (place.folder / "portraits-shortlist").exists()


def test_pictures_of_one_name_in_two_folders_are_told_apart(pick, place):
    for folder in ("a", "b"):
        (place.folder / "portraits" / folder).mkdir()
    for number, name in enumerate(CANDIDATES[:8]):
        (place.folder / "portraits" / name).rename(place.folder / "portraits" / "ab"[number % 2] / f"{number // 2}.jpg")
    for name in CANDIDATES[8:]:
        (place.folder / "portraits" / name).unlink()
    assert pick("portraits", "--no-gates", "all", "--current", "now.jpg").returncode == 0
    note = json.loads((place.folder / "portraits-shortlist" / "prescreen-pick.json").read_text())
    type_results(place, [name for name in note["uploaded"] if not name.startswith("0-")])
    done = place("learn", "results.csv")
    assert done.returncode == 0, done.stderr
    assert "competence   4 " in done.stdout
    scores = pd.read_csv(place.folder / "portraits-shortlist" / "scores.csv").set_index("image")["content"]
    sent = [scores[name] for name in note["uploaded"].values() if name != "now.jpg"]
    learned = Predictor.load(place.folder / "portraits-shortlist" / "round-2" / "learned")
    assert np.isin(content_keys(sent), learned.results.keys).all()
    assert len(sent) == 3


@pytest.mark.parametrize("where", ["beside", "inside", "here", "named"])
def test_learn_knows_the_session_by_itself(picked, place, where, tmp_path):
    copies = sorted(path.name for path in (place.folder / "portraits-shortlist").glob("[123]-*.jpg"))
    originals = [name.partition("-")[2] for name in copies]
    exported = [f"0{copies[0].replace('-', '_', 1)}", originals[1], copies[2]]  # as the page's ZIP, as it was, as pick
    type_results(place, exported)
    words, shell = ["learn", "results.csv"], place
    if where == "inside":
        shutil.move(place.folder / "results.csv", place.folder / "portraits-shortlist")
        words = ["learn", "portraits-shortlist/results.csv"]
    if where == "here":
        shell = Shell(place.folder / "portraits-shortlist", place.cache)
        words = ["learn", "../results.csv"]
    if where == "named":
        shutil.copytree(place.folder / "portraits-shortlist", place.folder / "other-shortlist")
        several = place("learn", "results.csv")
        assert several.returncode == 2
        assert "--session other-shortlist, --session portraits-shortlist" in several.stderr
        words += ["--session", "portraits-shortlist"]
    done = shell(*words)
    assert done.returncode == 0, done.stderr
    assert "round 1      pictures" in done.stdout
    assert "competence   4" in done.stdout
    assert "Take " in done.stdout
    table = pd.read_csv(place.folder / "portraits-shortlist" / "round-2" / "shortlist.csv")
    assert set(table.loc[table["gates"].str.contains("tested", na=False), "image"]) == set(originals)


def test_rounds_go_on_and_what_was_learned_is_not_replaced(pick, place):
    assert pick("portraits", "--current", "now.jpg", "--budget", "1").returncode == 0
    copies = [path.name for path in (place.folder / "portraits-shortlist").glob("1-*.jpg")]
    type_results(place, copies, scores=(7.0, 7.4, 4.9), votes=20)
    done = place("learn", "results.csv", "--budget", "2")
    assert done.returncode == 0, done.stderr
    second = place.folder / "portraits-shortlist" / "round-2"
    sent = sorted(path.name for path in second.glob("[12]-*.jpg"))
    assert len(sent) == 2, done.stdout
    assert (second / "0-now.jpg").is_file()
    assert "then: prescreen learn results2.csv" in done.stdout
    type_results(place, sent, to="results2.csv")
    again = place("learn", "results2.csv")
    assert again.returncode == 0, again.stderr
    assert "round 2      pictures" in again.stdout
    assert (place.folder / "portraits-shortlist" / "round-3" / "learned" / "manifest.json").is_file()
    refused = pick("portraits", "--current", "now.jpg")
    assert refused.returncode == 2
    assert "holds what was learned from a test" in refused.stderr


def test_a_mistake_in_the_results_leaves_the_session_as_it_was(picked, place):
    before = contents(place.folder / "portraits-shortlist")
    type_results(place, ["9-999.jpg"])
    done = place("learn", "results.csv")
    assert done.returncode == 1
    assert "'9-999.jpg' is not in" in done.stderr
    assert contents(place.folder / "portraits-shortlist") == before


def test_without_a_session_learn_says_what_is_missing(place):
    type_results(place, ["001.jpg"])
    done = place("learn", "results.csv")
    assert done.returncode == 2
    assert (
        "--predictor is missing, and no folder that prescreen pick wrote is beside results.csv or here" in done.stderr
    )


def test_a_damaged_note_is_one_line(picked, place):
    (place.folder / "portraits-shortlist" / "prescreen-pick.json").write_text('{"predictor": 3}')
    type_results(place, ["001.jpg"])
    for words in (["learn", "results.csv"], ["pick", "portraits"]):
        done = place(*words)
        assert done.returncode == 1
        assert "prescreen-pick.json: cannot be read" in done.stderr


def test_the_page_opens_on_a_terminal_with_a_display_only(pick, place, monkeypatch):
    opened = []
    monkeypatch.setattr("click.launch", opened.append)
    assert pick("portraits", "--no-gates", "all").returncode == 0
    assert not opened
    monkeypatch.setattr("prescreen.cli.pick._has_display", lambda: True)
    assert pick("portraits", "--no-open").returncode == 0
    assert not opened
    assert pick("portraits").returncode == 0
    assert opened == ["portraits-shortlist/report.html"]


def test_a_current_photo_named_like_a_candidate_is_learned_as_itself(pick, place, demo):
    shutil.copy(SAMPLE / "baseline.jpg", place.folder / "portraits" / "now.jpg")
    shutil.copy(SAMPLE / "candidates" / "020.jpg", place.folder / "now.jpg")
    assert pick("portraits", "--current", "now.jpg", "--budget", "1").returncode == 0
    (copy,) = (path.name for path in (place.folder / "portraits-shortlist").glob("1-*.jpg"))
    type_results(place, [copy])
    done = place("learn", "results.csv")
    assert done.returncode == 0, done.stderr
    learned = Predictor.load(place.folder / "portraits-shortlist" / "round-2" / "learned").results.keys
    own, other = (
        content_keys([hashlib.sha256((place.folder / name).read_bytes()).hexdigest()])
        for name in ("now.jpg", "portraits/now.jpg")
    )
    assert np.isin(own, learned).all()
    assert not np.isin(other, learned).any()
    assert "was not in this test" not in done.stderr


def test_corrected_results_replace_the_round_and_do_not_count_twice(picked, place):
    folder = place.folder / "portraits-shortlist"
    copies = sorted(path.name for path in folder.glob("[123]-*.jpg"))
    type_results(place, copies, scores=(2.0, 9.0, 9.0))
    assert place("learn", "results.csv").returncode == 0
    wrong = {path.name for path in (folder / "round-2").glob("*.jpg")}
    type_results(place, copies)
    again = place("learn", "results.csv")
    assert again.returncode == 0, again.stderr
    assert "round 1 again: results.csv replaces what was learned from these pictures before" in again.stderr
    assert "round 1      pictures" in again.stdout
    assert not (folder / "round-3").exists()
    sent = {path.name for path in (folder / "round-2").glob("*.jpg")}
    note = json.loads((folder / "prescreen-pick.json").read_text())
    assert sent - {"0-now.jpg"} == set(note["rounds"][0]["sent"]), wrong
    learned = Predictor.load(folder / "round-2" / "learned").results
    assert set(learned.rounds) == {1}
    assert len(learned.keys) == len(copies) + 1
    type_results(place, copies, to="other.csv")
    assert "round 1 again: other.csv" in place("learn", "other.csv").stderr


@pytest.mark.parametrize("change", ["other folder", "edited", "reviewed"])
def test_only_an_unchanged_shortlist_of_the_same_pictures_is_replaced(picked, pick, place, change):
    folder, inputs = place.folder / "portraits-shortlist", "portraits"
    message = "what prescreen review saved"
    if change == "other folder":
        inputs, message = "y/portraits", "holds what was picked from"
        shutil.copytree(place.folder / "portraits", place.folder / inputs)
    if change == "edited":
        name = next(folder.glob("1-*.jpg"))
        name.write_bytes(name.read_bytes() + b"retouched")
        message = f"{name.name} was changed since prescreen pick wrote it"
    if change == "reviewed":
        (folder / "scores.decisions.csv").write_text("image,decision,tags\n")
    before = contents(place.folder)
    done = pick(inputs, "--current", "now.jpg")
    assert done.returncode == 2
    assert message in done.stderr
    assert "give another --output" in done.stderr
    assert contents(place.folder) == before


def test_what_review_rejected_is_not_proposed_again(picked, place):
    folder = place.folder / "portraits-shortlist"
    table = pd.read_csv(folder / "shortlist.csv")
    copies = sorted(path.name for path in folder.glob("[123]-*.jpg"))
    type_results(place, copies, scores=(5.0, 5.0, 4.0))
    shutil.copytree(place.folder, free := place.folder.with_name("free"))
    assert Shell(free, place.cache)("learn", "results.csv").returncode == 0
    (proposed, *_) = json.loads((free / "portraits-shortlist" / "prescreen-pick.json").read_text())["rounds"][0][
        "sent"
    ].values()
    assert proposed in set(table["image"])
    (folder / "scores.decisions.csv").write_text(f"image,decision,tags\n{proposed},reject,\n")
    done = place("learn", "results.csv")
    assert done.returncode == 0, done.stderr
    assert "decisions  of prescreen review" in done.stderr
    assert proposed not in json.loads((folder / "prescreen-pick.json").read_text())["rounds"][0]["sent"].values()


def test_the_printed_command_finds_the_folder_and_quotes_names(pick, place):
    (place.folder / "my portraits").mkdir()
    (place.folder / "elsewhere").mkdir()
    for name in CANDIDATES[:6]:
        shutil.copy(place.folder / "portraits" / name, place.folder / "my portraits")
    done = pick("my portraits", "--no-gates", "all", "--current", "now.jpg", "--output", "elsewhere/my list")
    assert "then: prescreen learn results.csv --session 'elsewhere/my list'" in done.stdout
    names = [path.name for path in (place.folder / "elsewhere" / "my list").glob("[123]-*.jpg")]
    type_results(place, names[:1], scores=(5.0, 5.0, 4.0), to="my results.csv")
    learned = place("learn", "my results.csv", "--session", "elsewhere/my list")
    assert learned.returncode == 0, learned.stderr
    assert "then: prescreen learn 'my results2.csv' --session 'elsewhere/my list'" in learned.stdout
    assert "prescreen ballot 'elsewhere/my list/round-2' --traits competence,likeability,influence" in learned.stdout


def test_what_cannot_be_copied_is_not_said_to_be(pick, place, monkeypatch):
    def refuse(data):
        raise PictureError("its metadata cannot be taken out", PictureFault.DAMAGED)

    monkeypatch.setattr("prescreen.workflow.copies.without_metadata", refuse)
    done = pick("portraits", "--current", "now.jpg", "--budget", "1")
    assert done.returncode == 0, done.stderr
    assert "pictures   portraits-shortlist" not in done.stdout
    assert "was not copied: send the original yourself: " in done.stdout
    assert not list((place.folder / "portraits-shortlist").glob("*.jpg"))


def test_copies_of_a_later_round_keep_metadata_where_that_was_asked_for(pick, place):
    for path in (place.folder / "portraits").iterdir():
        try:
            with Image.open(path) as image:
                image.save(path, exif=metadata(1), quality=95)
        except OSError:
            path.unlink()
    assert pick("portraits", "--current", "now.jpg", "--budget", "1", "--keep-metadata").returncode == 0
    (copy,) = (path.name for path in (place.folder / "portraits-shortlist").glob("1-*.jpg"))
    type_results(place, [copy], scores=(7.0, 7.4, 4.9), votes=20)
    done = place("learn", "results.csv")
    assert done.returncode == 0, done.stderr
    sent = list((place.folder / "portraits-shortlist" / "round-2").glob("*1-*.jpg"))
    assert sent, done.stdout
    assert all(SECRET.encode() in path.read_bytes() for path in sent)


def test_a_predictor_that_is_gone_is_one_line_with_a_remedy(place, demo):
    shutil.copytree(demo / "models" / "sample", place.folder / "model")
    assert place("pick", "portraits", "--predictor", "model").returncode == 0
    shutil.rmtree(place.folder / "model")
    type_results(place, [])
    (place.folder / "results.csv").write_text(f"image,{','.join(TRAITS)}\n{CANDIDATES[3]},8,8,8\n")
    done = place("learn", "results.csv")
    assert done.returncode == 1
    assert "is not there any more; run the same prescreen pick again" in done.stderr
    assert place("pick", "portraits", "--predictor", demo / "models" / "sample").returncode == 0
    done = place("learn", "results.csv")
    assert done.returncode == 0, done.stderr
    assert "current photo\n" not in done.stderr
    assert "prescreen learn results.csv --baseline PHOTO" in done.stdout


def test_a_picture_beside_a_folder_is_a_candidate_and_told(pick, place):
    shutil.copy(SAMPLE / "candidates" / CANDIDATES[5], place.folder / "my now.jpg")
    done = pick("portraits", "my now.jpg", "--no-gates", "all")
    assert done.returncode == 0, done.stderr
    assert "taken for a candidate; if it is your current photo, give --current 'my now.jpg'" in done.stderr


def test_the_champion_comes_before_the_public_ratings(demo, shell, tmp_path):
    with_store = Shell(demo, shell.cache)
    done = with_store("pick", SAMPLE / "candidates" / "008.jpg", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "predictor  the champion, version 1" in done.stderr
    assert "Predicted from simulated ratings" in done.stdout
