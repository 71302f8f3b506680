"""Faces: found wherever they are in the picture, with landmarks that move with it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import dlib
import numpy as np
import pytest
from PIL import Image

from prescreen.images import faces
from prescreen.images.decoding import decode
from prescreen.images.faces import Face, find_face

# Read off the photograph by eye, in pixels: centres of the eyes, base of the nose.
LEFT_EYE, RIGHT_EYE, NOSE = (223, 195), (308, 190), (270, 253)


@pytest.fixture(scope="module")
def face(portrait):
    return find_face(portrait)


def placed(portrait, width, canvas, corner):
    """Return the portrait at another size on a grey canvas."""
    picture = Image.new("RGB", canvas, (128, 128, 128))
    height = round(width * portrait.height / portrait.width)
    picture.paste(portrait.resize((width, height), Image.Resampling.BICUBIC), corner)
    return picture


def off(found, expected, eye_distance):
    """Root mean square distance of landmarks, as a share of the eye distance."""
    return float(np.sqrt(((found - expected) ** 2).sum(axis=1).mean()) / eye_distance)


def test_face_of_a_photograph(face):
    assert (face.detector, face.count) == ("hog", 1)
    for found, expected in [(face.left_eye, LEFT_EYE), (face.right_eye, RIGHT_EYE), (face.nose, NOSE)]:
        assert np.linalg.norm(found - expected) < 6
    left, top, right, bottom = face.box
    assert left < LEFT_EYE[0] < NOSE[0] < RIGHT_EYE[0] < right
    assert top < LEFT_EYE[1] < NOSE[1] < bottom
    assert face.eye_distance == pytest.approx(85, abs=4)


def test_landmarks_are_in_dlibs_order(face):
    x = face.landmarks[:, 0]
    assert x[2] < x[3] < x[4] < x[1] < x[0]


def test_roll_is_positive_when_the_eyes_fall_to_the_right():
    landmarks = np.array([[30.0, 20.0], [30.0, 20.0], [10.0, 0.0], [10.0, 0.0], [20.0, 30.0]])
    face = Face((0.0, 0.0, 40.0, 40.0), landmarks, "hog", 1)
    assert face.roll == pytest.approx(45)
    assert face.eye_distance == pytest.approx(np.hypot(20, 20))


@pytest.mark.parametrize("degrees", [-25, -10, 10, 25])
def test_roll_follows_a_turned_picture(degrees, portrait, face):
    turned = find_face(portrait.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128)))
    assert turned.roll == pytest.approx(face.roll - degrees, abs=1.5)


def test_mirror_image_has_mirrored_landmarks(portrait, face):
    found = find_face(portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).landmarks[[2, 3, 0, 1, 4]]
    found[:, 0] = portrait.width - found[:, 0]
    assert off(found, face.landmarks, face.eye_distance) < 0.01


@pytest.mark.parametrize("width", [100, 250, 1500, 3000])
def test_landmarks_scale_with_the_picture(width, portrait, face):
    scale = width / portrait.width
    found = find_face(portrait.resize((width, round(portrait.height * scale)), Image.Resampling.BICUBIC))
    assert off(found.landmarks / scale, face.landmarks, face.eye_distance) < 0.03


@pytest.mark.parametrize("width", [400, 600])  # the face is 13 and 8 % of the longest side
def test_small_face_is_found_in_a_larger_copy(width, portrait, face):
    scale = width / portrait.width
    found = find_face(placed(portrait, width, (1600, 2400 if width == 600 else 1200), (900, 100)))
    assert found.detector == "hog"
    expected = face.landmarks * scale + (900, 100)
    assert off(found.landmarks, expected, face.eye_distance * scale) < 0.04


def test_two_faces_are_counted_and_the_larger_is_taken(portrait, face):
    picture = placed(portrait, 512, (800, 600), (0, 0))
    picture.paste(portrait.resize((410, 480)), (390, 60))
    found = find_face(picture)
    assert found.count == 2
    assert off(found.landmarks, face.landmarks, face.eye_distance) < 0.04


def test_of_equal_faces_the_one_in_the_middle_is_taken(portrait, face):
    picture = placed(portrait, 512, (1500, 600), (540, 0))
    picture.paste(portrait, (20, 0))
    found = find_face(picture)
    assert found.count == 2
    assert off(found.landmarks, face.landmarks + (540, 0), face.eye_distance) < 0.04


def test_network_finds_what_hog_misses(portrait, face, monkeypatch):
    monkeypatch.setattr(faces, "_HOG_SIDES", ())
    found = find_face(portrait)
    assert (found.detector, found.count) == ("cnn", 1)
    assert off(found.landmarks, face.landmarks, face.eye_distance) < 0.06


@pytest.mark.parametrize(
    ("confidences", "count"), [([2.0, 0.1], 2), ([2.0, -0.1], 1), ([-0.1, -0.12], 1)], ids=["sure", "one", "none sure"]
)
def test_a_weak_box_is_a_face_only_where_there_is_no_better_one(confidences, count, portrait, face):
    left, top, right, bottom = (round(value * 320 / max(portrait.size)) for value in face.box)
    boxes = [dlib.rectangle(left, top, right, bottom), dlib.rectangle(0, 0, 90, 90)]
    models = SimpleNamespace(
        hog=SimpleNamespace(run=lambda *_: (boxes, confidences, [0, 0])), landmarks=faces._models().landmarks
    )
    found = faces._find(portrait, portrait.convert("L"), models)
    assert (found.detector, found.count) == ("hog", count)
    assert off(found.landmarks, face.landmarks, face.eye_distance) < 0.03


def test_a_weak_box_in_a_larger_copy_is_no_face():
    asked = []

    def run(pixels, _, least):
        asked.append((max(pixels.shape), least))
        return [], [], []

    models = SimpleNamespace(hog=SimpleNamespace(run=run), cnn=lambda *_: [])
    picture = Image.new("RGB", (1000, 800))
    assert faces._find(picture, picture.convert("L"), models).detector == "fallback"
    assert asked == [(320, faces._WEAK), (640, 0.0), (1280, 0.0)]


@pytest.mark.parametrize("size", [(300, 300), (300, 500), (500, 300)])
def test_no_face_gives_average_proportions_and_says_so(size):
    found = find_face(Image.new("RGB", size, (90, 120, 150)))
    assert (found.detector, found.count) == ("fallback", 0)
    assert found.roll == 0
    left, top, right, bottom = found.box
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert left + right == pytest.approx(size[0])
    assert ((found.landmarks > (left, top)) & (found.landmarks < (right, bottom))).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (2, 2), (4000, 60)])
def test_slivers_do_not_upset_the_detectors(size):
    assert find_face(Image.new("RGB", size)).detector == "fallback"


def test_threads_agree(portrait, face):
    start = threading.Barrier(3)

    def work(_):
        start.wait(timeout=10)
        return find_face(portrait)

    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(work, range(3)):
            assert (found.landmarks == face.landmarks).all()
            assert found.box == face.box


@pytest.mark.shared
def test_aligned_faces_have_their_eyes_at_one_place(shared):
    """All faces of this data set were aligned by their eyes: what spread is left is the landmarks' error, or nearly."""
    eyes = []
    for path in sorted((shared / "omi" / "images").glob("*.jpg"))[::16]:
        picture = decode(path.read_bytes()).pixels
        found = find_face(picture)
        assert found.detector == "hog"
        eyes.append(np.concatenate([found.left_eye, found.right_eye]) / picture.width)
    assert np.mean(eyes, axis=0) == pytest.approx([0.377, 0.480, 0.623, 0.480], abs=0.004)
    assert np.std(eyes, axis=0).max() < 0.009
