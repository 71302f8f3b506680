"""`prescreen ballot` as a user runs it: thirty simulated raters, a kill in the middle, a predictor of their votes."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.e2e.conftest import SAMPLE

from prescreen.predictor.predictor import Predictor
from prescreen.reports.collected_votes import CHOICES, read_votes

TRAITS = ("competence", "influence")
IMAGES = [f"{number:03d}.jpg" for number in range(1, 25)]
RATERS = 30


@pytest.fixture(scope="module")
def place(shell, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ballots")
    (folder / "rated").mkdir()
    for name in IMAGES:
        shutil.copy(SAMPLE / "training" / "images" / name, folder / "rated")
    return type(shell)(folder, shell.cache)


@pytest.fixture(scope="module")
def ballots():
    """Votes of simulated raters: the planted truth, how lenient each is, and noise; each skips some pictures."""
    truth = pd.read_csv(SAMPLE / "training" / "planted_truth.csv", index_col="image").loc[IMAGES, list(TRAITS)]
    random = np.random.default_rng(20)
    ballots = {}
    for rater in range(RATERS):
        latent = truth + random.normal(0, 0.4) + random.normal(0, 1, truth.shape)
        votes = np.digitize(latent, [-0.8, 0.2, 1.2])
        seen = random.permutation(len(IMAGES))[:16]
        ballots[f"rater-{rater:02d}"] = {IMAGES[n]: dict(zip(TRAITS, votes[n].tolist(), strict=True)) for n in seen}
    return ballots


class Serving:
    """`prescreen ballot --serve` in a process of its own."""

    def __init__(self, place, *more, folder="rated", output="votes.csv", wait=True):
        words = ["ballot", folder, "--traits", ",".join(TRAITS), "--serve", "--no-browser", "--output", output, *more]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "prescreen", *words],
            cwd=place.folder,
            env=place.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.link = self.process.stdout.readline().strip() if wait else ""

    def end(self, how):
        self.process.send_signal(how)
        return self.process.communicate(timeout=60)[1]


def send(link, rater, votes):
    """Send votes until they are taken, as the page does; return how often that failed."""
    body = json.dumps({"rater": rater, "votes": votes}).encode()
    for failures in range(600):
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{link}votes", body, method="PUT"), timeout=30):
                return failures
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError("the votes were never taken")


@pytest.fixture(scope="module")
def collected(place, ballots):
    """The votes after all raters voted at once, picture by picture, and the server was killed and started again."""
    serving = Serving(place)
    first = serving.link
    taken = []

    def vote(rater):
        failures = 0
        for image, votes in ballots[rater].items():
            failures += send(first, rater, {image: votes})
            taken.append(image)
        return failures

    with ThreadPoolExecutor(RATERS) as pool:
        voting = [pool.submit(vote, rater) for rater in ballots]
        while len(taken) < 100:
            time.sleep(0.01)
        serving.end(signal.SIGKILL)
        after_kill = len(read_votes(place.folder / "votes.csv")[0])
        serving = Serving(place)
        failures = sum(one.result() for one in voting)
    told = serving.end(signal.SIGINT)
    assert serving.process.returncode == 0, told
    return first, serving.link, failures, after_kill, told


def test_a_kill_loses_no_vote_and_raters_go_on_with_the_same_link(collected, place, ballots):
    first, second, failures, after_kill, told = collected
    assert first == second
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{43}/", first)
    assert failures > 0  # there were raters at it
    assert after_kill >= 2 * 100  # what was taken before the kill was on the disk
    assert read_votes(place.folder / "votes.csv")[0] == {
        (rater, image, trait): vote
        for rater, by_image in ballots.items()
        for image, votes in by_image.items()
        for trait, vote in votes.items()
    }
    assert "votes      votes.csv" in told
    assert "Traceback" not in told


def test_the_votes_train_a_predictor(collected, place, ballots, clip_folder):
    done = place(
        "train", "--ratings", "votes.csv", "--images", "rated", "--encoder", f"clip:tiny@{clip_folder}",
        "--simulated", "--output", "models/mine",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    counts = Counter(image for by_image in ballots.values() for image in by_image)
    each = f"{min(counts.values())} to {max(counts.values())} votes a picture"
    assert f"ratings    24 pictures, competence, influence, {each} on 0:3 (votes)" in done.stderr.splitlines()
    assert Predictor.load(place.folder / "models" / "mine").traits == TRAITS


def test_an_interrupt_while_pictures_are_drawn_is_said(place):
    """The port and the file of the address are there from before the first picture on."""
    folder = place.folder / "large"
    folder.mkdir()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (3000, 3000, 3), dtype=np.uint8)).save(folder / "0.jpg")
    for number in range(1, 60):
        os.link(folder / "0.jpg", folder / f"{number}.jpg")
    before = set(place.cache.rglob("ballots/*"))
    serving = Serving(place, folder="large", output="large.csv", wait=False)
    while not set(place.cache.rglob("ballots/*")) - before:
        assert serving.process.poll() is None
        time.sleep(0.01)
    told = serving.end(signal.SIGINT)
    assert serving.process.returncode == 130, told
    assert "prescreen: interrupted" in told
    assert "votes      " not in told  # it had not begun to serve
    assert "Traceback" not in told


def test_files_that_raters_sent_give_the_same_votes(collected, place, ballots):
    """One of them sent two files, the second with a changed answer; another one's was saved by a spreadsheet."""
    for rater, by_image in ballots.items():
        rows = [(image, trait, vote, rater) for image, votes in by_image.items() for trait, vote in votes.items()]
        separator = ";" if rater == "rater-01" else ","
        table = pd.DataFrame(rows, columns=["image", "trait", "vote", "rater"])
        table.to_csv(place.folder / f"{rater}.csv", index=False, sep=separator)
        if rater == "rater-00":
            table["vote"] = [3 - table["vote"][0], *table["vote"][1:]]
            table.iloc[:5].to_csv(place.folder / "early.csv", index=False)
    names = ["early.csv", *(f"{rater}.csv" for rater in ballots)]
    done = place("ballot", "--collect", *names, "--output", "sent.csv")
    assert done.returncode == 0, done.stderr
    assert "5 ratings are in several files, 1 of them changed: the later file counts" in done.stderr
    assert f"{RATERS * 16} votes of {RATERS} raters ({RATERS * 32} ratings)" in done.stderr
    assert "rater-01.csv: read semicolons" in done.stderr
    assert read_votes(place.folder / "sent.csv")[0] == read_votes(place.folder / "votes.csv")[0]


