"""Trainings on few pictures: what cannot be told from chance does not become champion."""

import contextlib
import os
import shutil
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from prescreen.evaluation.usability import usability
from prescreen.predictor.predictor import Predictor
from prescreen.tracking import list_versions
from prescreen.workflow import train

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "training" / "images"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, clip_folder):
    """A folder where three predictors of 30 pictures were trained, one after the other, and what `train` returned.

    The ratings are how red the pictures are, which even a network that has learned nothing sees; in "shuffled" those of
    other pictures.
    """
    folder = tmp_path_factory.mktemp("floor")
    (folder / "images").mkdir()
    names = sorted(path.name for path in SAMPLE.iterdir())[::4][:30]
    red = []
    for name in names:
        shutil.copy(SAMPLE / name, folder / "images")
        with Image.open(SAMPLE / name) as picture:
            pixels = np.asarray(picture.convert("RGB"), float)
        red.append(pixels[..., 0].mean() - pixels[..., 2].mean())
    rank = np.argsort(np.argsort(red)) / len(red) * 8 + 1
    shuffled = np.random.default_rng(1).permutation(rank)
    ratings = {
        "shuffled": {"warm": shuffled, "smart": shuffled[::-1]},
        "mixed": {"warm": rank, "smart": shuffled},
        "last": {"warm": shuffled, "smart": shuffled[::-1]},
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    kept["PRESCREEN_CACHE"] = str(folder / "cache")
    done = {}
    with contextlib.chdir(folder), patch.dict(os.environ, kept, clear=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's libraries
        for name, values in ratings.items():
            pd.DataFrame({"image": names, **values}).to_csv(f"{name}.csv", index=False)
            options = train.TrainingOptions(Path(f"{name}.csv"), Path("images"), encoder=f"clip:tiny@{clip_folder}")
            done[name] = train.train(options)
        versions = {version.run_name: version for version in list_versions()}
    return folder, done, versions


def test_shuffled_ratings_make_no_champion_where_there_is_none(trained):
    _, done, versions = trained
    run = done["shuffled"].run
    assert not run.champion
    assert run.comparison.startswith("not usable for warm: r ")
    assert versions["shuffled"].aliases == ()
    assert versions["shuffled"].unusable == run.comparison


def test_a_good_predictor_of_few_pictures_is_champion_though_one_trait_cannot_be_used(trained):
    folder, done, versions = trained
    assert done["mixed"].run.champion
    assert versions["mixed"].unusable == ""
    assert list(Predictor.load(folder / "models" / "mixed").usability.unusable) == ["smart"]


def test_the_champion_stays_when_one_comes_that_cannot_be_used(trained):
    _, done, versions = trained
    assert not done["last"].run.champion
    assert versions["mixed"].aliases == ("champion",)
    assert versions["last"].aliases == ()


def test_one_that_cannot_be_used_is_saved_and_one_of_an_older_version_is_known_by_its_figures(trained):
    folder, _, _ = trained
    predictor = Predictor.load(folder / "models" / "shuffled")
    assert not predictor.usability.usable
    assert predictor.evaluation.scale_width == 10.0
    content = predictor.evaluation.to_json()
    del content["scale_width"]
    older = type(predictor.evaluation).from_json(content)
    assert older.scale_width is None
    assert usability(older) == predictor.usability
