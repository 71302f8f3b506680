"""A predictor on another machine than it was trained on, and words with a model built as SigLIP is."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from prescreen.cli.main import main
from prescreen.encoders import make_encoder
from prescreen.errors import PredictorMismatch, WeightsNotFound
from prescreen.evaluation.report import Evaluation
from prescreen.predictor.calibration import Calibration, sorted_columns
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import TrainingPortraits
from prescreen.regressors.stacking import fit_final
from prescreen.storage.tables import read_table
from prescreen.workflow.bases import OpenedBase, make_training_encoder
from prescreen.workflow.train import TrainingOptions

CANDIDATES = Path(__file__).parents[2] / "data" / "sample" / "candidates"
TRAITS = ("smart", "kind")


@pytest.fixture(scope="module")
def machine(tmp_path_factory, siglip_folder, session_cache):
    """Return a folder with pictures and a predictor whose weights are elsewhere; nothing is cached but networks."""
    folder = tmp_path_factory.mktemp("machine")
    (folder / "portraits").mkdir()
    for number in range(1, 7):
        shutil.copy(CANDIDATES / f"{number:03}.jpg", folder / "portraits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESCREEN_CACHE", str(shutil.copytree(session_cache, folder / "cache")))
        patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.delenv("PRESCREEN_WEIGHTS", raising=False)
        patch.chdir(folder)
        origin = shutil.copytree(siglip_folder, folder / "origin")
        plant(make_encoder(f"clip:tiny-siglip@{origin}", "f32").specification).save("models/mine")
        shutil.rmtree(origin)
        yield folder


def plant(specification):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.1, (40, specification.dimension)).astype(np.float32)
    y = x[:, :2] + 0.01 * rng.normal(size=(40, 2))
    data = {"source": "v.csv", "sha256": "ab", "images": 40, "columns": {name: name for name in TRAITS}}
    reliability = {name: {"icc1": None} for name in TRAITS}
    return Predictor(
        Manifest("planted", specification, TRAITS, "0:3", False, data, reliability, 0, True, {}),
        fit_final(x, y, None, specification.blocks, seed=0),
        Calibration(sorted_columns(y), np.ones(2), np.eye(2), is_score=False),
        TrainingPortraits(np.zeros(0, np.uint64), np.zeros((0, 128), np.float16), np.zeros((0, 2))),
        Evaluation(),
    )


def run(*words):
    return CliRunner().invoke(main, [*map(str, words)])


def forget(machine, *names):
    for name in names or ("embeddings*", "networks/clip*"):
        for place in (machine / "cache").glob(name):
            shutil.rmtree(place) if place.is_dir() else place.unlink()


def says(done):
    """Return the one line of an error."""
    assert done.exit_code == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("prescreen: error:")]
    assert done.stderr.splitlines()[-1:] == lines
    return lines[0]


@pytest.fixture(scope="module")
def scores(machine, siglip_folder):
    """Return the table of scores with the weights that were named; nothing else of theirs stays."""
    done = run("score", "portraits", "--predictor", "models/mine", "--weights", siglip_folder, "--output", "scores.csv")
    assert done.exit_code == 0, done.stderr
    assert "PRESCREEN_WEIGHTS" not in os.environ
    shutil.rmtree(next((machine / "cache" / "networks").glob("clip*")))
    return (machine / "scores.csv").read_bytes()


def test_without_the_weights_score_says_which_and_what_it_can_be_given(machine):
    forget(machine)
    line = says(run("score", "portraits", "--predictor", "models/mine", "--output", "none.csv"))
    digest = Predictor.load("models/mine").manifest.encoder.members[0].weights_sha256
    assert "clip:tiny-siglip" in line
    assert digest in line
    assert "--weights or PRESCREEN_WEIGHTS" in line
    assert "--encoder" not in line


def test_with_the_vectors_in_the_cache_no_weights_are_needed(machine, scores):
    done = run("score", "portraits", "--predictor", "models/mine", "--output", "again.csv")
    assert done.exit_code == 0, done.stderr
    assert (machine / "again.csv").read_bytes() == scores
    assert run("rank", "scores.csv", "--output", "shortlist.csv").exit_code == 0


def test_a_text_needs_the_weights_and_not_the_network_for_pictures(machine, scores, siglip_folder):
    words = ("effects", "scores.csv", "--gates", "none", "--text", "a portrait on a stage")
    assert "--weights or PRESCREEN_WEIGHTS" in says(run(*words))
    done = run(*words, "--weights", siglip_folder)
    assert done.exit_code == 0, done.stderr
    assert "a portrait on a stage" in done.stdout
    assert not list((machine / "cache" / "networks").glob("clip*"))


def test_weights_beside_the_predictor_give_the_same_scores(machine, scores, siglip_folder):
    beside = shutil.copytree(siglip_folder, machine / "models" / "siglip")
    forget(machine)
    done = run("score", "portraits", "--predictor", "models/mine", "--output", "beside.csv")
    shutil.rmtree(beside)
    assert done.exit_code == 0, done.stderr
    assert (machine / "beside.csv").read_bytes() == scores


def zero_shot(folder, output):
    done = run("rank", "portraits", "--zero-shot", "--encoder", f"clip:tiny-siglip@{folder}", "--output", output)
    assert done.exit_code == 0, done.stderr
    return read_table(Path(output))


def test_zero_shot_with_siglip_has_an_order_that_its_scale_and_bias_do_not_change(machine, siglip_folder, tmp_path):
    first = zero_shot(siglip_folder, "order.csv")
    assert first["competence_words"].std() > 0.1
    other = Path(shutil.copytree(siglip_folder, tmp_path / "scaled"))
    weights = load_file(other / "open_clip_model.safetensors")
    for name in ("logit_scale", "logit_bias"):
        weights[name] += 3
    save_file(weights, other / "open_clip_model.safetensors")
    assert zero_shot(other, "scaled.csv").equals(first)


HIDDEN = """
import importlib.machinery, sys
class Others(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, *more):
        return None if name.partition(".")[0] == "transformers" else super().find_spec(name, *more)
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Others
from prescreen.__main__ import run
run()
"""


def without_transformers(*words):
    command = [sys.executable, "-W", "error", "-c", HIDDEN, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_without_transformers_siglip_says_what_to_install_before_a_picture_is_embedded(machine, siglip_folder):
    forget(machine)
    encoder = f"clip:tiny-siglip@{siglip_folder}"
    done = without_transformers("rank", "portraits", "--zero-shot", "--encoder", encoder, "--output", "none.csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "prescreen: error: encoder clip:tiny-siglip: its tokenizer needs the package transformers; "
        "run: pip install 'portrait-prescreen[text]'\n"
    )
    assert not list((machine / "cache").glob("embeddings*"))


def test_without_transformers_other_models_are_compared_with_words(machine, clip_folder):
    encoder = f"clip:tiny@{clip_folder}"
    done = without_transformers("rank", "portraits", "--zero-shot", "--encoder", encoder, "--output", "plain.csv")
    assert done.returncode == 0, done.stderr
    assert "shortlist  plain.csv" in done.stderr


def test_cached_pictures_that_were_moved_need_no_weights_for_an_estimate(machine, tmp_path, siglip_folder):
    """There are more of them than are measured for."""
    forget(machine)
    done = run(
        "score", "portraits", "--predictor", "models/mine", "--output", tmp_path / "a.csv", "--weights", siglip_folder
    )
    assert done.exit_code == 0, done.stderr
    for number in range(40):
        (tmp_path / "moved").mkdir(exist_ok=True)
        shutil.copy(machine / "portraits" / f"{1 + number % 6:03}.jpg", tmp_path / "moved" / f"{number:03}.jpg")
    done = run("score", tmp_path / "moved", "--predictor", "models/mine", "--output", tmp_path / "b.csv")
    assert done.exit_code == 0, done.stderr
    assert "estimate" not in done.stderr


@pytest.fixture
def bases():
    """Return bases of one encoder in f32, in bf16, and in both."""
    planted = Predictor.load("models/mine")
    made = {
        precision: OpenedBase(
            precision,
            replace(
                planted,
                manifest=replace(planted.manifest, encoder=replace(planted.manifest.encoder, precision=precision)),
            ),
        )
        for precision in ("f32", "bf16")
    }
    return {"f32": [made["f32"]], "bf16": [made["bf16"]], "both": [made["bf16"], made["f32"]]}


@pytest.mark.parametrize(
    ("here", "base", "asked", "expected"),
    [
        (("f32", "bf16"), "f32", "auto", "f32"),
        (("f32", "bf16"), "bf16", "auto", "bf16"),
        (("f32", "bf16"), "both", "auto", "f32"),
        (("f32",), "bf16", "auto", "f32"),
        (("f32", "bf16"), "bf16", "f32", "f32"),
        (("f32", "bf16"), "bf16", "bf16", "bf16"),
    ],
)
def test_a_training_takes_the_fastest_precision_that_its_bases_can_be_given(
    machine, bases, computes_in, here, base, asked, expected
):
    computes_in(*here)
    options = TrainingOptions(Path("votes.csv"), precision=asked)
    assert make_training_encoder(options, bases[base]).specification.precision == expected


def test_a_base_of_f32_is_given_no_bf16(machine, bases, computes_in):
    computes_in("f32", "bf16")
    for name in ("f32", "both"):
        with pytest.raises(PredictorMismatch, match="--base f32: .* another than .*bf16; give .*f32"):
            make_training_encoder(TrainingOptions(Path("votes.csv"), precision="bf16"), bases[name])


def test_a_predictor_of_bf16_scores_where_there_is_none(machine, scores, computes_in, siglip_folder):
    """The vectors are those of f32, which are in the cache from the predictor of f32 that is equal otherwise."""
    computes_in("f32")
    planted = Predictor.load("models/mine")
    fast = replace(planted.manifest.encoder, precision="bf16")
    replace(planted, manifest=replace(planted.manifest, encoder=fast)).save("models/fast")
    done = run("score", "portraits", "--predictor", "models/fast", "--output", "fast.csv")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("precision  networks compute in f32, and the predictor was trained in bf16") == 1
    assert (machine / "fast.csv").read_bytes() == scores
    assert run("rank", "fast.csv", "--output", "fast-shortlist.csv").exit_code == 0


def test_a_base_has_its_weights_beside_it(machine, siglip_folder):
    """Training on it finds them where scoring with it does."""
    base = Predictor.load(machine / "models" / "mine")
    shutil.copytree(siglip_folder, machine / "models" / "weights")
    try:
        make_training_encoder(TrainingOptions(Path("votes.csv")), [OpenedBase("models/mine", base)]).load()
    finally:
        shutil.rmtree(machine / "models" / "weights")
    forget(machine)
    with pytest.raises(WeightsNotFound, match="--weights"):
        make_training_encoder(TrainingOptions(Path("votes.csv")), [OpenedBase("models/mine", base)]).load()
