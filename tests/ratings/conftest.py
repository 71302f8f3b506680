import pandas as pd
import pytest

IMAGES = [f"{i:02d}.jpg" for i in range(1, 13)]


@pytest.fixture
def folder(tmp_path):
    """Return a folder with twelve files that stand for pictures; nobody looks into them here."""
    for name in IMAGES:
        (tmp_path / name).write_bytes(b"picture")
    return tmp_path


@pytest.fixture
def votes():
    """Return two traits, three raters, whole votes from 0 to 3, in which raters do not differ."""
    rows = [
        (image, trait, (i + rater + shift) % 4, f"rater {rater}")
        for shift, trait in enumerate(["smart", "kind"])
        for i, image in enumerate(IMAGES)
        for rater in range(3)
    ]
    return pd.DataFrame(rows, columns=["image", "trait", "vote", "rater"])


@pytest.fixture
def means():
    rows = [(image, trait, i / 2, 5 + i, 1.5) for trait in ["smart", "kind"] for i, image in enumerate(IMAGES)]
    return pd.DataFrame(rows, columns=["image", "trait", "mean", "votes", "std"])


@pytest.fixture
def scores():
    return pd.DataFrame(
        {
            "image": IMAGES,
            "competence": [i / 2 for i in range(12)],
            "likeability": [9 - i / 4 for i in range(12)],
            "influence": [5 + i / 8 for i in range(12)],
        }
    )
