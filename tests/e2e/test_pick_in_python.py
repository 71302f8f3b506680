"""``prescreen.pick`` and ``Predictor.rank``, with paths, pictures of Pillow and arrays."""

import hashlib
import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.e2e.conftest import SAMPLE

import prescreen
from prescreen.cli.main import main
from prescreen.errors import PictureError, PictureFault, UsageError
from prescreen.predictor.training_portraits import content_keys
from prescreen.workflow.last_rank import LastRank
from prescreen.workflow.pick import DEFAULT_PICK

NAMES = [f"{number:03d}.jpg" for number in range(8, 18)]


@pytest.fixture
def predictor(demo, shell, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRESCREEN_CACHE", str(shell.cache))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return prescreen.Predictor.load(demo / "models" / "sample")


@pytest.fixture
def pictures():
    found = []
    for name in NAMES:
        with Image.open(SAMPLE / "candidates" / name) as image:
            found.append(image.convert("RGB"))
    return found


def test_pictures_in_memory_are_scored_as_their_files(predictor, pictures):
    given = [np.asarray(picture) if place % 2 else picture for place, picture in enumerate(pictures)]
    table = predictor.score(given)
    assert table["image"].tolist() == [f"{number:03d}.png" for number in range(1, 11)]
    files = predictor.score([SAMPLE / "candidates" / name for name in NAMES])
    for trait in predictor.traits:
        np.testing.assert_allclose(table[trait], files[trait], atol=0.02)
    assert len(predictor.score(np.stack([np.asarray(picture) for picture in pictures[:2]]))) == 2
    assert len(predictor.score(pictures[0])) == 1


@pytest.mark.parametrize("wrong", [np.zeros((8, 8), float), np.zeros((8, 8, 2), np.uint8), np.zeros(8, np.uint8)])
def test_other_arrays_are_refused(predictor, wrong):
    with pytest.raises(UsageError, match="expected uint8 from 0 to 255"):
        predictor.score(wrong)


def test_pillows_orientation_counts(predictor, pictures):
    turned = pictures[0].rotate(90, expand=True)
    turned.getexif()[0x0112] = 6
    both = predictor.score([pictures[0], turned])
    assert both["influence"].nunique() == 1


def test_rank_in_memory_writes_the_folder_and_the_page_shows_in_a_notebook(predictor, pictures, tmp_path):
    done = predictor.rank(pictures, np.asarray(pictures[0]), improve=["influence"], keep=[], budget=2)
    assert done.folder.resolve() == tmp_path / "pictures-shortlist"
    assert done.table["image"].is_unique
    assert len(done.table) == 10
    assert done.shortlist["image"].tolist() == list(done.copies.values())
    assert {"p_better", "influence", "why"} <= set(done.table.columns)
    assert all((done.folder / name).is_file() for name in [*done.copies, "0-001.png"])
    last = LastRank.read(done.folder.resolve() / "scores.csv")
    assert all(Path(place).exists() for place in [last.baseline, *last.images]), "review goes on from there"
    frame = done._repr_html_()
    assert frame.startswith("<iframe srcdoc=")
    assert "&lt;!doctype html&gt;" in frame.lower()


def test_learn_goes_on_with_pictures_that_were_in_memory(predictor, pictures, shell, tmp_path):
    done = predictor.rank(pictures, pictures[0], budget=2, gates_off=["copies"])
    copy = next(iter(done.copies))
    (tmp_path / "results.csv").write_text(f"image,competence,likeability,influence,votes\n{copy},9.5,9,9,40\n")
    (tmp_path / "pictures-shortlist").rename(tmp_path / "moved")
    learned = type(shell)(tmp_path, shell.cache)("learn", "results.csv")
    assert learned.returncode == 0, learned.stderr
    assert "round 1" in learned.stdout


def test_pick_and_rank_say_the_same_as_the_command(predictor, demo, shell, tmp_path):
    files = [SAMPLE / "candidates" / name for name in NAMES]
    current, scores = SAMPLE / "baseline.jpg", {"competence": 6.0, "likeability": 7.0, "influence": 5.0}
    one = prescreen.pick(files, current, current_scores=scores, predictor=demo / "models" / "sample", output="one")
    other = predictor.rank(files, current, current_scores=scores, output="other")
    pd.testing.assert_frame_equal(one.table, other.table)
    typed = ",".join(f"{trait}={level}" for trait, level in scores.items())
    words = ["pick", *files, "--current", current, "--current-scores", typed, "--output", "third"]
    told = type(shell)(tmp_path, shell.cache)(*words, "--predictor", demo / "models" / "sample")
    assert told.returncode == 0, told.stderr
    assert one.advice.describe() in told.stdout
    assert (tmp_path / "one" / "shortlist.csv").read_bytes() == (tmp_path / "third" / "shortlist.csv").read_bytes()


def test_the_options_are_those_of_the_command():
    command = {option.name for option in main.commands["pick"].params}
    python = set(inspect.signature(prescreen.pick).parameters)
    # in Python PRESCREEN_WEIGHTS names the weights
    assert command - python == {"inputs", "no_gates", "opens", "quiet", "verbose", "debug", "weights"}
    assert python - command == {"pictures", "gates_off"}
    ranked = set(inspect.signature(prescreen.Predictor.rank).parameters) - {"self"}
    assert python - ranked == set(vars(DEFAULT_PICK)) - {"output", "keep_metadata"}


def test_paths_and_pictures_together_are_refused(predictor, pictures):
    with pytest.raises(UsageError, match="give paths alone, or pictures of Pillow or arrays alone"):
        predictor.rank([pictures[0], SAMPLE / "candidates"])


def test_bad_pictures_stop_before_anything_is_asked_or_trained(predictor, pictures, monkeypatch):
    monkeypatch.setattr("prescreen.workflow.pick.choose_predictor", lambda *_: pytest.fail("was chosen"))
    good, empty = pictures[0], np.zeros((0, 8, 3), np.uint8)
    for wrong in (
        [good, np.zeros((8, 8, 3))],
        [good, SAMPLE / "candidates"],
        [empty],
        Image.new("RGB", (0, 4)),
        [None],
    ):
        with pytest.raises(UsageError, match=r"^picture \d+: "):
            prescreen.pick(wrong)
    with pytest.raises(UsageError, match="no pixels"):
        prescreen.pick([good], empty)


def test_other_pictures_in_memory_take_a_free_name(predictor, pictures):
    names = [predictor.rank(given, budget=1).folder.name for given in (pictures[:4], pictures[4:], pictures[:4])]
    assert names == ["pictures-shortlist", "pictures-shortlist-2", "pictures-shortlist"]


def test_the_current_photo_in_memory_is_learned_as_itself(predictor, pictures, shell, tmp_path):
    done = predictor.rank(pictures[1:], pictures[0], budget=1, gates_off=["copies"])
    assert done.current_copy == "0-001.png"
    (tmp_path / "results.csv").write_text("image,competence,likeability,influence,votes\n0-001.png,9.5,9,9,40\n")
    learned = type(shell)(tmp_path, shell.cache)("learn", "results.csv")
    assert learned.returncode == 0, learned.stderr
    results = prescreen.Predictor.load(done.folder / "round-2" / "learned")._inner.results
    own = hashlib.sha256((done.folder / ".pictures" / "current" / "001.png").read_bytes()).hexdigest()
    assert results.keys.tolist() == content_keys([own]).tolist()


def test_what_could_not_be_copied_is_told_in_python(predictor, monkeypatch):
    def refuse(data):
        raise PictureError("its metadata cannot be taken out", PictureFault.DAMAGED)

    monkeypatch.setattr("prescreen.workflow.copies.without_metadata", refuse)
    files = [SAMPLE / "candidates" / name for name in NAMES]
    with pytest.warns(UserWarning, match="send the original yourself"):
        done = predictor.rank(files, budget=1)
    assert not done.copies
    assert list(done.not_copied.values()) == [str(SAMPLE / "candidates" / done.shortlist["image"].iloc[0])]
