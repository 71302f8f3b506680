"""Pictures in memory, Pillow's or arrays, as files that are scored like any other."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from prescreen.errors import UsageError

Picture = Image.Image | NDArray[np.uint8]
"""A picture in memory: of Pillow, or its pixels, uint8 of shape (height, width), with 3 or with 4 channels behind."""

_CHANNELS: Final = (3, 4)
_KEPT: Final = frozenset(("1", "L", "LA", "P", "RGB", "RGBA", "I;16"))  # modes that PNG has


def is_picture(given: object) -> bool:
    """Tell a picture in memory from a path."""
    return isinstance(given, Image.Image | np.ndarray)


def listed(given: object) -> list[Any]:
    """Return what was given as a list: one path or picture, several of them, or pictures stacked in one array."""
    if isinstance(given, np.ndarray) and given.ndim == 4:
        return list(given)
    if is_picture(given) or not isinstance(given, Iterable) or isinstance(given, str):
        return [given]
    return list(given)


def check_pictures(pictures: Sequence[object]) -> str:
    """Refuse what is no picture, as `save_pictures` would; returns the SHA-256 of all pixels."""
    digest = hashlib.sha256()
    for place, picture in enumerate(pictures):
        upright = _as_image(picture, place)
        digest.update(f"{upright.mode} {upright.size} ".encode() + upright.tobytes())
    return digest.hexdigest()


def save_pictures(pictures: Sequence[object], folder: Path) -> list[Path]:
    """Write pictures without loss into a new folder, numbered in their order: ``001.png``.

    Parameters
    ----------
    pictures : sequence of Picture
        Turned upright as their EXIF says; their colour profile stays, other metadata do not.
    folder : Path
        Is made.

    Raises
    ------
    UsageError
        If one is no picture.
    """
    upright = [_as_image(picture, place) for place, picture in enumerate(pictures)]
    folder.mkdir(parents=True)
    digits = max(3, len(str(len(upright))))
    paths = [folder / f"{place + 1:0{digits}}.png" for place in range(len(upright))]
    for path, image in zip(paths, upright, strict=True):
        image.save(path, "PNG", compress_level=1, icc_profile=image.info.get("icc_profile"))
    return paths


def _as_image(picture: object, place: int) -> Image.Image:
    if isinstance(picture, Image.Image | np.ndarray) and 0 in getattr(picture, "shape", getattr(picture, "size", ())):
        raise UsageError(f"picture {place}: it has no pixels; leave it out")
    if isinstance(picture, Image.Image):
        turned = ImageOps.exif_transpose(picture)
        if turned.mode in _KEPT:
            return turned
        converted = turned.convert("RGB")
        converted.info.pop("icc_profile", None)  # of other channels
        return converted
    if not isinstance(picture, np.ndarray):
        raise UsageError(
            f"picture {place}: {type(picture).__name__}; give paths alone, or pictures of Pillow or arrays alone"
        )
    if picture.dtype != np.uint8 or not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in _CHANNELS)):
        raise UsageError(
            f"picture {place}: an array of {picture.dtype} with shape {picture.shape}; expected uint8 from 0 to 255, "
            "shape (height, width), (height, width, 3) or (height, width, 4)"
        )
    return Image.fromarray(picture)
