"""From decoded pixels of any mode to 8-bit sRGB without transparency.

In this order: 16-bit grey is scaled to 8 bits, not clipped; palettes are expanded; colours are converted to sRGB with
the ICC profile (relative colorimetric, with black point compensation) or with the curve and primaries of the file; a
broken profile, or one of another colour space than the pixels', is ignored; CMYK without a profile is converted
plainly; transparency is laid onto white.

In HDR pictures (PQ, HLG) the luminance of white, 203 cd/m², becomes white; brighter light is rolled off, see
`roll_off`.

References
----------
Recommendation ITU-R BT.2100-2 (PQ, HLG); Report ITU-R BT.2408-7 (the luminance of white); Report ITU-R BT.2390-10,
section 5.4 (the roll-off).
"""

import functools
import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from prescreen.images.color_coding import BT709, Chromaticities, Coding

WHITE: Final = 203.0
"""Luminance of white in pictures with light above it, in cd/m²."""

_COLOUR_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_PQ_M1, _PQ_M2, _PQ_C1, _PQ_C2, _PQ_C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of the primaries of BT.2020
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_BAND: Final = 64  # rows at once, for the sake of memory
_HIGHLIGHTS: Final = 99.9
"""Percentile that counts as the brightest light of a picture."""

Light = NDArray[np.float32]


def to_srgb(image: Image.Image, profile: bytes | None, coding: Coding | None = None) -> Image.Image:
    """Convert a decoded picture to mode RGB.

    Parameters
    ----------
    image : PIL.Image.Image
        Loaded, of any mode that the decoders of JPEG, PNG, WebP, GIF, AVIF and HEIC deliver.
    profile : bytes or None
        ICC profile of the file, unchecked.
    coding : Coding, optional
        Curve and primaries that the file names; they replace the profile.
    """
    if image.mode.startswith("I"):
        image = _grey16_to_grey8(image)
    elif image.mode in {"P", "PA"} or "transparency" in image.info:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    alpha = image.getchannel("A") if image.mode in {"RGBA", "LA"} else None
    if alpha is not None:
        image = image.convert(image.mode.removesuffix("A"))
    image = _through_profile(image, profile) if coding is None else _through_coding(image.convert("RGB"), coding)
    if alpha is None:
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return white


