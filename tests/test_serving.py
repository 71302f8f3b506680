import base64
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prescreen.calibration import Calibration, sorted_columns
from prescreen.embeddings import EmbeddingCache, embed_images
from prescreen.encoders import Encoder, EncoderSpecification
from prescreen.encoders.bundled import FACE
from prescreen.evaluation.report import Evaluation
from prescreen.images import find_images
from prescreen.manifest import Manifest
from prescreen.predictor import Predictor, TrainingPortraits
from prescreen.scoring import score_columns, score_pictures
from prescreen.serving import PortraitModel

IMAGES = Path(__file__).parents[1] / "data" / "sample" / "training" / "images"
NAMES = ["001.jpg", "013.jpg", "040.jpg", "070.jpg"]
SPECIFICATION = EncoderSpecification(name="face", members=(FACE,))


class Planted:
    """Predicts two traits as fixed sums of the face descriptor."""

    def predict(self, features):
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


def test_served_scores_are_those_of_the_files(model, expected):
    found = ask(model, *map(text, NAMES))
    pd.testing.assert_frame_equal(found, expected.drop(columns="image"), check_exact=True)
    assert found["smart"].nunique() == len(NAMES)


def test_columns_are_those_of_scores_without_the_name(model):
    assert list(ask(model, text("001.jpg")).columns) == score_columns(("smart", "kind"))[1:]


def test_a_data_prefix_is_allowed(model, expected):
    found = ask(model, f"data:image/jpeg;base64,{text('001.jpg')}")
    pd.testing.assert_frame_equal(found, expected.iloc[:1].drop(columns="image"), check_exact=True)


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
    assert np.isnan(found["smart"][1])
    assert found["smart"].tolist()[::2] == expected["smart"].tolist()[:2]


def test_several_callers_at_once(model, expected):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda name: ask(model, text(name))["smart"][0], NAMES * 3))
    assert found == expected["smart"].tolist() * 3


def test_no_pictures(model):
    assert len(ask(model)) == 0
