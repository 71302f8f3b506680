"""Find the face in a picture: where it is, and where its eyes and nose are.

dlib's frontal detector (HOG) searches a small grey copy of the picture, then larger ones; then dlib's network (CNN)
searches one in colour; without a face average proportions are assumed. Five landmarks come from dlib's predictor at
about the picture's own resolution, averaged over shifted boxes and over the mirror image: when the picture is mirrored,
a single prediction moves by about 0.8 % of the eye distance, this mean by about 0.2 %.

All three models are in the public domain and come with pip. dlib holds Python's interpreter lock while it works, so
threads do not make this faster.

References
----------
D. King, "Max-Margin Object Detection" (2015), arXiv:1502.00046; models from http://dlib.net/files.
V. Kazemi and J. Sullivan, "One Millisecond Face Alignment with an Ensemble of Regression Trees" (2014).
"""

import functools
import math
import threading
from dataclasses import dataclass
from typing import Any, Final, Literal

import dlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prescreen.images.model_files import DLIB_DETECTOR, DLIB_LANDMARKS

VERSION: Final = 2
"""Raised whenever the same picture gets another face; part of what identifies an embedding."""

_HOG_SIDES: Final = (320, 640, 1280)
"""Longest side of the copies that HOG searches, in pixels; it finds faces of 80 pixels and more."""
_WEAK: Final = -0.15
"""Confidence from which HOG's best box in the smallest copy is a face where there is none above 0: confidences are
lower by so much in grey than in colour, which takes a third longer. In larger copies weak boxes are mostly no faces."""
_CNN_SIDE: Final = 320
_LEAST_SIDE: Final = 40
"""Copies with a shorter side below this, in pixels, are not searched: no face fits, and below 10 pixels dlib's network
writes beyond its memory (dlib 20.0)."""
_NATIVE: Final = (250, 800)
"""Widths of a face box, in pixels, at which landmarks are predicted without scaling; other faces are scaled to 400."""
_SHIFTS: Final = ((0.0, 0.0), (0.05, 0.0), (-0.05, 0.0), (0.0, 0.05), (0.0, -0.05))
_MARGIN: Final = 0.35
_MIRRORED: Final = (2, 3, 0, 1, 4)
"""Landmarks of a mirror image in the order of the picture's own."""

_AVERAGE_BOX: Final = np.array([0.21, 0.30, 0.79, 0.88])
_AVERAGE_LANDMARKS: Final = np.array([[0.672, 0.477], [0.574, 0.482], [0.328, 0.477], [0.426, 0.482], [0.500, 0.666]])
"""Means over aligned portraits of 1 x 1: the face fills most of the picture."""

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Face:
    """The face of a picture. Coordinates are pixels of that picture, x to the right, y downwards, from its edge.

    Parameters
    ----------
    box : (float, float, float, float)
        Left, top, right, bottom of the detector's square, roughly from the eyebrows to the chin; may reach beyond the
        picture.
    landmarks : ndarray of shape (5, 2)
        In dlib's order, left and right as seen in the picture: outer and inner corner of the right eye, outer and inner
        corner of the left eye, base of the nose.
    detector : str
        ``hog``, ``cnn``, or ``fallback`` when no face was found and average proportions were assumed.
    count : int
        Faces found at the size of copy that showed one; 0 with the fallback. Next to a face of usual portrait size only
        faces wider than a quarter of the picture are counted. The face described is a large one near the centre.
    """

    box: tuple[float, float, float, float]
    landmarks: Points
    detector: Literal["hog", "cnn", "fallback"]
    count: int

    @property
    def left_eye(self) -> Points:
        """Centre of the eye on the left side of the picture (the person's right eye), shape (2,)."""
        return np.asarray(self.landmarks[2:4].mean(axis=0))

    @property
    def right_eye(self) -> Points:
        """Centre of the eye on the right side of the picture, shape (2,)."""
        return np.asarray(self.landmarks[0:2].mean(axis=0))

    @property
    def nose(self) -> Points:
        """Base of the nose, shape (2,)."""
        return np.asarray(self.landmarks[4])

    @property
    def eye_distance(self) -> float:
        """Distance between the centres of the eyes, in pixels."""
        return float(np.linalg.norm(self.right_eye - self.left_eye))

    @property
    def roll(self) -> float:
        """Tilt of the line through the eyes in degrees; positive when it falls towards the right of the picture."""
        x, y = self.right_eye - self.left_eye
        return math.degrees(math.atan2(y, x))


@dataclass(frozen=True)
class _Models:
    hog: Any
    cnn: Any
    landmarks: Any


_LOCK = threading.Lock()


@functools.cache
def _models() -> _Models:
    predictor, network = (str(file.locate()) for file in (DLIB_LANDMARKS, DLIB_DETECTOR))
    return _Models(
        hog=dlib.get_frontal_face_detector(),
        cnn=dlib.cnn_face_detection_model_v1(network),
        landmarks=dlib.shape_predictor(predictor),
    )