def _grey16_to_grey8(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    grey = Image.fromarray(((np.clip(values, 0, 65535) + 128) // 257).astype(np.uint8))
    if "transparency" in image.info:
        grey.putalpha(Image.fromarray(np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)))
    return grey


def _through_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    transform = _srgb_transform(profile, image.mode) if profile else None
    converted = transform.apply(image) if transform else image
    return converted if converted.mode == "RGB" else converted.convert("RGB")


@functools.lru_cache(maxsize=16)
def _srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Build the transform to sRGB; None if it changes nothing, cannot be built or is for another colour space."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _COLOUR_SPACES.get(mode):
            return None
        transform = ImageCms.ImageCmsTransform(
            source,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE,  # the cache is not for threads
        )
        levels = np.stack(np.meshgrid(*[np.arange(0, 256, 51, dtype=np.uint8)] * 3), axis=-1).reshape(6, 36, 3)
        if mode == "RGB":
            change = np.asarray(transform.apply(Image.fromarray(levels))).astype(int) - levels
            return transform if np.abs(change).max() > 2 else None
        return transform
    except Exception:  # a broken profile is as good as none
        return None


def roll_off(light: Light, peak: float) -> Light:
    """Make light of up to `peak` fit below white: BT.2390's curve, which leaves dark and middle tones as they are.

    Parameters
    ----------
    light : ndarray of float
        1 is white.
    peak : float
        The brightest light of the picture; up to 1, nothing changes.
    """
    if peak <= 1:
        return light
    top = pq_numbers(np.array(peak, np.float32))
    white = float(pq_numbers(np.array(1, np.float32)) / top)
    knee = 1.5 * white - 0.5
    numbers = np.minimum(pq_numbers(light) / top, 1)
    t = (numbers - knee) / (1 - knee)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    return pq_light(np.where(numbers < knee, numbers, curve) * top)


def pq_light(numbers: Light) -> Light:
    """Return the light that numbers from 0 to 1 stand for in PQ; 1 is white, of 203 cd/m²."""
    power = np.asarray(numbers, np.float32) ** (1 / _PQ_M2)
    light = np.maximum(power - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * power)
    return np.asarray(10_000 / WHITE * light ** (1 / _PQ_M1), np.float32)


def pq_numbers(light: Light) -> Light:
    """Return the numbers that stand for light in PQ."""
    power = (np.asarray(light, np.float32) * (WHITE / 10_000)) ** _PQ_M1
    return np.asarray(((_PQ_C1 + _PQ_C2 * power) / (1 + _PQ_C3 * power)) ** _PQ_M2, np.float32)


def _through_coding(image: Image.Image, coding: Coding) -> Image.Image:
    levels = np.asarray(image)
    table, matrix = _table(coding), _to_bt709(coding.primaries)
    step = 1 + max(levels.shape) // 1024
    peak = 1.0
    if coding.is_hdr:
        peak = float(np.percentile(_light(levels[::step, ::step], coding, table).max(axis=-1), _HIGHLIGHTS))
    converted = np.empty_like(levels)
    for start in range(0, len(levels), _BAND):
        light = _light(levels[start : start + _BAND], coding, table)
        if peak > 1:
            brightest = np.maximum(light.max(axis=-1, keepdims=True), np.float32(1e-6))
            light *= roll_off(brightest, peak) / brightest  # one factor for the three, which keeps the hue
        light = np.clip(light @ matrix.T, 0, 1)
        converted[start : start + _BAND] = _srgb_levels()[(light * 65535 + 0.5).astype(np.uint16)]
    return Image.fromarray(converted)


def _light(levels: NDArray[np.uint8], coding: Coding, table: Light) -> Light:
    """Return the light of pixels, 1 for white; HLG codes that of the scene, which a screen shows with more contrast."""
    light = table[levels]
    if coding.transfer == "HLG":
        light = light * (light @ _LUMINANCE)[..., None] ** np.float32(_HLG_GAMMA - 1) * np.float32(_HLG_PEAK / WHITE)
    return light


def _table(coding: Coding) -> Light:
    """Return the light of the 256 levels of a channel."""
    numbers = np.arange(256) / 255
    if coding.transfer == "PQ":
        return pq_light(numbers.astype(np.float32))
    if coding.transfer == "HLG":
        light = np.where(numbers <= 0.5, numbers**2 / 3, (np.exp((numbers - _HLG_C) / _HLG_A) + _HLG_B) / 12)
    elif coding.transfer == "gamma":
        light = numbers**coding.gamma
    else:
        light = np.where(numbers <= 0.04045, numbers / 12.92, ((numbers + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@functools.cache
def _srgb_levels() -> NDArray[np.uint8]:
    """Return the levels of sRGB for light in 65536 steps from black to white."""
    light = np.arange(65536) / 65535
    numbers = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (numbers * 255).round().astype(np.uint8)


def _to_bt709(primaries: Chromaticities) -> Light:
    """Return the matrix from light of these primaries to that of sRGB, white becoming white; shape (3, 3)."""
    if primaries == BT709:
        return np.eye(3, dtype=np.float32)
    return (np.linalg.inv(_to_adapted_xyz(BT709)) @ _to_adapted_xyz(primaries)).astype(np.float32)


def _to_adapted_xyz(primaries: Chromaticities) -> NDArray[np.float64]:
    points = np.array(primaries).reshape(4, 2)
    xyz = np.stack([points[:, 0], points[:, 1], 1 - points.sum(axis=1)]) / points[:, 1]
    white = xyz[:, 3]
    to_xyz = xyz[:, :3] * np.linalg.solve(xyz[:, :3], white)
    adapted: NDArray[np.float64] = np.diag(1 / (_BRADFORD @ white)) @ _BRADFORD @ to_xyz  # cones, relative to white
    return adapted
