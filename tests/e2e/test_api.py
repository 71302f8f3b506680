import inspect
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import prescreen
from prescreen.cli.main import main
from prescreen.errors import NothingScored, PredictorNotFound
from prescreen.ratings.scale import Scale
from prescreen.workflow import evaluate, inputs, score
from prescreen.workflow import train as verb
from prescreen.workflow.rating_files import in_step

SAMPLE = Path(__file__).parents[2] / "data" / "sample"


@pytest.fixture
def predictor(demo, shell, monkeypatch):
    """The demo's predictor, in the demo's folder."""
    monkeypatch.chdir(demo)
    monkeypatch.setenv("PRESCREEN_CACHE", str(shell.cache))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return prescreen.Predictor.load("models/sample")


def test_a_trained_predictor_says_what_it_is(predictor):
    assert (predictor.name, predictor.encoder, predictor.simulated) == ("sample", "bundled", True)
    assert set(predictor.traits) == {"competence", "likeability", "influence"}
    assert predictor.evaluation["n"] == 120
    assert repr(predictor) == (
        "<prescreen.Predictor sample: competence, likeability, influence from bundled, simulated votes>"
    )


@pytest.fixture
def asked(monkeypatch):
    """The options of the trainings that were asked for, and which predictor was loaded afterwards."""
    found = []

    def train(options):
        found.append(options)
        return verb.Training(Path("models/sample"), {}, None, None)

    monkeypatch.setattr(verb, "train", train)
    monkeypatch.setattr(inputs, "load_predictor", found.append)
    return found


def test_training_returns_the_predictor_that_it_saved(asked):
    prescreen.Predictor.train("votes.csv", images="rated", scale=(0, 3), encoder="bundled", output="models/mine")
    expected = verb.TrainingOptions(
        Path("votes.csv"), images=Path("rated"), scale=Scale(0, 3), encoder="bundled", output=Path("models/mine")
    )
    assert asked == [expected, "models/sample"]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["competence", "warm, kind"], {"competence": "competence", "warm, kind": "warm, kind"}),
        (("smart",), {"smart": "smart"}),
        ('new=old,"warm, kind"', {"new": "old", "warm, kind": "warm, kind"}),
        ({"new": "old"}, {"new": "old"}),
        (None, None),
    ],
)
def test_traits_are_names_or_a_mapping(asked, given, read):
    prescreen.Predictor.train("votes.csv", traits=given)
    assert asked[0].traits == read


def test_the_arguments_and_their_defaults_are_those_of_the_command():
    options = verb.TrainingOptions(Path("votes.csv"))
    given = main.commands["train"].make_context("train", ["--ratings", "votes.csv"]).params
    files = in_step(**{name: given.pop(name) for name in ("ratings", "images", "traits", "columns", "scale")})
    for name in ("quiet", "verbose", "debug"):
        del given[name]
    assert verb.TrainingOptions.of_files(files, **given) == options
    assert given.keys() < vars(options).keys()
    interface = inspect.signature(prescreen.Predictor.train).parameters
    assert {name: known.default for name, known in interface.items() if name != "ratings"}.items() <= vars(
        options
    ).items()


def test_the_predictor_that_is_loaded_is_evaluated_wherever_the_alias_has_moved(predictor, monkeypatch):
    champion = prescreen.Predictor.load("models:/prescreen@champion")
    monkeypatch.setattr(evaluate, "load_predictor", lambda place: pytest.fail(f"loaded {place} again"))
    evaluation = champion.evaluate(SAMPLE / "training" / "votes.csv", traits=list(champion.traits))
    assert evaluation["n"] == 120


def test_the_interface_is_seen_before_it_is_imported():
    code = "import sys, prescreen; print('Predictor' in dir(prescreen), 'prescreen.workflow.api' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True False"


def test_scores_are_those_of_the_command(predictor, tmp_path):
    pictures = [SAMPLE / "candidates" / name for name in ("001.jpg", "010.jpg")]
    found = predictor.score(pictures)
    score.score(pictures, predictor="models/sample", output=tmp_path / "scores.csv")
    assert found["image"].tolist() == ["001.jpg", "010.jpg"]
    pd.testing.assert_series_equal(found["influence"], pd.read_csv(tmp_path / "scores.csv")["influence"])


def test_pictures_that_fail_are_rows_and_an_empty_folder_is_an_error(predictor, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    assert predictor.score(str(tmp_path))["status"].tolist() == ["failed"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingScored):
        predictor.score(tmp_path / "empty")


def test_the_champion_is_the_same_predictor(predictor):
    champion = prescreen.Predictor.load("models:/prescreen@champion")
    picture = SAMPLE / "candidates" / "001.jpg"
    pd.testing.assert_frame_equal(champion.score(picture), predictor.score(picture), check_exact=True)


def test_no_predictor_is_one_line(tmp_path):
    with pytest.raises(PredictorNotFound, match="no predictor there"):
        prescreen.Predictor.load(tmp_path)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Predicter"):
        _ = prescreen.Predicter


def test_importing_the_package_loads_no_large_library():
    code = "import sys, prescreen; print(sorted({'torch', 'mlflow', 'pandas', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
