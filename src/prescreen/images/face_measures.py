"""Measures of a face from landmarks and colours: its place, its nose, its irises.

Generated portraits have a nose off the middle of the face, eyes that look at different points, or eyes of another
colour than the person's. No network is needed to see that. The measures are for comparison with the same measures of
good pictures; a single value means little.

- **Nose**: distance of its base from the line between the eyes' middle and the chin. Turning the head also moves it,
  but makes one eye look narrower than the other; that part is subtracted.
- **Irises**: a dark disc with something lighter on either side, searched between the corners of each eye (after
  Daugman's integro-differential operator, with discs in place of circles). None is found in narrow or closed eyes and
  behind glasses.
- **Colour of the irises**: the median of a ring in CIELAB minus half the tint of the white of the eye, because the
  light tints both.

References
----------
J. Daugman (1993), High confidence visual recognition of persons by a test of statistical independence, IEEE TPAMI
15(11).
"""

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prescreen.images.faces import Face
from prescreen.images.views import similarity, warp

VERSION: Final = 2
"""Raised whenever the same picture gets other measures; cached measures of another version are taken again."""

_SIDE: Final = 128
_CORNERS: Final = np.array([[32.0, 64.0], [96.0, 64.0]])
_WIDTH: Final = 64.0
"""An eye is cut so that its corners lie here, in pixels; distances are shares of the width between them."""

_RADII: Final = (11.0, 12.5, 14.0, 15.5)
_REACH: Final = 24
_ROWS: Final = slice(48, 82)
_COLUMNS: Final = slice(38, 91)
"""Where the middle of an iris is searched; a result at the edge of this window counts as none."""
_FFT: Final = (84, 105)
"""The window with what the kernels reach, 82 × 101, and a little more, for sizes without large prime factors."""
_STANDS_OUT: Final = 28.0
"""Grey levels by which the sides have to be lighter than the iris."""
_SIDEWAYS, _UPWARD = 0.32, 0.17

_YAW: Final = 0.995
"""Shift of the nose, in eye distances, for each unit of the logarithm of the ratio of the eyes' widths: the slope of a
regression over 803 portraits of One Million Impressions."""
_TINT: Final = 0.5
"""Share of the tint of the white of the eye that is subtracted from the iris's colour: with it the irises of one person
in different light differ least, compared with those of different persons."""

Points = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Measures of one face; None where they cannot be taken.

    Parameters
    ----------
    face_margin : float or None
        Least distance from the face box (eyebrows to chin) to an edge of the picture, as a share of the box; negative
        where the box reaches beyond the edge.
    nose_offset : float or None
        Shift of the nose to the right of the picture that no turn of the head explains, in eye distances.
    eye_crossing : float or None
        By how much the irises stand closer to the nose than both looking the same way, in eye widths, added up.
    eye_skew : float or None
        By how much the iris on the left of the picture stands lower in its eye than the other, in eye widths.
    iris_lightness, iris_a, iris_b : float or None
        Mean colour of both irises in CIELAB: L from 0 to 100; a from green to red and b from blue to yellow, each about
        -20 to 30, without the light's tint.
    iris_gap : float or None
        Distance of the colours of both irises in a and b.
    """

    face_margin: float | None = None
    nose_offset: float | None = None
    eye_crossing: float | None = None
    eye_skew: float | None = None
    iris_lightness: float | None = None
    iris_a: float | None = None
    iris_b: float | None = None
    iris_gap: float | None = None


@dataclass(frozen=True)
class Iris:
    """Place of an iris (x, y) from the middle of the eye in eye widths, and its colour in CIELAB without tint."""

    middle: Points
    colour: Points


def measure(picture: Image.Image, face: Face) -> Appearance:
    """Measure a face.

    Parameters
    ----------
    picture : PIL.Image.Image
        Mode RGB, upright.
    face : Face
        Found in it by `prescreen.images.faces.find_face`; of an assumed face nothing is measured.
    """
    if face.detector == "fallback":
        return Appearance()
    left, right = (_iris(picture, corners) for corners in (face.landmarks[[2, 3]], face.landmarks[[1, 0]]))
    margin, offset = round(face_margin(picture.size, face), 4), round(nose_offset(face), 4)
    if left is None or right is None:
        return Appearance(face_margin=margin, nose_offset=offset)
    apart = left.middle - right.middle
    colour = (left.colour + right.colour) / 2
    return Appearance(
        face_margin=margin,
        nose_offset=offset,
        eye_crossing=round(float(apart[0]), 4),
        eye_skew=round(float(apart[1]), 4),
        iris_lightness=round(float(colour[0]), 2),
        iris_a=round(float(colour[1]), 2),
        iris_b=round(float(colour[2]), 2),
        iris_gap=round(float(np.linalg.norm(left.colour[1:] - right.colour[1:])), 2),
    )


def face_margin(size: tuple[int, int], face: Face) -> float:
    """Return the least distance of the face box to an edge of a picture of this size, as a share of the box's width."""
    left, top, right, bottom = face.box
    return min(left, top, size[0] - right, size[1] - bottom) / (right - left)


