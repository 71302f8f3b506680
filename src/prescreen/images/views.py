"""Views: the square cut-outs of a picture that networks get.

``whole`` is the largest upright square that fits into the picture, placed so that the face is inside. All other views
are cut from the *aligned face*: the picture is turned, scaled and moved so that the eyes and the nose come to lie
where they lie on average in portraits, and a fixed box is cut from that frame. Frame coordinates run from 0 to 1 and
may be left: what lies beyond the picture is grey.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from prescreen.images.faces import Face

VERSION: Final = 2
"""Raised whenever the same picture and face give other views; part of what identifies an embedding."""

Pixels = NDArray[np.uint8]

FRAME_LANDMARKS: Final = np.array(
    [(0.6721, 0.4767), (0.5730, 0.4815), (0.3269, 0.4765), (0.4258, 0.4814), (0.4992, 0.6676)]
)
"""Where the five landmarks lie in the frame: their mean over aligned portraits of 1 × 1."""

BOXES: Final[Mapping[str, tuple[float, float, float]]] = {
    # left, top, side
    "face": (0.18, 0.22, 0.64),
    "eyes": (0.24, 0.21, 0.52),
    "mouth": (0.29, 0.47, 0.42),
    "chip": (0.15, 0.26, 0.70),
    "chip-tight": (0.20, 0.25, 0.60),
    "chip-wide": (0.12, 0.17, 0.76),
}
BEYOND: Final = (128, 128, 128)

_DENSE: Final = 3
"""Nearest pixels across and down for each pixel of a view, at least."""
_GAP: Final = 1.5
"""``whole`` is scaled from a copy at least so many times as large, reduced by a whole number: that is twice as fast."""

RESAMPLING: Final[Mapping[str, Image.Resampling]] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}
"""How ``whole`` is scaled; a model sees pictures as those that it learned from."""


@dataclass(frozen=True)
class View:
    """A named cut-out at a given size.

    Parameters
    ----------
    name : str
        ``whole`` or a name in `BOXES`.
    side : int
        Width and height in pixels.
    interpolation : str
        One of `RESAMPLING`, for ``whole``. Boxes are averages of the picture's pixels, whatever it is.
    """

    name: str
    side: int
    interpolation: str = "bicubic"


def cut(picture: Image.Image, face: Face, view: View) -> Pixels:
    """Cut one view out of an upright RGB picture.

    Returns
    -------
    ndarray of uint8, shape (side, side, 3)
    """
    if view.name == "whole":
        size, square, how = (view.side, view.side), _square(picture, face), RESAMPLING[view.interpolation]
        return np.asarray(picture.resize(size, how, square, reducing_gap=_GAP))
    left, top, side = BOXES[view.name]
    frame_to_picture = similarity(FRAME_LANDMARKS, face.landmarks)
    step = side / view.side
    scale, origin = frame_to_picture[:, :2] * step, frame_to_picture @ (left, top, 1.0)
    return warp(picture, np.column_stack([scale, origin]), view.side)


def _square(picture: Image.Image, face: Face) -> tuple[float, float, float, float]:
    """Return the largest square of the picture, the face as near to its middle as the edges allow."""
    side = min(picture.size)
    middle = face.landmarks.mean(axis=0)
    left, top = (float(np.clip(middle[i] - side / 2, 0, picture.size[i] - side)) for i in (0, 1))
    return left, top, left + side, top + side


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least-squares turn, scale and shift from source to target points.

    Returns
    -------
    ndarray of float, shape (2, 3)
        Acts on (x, y, 1).

    References
    ----------
    Umeyama (1991), IEEE TPAMI 13(4); in the plane a complex regression line.
    """
    a, b = source @ (1, 1j), target @ (1, 1j)
    centred = a - a.mean()
    turn = np.vdot(centred, b - b.mean()) / np.vdot(centred, centred)
    shift = b.mean() - turn * a.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def warp(picture: Image.Image, matrix: NDArray[np.float64], side: int) -> Pixels:
    """Sample a square whose pixel (x, y) lies at ``matrix @ (x, y, 1)``, without aliasing.

    Only the part of the picture that is needed is touched. It is reduced by a whole number, to no less than twice the
    square's resolution. Then the nearest pixels of that copy are taken, at least as densely as they lie, and averaged:
    Pillow takes them sixteen times as fast as it interpolates. It interpolates only where the picture is the coarser
    one.
    """
    corners = matrix @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]])
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    margin = 2 * scale
    low = np.clip(np.floor(corners.min(axis=1) - margin), 0, picture.size).astype(int)
    high = np.clip(np.ceil(corners.max(axis=1) + margin), 0, picture.size).astype(int)
    if (high <= low).any():
        return np.full((side, side, 3), BEYOND, np.uint8)
    factor = max(1, int(scale / 2))
    part = picture.crop((*low, *high))
    if factor > 1:
        part = part.reduce(factor)
    dense, sampling = 1, Image.Resampling.BILINEAR
    if scale > 1:
        dense, sampling = max(_DENSE, math.ceil(scale / factor)), Image.Resampling.NEAREST
    inner = matrix.copy()
    inner[:, 2] -= low
    inner /= factor
    inner[:, :2] /= dense
    size, places = (dense * side, dense * side), inner.ravel().tolist()
    sampled = part.transform(size, Image.Transform.AFFINE, places, sampling, fillcolor=BEYOND)
    return np.asarray(sampled.reduce(dense))
