"""From the bytes of an image file to upright sRGB pixels.

A picture that cannot be used raises `PictureError`, whose text is the reason in its row. Nothing here changes a global
setting of Pillow or of Python's warnings, so that pictures can be decoded in many threads. Only
`prescreen.embeddings.workers` decodes strangers' pictures: a decoder may crash, hang or take all memory.
"""

import importlib
import io
from dataclasses import dataclass

from PIL import AvifImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile as Opened

from prescreen.errors import PictureError, PictureFault
from prescreen.images.color import to_srgb
from prescreen.images.color_coding import coding_by_profile
from prescreen.images.containers import JPEG_END, Header, exif_orientation, read_header
from prescreen.text import first_line

VERSION = 3
"""Raised whenever the same bytes come out as other pixels; part of what identifies an embedding."""

MAX_PIXELS = 100_000_000
"""Pictures with more pixels than this are refused from the header (four bytes each while decoding)."""

JPEG_FACTOR = 4
"""A JPEG may have so many times `MAX_PIXELS`: its decoder makes it smaller while it decodes. A progressive one needs up
to six bytes a pixel all the same, 2.4 GB at that limit."""

_OPENERS: dict[str, type[Opened]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Parameters
    ----------
    pixels : PIL.Image.Image
        Mode RGB, sRGB, upright, without metadata.
    width, height : int
        Size of the file's picture when upright, in pixels; a smaller one may have been decoded.
    format : str
        ``JPEG``, ``PNG``, ``WEBP``, ``GIF``, ``AVIF`` or ``HEIF``.
    frames : int
        1, or the number of frames of an animation.
    truncated : bool
        Whether the file ends early and was decoded as far as it goes.
    """

    pixels: Image.Image
    width: int
    height: int
    format: str
    frames: int = 1
    truncated: bool = False


def decode(
    data: bytes, *, tolerant: bool = False, max_pixels: int = MAX_PIXELS, min_side: int | None = None
) -> Picture:
    """Decode a JPEG, PNG, WebP, GIF or AVIF (HEIC too where the package ``pi-heif`` is installed).

    Parameters
    ----------
    data : bytes
        The whole file.
    tolerant : bool
        Decode a JPEG, PNG or GIF that ends early as far as it goes; otherwise it is an error. The missing part is grey
        in a JPEG, else black or (with transparency) white. A JPEG that was cut and then closed again with an end marker
        looks like a whole one.
    max_pixels : int
        Larger pictures are refused from the header. A JPEG of up to `JPEG_FACTOR` times as many is decoded at half its
        size or less.
    min_side : int, optional
        A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side keeps this many pixels, which
        is much faster.

    Raises
    ------
    PictureError
        With the reason.
    """
    header = read_header(data)
    if header.size is not None:
        _check_size(header.size, header.format, max_pixels)
    tolerant = tolerant and header.format in {"JPEG", "PNG", "GIF"}
    if not header.complete and not tolerant:
        raise PictureError(f"{header.format} file is truncated", PictureFault.TRUNCATED)
    image = _open(header, header.stream)
    _check_size(image.size, header.format, max_pixels)
    width, height = image.size
    truncated = not header.complete
    try:
        _load(image, min_side, max_pixels)
    except PictureError:
        if not tolerant:
            raise
        image, truncated = _load_cut(header, min_side, max_pixels), True
    if header.format == "HEIF":
        width, height = image.size  # after decoding, because it is turned then
    orientation, profile = _metadata(header, image)
    coding = header.coding or coding_by_profile(profile)
    try:
        pixels = to_srgb(image, profile, coding)
    except Exception as error:  # a palette picture without a palette, for one
        raise _damage(header.format, error) from None
    if orientation in _TRANSPOSE:
        pixels = pixels.transpose(_TRANSPOSE[orientation])
    if isinstance(pixels, Opened):
        pixels = pixels.copy()  # a plain picture, without the decoder and its data
    pixels.info.clear()
    if orientation >= 5:
        width, height = height, width
    frames = max(1, getattr(image, "n_frames", 1)) if header.boxed else header.frames
    return Picture(pixels, width, height, header.format, frames, truncated)


def read_size(data: bytes) -> tuple[int, int]:
    """Return the width and height of a picture in pixels as stored, without decoding it; `PictureError` as `decode`."""
    header = read_header(data)
    size = header.size or _open(header, header.stream).size
    _check_size(size, header.format, MAX_PIXELS)
    return size


def draw_thumbnail(data: bytes, side: int, quality: int, *, tolerant: bool = True) -> bytes:
    """Return a small WebP without metadata.

    Parameters
    ----------
    data : bytes
        An image file.
    side : int
        Longer side of the thumbnail in pixels; a smaller picture keeps its size.
    quality : int, 0 to 100
        Of the WebP.
    tolerant : bool
        Whether a truncated picture is drawn as far as it goes.

    Raises
    ------
    PictureError
        The picture cannot be decoded.
    """
    pixels = decode(data, tolerant=tolerant, min_side=side).pixels
    pixels.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    pixels.save(stream, "WEBP", quality=quality, method=4)
    return stream.getvalue()


def _check_size(size: tuple[int, int], format_: str, max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise PictureError(f"picture of {width} x {height} pixels", PictureFault.DAMAGED)
    most = max_pixels * JPEG_FACTOR if format_ == "JPEG" else max_pixels
    if width * height > most:
        remedy = "make it smaller" if format_ == "JPEG" else f"make it smaller, or a JPEG (up to {JPEG_FACTOR * most})"
        raise PictureError(
            f"picture of {width} x {height} pixels is too large: at most {most} pixels are decoded; {remedy}",
            PictureFault.TOO_LARGE,
        )


def _opener(format_: str) -> type[Opened]:
    if format_ in _OPENERS:
        return _OPENERS[format_]
    try:
        opener: type[Opened] = importlib.import_module("pi_heif").HeifImageFile
    except ImportError:
        raise PictureError(
            "HEIC needs a decoder: pip install 'portrait-prescreen[heic]', or convert the picture to JPEG",
            PictureFault.HEIC,
        ) from None
    return opener


def _metadata(header: Header, image: Opened) -> tuple[int, bytes | None]:
    """Return the EXIF orientation and the ICC profile of a decoded picture."""
    if not header.boxed:
        return header.orientation, header.profile
    # libheif returns upright pixels and ignores EXIF; Pillow writes an AVIF's orientation into EXIF.
    exif = image.info.get("exif") if header.format == "AVIF" else None
    return exif_orientation(exif or b""), image.info.get("icc_profile")


def _open(header: Header, stream: bytes) -> Opened:
    """Open the stream with the decoder of its format; Pillow's guessing and its limits are not used."""
    opener = _opener(header.format)
    try:
        return opener(io.BytesIO(stream))
    except Exception as error:  # on damaged input Pillow raises nearly anything
        raise _damage(header.format, error) from None


def _load(image: Opened, min_side: int | None, max_pixels: int) -> None:
    shorter, pixels = min(image.size), image.width * image.height
    scale = max((s for s in (2, 4, 8) if min_side and shorter >= s * min_side), default=1)
    if pixels > max_pixels * scale**2:
        scale = 2
    try:
        if scale > 1:
            image.draft(None, (image.width // scale, image.height // scale))  # only JPEG can
        image.load()
    except Exception as error:
        raise _damage(image.format, error) from None


def _load_cut(header: Header, min_side: int | None, max_pixels: int) -> Opened:
    """Decode a truncated picture without Pillow's process-wide LOAD_TRUNCATED_IMAGES."""
    if header.format == "JPEG":
        image = _open(header, header.stream + JPEG_END)  # libjpeg fills up when it meets the end marker
        _load(image, min_side, max_pixels)
        return image
    image = _open(header, header.stream)
    if not image.tile:
        raise PictureError(f"{header.format} file is truncated before its first pixel", PictureFault.TRUNCATED)
    try:
        image.load()
    except Exception:
        image.tile = []  # the decoder has written the rows that it got
    return image


def _damage(format_: str | None, error: Exception) -> PictureError:
    if isinstance(error, MemoryError):
        return PictureError("picture needs more memory than there is", PictureFault.GIVEN_UP)
    text = first_line(error)
    if "truncated" in text.lower():
        return PictureError(f"{format_} file is truncated", PictureFault.TRUNCATED)
    return PictureError(f"{format_} file is damaged: {text}", PictureFault.DAMAGED)
