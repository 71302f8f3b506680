"""One seed gives one predictor to the last bit; other numbers of threads, and bf16, nearly the same scores."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prescreen.encoders.backends import precisions
from prescreen.predictor.files import FILES
from prescreen.predictor.predictor import Predictor

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
TRAITS = ("competence", "likeability", "influence")

TOLERANCE = 0.001
"""Score points between numbers of threads; docs/tables.md promises it."""
BF16_TOLERANCE = 0.5
"""Score points between precisions, for a predictor of few pictures; docs/tables.md has what was measured for many."""

# MLflow has no part in it and takes its time.
TRAIN = """
import contextlib, os, sys
from pathlib import Path
from prescreen import tracking
from prescreen.workflow import score, train
threads = int(sys.argv[1])
os.cpu_count = lambda: threads
tracking.check_store = lambda *_: None
tracking.watched_run = lambda *_: contextlib.nullcontext("run")
tracking.track_training = lambda *_, finish: finish()
folder = Path(sys.argv[2])
ratings = folder.parent / "votes.csv"
train.train(train.TrainingOptions(ratings, images=Path(sys.argv[3]) / "training" / "images", encoder="bundled",
                                  precision=sys.argv[4], output=folder / "model"))
score.score([Path(sys.argv[3]) / "candidates" / f"{i:03d}.jpg" for i in (2, 3)],
               predictor=str(folder / "model"), output=folder / "scores.csv")
"""


@pytest.fixture(scope="module")
def trained(networks, tmp_path_factory):
    """Train and score, each time with an empty cache: twice with one thread, once with two, once in bf16."""
    folder = tmp_path_factory.mktemp("trained")
    votes = pd.read_csv(SAMPLE / "training" / "votes.csv", dtype={"image": str})
    few = sorted(votes["person"].unique())[::6]  # with all pictures of each: errors in common are measured, too
    votes[votes["person"].isin(few)].to_csv(folder / "votes.csv", index=False)
    runs = [("one", 1, "f32"), ("again", 1, "f32"), ("two", 2, "f32")]
    for seed, (name, threads, precision) in enumerate(runs + [("bf16", 1, "bf16")] * ("bf16" in precisions("cpu"))):
        place = folder / name
        place.mkdir()
        shutil.copytree(networks, place / "cache")
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        done = subprocess.run(
            [sys.executable, "-c", TRAIN, str(threads), str(place), str(SAMPLE), precision],
            env=os.environ | limits | {"PRESCREEN_CACHE": str(place / "cache"), "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    return folder


# Texts in sets come in another order in every process, and a sum in another order differs in its last bit.
STEPS = """
import numpy as np
from prescreen.training.grouping import group
from prescreen.shortlist.effect_groups import _groups
from prescreen.ranking.error_correlation import fit_error_correlation
from prescreen.ranking.within_person import fit_within_person
rng = np.random.default_rng(0)
persons = np.array([f"person {number}" for number in np.repeat(np.arange(60), 2)])
errors = rng.normal(size=(120, 3)) + np.repeat(rng.normal(size=(60, 3)), 2, axis=0)
squared = ((errors[:, None] - errors) ** 2).sum(axis=2)
alike = fit_error_correlation(errors, squared, np.arange(120) % 10, np.zeros(3))
within = fit_within_person(errors, np.zeros((120, 3)), 2 * np.eye(3), np.full(3, 0.1), persons)
found = group(np.repeat(rng.normal(size=(60, 128)), 2, axis=0), np.where(np.arange(120) < 9, persons, ""))
tested = _groups("tag", [{f"tag {number % 5}", f"tag {number % 7}"} for number in range(120)])
weights = [weight.hex() for weight in within.weight]
print(alike, weights, found.labels.tolist(), [(each.value, each.numbers.sum()) for each in tested])
"""


def test_the_order_of_texts_in_sets_changes_nothing():
    told = set()
    for seed in range(4):
        done = subprocess.run(
            [sys.executable, "-c", STEPS],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        told.add(done.stdout)
    assert len(told) == 1


def test_the_same_seed_gives_the_same_bytes(trained):
    for name in [f"model/{file}" for file in (FILES.manifest, *FILES.content)] + ["scores.csv"]:
        assert (trained / "one" / name).read_bytes() == (trained / "again" / name).read_bytes(), name


def test_another_number_of_threads_gives_the_same_scores(trained):
    one, two = (pd.read_csv(trained / name / "scores.csv") for name in ("one", "two"))
    numbers = [column for column in one.columns if one[column].dtype == float]
    np.testing.assert_allclose(one[numbers], two[numbers], atol=TOLERANCE)
    assert one["image"].tolist() == two["image"].tolist()
    canaries = [Predictor.load(trained / name / "model").canaries.raw for name in ("one", "two")]
    np.testing.assert_allclose(*canaries, atol=TOLERANCE)


@pytest.mark.skipif("bf16" not in precisions("cpu"), reason="this processor has no bf16")
def test_bf16_moves_scores_a_little(trained):
    one, other = (pd.read_csv(trained / name / "scores.csv") for name in ("one", "bf16"))
    moved = (one[list(TRAITS)] - other[list(TRAITS)]).abs()
    assert 0 < moved.max(axis=None) < BF16_TOLERANCE
