import base64
import io
import json
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from prescreen.embeddings.pipeline import EmbeddingCache, embed_images
from prescreen.embeddings.workers import Workers
from prescreen.encoders import Encoder, EncoderSpecification
from prescreen.encoders.bundled import FACE
from prescreen.errors import UsageError
from prescreen.evaluation.report import Evaluation
from prescreen.images.files import find_images
from prescreen.predictor.calibration import Calibration, sorted_columns
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.scores_table import score_columns, score_pictures
from prescreen.predictor.training_portraits import TrainingPortraits
from prescreen.tracking.pyfunc import PortraitModel, RequestLimits

IMAGES = Path(__file__).parents[2] / "data" / "sample" / "training" / "images"
NAMES = ["001.jpg", "013.jpg", "040.jpg", "070.jpg"]
SPECIFICATION = EncoderSpecification(name="face", members=(FACE,))


class Planted:
    """Predicts two traits as fixed sums of the face descriptor."""

    def predict(self, features, prior=None):
        weights = np.random.default_rng(0).normal(size=(FACE.width, 2))
        return np.stack([row @ weights for row in features[:, : FACE.width].astype(np.float64)])


@pytest.fixture(scope="module")
def model(session_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESCREEN_CACHE", str(session_cache))
        manifest = Manifest("sample", SPECIFICATION, ("smart", "kind"), "0:3", False, {}, {}, 0, True, {})
        training = sorted_columns(np.random.default_rng(1).normal(0, 2, (200, 2)))
        calibration = Calibration(training, np.ones(2), np.eye(2), False)
        nothing = TrainingPortraits(np.zeros(0, np.uint64), np.zeros((0, 128), np.float16), np.zeros((0, 2)))
        yield PortraitModel(Predictor(manifest, Planted(), calibration, nothing, Evaluation()))


@pytest.fixture(scope="module")
def expected(model, tmp_path_factory):
    """Return the scores of the files themselves."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in NAMES:
        shutil.copy(IMAGES / name, folder)
    with EmbeddingCache(tmp_path_factory.mktemp("cache") / "embeddings.sqlite") as cache:
        return score_pictures(embed_images(find_images([folder]), Encoder(SPECIFICATION), cache), model.predictor)


def text(name):
    return base64.b64encode((IMAGES / name).read_bytes()).decode()


def ask(model, *texts):
    return model.predict(pd.DataFrame({"image": list(texts)}))


def as_written(found):
    """Return served scores as `score` writes them: numbers that there are not are NaN."""
    return found.astype({column: "float64" for column in found if found[column].map(lambda cell: cell is None).any()})


def test_served_scores_are_those_of_the_files(model, expected):
    found = ask(model, *map(text, NAMES))
    pd.testing.assert_frame_equal(as_written(found), expected.drop(columns="image"), check_exact=True)
    assert found["smart"].nunique() == len(NAMES)


def test_columns_are_those_of_scores_without_the_name(model):
    assert list(ask(model, text("001.jpg")).columns) == score_columns(("smart", "kind"))[1:]


def test_a_data_prefix_is_allowed(model, expected):
    found = ask(model, f"data:image/jpeg;base64,{text('001.jpg')}")
    pd.testing.assert_frame_equal(as_written(found), expected.iloc[:1].drop(columns="image"), check_exact=True)


def test_base64_in_lines_is_allowed(model, expected):
    lines = base64.encodebytes((IMAGES / "001.jpg").read_bytes()).decode()
    found = ask(model, lines, lines.replace("\n", "\r\n"))
    assert found["smart"].tolist() == [expected["smart"].iloc[0]] * 2


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("§§§", "base64"),
        ("abc", "base64"),
        ("/etc/passwd", "base64"),
        ("https://example.org/portrait.jpg", "base64"),
        ("file:///etc/passwd", "base64"),
        (None, "base64"),
        (3.5, "base64"),
        ("", "empty|unsupported"),
        (base64.b64encode(b"this is no picture").decode(), "picture|format|JPEG|image"),
        (text("001.jpg")[:4000], "truncated"),
    ],
)
def test_what_is_no_picture_is_a_failed_row_with_its_reason(model, expected, given, reason):
    found = ask(model, text("001.jpg"), given, text("013.jpg"))
    assert found["status"].tolist() == ["ok", "failed", "ok"]
    assert pd.Series([found["reason"][1]]).str.contains(reason)[0], found["reason"][1]
    assert found["smart"][1] is None
    assert found["smart"].tolist()[::2] == expected["smart"].tolist()[:2]


def test_the_url_safe_alphabet_is_read(model, expected):
    """Of a picture that has letters in which the alphabets differ."""
    assert {"+", "/"} <= set(text("001.jpg"))
    safe = text("001.jpg").translate(str.maketrans("+/", "-_"))
    found = ask(model, safe, safe.rstrip("="), f"data:image/jpeg;base64,{safe}")
    assert found["smart"].tolist() == [expected["smart"].iloc[0]] * 3


def test_the_index_of_the_frame_is_kept(model, expected):
    frame = pd.DataFrame({"image": [text("001.jpg"), "?", text("013.jpg")]}, index=["a", "b", "a"])
    found = model.predict(frame)
    assert found.index.tolist() == ["a", "b", "a"]
    assert found["smart"].tolist() == [expected["smart"].iloc[0], None, expected["smart"].iloc[1]]


def test_what_mlflow_sends_is_json(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own
        from mlflow.pyfunc.scoring_server import predictions_to_json
    answer = io.StringIO()
    predictions_to_json(ask(model, text("001.jpg"), "?"), answer)

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    good, bad = json.loads(answer.getvalue(), parse_constant=refuse)["predictions"]
    assert good["status"] == "ok"
    assert (bad["status"], bad["smart"], bad["width"]) == ("failed", None, None)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"rows": 2}, "request of 3 rows: at most 2 .* PRESCREEN_REQUEST_ROWS"),
        ({"megabytes": 1}, r"request of \d+ megabytes: at most 1 .* PRESCREEN_REQUEST_MEGABYTES"),
        ({"megapixels": 1}, r"request of \d+ megapixels: at most 1 .* PRESCREEN_REQUEST_MEGAPIXELS"),
    ],
)
def test_a_request_that_is_too_large_is_refused_before_anything_is_decoded(model, limits, says, monkeypatch):
    stream = io.BytesIO()
    Image.effect_noise((1100, 1000), 80).save(stream, "PNG")
    large = base64.b64encode(stream.getvalue()).decode()
    monkeypatch.setattr(model, "limits", RequestLimits(**limits))
    monkeypatch.setattr(Workers, "inspect", lambda *_, **__: pytest.fail("a picture was decoded"))
    with pytest.raises(UsageError, match=says):
        ask(model, large, large, "?")


def test_limits_come_from_the_environment(monkeypatch):
    assert RequestLimits.from_environment() == RequestLimits()
    monkeypatch.setenv("PRESCREEN_REQUEST_ROWS", "7")
    assert RequestLimits.from_environment() == replace(RequestLimits(), rows=7)
    for wrong in ("0", "-1", "many", "9" * 20, "²"):
        monkeypatch.setenv("PRESCREEN_REQUEST_ROWS", wrong)
        with pytest.raises(UsageError, match=f"PRESCREEN_REQUEST_ROWS '{wrong}': expected a whole number above 0"):
            RequestLimits.from_environment()


def test_pictures_are_decoded_by_workers(model, monkeypatch):
    asked = []
    inspect = Workers.inspect
    monkeypatch.setattr(Workers, "inspect", lambda *given, **more: asked.append(1) or inspect(*given, **more))
    monkeypatch.setattr("prescreen.images.inspection.decode", lambda *_, **__: pytest.fail("decoded in this process"))
    assert ask(model, text("001.jpg"))["status"].tolist() == ["ok"]
    assert asked == [1]


def test_several_callers_at_once(model, expected):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda name: ask(model, text(name))["smart"][0], NAMES * 3))
    assert found == expected["smart"].tolist() * 3


def test_no_pictures(model):
    assert len(ask(model)) == 0
