"""Pictures that leave as files: the same pixels, and nothing about places, people and devices."""

import pytest

from prescreen.errors import PictureError
from prescreen.images.metadata import without_metadata
from telling_pictures import SECRET, assert_nothing_told, telling_files


@pytest.fixture(scope="module")
def files(portrait, encoded):
    return telling_files(portrait, encoded)


def test_metadata_is_gone_and_pixels_profile_and_orientation_stay(files):
    assert any(SECRET.encode() in data for data in files.values())
    for name, data in files.items():
        assert_nothing_told(name, data, without_metadata(data))


def test_nothing_follows_the_picture_and_twice_changes_nothing_more(files):
    assert without_metadata(files["trailer.jpg"]) == without_metadata(files["baseline.jpg"])
    assert without_metadata(files["trailer.png"]) == without_metadata(files["colour.png"])
    for name, data in files.items():
        clean = without_metadata(data)
        assert without_metadata(clean) == clean, name


@pytest.mark.parametrize("data", [b"", b"plain text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(20)])
def test_what_is_not_understood_stays(data):
    with pytest.raises(PictureError, match="metadata cannot be taken out"):
        without_metadata(data)


def test_a_file_that_is_cut_short_never_leaks(files):
    for name, data in files.items():
        for share in (0.1, 0.3, 0.6, 0.9):
            try:
                clean = without_metadata(data[: int(share * len(data))])
            except PictureError:
                continue
            assert SECRET.encode() not in clean, (name, share)
