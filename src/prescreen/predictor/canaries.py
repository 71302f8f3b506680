"""Canaries: drawn pictures that every predictor keeps, with its predictions for them at training.

An update of a library that decodes, resizes or multiplies a little differently changes every score without an error.
The pictures are drawn here, so that a predictor holds no portrait of a person for this. It keeps their files, because
another version of Pillow may write other ones.
"""

import functools
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_BYTES: Final = 1 << 20
"""All canaries of a predictor together; those drawn here have about 50 kB."""

_SIZES: Final = ((320, 400), (240, 300), (280, 280))
_FORMATS: Final[Sequence[tuple[str, dict[str, Any]]]] = (("JPEG", {"quality": 90}), ("PNG", {}), ("WEBP", {}))

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Canaries:
    """Pictures with a predictor's predictions for them.

    Parameters
    ----------
    pictures : tuple of bytes
        n image files.
    raw : ndarray of float, shape (n, t)
        Raw predictions at training, before any human scores.
    """

    pictures: tuple[bytes, ...]
    raw: Array

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays to be saved."""
        files = {f"pictures/{i}": np.frombuffer(data, np.uint8) for i, data in enumerate(self.pictures)}
        return {"raw": self.raw} | files

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], traits: int) -> Self:
        """Read what `to_arrays` returned, for a predictor of so many traits.

        Raises
        ------
        LookupError, ValueError
            If it is something else.
        """
        raw = arrays["raw"]
        pictures = [arrays[f"pictures/{i}"] for i in range(len(arrays) - 1)]
        size = sum(picture.nbytes for picture in pictures)
        if raw.dtype != np.float64 or raw.shape != (len(pictures), traits) or not raw.size or size > MOST_BYTES:
            raise ValueError(f"canaries: {len(pictures)} pictures of {size} bytes, predictions of shape {raw.shape}")
        if any(picture.dtype != np.uint8 or picture.ndim != 1 for picture in pictures) or not np.isfinite(raw).all():
            raise ValueError("canaries: not pictures and numbers")
        return cls(tuple(picture.tobytes() for picture in pictures), raw)


@functools.cache
def draw_canaries() -> tuple[bytes, ...]:
    """Draw three faces that face detectors find, in three file formats, and a picture without a face.

    Examples
    --------
    >>> len(draw_canaries())
    4
    >>> draw_canaries()[1][1:4]
    b'PNG'
    """
    faces = [_draw_face(seed, *size) for seed, size in enumerate(_SIZES)]
    files = [_encoded(face, *form) for face, form in zip(faces, _FORMATS, strict=True)]
    return (*files, _encoded(_draw_stripes(), *_FORMATS[0]))


def _encoded(pixels: Array, format_: str, options: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).round().astype(np.uint8)).save(stream, format_, **options)
    return stream.getvalue()


def _draw_stripes() -> Array:
    """Draw wavy stripes, 160 × 200."""
    y, x = np.mgrid[0:200, 0:160] / 20.0
    waves = [np.sin(x * step + np.sin(y) + shift) for step, shift in ((1.0, 0.0), (1.3, 1.0), (0.7, 2.0))]
    return np.asarray(128 + 90 * np.stack(waves, axis=2))


def _draw_face(seed: int, width: int, height: int) -> Array:
    """Paint soft ellipses over each other: hair, clothes, neck, face, eyes, brows, nose, mouth."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / height
    x = x - width / height / 2
    light = rng.uniform(0.85, 1.1)
    skin, hair = rng.uniform((190, 140, 110), (235, 190, 165)) * light, rng.uniform(20, 90, 3)
    pixels = rng.uniform(60, 200, 3) * (0.6 + 0.5 * y[..., None])
    for centre, radii, soft, opacity, colour in _strokes(skin, hair, rng):
        distance = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
        mask = opacity / (1 + np.exp(np.minimum((distance - 1) / soft, 50)))
        pixels += mask[..., None] * (np.asarray(colour) - pixels)
    grain = np.kron(rng.normal(0, 4, (height // 4 + 1, width // 4 + 1)), np.ones((4, 4)))[:height, :width]
    return np.asarray(pixels + grain[..., None])


_Stroke = tuple[tuple[float, float], tuple[float, float], float, float, Any]


def _strokes(skin: Array, hair: Array, rng: np.random.Generator) -> Iterator[_Stroke]:
    """Yield centre and radii (in heights of the picture), softness, opacity and colour of each ellipse."""
    iris = rng.uniform(40, 110, 3)
    yield (0, 0.43), (0.20, 0.27), 0.04, 1, hair
    yield (0, 1.05), (0.36, 0.30), 0.03, 1, rng.uniform(20, 120, 3)
    yield (0, 0.72), (0.075, 0.14), 0.05, 1, 0.85 * skin
    yield (0, 0.49), (0.155, 0.215), 0.03, 1, 0.7 * skin
    yield (0, 0.49), (0.125, 0.20), 0.15, 1, skin
    for x in (-0.065, 0.065):
        yield (x, 0.45), (0.045, 0.032), 0.25, 0.55, 0.55 * skin
        yield (x, 0.455), (0.03, 0.0125), 0.12, 1, (235, 230, 225)
        yield (x, 0.455), (0.0125, 0.0125), 0.12, 1, iris
        yield (x, 0.455), (0.006, 0.006), 0.15, 1, (15, 15, 15)
        yield (x, 0.443), (0.034, 0.005), 0.3, 0.9, (40, 30, 25)
        yield (x, 0.413), (0.042, 0.008), 0.3, 0.85, 0.9 * hair
        yield (0.23 * x, 0.56), (0.008, 0.005), 0.3, 0.7, (60, 35, 30)
    yield (0, 0.52), (0.018, 0.06), 0.3, 0.35, np.minimum(1.12 * skin, 255)
    yield (0, 0.562), (0.032, 0.010), 0.4, 0.55, 0.5 * skin
    yield (0, 0.613), (0.052, 0.014), 0.25, 0.85, (165, 80, 80)
    yield (0, 0.611), (0.050, 0.003), 0.4, 0.8, (90, 35, 35)
    yield (0, 0.642), (0.040, 0.008), 0.5, 0.4, 0.6 * skin
