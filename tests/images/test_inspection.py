"""Large pictures are decoded at reduced size, and what is seen of them stays the same."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prescreen.images import inspection
from prescreen.images.inspection import LEAST_SIDE, inspect_image
from prescreen.images.views import View

SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "baseline.jpg"
VIEWS = [View("whole", 260), View("face", 260), View("eyes", 260), View("mouth", 260), View("chip", 150)]


def enlarged(side):
    stream = io.BytesIO()
    Image.open(SAMPLE).resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=95)
    return stream.getvalue()


@pytest.mark.parametrize(("side", "decoded"), [(1024, 1024), (2047, 2047), (2048, 1024), (4096, 1024)])
def test_a_large_jpeg_is_decoded_small_and_described_at_its_own_size(side, decoded, monkeypatch):
    sizes = []

    def decode(data, **options):
        picture = inspection_decode(data, **options)
        sizes.append(picture.pixels.size)
        return picture

    inspection_decode = inspection.decode
    monkeypatch.setattr(inspection, "decode", decode)
    _, quality = inspect_image(enlarged(side), VIEWS)
    assert sizes == [(decoded, decoded)]
    assert (quality.width, quality.height) == (side, side)


def test_what_is_seen_of_a_large_jpeg_is_what_full_decoding_shows(monkeypatch):
    data = enlarged(2 * LEAST_SIDE)
    small, quality = inspect_image(data, VIEWS)
    monkeypatch.setattr(inspection, "LEAST_SIDE", 1 << 20)
    full, expected = inspect_image(data, VIEWS)
    assert quality.face_share == pytest.approx(expected.face_share, rel=0.01)
    assert quality.face_roll == pytest.approx(expected.face_roll, abs=0.5)
    for view in VIEWS:
        difference = np.abs(small[view].astype(float) - full[view].astype(float))
        assert difference.mean() < 3, view  # of 255; a shift by two pixels moves more
