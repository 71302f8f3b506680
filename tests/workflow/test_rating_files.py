"""Training on several rating files, at the command line and in Python, with a tiny encoder of seeded weights."""

import contextlib
import io
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

import prescreen
from heard import Heard
from prescreen.cli.main import main
from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.encoders import make_encoder
from prescreen.errors import RatingsError, UsageError
from prescreen.images.files import ImageFile
from prescreen.predictor.predictor import Predictor
from prescreen.ratings.scale import Scale
from prescreen.reports.model_card import model_card
from prescreen.tracking import store_uri
from prescreen.workflow import evaluate, score
from prescreen.workflow import train as workflow
from prescreen.workflow.rating_files import RatingsFile, in_step, read_others

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "training" / "images"
ALL = [f"{number:03d}.jpg" for number in range(1, 121, 3)]  # of 40 persons
OWN, THEIRS = ALL[:16], ALL[14:]  # two of them are in both

pytestmark = pytest.mark.filterwarnings("ignore")  # of MLflow's libraries


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """A working folder with two folders of pictures, two of which are in both."""
    folder = tmp_path_factory.mktemp("files")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    kept["PRESCREEN_CACHE"] = str(folder / "cache")
    with contextlib.chdir(folder), patch.dict(os.environ, kept, clear=True):
        for name, images in (("own", OWN), ("theirs", THEIRS)):
            Path(name).mkdir()
            for image in images:
                shutil.copy(SAMPLE / image, Path(name) / f"{name}-{image}")  # other names, the same content
        yield folder


@pytest.fixture(scope="module")
def encoder(clip_folder):
    return f"clip:tiny@{clip_folder}"