@pytest.fixture(scope="module")
def pairs():
    """Answers of simulated raters about two pictures: neighbours on a circle of each rater's own, as on the page."""
    truth = pd.read_csv(SAMPLE / "training" / "planted_truth.csv", index_col="image").loc[IMAGES, list(TRAITS)]
    random = np.random.default_rng(21)
    answers = {}
    for rater in range(RATERS):
        circle = [IMAGES[n] for n in random.permutation(len(IMAGES))]
        answers[f"rater-{rater:02d}"] = {
            json.dumps(pair): {
                trait: int(np.diff(truth.loc[list(pair), trait] + random.normal(0, 1, 2))[0] > 0) for trait in TRAITS
            }
            for pair in zip(circle, [*circle[1:], circle[0]], strict=True)
        }
    return answers


def test_pairs_of_thirty_simulated_raters_train_a_predictor_by_files_and_by_the_server(place, pairs, clip_folder):
    """A page is written; half of the raters send files, which are collected; the others answer on the server."""
    done = place("ballot", "rated", "--traits", ",".join(TRAITS), "--pairs", "--output", "page")
    assert done.returncode == 0, done.stderr
    assert (place.folder / "page" / "ballot.html").exists()
    names = []
    for rater, answers in list(pairs.items())[:15]:
        rows = [
            (shown[side], shown[1 - side], ("left", "right")[side], trait, rater)
            for shown, by_trait in ((json.loads(item), by_trait) for item, by_trait in answers.items())
            for trait, side in by_trait.items()
        ]
        names.append(f"pairs-{rater}.csv")
        table = pd.DataFrame(rows, columns=["better", "worse", "side", "trait", "rater"])
        table.to_csv(place.folder / names[-1], index=False)
    done = place("ballot", "--pairs", "--collect", *names, "--output", "pairs.csv")
    assert done.returncode == 0, done.stderr
    assert f"{15 * 48} answers of 15 raters" in done.stderr
    serving = Serving(place, "--pairs", output="pairs.csv")
    with ThreadPoolExecutor(15) as pool:
        list(pool.map(lambda rater: send(serving.link, rater, pairs[rater]), list(pairs)[15:]))
    every = {json.dumps(pair): dict.fromkeys(TRAITS, 0) for pair in itertools.combinations(IMAGES, 2)}
    body = json.dumps({"rater": "made-up", "votes": every}).encode()
    with pytest.raises(urllib.error.HTTPError, match="507"):
        urllib.request.urlopen(urllib.request.Request(f"{serving.link}votes", body, method="PUT"), timeout=30)
    told = serving.end(signal.SIGINT)
    assert serving.process.returncode == 0, told
    assert "made-up answered more than 48 pairs, twice as many as asked" in told.replace("\n", " ")
    saved = read_votes(place.folder / "pairs.csv", CHOICES)[0]
    assert len(saved) == RATERS * 48
    done = place(
        "train", "--ratings", "pairs.csv", "--images", "rated", "--encoder", f"clip:tiny@{clip_folder}",
        "--simulated", "--output", "models/pairs",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    line = "ratings    24 pictures, competence, influence, 60 answers a picture on 0:1 (pairs)"
    assert line in done.stderr.splitlines()
    trained = Predictor.load(place.folder / "models" / "pairs")
    assert trained.traits == TRAITS
    assert trained.manifest.data["method"] == "bradley-terry"
    assert all(0.5 < trained.manifest.reliability[trait]["of_mean"] < 1 for trait in TRAITS)
    done = place("evaluate", "--predictor", "models/pairs", "--ratings", "pairs.csv", "--images", "rated")
    assert done.returncode == 0, done.stderr
    assert "these are the ratings it was trained on" in done.stderr


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (["rated"], "--traits is missing", 2),
        (["rated", "rated", "--traits", "warm"], "one FOLDER at a time", 2),
        (["rated", "--traits", "warm", "--network"], "--network: only with --serve", 2),
        (["rated", "--traits", "warm", "--serve", "--collect"], "give one of them", 2),
        (["--collect", "odd.csv", "--traits", "warm"], "--traits: not with --collect", 2),
        (["--collect", "odd.csv", "--each", "3"], "--each: not with --collect", 2),
        (["--collect", "odd.csv", "--shortlist", "s.csv"], "--shortlist: not with --collect", 2),
        (["--collect", "sound.csv", "--pairs", "--output", "v.csv"], "expected answers with", 1),
        (["rated", "--traits", "warm", "--shortlist", "gone.csv"], "gone.csv", 2),
        (["rated", "--traits", "warm", "--baseline", "gone.jpg"], "gone.jpg", 2),
        (["rated", "--traits", "warm", "--pairs", "--shortlist", "odd.csv"], "leave --pairs or --shortlist out", 2),
        (
            ["rated", "--traits", "warm", "--pairs", "--serve", "--no-browser", "--output", "odd.csv"],
            "expected answers with",
            1,
        ),
        (["rated", "--traits", "image"], "image", 2),
        (["rated", "--traits", "warm", "--output", "page.csv"], "a file that ends in .html", 2),
        (["rated", "--traits", "warm", "--serve", "--output", "page.html"], "a file that ends in .csv", 2),
        (["rated/001.jpg", "--traits", "warm", "--output", "rated/001.jpg"], "a file that ends in .html", 2),
        (["nowhere", "--traits", "warm"], "nowhere: no such file or folder", 2),
        (["empty", "--traits", "warm"], "no pictures there", 3),
        (["--collect", "odd.csv", "--output", "v.csv"], "expected votes with their raters", 1),
        (["--collect", "gone.csv", "--output", "v.csv"], "gone.csv: no such file", 2),
        (["--collect", "odd.csv", "--output", "odd.csv"], "would write over odd.csv", 2),
        (["--collect", "sound.csv", "--output", "more.csv"], "which would be lost", 2),
        (["rated", "--traits", "warm", "--serve", "--no-browser", "--output", "odd.csv"], "expected votes with", 1),
        (["rated", "--traits", "warm", "--serve", "--no-browser", "--output", "more.csv"], "which would be lost", 2),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(place, words, says, code):
    (place.folder / "empty").mkdir(exist_ok=True)
    (place.folder / "sound.csv").write_text("image,trait,vote,rater\na.jpg,warm,1,anna\n")
    (place.folder / "odd.csv").write_text("image,trait,vote\na.jpg,warm,1\n")
    (place.folder / "more.csv").write_text("image,trait,vote,rater,person\na.jpg,warm,1,anna,eve\n")
    before = sorted(os.walk(place.folder))
    done = place("ballot", *words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert sorted(os.walk(place.folder)) == before
