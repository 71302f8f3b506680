"""Training on top of other predictors, from ratings to the registry, with a tiny encoder of seeded weights."""

import contextlib
import os
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from heard import Heard
from prescreen.errors import PredictorMismatch, UsageError
from prescreen.predictor.bases import Base
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import TrainingPortraits, content_keys
from prescreen.progress import NullReporter
from prescreen.ratings.scale import Scale
from prescreen.tracking import store_uri
from prescreen.training.dataset import fit_dataset
from prescreen.workflow import evaluate, score
from prescreen.workflow import train as workflow
from prescreen.workflow.bases import OpenedBase, known_persons, make_training_encoder

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "training" / "images"
ALL = [f"{number:03d}.jpg" for number in range(1, 61, 2)]
OF_BASE, OWN = ALL[:16], ALL[12:]  # four of them are rated for both
TRAINING = workflow.TrainingOptions(Path("own.csv"), images=SAMPLE, scale=Scale(0, 10))
FOUR = {"views": ("whole", "face", "eyes", "mouth"), "mirror": True}  # two views of random weights tell too little

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's libraries


def train(options, reporter=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return workflow.train(options, reporter)


def write(name, images, **traits):
    pd.DataFrame({"image": images, **traits}).to_csv(name, index=False)


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    kept["PRESCREEN_CACHE"] = str(folder / "cache")
    with contextlib.chdir(folder), patch.dict(os.environ, kept, clear=True):
        yield folder


@pytest.fixture(scope="module")
def encoder(clip_folder):
    return f"clip:tiny@{clip_folder}"


@pytest.fixture(scope="module")
def base(encoder):
    """A predictor of two planted traits of 16 pictures."""
    rng = np.random.default_rng(0)
    write("base.csv", OF_BASE, warm=rng.uniform(2, 8, 16).round(2), smart=rng.uniform(2, 8, 16).round(2))
    return train(
        replace(TRAINING, ratings=Path("base.csv"), encoder=encoder, output=Path("base"), precision="f32", **FOUR)
    )


@pytest.fixture(scope="module")
def heard():
    return Heard()


@pytest.fixture(scope="module")
def trained(base, heard):
    """A predictor of a trait that is what the base says of the pictures, and the base is gone."""
    said = score.score_table([SAMPLE / name for name in OWN], Predictor.load("base"))
    write("own.csv", OWN, kind=(2 * said["warm_raw"] / 3 + said["smart_raw"] / 3).round(4))
    done = train(replace(TRAINING, bases=(f"models:/prescreen/{base.run.version}",), output=Path("own")), heard)
    shutil.copytree("base", "kept")
    shutil.rmtree("base")
    return done


def test_it_takes_the_encoder_of_the_base_and_uses_what_it_says(trained, heard):
    predictor = Predictor.load("own")
    assert predictor.regressors.needs_prior
    assert predictor.manifest.encoder == Predictor.load("kept").manifest.encoder
    assert [found["name"] for found in predictor.manifest.bases] == ["base"]
    assert trained.evaluation.overall.pearson.value > 0.9
    assert any("it was trained on 4 of the 18 pictures" in line for line in heard.lines)
    told = Predictor.load("kept").usability.describe()
    assert told
    assert f"base       it is itself {told}" in heard.lines


def test_scoring_needs_nothing_of_the_base(trained):
    files = [SAMPLE / name for name in ALL[:14]]
    scores = score.score_table(files, Predictor.load("own")).set_index("image")
    said = score.score_table(files, Predictor.load("kept")).set_index("image")
    expected = 2 * said["warm_raw"] / 3 + said["smart_raw"] / 3
    assert (scores["status"] == "ok").all()
    assert np.corrcoef(scores["kind_raw"].iloc[:12], expected.iloc[:12])[0, 1] > 0.9


def test_mlflow_has_what_it_is_based_on(trained, base):
    import mlflow

    client = mlflow.MlflowClient(store_uri())
    run = client.get_run(trained.run.run_id)
    assert run.data.params["base"] == "base"
    assert run.data.tags["prescreen.base_sha256"] == Predictor.load("kept").fingerprint
    assert run.data.tags["prescreen.licences"] == "not known"
    assert [[data.dataset.name, data.tags[0].value] for data in run.inputs.dataset_inputs] == [
        ["own", "training"],
        ["base", "base base"],
    ]
    of_base = client.get_run(base.run.run_id).outputs.model_outputs
    assert [model.model_id for model in run.inputs.model_inputs] == [model.model_id for model in of_base]
    card = Path(
        mlflow.artifacts.download_artifacts(
            run_id=trained.run.run_id, artifact_path="model_card.md", tracking_uri=store_uri()
        )
    )
    assert "| base | warm, smart | base.csv | 16 |" in card.read_text("utf-8")


def test_pictures_of_the_base_are_no_test(trained):
    write("test.csv", ALL[:20], kind=np.linspace(1, 9, 20))
    with pytest.raises(Exception, match="0 unseen pictures, at least 10 are needed"):
        evaluate.evaluate(
            evaluate.EvaluationOptions("own", Path("test.csv"), images=SAMPLE, scale=Scale(0, 10)), NullReporter()
        )


def test_a_base_that_no_trait_uses_is_not_carried(trained):
    def without_share(dataset, **options):
        return fit_dataset(replace(dataset, prior=None), **options)

    heard = Heard()
    with patch.object(workflow, "fit_dataset", without_share):
        train(replace(TRAINING, bases=("kept",), output=Path("without")), heard)
    predictor = Predictor.load("without")
    assert "base       no trait uses it: it is not part of the predictor" in heard.lines
    assert (predictor.bases, predictor.manifest.bases) == ((), ())


def test_bases_of_the_same_ratings_are_both_inputs(trained, base):
    import mlflow

    shutil.copytree("kept", "first")
    train(replace(TRAINING, ratings=Path("base.csv"), encoder=None, bases=("first",), output=Path("second")))
    done = train(replace(TRAINING, bases=("first", "second"), output=Path("upon two")))
    inputs = mlflow.MlflowClient(store_uri()).get_run(done.run.run_id).inputs.dataset_inputs
    assert [data.tags[0].value for data in inputs] == ["training", "base base, second"]


def test_what_is_refused_is_refused_before_a_picture_is_read(trained, encoder, computes_in):
    computes_in("f32", "bf16")
    with patch.object(workflow, "embed_inputs", side_effect=AssertionError):
        for changes, message in (
            (
                {"encoder": "bundled"},
                r"--base .*kept: its encoder is another than --encoder bundled --views .* --no-mirror "
                r".*; give --encoder clip.* --views whole,face,eyes,mouth --mirror --precision f32",
            ),
            ({"precision": "bf16"}, r"another than .* --precision bf16; give .* --precision f32"),
            (
                {"encoder": encoder, "views": ("face",)},
                r"another than .* --views face .*; give .* --views whole,face,eyes,mouth ",
            ),
            ({"views": ("whole", "face")}, "the encoder is that of the base, with its views"),
            ({"bases": ("kept", "./kept")}, "named twice"),
            ({"forget_portraits": True}, "holds vectors of the portraits.*train the base with --forget-portraits too"),
        ):
            with pytest.raises((UsageError, PredictorMismatch), match=message):
                train(replace(TRAINING, **{"bases": ("kept",), "output": Path("refused")} | changes))
    assert not Path("refused").exists()


def test_an_old_base_of_bf16_is_to_be_trained_again_also_where_there_is_no_bf16(trained, encoder, computes_in):
    computes_in("f32")
    old = replace(Predictor.load("kept").manifest.encoder, precision="bf16", preprocessing="images 2, faces 1, views 1")
    opened = SimpleNamespace(place="old", predictor=SimpleNamespace(manifest=SimpleNamespace(encoder=old), beside=()))
    with pytest.raises(PredictorMismatch, match="is not today's with the same name; train the base again"):
        make_training_encoder(replace(TRAINING, encoder=encoder, **FOUR), [opened])


def test_a_base_that_forgets_has_no_cross_validated_predictions_of_its_ratings(trained, encoder):
    forgetful = replace(TRAINING, encoder=encoder, forget_portraits=True)
    train(replace(forgetful, ratings=Path("base.csv"), output=Path("forgets")))
    with pytest.raises(UsageError, match=r"trained on these ratings with --forget-portraits"):
        train(replace(TRAINING, ratings=Path("base.csv"), bases=("forgets",), output=Path("refused")))
    heard = Heard()
    train(replace(forgetful, bases=("forgets",), output=Path("both")), heard)
    assert any("told to forget its training portraits" in line for line in heard.lines)
    assert not any(Predictor.load("both").holdings.values())
    with pytest.raises(
        UsageError, match=r"both: its base forgets was trained on these ratings with --forget-portraits"
    ):
        train(replace(TRAINING, ratings=Path("base.csv"), bases=("both",), output=Path("refused")))
    train(replace(TRAINING, bases=("forgets",), output=Path("between")))
    heard = Heard()
    train(replace(TRAINING, bases=("between",), output=Path("on top")), heard)
    assert any("its base forgets was told to forget its training portraits" in line for line in heard.lines)


@pytest.mark.parametrize("names", [("", "", ""), ("Ada", "Ada", "Eve")])
@pytest.mark.parametrize("nested", [False, True])
def test_other_pictures_of_a_bases_persons_are_found(names, nested):
    rng = np.random.default_rng(0)
    persons = rng.normal(0, 0.06, (20, 128)).astype(np.float32)
    other = persons[3] + rng.normal(0, 0.024, 128).astype(np.float32)  # 0.27 away: no near-copy
    contents = ["".zfill(15) + "1", "e" * 16, "f" * 16]
    faces = np.vstack([persons[0], other, rng.normal(0, 0.06, 128)]).astype(np.float32)
    dataset = SimpleNamespace(images="abc", contents=contents, faces=faces, persons=np.array(names))
    part = Base(("warm",), None, TrainingPortraits(np.arange(1, 21, dtype=np.uint64), persons, np.zeros((20, 1))))
    if nested:
        part = Base(("kind",), None, TrainingPortraits.none(1), (part,))
    base = OpenedBase("base", SimpleNamespace(as_base=lambda: part))
    assert known_persons(dataset, [base]).tolist() == [False, True, False]
    assert part.portraits.find(content_keys(contents), faces).max() == (-1 if nested else 0)
    assert not known_persons(dataset, []).any()


def test_how_many_there_are_is_told_and_written_down(trained):
    def last_is_known(dataset, bases):
        return np.arange(len(dataset.images)) >= len(dataset.images) - len(bases)

    heard = Heard()
    with (
        patch.object(workflow, "known_persons", last_is_known),
        patch("prescreen.workflow.bases.known_persons", last_is_known),
    ):
        train(replace(TRAINING, bases=("kept",), output=Path("known")), heard)
    assert any(
        "other pictures of persons that it was trained on: 1 of 18; for new persons" in line for line in heard.lines
    )
    assert Predictor.load("known").manifest.data["known_to_bases"] == 1
