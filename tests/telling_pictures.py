"""Pictures of each format with all kinds of metadata, for tests of what may leave this machine."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

SECRET = "Secret Photographer"


def metadata(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x013B] = SECRET
    exif[0xA431] = "SERIAL-4711"
    exif.get_ifd(0x8825)[2] = (48.0, 12.0, 30.0)
    return exif


def xmp():
    return f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{SECRET}</x:xmpmeta>".encode()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def telling_files(portrait, encoded):
    """Return pictures of each format with all kinds of metadata, by name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    small = portrait.resize((120, 141))
    exif = metadata(6)
    common = {"exif": exif, "icc_profile": profile}
    jpeg = {"xmp": xmp(), "comment": SECRET.encode()}
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x13" + SECRET.encode()
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", SECRET)
    text.add_itxt("XML:com.adobe.xmp", xmp().decode(), zip=True)
    frames = {"save_all": True, "append_images": [small.rotate(180)], "duration": 50}
    made = {
        "baseline.jpg": encoded(small, "JPEG", **common, **jpeg),
        "progressive.jpg": encoded(small, "JPEG", progressive=True, **common, **jpeg),
        "restarts.jpg": encoded(small, "JPEG", restart_marker_rows=1, **common),
        "cmyk.jpg": encoded(small.convert("CMYK"), "JPEG", exif=exif),
        "grey.png": encoded(small.convert("L"), "PNG", exif=exif, pnginfo=text),
        "colour.png": encoded(small, "PNG", pnginfo=text, **common),
        "animated.png": encoded(small, "PNG", exif=exif, **frames),
        "lossy.webp": encoded(small, "WEBP", xmp=xmp(), **common),
        "lossless.webp": encoded(small, "WEBP", lossless=True, xmp=xmp(), **common),
        "plain.webp": encoded(small, "WEBP"),
        "animated.gif": encoded(small.quantize(32), "GIF", comment=SECRET.encode(), loop=0, **frames),
        "still.avif": encoded(small, "AVIF", xmp=xmp(), **common),
    }
    whole = made["baseline.jpg"]
    made["iptc.jpg"] = whole[:2] + b"\xff\xed" + struct.pack(">H", 2 + len(iptc)) + iptc + whole[2:]
    made["trailer.jpg"] = whole + whole  # as phones append previews and films
    made["trailer.png"] = made["colour.png"] + SECRET.encode()
    made["times.png"] = made["colour.png"][:33] + chunk(b"tIME", bytes(7)) + made["colour.png"][33:]
    made["turned.avif"] = encoded(small, "AVIF", exif=metadata(3))
    return made


def frames(data):
    with Image.open(io.BytesIO(data)) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            yield np.asarray(image.convert("RGBA"))


def assert_nothing_told(name, data, clean):
    """Check that metadata is gone, and that pixels, profile and orientation stay."""
    assert len(clean) <= len(data), name
    for told in (SECRET, "SERIAL", "xmpmeta", "8BIM", "GPS"):
        assert told.encode() not in clean, (name, told)
    before, after = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(clean))
    assert after.size == before.size, name
    assert after.getexif().get(0x0112, 1) == before.getexif().get(0x0112, 1), name
    assert set(after.getexif()) <= {0x0112}, name
    assert not after.getexif().get_ifd(0x8825), name
    assert after.info.get("icc_profile") == before.info.get("icc_profile"), name
    assert not {"comment", "xmp", "XML:com.adobe.xmp", "Author", "photoshop"} & set(after.info), name
    for one, other in zip(frames(data), frames(clean), strict=True):
        assert (one == other).all(), name
