"""One picture looked at: decoded, its face found, its views cut, its quality noted."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from prescreen.images import face_measures
from prescreen.images.decoding import decode
from prescreen.images.face_measures import Appearance
from prescreen.images.faces import FaceFinder
from prescreen.images.views import Pixels, View, cut

SHARPNESS_VIEW: Final = "chip"
LEAST_SIDE: Final = 1024
"""Large JPEGs are decoded at 1/2, 1/4 or 1/8 of their size, their shorter side no shorter than this (pixels).

Faces are searched in copies of 1280 pixels at most, and the most detailed view takes half of an aligned face for 260
pixels: nothing is enlarged where the face fills half of the picture."""


@dataclass(frozen=True)
class Quality(Appearance):
    """What is known of a picture beside its vector, the measures of `Appearance` included.

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
        Standard deviation of the second differences of the brightness of the face at 150 pixels. Around 10; lower is
        more blurred.
    truncated : bool
        Whether the file ends early and was accepted all the same.
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


class ImagePreprocessor:
    """Looks at pictures for one encoder. Safe in threads.

    Parameters
    ----------
    views : iterable of View
        What to cut; one of them is a ``chip``, on which the sharpness is measured.
    tolerant : bool
        Look at truncated pictures as far as they go.
    """

    def __init__(self, views: Iterable[View], tolerant: bool = False) -> None:
        self.views = tuple(views)
        self.tolerant = tolerant
        self._finder = FaceFinder()

    def __call__(self, data: bytes) -> tuple[Mapping[View, Pixels], Quality]:
        """Cut the views of an image file and note its quality.

        Raises
        ------
        PictureError
            The picture cannot be decoded.
        WeightsNotFound, EncoderError
            dlib's model files are missing or not the expected ones.
        """
        picture = decode(data, tolerant=self.tolerant, min_side=LEAST_SIDE)
        face = self._finder.find(picture.pixels)
        views = {view: cut(picture.pixels, face, view) for view in self.views}
        quality = Quality(
            width=picture.width,
            height=picture.height,
            frames=picture.frames,
            faces=face.count,
            face_detector=face.detector,
            face_share=round(face.eye_distance / min(picture.pixels.size), 4),
            face_roll=round(face.roll, 2),
            sharpness=round(_sharpness(next(p for v, p in views.items() if v.name == SHARPNESS_VIEW)), 3),
            truncated="truncated" in picture.flags,
            **asdict(face_measures.measure(picture.pixels, face)),
        )
        return views, quality


def _sharpness(pixels: Pixels) -> float:
    grey = pixels.astype(np.float32).mean(axis=2)
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(laplacian.std())