def nose_offset(face: Face) -> float:
    """Return the nose's shift from the eyes' middle, along the line through them, minus that of a turned head."""
    across = (face.right_eye - face.left_eye) / face.eye_distance
    shift = (face.nose - (face.left_eye + face.right_eye) / 2) @ across / face.eye_distance
    widths = np.linalg.norm(face.landmarks[[3, 1]] - face.landmarks[[2, 0]], axis=1)
    return float(shift - _YAW * np.log(widths[0] / widths[1]))


def _iris(picture: Image.Image, corners: Points) -> Iris | None:
    """Find the iris between the left and the right corner of an eye, shape (2, 2)."""
    if np.linalg.norm(corners[1] - corners[0]) < 8:
        return None  # an iris of fewer than four pixels has no place and no colour
    return find_iris(warp(picture, similarity(_CORNERS, corners), _SIDE))


def find_iris(eye: NDArray[np.uint8]) -> Iris | None:
    """Find the iris in a cut-out eye.

    Parameters
    ----------
    eye : ndarray of uint8, shape (128, 128, 3)
        Corners of the eye at (32, 64) and (96, 64).

    Returns
    -------
    Iris or None
        None where nothing stands out.
    """
    red = eye[..., 0].astype(np.float64)  # even blue irises are dark in red
    red = np.minimum(red, np.quantile(red, 0.95))
    answers = _answers(red)
    size, row, column = np.unravel_index(int(answers.argmax()), answers.shape)
    most = answers[size, row, column]
    if most < _STANDS_OUT:
        return None
    y, x = np.mgrid[_ROWS, _COLUMNS].astype(np.float64)
    weights = np.clip(answers[size] - 0.9 * most, 0, None) * (np.hypot(y - y[row, column], x - x[row, column]) < 6)
    middle = np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()
    place = (middle - _SIDE / 2) / _WIDTH
    if abs(place[0]) > _SIDEWAYS or abs(place[1]) > _UPWARD:
        return None
    return Iris(place, _colour(eye, middle, _RADII[size]))


def _answers(red: Points) -> Points:
    """Convolve an eye (128, 128) with the kernels; return what they answer in the window (radii, rows, columns).

    What SciPy has for this takes longer to load than a picture takes to be scored.
    """
    near = red[_ROWS.start - _REACH : _ROWS.stop + _REACH, _COLUMNS.start - _REACH : _COLUMNS.stop + _REACH]
    full = np.fft.irfft2(np.fft.rfft2(near, _FFT) * _spectra(), _FFT)
    return np.asarray(full[:, 2 * _REACH : near.shape[0], 2 * _REACH : near.shape[1]])


def _colour(eye: NDArray[np.uint8], middle: Points, radius: float) -> Points:
    """Return the iris's colour, shape (3,), without the pupil, glints, the lid's shadow and the light's tint."""
    left, top = np.floor(middle - 2 * radius).astype(int)
    right, bottom = np.ceil(middle + 2 * radius).astype(int)
    eye = eye[top:bottom, left:right]
    y, x = np.mgrid[top:bottom, left:right]
    distance = np.hypot(x - middle[0], y - middle[1]) / radius
    ring = eye[(distance > 0.45) & (distance < 0.9) & (y > middle[1] - 0.35 * radius)].astype(np.float64)
    brightness = ring.mean(axis=1)
    low, high = np.quantile(brightness, (0.1, 0.85))
    iris = np.median(ring[(brightness >= low) & (brightness <= high)], axis=0)
    sides = eye[(distance > 1.2) & (distance < 1.9) & (abs(y - middle[1]) < 0.4 * radius)].astype(np.float64)
    brightness = sides.mean(axis=1)
    white = np.median(sides[brightness >= np.quantile(brightness, 0.6)], axis=0)
    found, tint = _lab(iris), _lab(white)
    return found - _TINT * np.array([0.0, tint[1], tint[2]])


@functools.cache
def _spectra() -> NDArray[np.complex128]:
    """Return for each radius the spectrum of a kernel that responds to a dark disc between lighter sides."""
    y, x = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1]
    distance = np.hypot(x, y)
    kernels = []
    for radius in _RADII:
        disc = (distance <= radius).astype(np.float64)
        beside = (distance > 1.15 * radius) & (distance <= 1.7 * radius) & (abs(y) <= 0.6 * abs(x))
        kernels.append(beside / beside.sum() - disc / disc.sum())
    return np.fft.rfft2(np.stack(kernels), _FFT)


def _lab(colour: Points) -> Points:
    """Turn an sRGB colour from 0 to 255, shape (3,), into CIELAB under D65."""
    share = colour / 255
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = matrix @ linear / (0.95047, 1.0, 1.08883)
    f = [float(np.cbrt(v)) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29 for v in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])
