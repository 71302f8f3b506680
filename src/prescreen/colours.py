"""From the pixels that a decoder delivers, whatever their mode, to 8-bit sRGB without transparency.

In this order: 16-bit grey is scaled to 8 bits, not clipped; palettes are expanded; colours go through the ICC profile
to sRGB (relative colorimetric, with black point compensation), where a broken profile, or one of another colour space
than the pixels', is ignored; CMYK without a profile is converted plainly; transparency is laid onto white.
"""

import functools
import io

import numpy as np
from PIL import Image, ImageCms

_COLOUR_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a decoded picture to mode RGB.

    Parameters
    ----------
    image : PIL.Image.Image
        Loaded, of any mode that the decoders of JPEG, PNG, WebP, GIF, AVIF and HEIC deliver.
    profile : bytes or None
        ICC profile of the file, unchecked.
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
    image = _through_profile(image, profile)
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
    """Build the transform to sRGB; None where it would change nothing, cannot be built or is for other pixels."""
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
