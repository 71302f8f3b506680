"""Every kind of pixel becomes the sRGB colour that a viewer would show."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from prescreen.images.decoding import decode

GREYS = np.linspace(0, 65535, 48 * 32).round().astype(np.uint16).reshape(32, 48)


def pixels(data):
    return np.asarray(decode(data).pixels).astype(int)


def with_transparency(patches, mode):
    """Return the patches with their left half transparent."""
    alpha = np.full((32, 48), 255, np.uint8)
    alpha[:, :24] = 0
    picture = patches.convert(mode.removesuffix("A") if mode != "P" else "RGB")
    picture.putalpha(Image.fromarray(alpha))
    return picture


def exchanged_profile() -> bytes:
    """Return the sRGB profile with the colours of its red and green primaries exchanged."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = data.index(b"rXYZ", 128), data.index(b"gXYZ", 128)
    data[red : red + 4], data[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(data)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_onto_white(mode, patches, encoded):
    expected = np.asarray(patches.convert(mode.removesuffix("A")).convert("RGB")).astype(int).copy()
    expected[:, :24] = 255
    assert (pixels(encoded(with_transparency(patches, mode), "PNG")) == expected).all()


def test_half_transparency_is_mixed_with_white(encoded):
    picture = Image.new("RGBA", (8, 8), (200, 100, 0, 51))  # a fifth
    assert np.abs(pixels(encoded(picture, "PNG")) - [244, 224, 204]).max() <= 1


@pytest.mark.parametrize("format_", ["PNG", "GIF"])
def test_palette_with_transparency(format_, patches, encoded):
    palette = patches.quantize(8)
    black = int(np.asarray(palette)[24, 24])
    got = pixels(encoded(palette, format_, transparency=black))
    assert (got[18:30, 18:30] == 255).all()
    assert np.abs(got[2:14, 2:14] - (230, 30, 30)).max() <= 8


def test_palette_without_transparency(patches, encoded):
    assert np.abs(pixels(encoded(patches.quantize(8), "PNG")) - np.asarray(patches)).max() <= 8


def test_one_transparent_colour(patches, encoded):
    got = pixels(encoded(patches, "PNG", transparency=(20, 20, 20)))
    assert (got[16:, 16:32] == 255).all()
    assert (got[:16] == np.asarray(patches)[:16]).all()


def test_16_bit_grey_is_scaled_and_not_clipped(encoded):
    got = pixels(encoded(Image.fromarray(GREYS), "PNG"))
    assert np.abs(got - (GREYS / 257)[..., None]).max() <= 0.5
    assert got.max() == 255


def test_16_bit_grey_with_a_transparent_value(encoded):
    got = pixels(encoded(Image.fromarray(GREYS), "PNG", transparency=0))
    assert (got[0, 0] == 255).all()
    assert (got[0, 1] == 0).all()


@pytest.mark.parametrize(("mode", "format_"), [("L", "JPEG"), ("L", "PNG"), ("1", "PNG"), ("L", "WEBP")])
def test_grey_and_black_and_white(mode, format_, patches, encoded):
    expected = np.asarray(patches.convert(mode).convert("RGB")).astype(int)
    assert np.abs(pixels(encoded(patches.convert(mode), format_)) - expected)[8::16, 8::16].max() <= 12


def test_cmyk_jpeg(patches, encoded):
    got = pixels(encoded(patches.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(got - np.asarray(patches))[8::16, 8::16].max() <= 12


def test_srgb_profile_changes_nothing(patches, encoded):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (pixels(encoded(patches, "PNG", icc_profile=srgb)) == np.asarray(patches)).all()


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_other_profile_is_converted(format_, patches, encoded):
    """In a profile with red and green exchanged, the patches look exchanged."""
    data = encoded(patches, format_, icc_profile=exchanged_profile(), quality=95)
    expected = np.asarray(patches)[..., [1, 0, 2]].astype(int)
    assert np.abs(pixels(data) - expected)[8::16, 8::16].max() <= 20


def test_transparent_picture_keeps_its_profile(patches, encoded):
    data = encoded(with_transparency(patches, "RGBA"), "PNG", icc_profile=exchanged_profile())
    expected = np.asarray(patches)[..., [1, 0, 2]].astype(int)
    assert np.abs(pixels(data) - expected)[:, 24:].max() <= 4


def test_profile_of_another_colour_space_is_ignored(patches, encoded):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert (pixels(encoded(patches, "PNG", icc_profile=lab)) == np.asarray(patches)).all()


def png(width, depth, colour_type, row, transparent):
    """Return a PNG of one row with a transparent colour."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, 1, depth, colour_type, 0, 0, 0)
    colour = struct.pack(f">{len(transparent)}H", *transparent)
    parts = [(b"IHDR", head), (b"tRNS", colour), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("place", [0, 1, -1])
def test_grey_of_few_bits_with_a_transparent_level(depth, place):
    levels = list(range(2**depth))
    packed = "".join(f"{level:0{depth}b}" for level in levels)
    row = int(packed.ljust(-(-len(packed) // 8) * 8, "0"), 2).to_bytes(-(-len(packed) // 8), "big")
    expected = [255 if level == levels[place] else level * 255 // levels[-1] for level in levels]
    assert pixels(png(len(levels), depth, 0, row, [levels[place]]))[0, :, 0].tolist() == expected


def test_transparent_colour_of_16_bits():
    row = struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0x1100, 0x2200, 0x3300)
    got = pixels(png(2, 16, 2, row, [0x1234, 0x5678, 0x9ABC]))[0]
    assert got.tolist() == [[255, 255, 255], [0x11, 0x22, 0x33]]
