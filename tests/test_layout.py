"""The package as installed, and the sample beside it."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import prescreen

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
TRAITS = ["competence", "likeability", "influence"]
HEAVY = {"pandas", "scipy", "sklearn", "torch", "mlflow", "ray", "lightgbm", "open_clip", "openvino"}


@pytest.fixture(scope="module")
def votes() -> pd.DataFrame:
    return pd.read_csv(SAMPLE / "training" / "votes.csv")


@pytest.mark.parametrize("module", ["prescreen", "prescreen.cli.main"])
def test_import_stays_light(module):
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert module in loaded
    assert HEAVY.isdisjoint(loaded)


def test_version_is_that_of_the_distribution():
    assert prescreen.__version__ == importlib.metadata.version("portrait-prescreen")


def test_votes_and_training_images_name_each_other(votes):
    images = {path.name for path in (SAMPLE / "training" / "images").iterdir()}
    assert images == set(votes["image"])
    assert len(images) == 120


def test_each_person_has_three_pictures(votes):
    pictures = votes[["image", "person"]].drop_duplicates()
    assert pictures["image"].is_unique
    assert (pictures["person"].value_counts() == 3).all()


@pytest.mark.parametrize("table", ["training/votes.csv", "candidates_votes.csv"])
def test_votes_are_whole_numbers_from_0_to_3_once_a_rater(table):
    votes = pd.read_csv(SAMPLE / table)
    assert votes["vote"].dtype == np.int64
    assert set(votes["vote"]) == {0, 1, 2, 3}
    assert set(votes["trait"]) == set(TRAITS)
    assert not votes.duplicated(["image", "trait", "rater"]).any()
    per_rating = votes.groupby(["image", "trait"]).size()
    assert per_rating.between(20, 30).all()


def one_way_icc(votes: pd.DataFrame) -> float:
    """ICC(1) of single votes with unequal numbers of votes (Shrout and Fleiss 1979, n0 for unbalanced groups)."""
    groups = votes.groupby("image")["vote"].agg(["size", "mean", "var"])
    n, means = groups["size"], groups["mean"]
    between = (n * (means - votes["vote"].mean()) ** 2).sum() / (len(n) - 1)
    within = ((n - 1) * groups["var"]).sum() / (n.sum() - len(n))
    n0 = (n.sum() - (n**2).sum() / n.sum()) / (len(n) - 1)
    return (between - within) / (between + (n0 - 1) * within)


@pytest.mark.parametrize("trait", TRAITS)
def test_single_votes_are_as_unreliable_as_planted(votes, trait):
    assert 0.2 <= one_way_icc(votes[votes["trait"] == trait]) <= 0.3


def test_mean_votes_follow_the_planted_truth(votes):
    truth = pd.read_csv(SAMPLE / "training" / "planted_truth.csv", index_col="image")[TRAITS]
    means = votes.groupby(["image", "trait"])["vote"].mean().unstack()[TRAITS]
    assert (means.corrwith(truth) > 0.9).all()
    np.testing.assert_allclose(truth.mean(), 0, atol=1e-3)
    np.testing.assert_allclose(truth.std(ddof=0), 1, atol=1e-3)


def test_candidates_are_what_their_table_says():
    table = pd.read_csv(SAMPLE / "candidates_planted_truth.csv", keep_default_na=False)
    kinds = table["kind"].value_counts().to_dict()
    assert kinds == {"baseline": 1, "variant": 34, "near_duplicate": 3, "stranger": 2, "unreadable": 1}
    candidates = table[table["kind"] != "baseline"].set_index("image")
    assert {path.name for path in (SAMPLE / "candidates").iterdir()} == set(candidates.index)
    repeats = candidates.loc[candidates["kind"] == "near_duplicate", "source"]
    assert (candidates.loc[repeats, "kind"] == "variant").all()
    for image, kind in candidates["kind"].items():
        with Image.open(SAMPLE / "candidates" / image) as picture:
            if kind == "unreadable":
                with pytest.raises(OSError, match="truncated"):
                    picture.load()
            else:
                assert picture.convert("RGB").size == (320, 320)


def test_results_score_candidates_that_exist():
    results = pd.read_csv(SAMPLE / "results.csv")
    assert list(results.columns) == ["image", *TRAITS, "votes"]
    assert results["image"].is_unique
    assert all((SAMPLE / "candidates" / image).is_file() for image in results["image"])
    assert results[TRAITS].ge(0).all(axis=None)
    assert results[TRAITS].le(10).all(axis=None)
    assert (results["votes"] == 40).all()


def test_sample_stays_small():
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) < 4_000_000
