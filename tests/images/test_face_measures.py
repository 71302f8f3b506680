"""Irises and noses: drawn ones are found where they were drawn, and faults planted in portraits show."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from prescreen.images import face_measures
from prescreen.images.decoding import decode
from prescreen.images.face_measures import find_iris, measure
from prescreen.images.faces import find_face

PORTRAITS = sorted((Path(__file__).parents[2] / "data/sample/training/images").glob("*.jpg"))[:36:3]


def drawn_eye(shift=(0.0, 0.0), iris=(70, 100, 140), white=(225, 220, 215), skin=(190, 150, 130)):
    """An eye four times as large as needed, made small: lids, white, iris, pupil, glint."""
    image = Image.new("RGB", (512, 512), skin)
    pen = ImageDraw.Draw(image)
    pen.ellipse((128, 196, 384, 316), fill=white)
    x, y = 256 + 256 * shift[0], 256 + 256 * shift[1]
    pen.ellipse((x - 54, y - 54, x + 54, y + 54), fill=iris)
    pen.ellipse((x - 20, y - 20, x + 20, y + 20), fill=(10, 10, 10))
    pen.ellipse((x + 8, y - 20, x + 18, y - 10), fill=(255, 255, 255))
    pen.rectangle((0, 0, 512, 205), fill=skin)
    return np.asarray(image.reduce(4))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.12, 0.0), (-0.18, 0.0), (0.05, 0.06)])
def test_an_iris_is_found_where_it_was_drawn(shift):
    found = find_iris(drawn_eye(shift))
    assert found is not None
    assert found.middle == pytest.approx(shift, abs=0.04)


def test_colours_of_irises_are_told_apart_in_any_light():
    blue, brown = (find_iris(drawn_eye(iris=colour)).colour for colour in ((70, 100, 140), (100, 65, 35)))
    assert blue[2] < -10
    assert brown[2] > 15
    lamp = np.array([1.0, 0.95, 0.85])
    warm = find_iris((drawn_eye(iris=(70, 100, 140)) * lamp).astype(np.uint8)).colour
    assert np.linalg.norm(warm - blue) < 0.25 * np.linalg.norm(brown - blue)


def test_nothing_is_said_of_closed_eyes():
    lid = np.full((128, 128, 3), (190, 150, 130), np.uint8)
    lid[62:66, 30:98] = (120, 90, 80)  # lashes
    assert find_iris(lid) is None


@pytest.fixture(scope="module")
def portraits():
    found = []
    for path in PORTRAITS:
        picture = decode(path.read_bytes()).pixels
        face = find_face(picture)
        found.append((picture, face, measure(picture, face)))
    return found


def moved(picture, middle, radius, shift):
    """Move what lies around a point, less and less towards the radius."""
    pixels = np.asarray(picture)
    y, x = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]].astype(float)
    near = np.exp(-0.5 * (np.hypot(x - middle[0], y - middle[1]) / (0.5 * radius)) ** 4)
    column = np.clip(np.rint(x - near * shift[0]), 0, pixels.shape[1] - 1).astype(int)
    row = np.clip(np.rint(y - near * shift[1]), 0, pixels.shape[0] - 1).astype(int)
    return Image.fromarray(pixels[row, column])


def test_irises_that_were_moved_towards_the_nose_cross(portraits):
    risen = []
    for picture, face, plain in portraits:
        width = 0.4 * face.eye_distance
        crossed = moved(picture, face.left_eye, 0.4 * width, (0.14 * width, 0))
        crossed = moved(crossed, face.right_eye, 0.4 * width, (-0.14 * width, 0))
        now = measure(crossed, face)
        if plain.eye_crossing is not None and now.eye_crossing is not None:
            risen.append(now.eye_crossing - plain.eye_crossing)
    assert len(risen) >= 6
    assert np.median(risen) > 0.15


def test_a_mirrored_face_has_its_nose_on_the_other_side_and_its_eyes_cross_as_much(portraits):
    for picture, _, plain in portraits[:4]:
        mirror = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        turned = measure(mirror, find_face(mirror))
        assert turned.nose_offset == pytest.approx(-plain.nose_offset, abs=0.03)
        if plain.eye_crossing is not None and turned.eye_crossing is not None:
            assert turned.eye_crossing == pytest.approx(plain.eye_crossing, abs=0.06)


def test_a_nose_that_was_moved_is_off_and_a_turned_head_hardly(portraits):
    changes = []
    for picture, face, plain in portraits:
        distance = face.eye_distance
        wrong = moved(picture, face.nose, 0.9 * distance, (0.2 * distance, 0))
        changes.append(measure(wrong, find_face(wrong)).nose_offset - plain.nose_offset)
    assert np.median(changes) > 0.08


def test_a_face_at_the_edge_has_no_margin(portraits):
    picture, face, plain = portraits[0]
    assert plain.face_margin > 0
    left, _, right, bottom = face.box
    crop = picture.crop((0, 0, picture.width, round(bottom - 0.2 * (right - left))))
    assert measure(crop, face).face_margin == pytest.approx(-0.2, abs=0.02)


def test_of_an_assumed_face_nothing_is_measured():
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    assert measure(grey, find_face(grey)) == face_measures.Appearance()
