import io

import numpy as np
import pytest
from PIL import Image

from prescreen.images.decoding import decode
from prescreen.images.faces import find_face
from prescreen.predictor.canaries import MOST_BYTES, Canaries, draw_canaries

DRAWN = draw_canaries()


def test_they_are_drawn_the_same_each_time_and_are_small():
    assert draw_canaries.__wrapped__() == DRAWN
    assert len(set(DRAWN)) == 4
    assert sum(map(len, DRAWN)) < 100_000


def test_their_files_have_several_formats_and_no_metadata():
    opened = [Image.open(io.BytesIO(data)) for data in DRAWN]
    assert [picture.format for picture in opened] == ["JPEG", "PNG", "WEBP", "JPEG"]
    assert not any(picture.getexif() or picture.info.get("icc_profile") for picture in opened)


def test_faces_are_found_in_all_but_the_last():
    found = [find_face(decode(data).pixels) for data in DRAWN]
    assert [(face.detector, face.count) for face in found] == [("hog", 1)] * 3 + [("fallback", 0)]


def test_what_is_saved_comes_back():
    canaries = Canaries(DRAWN, np.arange(8.0).reshape(4, 2))
    back = Canaries.from_arrays(canaries.to_arrays(), 2)
    assert back.pictures == DRAWN
    assert np.array_equal(back.raw, canaries.raw)


@pytest.mark.parametrize(
    "change",
    [
        {"raw": np.zeros((4, 3))},
        {"raw": np.zeros((3, 2))},
        {"raw": np.zeros((4, 2), np.float32)},
        {"raw": np.full((4, 2), np.nan)},
        {"pictures/1": np.zeros(9, np.float32)},
        {"pictures/1": np.zeros((3, 3), np.uint8)},
        {"pictures/1": np.zeros(MOST_BYTES + 1, np.uint8)},
        {"pictures/9": np.zeros(9, np.uint8)},
    ],
    ids=lambda change: " ".join(f"{name} {array.dtype} {array.shape}" for name, array in change.items()),
)
def test_anything_else_is_refused(change):
    arrays = Canaries(DRAWN, np.zeros((4, 2))).to_arrays()
    with pytest.raises((ValueError, LookupError)):
        Canaries.from_arrays(arrays | change, 2)
    with pytest.raises((ValueError, LookupError)):
        Canaries.from_arrays({"raw": np.zeros((0, 2))}, 2)
