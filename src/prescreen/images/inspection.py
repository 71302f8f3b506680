"""Decode a picture, find its face, cut its views and measure its quality."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from prescreen.images import face_measures
from prescreen.images.decoding import decode
from prescreen.images.face_measures import Appearance
from prescreen.images.faces import find_face
from prescreen.images.views import Pixels, View, cut

LEAST_SIDE: Final = 1024
"""Large JPEGs are decoded at 1/2, 1/4 or 1/8 of their size, their shorter side no shorter than this (pixels).

Faces are searched in copies of 1280 pixels at most, and the most detailed view takes half of an aligned face for 260
pixels: nothing is enlarged where the face fills half of the picture."""

_BESIDE: Final = 0.08
"""Weight of each neighbour when the face is smoothed for its sharpness, so that it does not depend on single pixels."""


@dataclass(frozen=True)
class Quality(Appearance):
    """What is known of a picture besides its vector, including the measures of `Appearance`.

    Parameters
    ----------
    width, height : int
        Upright size of the file in pixels.
    frames : int
        Frames of an animation; the first is used.
    faces : int
        Faces found.
    face_detector : str
        ``hog`` or ``cnn``, or ``fallback`` where no face was found and an average position was assumed.
    face_share : float
        Distance of the eyes as a share of the shorter side of the picture, 0 to 1.
    face_roll : float
        Turn of the face in the plane of the picture, in degrees.
    sharpness : float
        Standard deviation of the second differences of the brightness of the face at 150 pixels, smoothed a little.
        Around 10; lower is more blurred.
    truncated : bool
        Whether the file ends early and was accepted.
    """

    width: int
    height: int
    frames: int
    faces: int
    face_detector: str
    face_share: float
    face_roll: float
    sharpness: float
    truncated: bool = False


def inspect_image(data: bytes, views: Sequence[View], tolerant: bool = False) -> tuple[Mapping[View, Pixels], Quality]:
    """Cut the views of an image file and measure its quality. Safe in threads.

    Parameters
    ----------
    data : bytes
        The file.
    views : sequence of View
        What to cut; one of them is a ``chip``, on which the sharpness is measured.
    tolerant : bool
        Accept a truncated picture as far as it goes.

    Raises
    ------
    PictureError
        The picture cannot be decoded.
    WeightsNotFound, EncoderError
        dlib's model files are missing or not the expected ones.
    """
    picture = decode(data, tolerant=tolerant, min_side=LEAST_SIDE)
    face = find_face(picture.pixels)
    cuts = {view: cut(picture.pixels, face, view) for view in views}
    quality = Quality(
        width=picture.width,
        height=picture.height,
        frames=picture.frames,
        faces=face.count,
        face_detector=face.detector,
        face_share=round(face.eye_distance / min(picture.pixels.size), 4),
        face_roll=round(face.roll, 2),
        sharpness=round(_sharpness(next(pixels for view, pixels in cuts.items() if view.name == "chip")), 3),
        truncated=picture.truncated,
        **asdict(face_measures.measure(picture.pixels, face)),
    )
    return cuts, quality


def _sharpness(pixels: Pixels) -> float:
    grey = pixels @ np.full(3, 1 / 3, np.float32)
    for _ in range(2):  # down, then across
        grey = (_BESIDE * (grey[:-2] + grey[2:]) + (1 - 2 * _BESIDE) * grey[1:-1]).T
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(laplacian.std())
