import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from heard import Heard
from prescreen.embeddings import estimate as estimates
from prescreen.embeddings.estimate import Estimate, estimate
from prescreen.embeddings.pipeline import EmbeddingCache, embed_images, not_cached
from prescreen.encoders import Encoder, EncoderSpecification, make_encoder
from prescreen.encoders.bundled import FACE
from prescreen.images.files import ImageFile
from prescreen.workflow import inputs

IMAGES = Path(__file__).parents[2] / "data" / "sample" / "training" / "images"
FILES = [ImageFile(IMAGES / f"{number:03d}.jpg", f"{number:03d}.jpg") for number in range(1, 21)]


class Slow(Encoder):
    """The face network, but a picture takes a hundredth of a second."""

    def __init__(self):
        super().__init__(EncoderSpecification(name="slow", members=(FACE,), mirror=False))

    def load(self):
        pass

    def encode(self, pictures):
        time.sleep(0.01 * len(pictures))
        return np.zeros((len(pictures), self.specification.dimension), np.float16)


class Workers:
    """A picture takes a fiftieth of a second, the first one a whole one."""

    def __init__(self):
        self.asked = 0

    def inspect(self, data, views, tolerant):
        self.asked += 1
        time.sleep(1.0 if self.asked == 1 else 0.02)


@pytest.fixture
def two_processors(monkeypatch):
    monkeypatch.setenv("PRESCREEN_PROCESSORS", "2")


def test_networks_and_decoding_are_measured(two_processors):
    found = estimate(Slow(), 1000, FILES, workers=Workers())
    assert found.networks == pytest.approx(0.01, rel=0.3)
    assert found.reading == pytest.approx(0.02, rel=0.3)  # without the start of the worker
    assert found.seconds == pytest.approx(1000 * (0.01 + 0.02 / 2), rel=0.3)


def test_a_card_works_while_processors_decode(two_processors):
    assert Estimate(10, 0.5, 0.2, on_card=False).seconds == pytest.approx(6)
    assert Estimate(10, 0.5, 0.2, on_card=True).seconds == pytest.approx(5)
    assert Estimate(10, 0.01, 0.2, on_card=True).seconds == pytest.approx(1)


def test_only_pictures_without_vectors_count(tmp_path, session_cache, monkeypatch):
    monkeypatch.setenv("PRESCREEN_CACHE", str(session_cache))
    face = Encoder(EncoderSpecification(name="face", members=(FACE,), mirror=False))
    broken = ImageFile(tmp_path / "link.jpg", "link.jpg", problem="a link that leads nowhere")
    with EmbeddingCache(tmp_path / "vectors.sqlite") as cache:
        assert not_cached([*FILES[:4], broken], face, cache) == (FILES[:4], 4)
        list(embed_images(FILES[:3], face, cache))
        assert not_cached(FILES[:4], face, cache) == ([FILES[3]], 1)
        assert not_cached(FILES[:2], Slow(), cache) == ([], 0)  # the same specification
        assert not_cached(FILES[:2], face, cache, tolerant=True) == (FILES[:2], 2)
        moved = ImageFile(Path(shutil.copy(FILES[0].path, tmp_path / "moved.jpg")), "moved.jpg")
        assert not_cached([moved], face, cache) == ([], 0)
        assert not_cached([FILES[3]] * 1000, face, cache) == ([FILES[3]] * 200, 1000)


@pytest.fixture
def said(monkeypatch):
    """Return what is said for encoders that take so many seconds a picture: of clip, and of bundled."""

    def say(encoder, of_clip, of_bundled, *, pictures=900, may_choose=True, ready=True):
        def measure(measured, number, files):
            clip = measured.specification.name != "bundled"
            return Estimate(number, of_clip if clip else of_bundled, 0.0, on_card=False)

        monkeypatch.setattr(inputs, "estimate", measure)
        monkeypatch.setattr(Encoder, "must_convert", property(lambda self: not ready))
        heard = Heard()
        inputs.announce_time([FILES[0]], pictures, encoder, heard, may_choose=may_choose)
        return heard.lines

    return say


def test_what_is_said_before_pictures_are_embedded(said, clip_folder, two_processors):
    encoder = make_encoder(f"clip:tiny@{clip_folder}")
    name = encoder.specification.name
    assert said(encoder, 0.01, 0.01) == []  # nine seconds
    assert said(encoder, 9.0, 0.01, pictures=29) == []  # too few to measure
    assert said(encoder, 0.2, 0.01) == [f"estimate   900 pictures, about 3 minutes with {name} on 2 processors"]
    long = f"estimate   900 pictures, about 15 minutes with {name} on 2 processors"
    assert said(encoder, 1.0, 0.2) == [f"{long}; --encoder bundled: about 3 minutes"]
    assert said(encoder, 1.0, 0.9) == [long]
    assert said(encoder, 1.0, 0.2, ready=False) == [long]  # its networks would have to be converted first
    assert said(encoder, 1.0, 0.2, may_choose=False) == [long]  # a predictor has its encoder


def test_fewer_views_are_named_where_they_save_time(said, clip_folder, two_processors):
    encoder = make_encoder(f"clip:tiny@{clip_folder}", views=("whole", "face", "eyes", "mouth"), mirror=True)
    (line,) = said(encoder, 1.0, 0.9)
    assert line.endswith("; --views whole,face --no-mirror: about 4 minutes")


def test_a_slow_first_batch_is_not_repeated(monkeypatch):
    monkeypatch.setattr(estimates, "_MEASURED", 0.0)
    encoder, calls = Slow(), []
    monkeypatch.setattr(encoder, "encode", lambda pictures: calls.append(len(pictures)))
    estimate(encoder, 10)
    assert len(calls) == 1
