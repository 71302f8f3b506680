"""What several test modules need: pictures, and the reference data sets where they are."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def portrait() -> Image.Image:
    """Return a photograph of one person, 512 × 600 (Grace Hopper; public domain, part of matplotlib)."""
    with Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg") as picture:
        return picture.convert("RGB")


@pytest.fixture(scope="session")
def patches() -> Image.Image:
    """Return six patches of colour on 48 × 32, no two of its eight orientations alike."""
    colours = np.array(
        [[(230, 30, 30), (30, 200, 30), (30, 30, 220)], [(240, 220, 40), (20, 20, 20), (250, 250, 250)]], np.uint8
    )
    return Image.fromarray(colours).resize((48, 32), Image.Resampling.NEAREST)


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """Return a function from a picture, a format and Pillow's options to the bytes of a file."""

    def encode(picture: Image.Image, format_: str, **options: object) -> bytes:
        stream = io.BytesIO()
        picture.save(stream, format_, **options)
        return stream.getvalue()

    return encode


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of the reference data sets, or skip the test."""
    folder = Path(os.environ.get("PRESCREEN_SHARED") or Path(__file__).parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip("the reference data sets are not here: set PRESCREEN_SHARED")
    return folder


@pytest.fixture(scope="session")
def kills() -> Callable[..., int]:
    """Return a function that runs the code of a test with a kill at every line (crashes.py) and counts the kills."""

    def run(code: str, **values: object) -> int:
        head = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        script = Path(__file__).with_name("crashes.py")
        done = subprocess.run(
            [sys.executable, str(script)], input=head + code, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    return run
