from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prescreen.faces import FaceFinder

IMAGES = Path(__file__).parents[2] / "data" / "sample" / "training" / "images"


@pytest.fixture(scope="module", autouse=True)
def cache_folder(session_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESCREEN_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="session")
def portraits():
    """Return pictures of five persons, with their faces."""
    finder = FaceFinder()
    pictures = [Image.open(IMAGES / f"{number:03d}.jpg").convert("RGB") for number in (1, 13, 40, 70, 100)]
    return [(picture, finder.find(picture)) for picture in pictures]


@pytest.fixture(scope="session")
def pictures():
    """Return noise as a network gets it: nine squares of 32 pixels."""
    return np.random.default_rng(3).integers(0, 256, (9, 32, 32, 3), np.uint8)