def run(*arguments):
    """Run a command, and return its exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as left:
            return left.code or 0
    return 0


def train(options, reporter=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return workflow.train(options, reporter)


FIRST = RatingsFile(Path("own.csv"), Path("own"), scale=Scale(0, 10))
SECOND = RatingsFile(Path("theirs.csv"), Path("theirs"), columns={"image": "bild"}, scale=Scale(1, 7))
TWO = ("--ratings", "own.csv", "--images", "own", "--ratings", "theirs.csv", "--images", "theirs")
READ = ("--scale", "0:10", "--scale", "1:7", "--columns", "", "--columns", "image=bild,warm=warm,smart=klug")


@pytest.fixture(scope="module")
def planted(encoder):
    """Write both files, from a level of each picture that its vector tells; return the levels, 0 to 1."""
    with EmbeddingCache() as cache:
        found = list(embed_images([ImageFile(SAMPLE / image, image) for image in ALL], make_encoder(encoder), cache))
    vectors = np.stack([row.vector for row in found]).astype(np.float64)
    vectors = (vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + 1e-9)
    first = np.linalg.svd(vectors, full_matrices=False)[0][:, 0]
    level = pd.Series((first - first.min()) / np.ptp(first), [row.name for row in found])
    table = pd.DataFrame({"image": [f"own-{image}" for image in OWN]})
    table.assign(kind=(10 * level[OWN].to_numpy()).round(2)).to_csv("own.csv", index=False)
    rng = np.random.default_rng(0)
    # As Excel saves it in Germany: semicolons, decimal commas, with names that must be told.
    rows = [
        f"theirs-{image};{1 + 6 * level[image]:.2f};{rng.uniform(1, 7):.2f}".replace(".", ",").replace(",jpg", ".jpg")
        for image in THEIRS
    ]
    Path("theirs.csv").write_text("\n".join(["bild;warm;klug", *rows]) + "\n", "utf-8-sig")
    return level


@pytest.fixture(scope="module")
def told():
    return io.StringIO()


@pytest.fixture(scope="module")
def trained(planted, encoder, told):
    with contextlib.redirect_stderr(told):
        code = run("train", *TWO, *READ, "--encoder", encoder, "--output", "two", "--experiment", "merged")
    assert code == 0, told.getvalue()
    return Predictor.load("two")


def test_two_files_with_their_own_folders_scales_and_columns(trained):
    assert trained.traits == ("kind",)
    assert trained.manifest.scale == "0:10"
    (other,) = trained.manifest.other_ratings
    assert (other["source"], other["traits"], other["images"]) == ("theirs.csv", ["warm", "smart"], len(THEIRS))
    assert (other["fingerprint"], other["licence"], other["simulated"]) == ("", None, False)
    assert (other["scale"], other["raters_left_out"]) == ("1:7", 0)
    assert other["columns"] == {"warm": "warm", "smart": "klug"}
    assert trained.manifest.base_predictors == ()
    assert trained.manifest.data["images"] == len(OWN)
    assert trained.evaluation.n == len(OWN)
    assert [base.traits for base in trained.bases] == [("warm", "smart")]


def test_scoring_needs_neither_file(trained, place):
    files = [SAMPLE / name for name in ALL[:30]]
    table = score.score_table(files, trained)
    assert (table["status"] == "ok").all()
    assert table["kind_raw"].between(-5, 15).all()


def test_evaluate_has_no_learning_curve_where_other_files_were_learned_from(trained, encoder):
    options = evaluate.EvaluationOptions("two", Path("own.csv"), images=Path("own"), scale=Scale(0, 10))
    with (
        patch.object(evaluate, "embed_inputs", side_effect=AssertionError),
        pytest.raises(UsageError, match=r"two learned from theirs\.csv, too.*; train with --learning-curve$"),
    ):
        evaluate.evaluate(replace(options, learning_curve=True))
    assert evaluate.evaluate(options) == trained.evaluation


def test_the_same_picture_in_both_files_is_known(trained, told):
    lines = told.getvalue().splitlines()
    assert "helped by  theirs.csv: 26 pictures, warm, smart on 1:7 (scores)" in lines
    said = "persons of own.csv are on 2 of its 26 pictures, too; those ratings never predict those persons"
    assert any(line.endswith(f"helped by  theirs.csv: {said}") for line in lines)
    assert (trained.bases[0].portraits.find(trained.portraits.keys) >= 0).sum() == 2


def test_mlflow_has_both_files_as_inputs(trained):
    import mlflow

    client = mlflow.MlflowClient(store_uri())
    (found,) = client.search_runs(
        [client.get_experiment_by_name("merged").experiment_id], "tags.mlflow.runName = 'two'"
    )
    assert found.data.params["other_ratings"] == "theirs.csv"
    assert "base" not in found.data.params
    assert found.data.tags["prescreen.other_data_sha256"] == trained.manifest.other_ratings[0]["sha256"]
    assert [[data.dataset.name, data.tags[0].value] for data in found.inputs.dataset_inputs] == [
        ["own", "training"],
        ["theirs", "other ratings"],
    ]


def test_the_card_names_both_files(trained):
    card = model_card(trained.manifest, "", trained.holdings)
    assert "| theirs | warm, smart | theirs.csv | 26 | of raters | the file does not tell |" in card
    assert trained.manifest.other_ratings[0]["sha256"] in card


def test_simulated_or_not_is_spelt_the_same_in_every_run(trained):
    import mlflow

    evaluate.evaluate(
        evaluate.EvaluationOptions("two", Path("own.csv"), images=Path("own"), scale=Scale(0, 10), experiment="spelt")
    )
    client = mlflow.MlflowClient(store_uri())
    places = [client.get_experiment_by_name(name).experiment_id for name in ("merged", "spelt")]
    runs = client.search_runs(places, "tags.`prescreen.simulated` LIKE '%'")
    assert {run.info.experiment_id for run in runs} == set(places)
    assert {run.data.tags["prescreen.simulated"] for run in runs} == {"false"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--images", "own"],
            "--images is given 3 times, --ratings 2 times; give --images once for all, or once for each",
        ),
        (["--scale", "0:10", "--scale", "1:7", "--scale", "1:5"], "--scale is given 3 times, --ratings 2 times"),
        (["--traits", "kind", "--traits", "warm", "--traits", "klug"], "give --traits once for the first, or"),
        (["--forget-portraits"], "train a predictor on theirs.csv with --forget-portraits, and give it as --base"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_picture_is_read(arguments, message, planted, encoder, capsys):
    with patch.object(workflow, "embed_inputs", side_effect=AssertionError):
        assert run("train", *TWO, *arguments, "--encoder", encoder, "--output", "refused") == 2
    assert message in capsys.readouterr().err
    assert not Path("refused").exists()


def test_one_file_has_one_folder(planted, encoder, capsys):
    assert run("train", "--ratings", "own.csv", "--images", "own", "--images", "theirs", "--encoder", encoder) == 2
    assert "--images is given 2 times, --ratings 1 time; give --images once for all, or" in capsys.readouterr().err


def test_python_takes_lists(trained, encoder):
    done = SimpleNamespace(output="two")
    with patch.object(workflow, "train", return_value=done) as called:
        predictor = prescreen.Predictor.train(
            ["own.csv", "theirs.csv"],
            images=["own", Path("theirs")],
            traits=[["kind"], {"smart": "klug"}],
            columns=[None, {"image": "bild"}],
            scale=[(0, 10), (1, 7)],
            encoder=encoder,
        )
    assert predictor.traits == ("kind",)
    second = replace(SECOND, traits={"smart": "klug"})
    assert called.call_args.args[0] == workflow.TrainingOptions.of_files(
        (replace(FIRST, traits={"kind": "kind"}), second), encoder=encoder
    )
    with patch.object(workflow, "train", return_value=done) as called:
        prescreen.Predictor.train("own.csv", images="own", traits=["kind"], scale=(0, 10), encoder=encoder)
    assert called.call_args.args[0] == workflow.TrainingOptions.of_files(
        (replace(FIRST, traits={"kind": "kind"}),), encoder=encoder
    )


def test_one_value_is_for_all_files_and_traits_for_the_first():
    paths = [Path("a.csv"), Path("b.csv")]
    first, second = in_step(paths, images=[Path("own")], scale=[Scale(0, 10)], traits=[{"kind": "kind"}])
    assert (first.images, second.images) == (Path("own"), Path("own"))
    assert (first.scale, second.scale) == (Scale(0, 10), Scale(0, 10))
    assert (first.traits, second.traits) == ({"kind": "kind"}, None)
    assert first.columns is None


def test_pictures_given_once_are_not_for_a_folder_that_brings_its_own(tmp_path):
    mine, its = Path("mine.csv"), tmp_path
    for ratings in ([its, mine], [mine, its]):
        files = {file.ratings: file for file in in_step(ratings, images=[Path("mine")], scale=[Scale(0, 10)])}
        assert (files[its].images, files[mine].images) == (None, Path("mine"))
        assert files[mine].scale == Scale(0, 10)
    assert [file.images for file in in_step([its], images=[Path("mine")])] == [Path("mine")]
    assert [file.images for file in in_step([its, its], images=[Path("mine")])] == [Path("mine"), None]


@pytest.fixture(scope="module")
def omi(place, planted):
    """A folder in the layout of One Million Impressions, with a trait of the same name as in own.csv."""
    folder = place / "faces"
    (folder / "images").mkdir(parents=True)
    for number, image in enumerate(THEIRS[2:], 1):
        shutil.copy(SAMPLE / image, folder / "images" / f"{number}.jpg")
    n = len(THEIRS[2:])
    kind = 20 + 60 * planted[THEIRS[2:]].to_numpy()
    smart = np.random.default_rng(1).uniform(20, 80, n)
    table = pd.DataFrame({"stimulus": range(1, n + 1), "kind": kind, "smart": smart})
    table.round(1).to_csv(folder / "attribute_means.csv", index=False)
    return folder


def test_a_folder_in_the_layout_of_one_million_impressions_with_a_trait_of_the_same_name(omi, encoder):
    """It brings its pictures, scale and licence; its trait is not mixed with the one that is predicted."""
    given = []
    original = workflow.fit_dataset

    def fit(dataset, **options):
        given.append(dataset)
        return original(dataset, **options)

    arguments = ("--ratings", "own.csv", "--images", "own", "--scale", "0:10", "--ratings", omi, "--simulated")
    with patch.object(workflow, "fit_dataset", fit):
        assert run("train", *arguments, "--encoder", encoder, "--output", "with omi") == 0
    predictor = Predictor.load("with omi")
    assert [licence[:5] for licence in predictor.manifest.licences] == ["CC BY"]
    assert predictor.manifest.simulated
    assert predictor.manifest.other_ratings[0]["simulated"]
    assert given[0].prior_blocks == {"0": slice(0, 2), "namesakes": slice(2, 3)}
    np.testing.assert_array_equal(given[0].prior[:, 2], given[0].prior[:, 0])
    own = np.sort(pd.read_csv("own.csv")["kind"].to_numpy())
    np.testing.assert_array_equal(predictor.calibration.distribution[:, 0], own)


def test_one_file_twice_uses_the_pictures_that_are_rated_on_other_traits_only():
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"image": ALL, "kind": rng.uniform(0, 10, 40), "warm": rng.uniform(0, 10, 40)}).round(2)
    table.loc[15:, "kind"] = np.nan
    table.to_csv("both.csv", index=False)
    first = RatingsFile(Path("both.csv"), SAMPLE, {"kind": "kind"}, scale=Scale(0, 10))
    once = workflow.TrainingOptions.of_files((first,))
    heard = Heard()
    rated = workflow._read(once, heard)
    told = "25 pictures are rated on other traits only; give the file twice to learn from them: --ratings both.csv"
    assert any(told in line for line in heard.lines)
    assert len(rated.wide()) == 15
    table.loc[:, "kind"] = rng.uniform(0, 10, 40).round(2)
    table.loc[39, "kind"] = np.nan
    table.to_csv("all but one.csv", index=False)
    heard = Heard()
    workflow._read(replace(once, ratings=Path("all but one.csv")), heard)
    assert any(
        "1 picture is rated on other traits only; give the file twice to learn from it:" in line for line in heard.lines
    )
    twice = replace(once, others=(replace(first, traits=None),))
    heard = Heard()
    rated = workflow._read(twice, heard)
    assert not any("rated on other traits only" in line for line in heard.lines)
    (other,) = read_others(twice, rated, heard)
    assert (other.traits, len(other.wide())) == (("warm",), 40)
    everything = replace(twice, traits=None)
    with pytest.raises(UsageError, match=r"both.csv: the same ratings are given twice"):
        read_others(everything, workflow._read(everything, heard), heard)
    with pytest.raises(UsageError, match=r"both.csv: the same ratings are given twice"):
        read_others(replace(twice, others=twice.others * 2), rated, heard)


def test_traits_that_cannot_be_learned_are_left_out_where_nobody_chose_them(planted):
    table = pd.read_csv("theirs.csv", sep=";", decimal=",", encoding="utf-8-sig")
    table.assign(alike=3.0).to_csv("alike.csv", index=False)
    second = replace(SECOND, ratings=Path("alike.csv"))
    options = workflow.TrainingOptions.of_files((FIRST, second))
    heard = Heard()
    rated = workflow._read(options, heard)
    (other,) = read_others(options, rated, heard)
    assert other.traits == ("warm", "klug")
    assert "helped by  alike.csv: the ratings of 'alike' are all equal (3): left out" in heard.lines
    with pytest.raises(RatingsError, match="the ratings of 'alike' are all equal"):
        read_others(replace(options, others=(replace(second, traits={"alike": "alike"}),)), rated, heard)


def test_raters_left_out_of_another_file_are_told_with_its_name_and_written_down(planted, encoder):
    rng = np.random.default_rng(3)
    level = 2 + 4 * planted[THEIRS].to_numpy()
    rows = [
        (f"theirs-{image}", f"r{rater}", 4 if rater == 0 else int(np.clip(round(level[row] + rng.normal()), 1, 7)))
        for rater in range(8)
        for row, image in enumerate(THEIRS)
    ]
    pd.DataFrame(rows, columns=["image", "rater", "warm"]).to_csv("raters.csv", index=False)
    second = RatingsFile(Path("raters.csv"), Path("theirs"), scale=Scale(1, 7))
    options = workflow.TrainingOptions.of_files((FIRST, second), encoder=encoder, output=Path("without r0"))
    heard = Heard()
    train(replace(options, leave_out_raters=True), heard)
    assert "helped by  raters.csv: raters 26 of 208 votes left out" in heard.lines
    told = [line for line in heard.lines if "r0 on warm" in line]
    assert len(told) == 1
    assert told[0].startswith("helped by  raters.csv: raters 1 of 8 gives no information: r0")
    (other,) = Predictor.load("without r0").manifest.other_ratings
    assert (other["raters_left_out"], other["scale"]) == (1, "1:7")


def test_a_file_that_no_trait_uses_is_not_carried(planted, encoder):
    original = workflow.fit_dataset

    def without_share(dataset, **options):
        return original(replace(dataset, prior=None), **options)

    heard = Heard()
    with patch.object(workflow, "fit_dataset", without_share):
        train(workflow.TrainingOptions.of_files((FIRST, SECOND), encoder=encoder, output=Path("unused")), heard)
    assert "helped by  no trait uses it: it is not part of the predictor" in heard.lines
    predictor = Predictor.load("unused")
    assert (predictor.bases, predictor.manifest.bases) == ((), ())
