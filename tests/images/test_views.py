from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from prescreen.images.faces import Face
from prescreen.images.views import BEYOND, BOXES, FRAME_LANDMARKS, View, cut

ALIGNED = sorted(BOXES)
MIRRORED = [2, 3, 0, 1, 4]


def face_at(landmarks):
    return Face((0, 0, 1, 1), np.asarray(landmarks, float), "hog", 1)


def difference(a, b):
    return np.abs(a.astype(float) - b).mean()


@pytest.mark.parametrize("name", [*ALIGNED, "whole"])
def test_a_view_is_a_square_of_bytes(portraits, name):
    view = cut(*portraits[0], View(name, 77))
    assert view.shape == (77, 77, 3)
    assert view.dtype == np.uint8
    assert view.std() > 10


def moved(picture, face, degrees, scale, shift):
    """Turn and scale a picture about its centre, then shift it, and move the landmarks of its face alike."""
    angle = np.radians(degrees)
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array(picture.size) / 2
    back = np.linalg.inv(matrix)
    offset = centre - back @ (centre + shift)
    coefficients = np.column_stack([back, offset]).ravel().tolist()
    turned = picture.transform(picture.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    return turned, replace(face, landmarks=(face.landmarks - centre) @ matrix.T + centre + shift)


@pytest.mark.parametrize("name", ["eyes", "mouth", "chip-tight", "face"])
@pytest.mark.parametrize(("degrees", "scale", "shift"), [(10, 1, (6, -4)), (-20, 1, (0, 0)), (0, 1.15, (-5, 3))])
def test_aligned_views_do_not_see_how_the_head_is_turned(portraits, name, degrees, scale, shift):
    view = View(name, 60)
    for picture, face in portraits[:3]:
        upright = cut(picture, face, view)
        turned, landmarks_too = moved(picture, face, degrees, scale, shift)
        assert difference(cut(turned, landmarks_too, view), upright) < 3
        assert difference(cut(turned, face, view), upright) > 6  # the landmarks must have moved along


def test_a_view_shows_its_box_of_the_frame():
    """Where the landmarks lie as in the frame of 1 × 1, times 400, a view is the plain cut-out of its box."""
    picture = Image.effect_noise((400, 400), 80).convert("RGB").resize((20, 20)).resize((400, 400), Image.BICUBIC)
    for name, (left, top, side) in BOXES.items():
        expected = picture.resize(
            (100, 100), Image.Resampling.BOX, np.array([left, top, left + side, top + side]) * 400
        )
        found = cut(picture, face_at(FRAME_LANDMARKS * 400), View(name, 100))
        assert difference(found, np.asarray(expected)) < 1.5


def test_the_whole_view_is_the_square_nearest_to_the_face():
    picture = Image.new("RGB", (300, 100))
    picture.putdata([(x * 255 // 299, 0, 0) for _ in range(100) for x in range(300)])
    spread = (FRAME_LANDMARKS - FRAME_LANDMARKS.mean(axis=0)) * 40

    def left_edge(x):
        red = cut(picture, face_at(spread + (x, 50)), View("whole", 100))[50, :, 0].astype(float)
        assert red[-1] - red[0] == pytest.approx(99 * 255 / 299, abs=2)
        return red[0] * 299 / 255

    assert left_edge(150) == pytest.approx(100, abs=2)
    assert left_edge(110) == pytest.approx(60, abs=2)
    assert left_edge(10) == pytest.approx(0, abs=2)
    assert left_edge(295) == pytest.approx(200, abs=2)


def test_the_whole_view_of_a_tall_picture_moves_up_and_down():
    picture = Image.new("RGB", (50, 200), (10, 10, 10))
    ImageDraw.Draw(picture).rectangle((0, 0, 49, 99), (200, 200, 200))
    spread = (FRAME_LANDMARKS - FRAME_LANDMARKS.mean(axis=0)) * 20
    high, middle, low = (cut(picture, face_at(spread + (25, y)), View("whole", 50)) for y in (10, 100, 190))
    assert (high == 200).all()
    assert (low == 10).all()
    assert (middle[:22] == 200).all()
    assert (middle[28:] == 10).all()


@pytest.mark.parametrize("name", ALIGNED)
def test_beyond_the_picture_is_grey(name):
    white = Image.new("RGB", (400, 400), (255, 255, 255))
    left, top, side = BOXES[name]
    frame = FRAME_LANDMARKS - (left, top + side / 2)  # the corner of the picture in the middle of the view's left edge
    view = cut(white, face_at(frame * 400), View(name, 50))
    assert (view[:23] == BEYOND).all()
    assert (view[27:] == 255).all()


@pytest.mark.parametrize("name", ALIGNED)
def test_a_face_far_outside_of_the_picture_gives_a_grey_view(name):
    white = Image.new("RGB", (40, 40), (255, 255, 255))
    assert (cut(white, face_at(FRAME_LANDMARKS * 100 + 500), View(name, 30)) == BEYOND).all()


@pytest.mark.parametrize("name", [*ALIGNED, "whole"])
def test_a_mirrored_picture_gives_mirrored_views(portraits, name):
    view = View(name, 120)
    for picture, face in portraits:
        mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        landmarks = (face.landmarks * (-1, 1) + (picture.width, 0))[MIRRORED]
        found = cut(mirrored, replace(face, landmarks=landmarks), view)[:, ::-1]
        expected = cut(picture, face, view)
        assert difference(found, expected) < 4
        assert difference(found, expected) < 0.5 * difference(found[:, ::-1], expected)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_size_of_the_picture_hardly_matters(portraits, factor):
    """A large picture is reduced without aliasing: its views are those of the same picture made small before."""
    picture, face = portraits[0]
    large = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BICUBIC)
    for name in ALIGNED:
        view = View(name, 60)
        found = cut(large, replace(face, landmarks=face.landmarks * factor), view)
        assert difference(found, cut(picture, face, view)) < 2


def test_fine_stripes_become_grey_and_not_coarse_stripes():
    stripes = np.zeros((1500, 1500, 3), np.uint8)
    stripes[:, ::2] = 255
    view = cut(Image.fromarray(stripes), face_at(FRAME_LANDMARKS * 1500), View("face", 70))
    assert view.std() < 12
    assert view.mean() == pytest.approx(127.5, abs=3)


@pytest.mark.parametrize("scale", [1.4, 1.9, 2.1, 2.9, 3.5, 4.2, 7.7])
def test_a_pixel_of_a_view_is_the_mean_of_those_that_it_covers(scale):
    """White noise keeps its mean; its deviation falls by how many pixels across one of the view covers."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(np.clip(rng.normal(128, 30, (900, 900, 3)), 0, 255).astype(np.uint8))
    angle = np.radians(8)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (FRAME_LANDMARKS - 0.5) @ turn.T * 880 + 450
    view = cut(noise, face_at(landmarks), View("mouth", round(0.42 * 880 / scale))).astype(float)
    assert view.mean() == pytest.approx(128, abs=1)
    assert view.std() == pytest.approx(30 / scale, rel=0.25)


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 2)])
def test_pictures_of_a_few_pixels(size):
    picture = Image.new("RGB", size, (9, 9, 9))
    for name in [*ALIGNED, "whole"]:
        assert cut(picture, face_at(FRAME_LANDMARKS * min(size)), View(name, 20)).shape == (20, 20, 3)


def test_a_model_that_learned_from_bilinear_pictures_gets_them(portraits):
    picture, face = portraits[0]
    bicubic, bilinear = (cut(picture, face, View("whole", 77, way)) for way in ("bicubic", "bilinear"))
    assert np.array_equal(bicubic, cut(picture, face, View("whole", 77)))
    assert 0 < difference(bicubic, bilinear) < 5
    assert np.array_equal(cut(picture, face, View("face", 77)), cut(picture, face, View("face", 77, "bilinear")))