def find_face(picture: Image.Image) -> Face:
    """Find the face that a portrait is about. Safe in threads; models load once a process, at first use.

    Parameters
    ----------
    picture : PIL.Image.Image
        Mode RGB, upright.

    Raises
    ------
    WeightsNotFound, EncoderError
        dlib's model files are missing or not the expected ones.
    """
    grey = picture.convert("L")
    with _LOCK:
        return _find(picture, grey, _models())


def _find(picture: Image.Image, grey: Image.Image, models: _Models) -> Face:
    longest = max(picture.size)
    for side in _HOG_SIDES:
        if side > _HOG_SIDES[0] and side > 2 * longest:
            break
        pixels, scale = _scaled(grey, side)
        if _searchable(pixels):
            least = _WEAK if side == _HOG_SIDES[0] else 0.0
            boxes, confidences, _ = models.hog.run(pixels, 0, least)  # the most confident first
            if boxes:
                sure = [box for box, confidence in zip(boxes, confidences, strict=True) if confidence > 0]
                return _choose("hog", sure or boxes[:1], scale, grey, models)
    pixels, scale = _scaled(picture, _CNN_SIDE)
    found = models.cnn(pixels, 0) if _searchable(pixels) else ()
    if found:
        return _choose("cnn", [each.rect for each in found], scale, grey, models)
    return _fallback(picture)


def _searchable(pixels: NDArray[np.uint8]) -> bool:
    return bool(min(pixels.shape[:2]) >= _LEAST_SIDE)


def _scaled(picture: Image.Image, side: int) -> tuple[NDArray[np.uint8], Points]:
    """Return a copy whose longest side is `side`, and picture pixels per pixel of it in x and y."""
    longest = max(picture.size)
    size = [max(1, round(length * side / longest)) for length in picture.size]
    small = picture.resize((size[0], size[1]), Image.Resampling.BILINEAR, reducing_gap=1.0)
    return np.asarray(small), np.array(picture.size) / size


def _choose(detector: Literal["hog", "cnn"], boxes: Any, scale: Points, grey: Image.Image, models: _Models) -> Face:
    """Choose the widest of several faces; one at the corner of the picture counts half its width."""
    corners = np.array([[b.left(), b.top(), b.right() + 1, b.bottom() + 1] for b in boxes]) * np.tile(scale, 2)
    middles = (corners[:, :2] + corners[:, 2:]) / 2
    half = np.array(grey.size) / 2
    off_centre = np.linalg.norm(middles - half, axis=1) / np.linalg.norm(half)
    best = int(np.argmax((corners[:, 2] - corners[:, 0]) * (1 - off_centre / 2)))
    left, top, right, bottom = (float(value) for value in corners[best])
    landmarks = _landmarks(grey, (left, top, right, bottom), models.landmarks)
    return Face((left, top, right, bottom), landmarks, detector, len(boxes))


def _landmarks(grey: Image.Image, box: tuple[float, float, float, float], predictor: Any) -> Points:
    """Average the predictions for shifted boxes and their mirror images; a single one is in whole pixels."""
    left, top, right, bottom = box
    margin = _MARGIN * (right - left)
    crop = (round(left - margin), round(top - margin), round(right + margin), round(bottom + margin))
    part = grey.crop(crop)
    zoom = 1.0 if _NATIVE[0] <= right - left <= _NATIVE[1] else 400 / (right - left)
    if zoom != 1.0:
        size = (max(1, round(part.width * zoom)), max(1, round(part.height * zoom)))
        part = part.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    scale = np.array(part.size) / (crop[2] - crop[0], crop[3] - crop[1])
    pixels = np.asarray(part)
    mirrored = np.ascontiguousarray(pixels[:, ::-1])
    middle = (np.array([left + right, top + bottom]) / 2 - crop[:2]) * scale
    half = np.array([right - left, bottom - top]) / 2 * scale
    found = []
    for shift in _SHIFTS:
        centre = middle + 2 * half * shift
        found.append(_predict(predictor, pixels, centre, half))
        centre[0] = part.width - centre[0]
        points = _predict(predictor, mirrored, centre, half)[_MIRRORED, :]
        points[:, 0] = part.width - points[:, 0]
        found.append(points)
    landmarks: Points = np.mean(found, axis=0) / scale + crop[:2]
    return landmarks


def _predict(predictor: Any, pixels: NDArray[np.uint8], centre: Points, half: Points) -> Points:
    left, top = (round(value) for value in centre - half)
    right, bottom = (round(value) for value in centre + half)
    parts = predictor(pixels, dlib.rectangle(left, top, right - 1, bottom - 1)).parts()
    return np.array([(part.x + 0.5, part.y + 0.5) for part in parts])


def _fallback(picture: Image.Image) -> Face:
    """Return average proportions in the largest square, centred across and a quarter down the remaining height."""
    width, height = picture.size
    side = min(width, height)
    corner = np.array([(width - side) / 2, (height - side) / 4])
    left, top, right, bottom = (float(value) for value in _AVERAGE_BOX * side + np.tile(corner, 2))
    return Face((left, top, right, bottom), _AVERAGE_LANDMARKS * side + corner, "fallback", 0)
