"""``prescreen pick`` without a predictor: simulated ratings of the sample stand in for the public ones."""

import contextlib
import io
import os
import pty
import shutil
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from tests.e2e.conftest import SAMPLE, Shell

from prescreen.predictor.predictor import Predictor

FEW = 15  # pictures that are rated: enough to train on, too few to be usable


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """An archive in the layout of One Million Impressions; its votes are simulated."""
    votes = pd.read_csv(SAMPLE / "training" / "votes.csv")
    names = {"competence": "smart", "likeability": "outgoing", "influence": "electable"}
    kept = sorted(votes["image"].unique())[:FEW]
    votes = votes[votes["image"].isin(kept)]
    table = pd.DataFrame(
        {
            "rating": votes["vote"] * 33,
            "attribute": votes["trait"].map(names),
            "rating_type": "normal",
            "stimulus": votes["image"].str.removesuffix(".jpg"),
        }
    )
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("attribute_ratings.csv", table.to_csv(index=False))
    path = tmp_path_factory.mktemp("public") / "omi.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("omi-1/LICENSE.txt", "terms")
        packed.writestr("omi-1/attribute_ratings.zip", inner.getvalue())
        for name in kept:
            packed.write(SAMPLE / "training" / "images" / name, f"omi-1/images/{name}")
    return path


@pytest.fixture
def place(networks, tmp_path):
    """A folder with portraits, and a cache in which nothing was trained."""
    (tmp_path / "portraits").mkdir()
    for number in range(8, 14):
        shutil.copy(SAMPLE / "candidates" / f"{number:03d}.jpg", tmp_path / "portraits")
    return Shell(tmp_path, shutil.copytree(networks, tmp_path / "cache"))


def start(place, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "prescreen", *map(str, words)],
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_without_a_terminal_it_names_what_can_be_given(place):
    done = place("pick", "portraits")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    for option in ("accept_licence=True", "--accept-licence", "--ratings", "--predictor"):
        assert option in line
    assert sorted(path.name for path in place.folder.iterdir()) == ["cache", "portraits"]
    assert not list((place.cache / "trained").rglob("*.json"))


@pytest.mark.parametrize(("answer", "goes_on"), [("n", False), ("", False), ("y", True)])
def test_on_a_terminal_it_asks_once(place, answer, goes_on):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "prescreen", "pick", "portraits", "--source", "nowhere.zip"],
        cwd=place.folder,
        env=place.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    told = b""
    with contextlib.suppress(OSError):  # the terminal ends with the process
        while b"accept it?" not in told:
            told += os.read(ours, 1000)
        os.write(ours, f"{answer}\n".encode())
        while piece := os.read(ours, 1000):
            told += piece
    os.close(ours)
    assert process.wait(60) == (1 if goes_on else 2), told
    assert b"no commercial use" in told
    assert (b"the public ratings cannot be fetched" in told) is goes_on
    assert (b"--accept-licence" in told) is not goes_on


def test_what_cannot_be_fetched_says_what_else_can_be_done(place):
    done = place("pick", "portraits", "--accept-licence", "--source", "http://127.0.0.1:9/omi.zip")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "cannot be fetched" in last
    assert "--ratings FOLDER or --predictor MODEL" in last
    assert not (place.folder / "portraits-shortlist").exists()


def test_killed_while_it_trains_then_two_at_once_then_from_the_cache(place, archive):
    words = ["pick", "portraits", "--accept-licence", "--source", archive]
    killed = start(place, *words)
    for line in killed.stderr:
        if "training   on" in line:  # a bar may stand before it
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert not (place.folder / "portraits-shortlist").exists()
    both = [start(place, *words, "--output", name) for name in ("one", "other")]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sorted("training   on One Million" in errors for _, errors in told) == [False, True], told
    third = place("pick", "portraits", "--output", "third")  # neither the licence again nor the archive
    assert third.returncode == 0, third.stderr
    assert "trained earlier (kept in the cache)" in third.stderr
    assert "6 scored: 6 from the cache, 0 new" in third.stderr
    tables = [(place.folder / name / "shortlist.csv").read_bytes() for name in ("one", "other", "third")]
    assert len(set(tables)) == 1
    assert "Predicted from public ratings of other faces: " in third.stdout
    assert " in one-million-impressions. Competence was “smart”" in third.stdout
    assert "licence    CC BY-NC-SA 4.0" in third.stdout
    assert (place.cache / "trained" / "one-million-impressions" / "one-million-impressions").is_dir()
    (trained,) = (place.cache / "trained").rglob("manifest.json")
    predictor = Predictor.load(trained.parent)
    assert predictor.traits == ("competence", "likeability", "influence")
    assert predictor.manifest.licence.startswith("CC BY-NC-SA 4.0")
    assert not (place.folder / "mlruns").exists()


def test_own_ratings_are_trained_on_once_with_the_public_ones_as_base(place, archive, monkeypatch):
    assert place("pick", "portraits", "--accept-licence", "--source", archive).returncode == 0
    votes = pd.read_csv(SAMPLE / "training" / "votes.csv")
    kept = sorted(votes["image"].unique())[FEW : FEW + 15]
    votes[votes["image"].isin(kept)].to_csv(place.folder / "mine.csv", index=False)
    words = ["pick", "portraits", "--ratings", "mine.csv", "--images", SAMPLE / "training" / "images", "--simulated"]
    alone = place(*words)
    assert alone.returncode == 0, alone.stderr
    assert "base       none; the public ratings can be it: --accept-licence" in alone.stderr
    assert "licence    " not in alone.stdout
    words.append("--accept-licence")
    first = place(*words)
    assert first.returncode == 0, first.stderr
    assert "base       the public ratings of One Million Impressions" in first.stderr
    assert "Predicted from simulated ratings" in first.stdout
    assert "licence    CC BY-NC-SA 4.0" in first.stdout
    assert not (place.folder / "mlruns").exists()
    table = (place.folder / "portraits-shortlist" / "shortlist.csv").read_bytes()
    again = place(*words)
    assert again.returncode == 0, again.stderr
    assert "predictor  that of mine.csv, trained earlier (kept in the cache)" in again.stderr
    assert (place.folder / "portraits-shortlist" / "shortlist.csv").read_bytes() == table
    votes["vote"] = np.minimum(3, votes["vote"] + 1)
    votes[votes["image"].isin(kept)].to_csv(place.folder / "mine.csv", index=False)
    changed = place(*words)
    assert "trained earlier (kept in the cache)" not in changed.stderr.replace("Impressions, trained earlier", "")
