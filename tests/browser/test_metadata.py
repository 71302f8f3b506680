"""Pictures that the page exports: the same pixels, and nothing about places, people and devices."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from prescreen.reports.render import template_file

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


@pytest.fixture
def profile():
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def files(portrait, encoded, profile):
    """Return pictures of each format with all kinds of metadata."""
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


@pytest.fixture
def strip(browser):
    """Return a function that strips a file as the page does."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.add_script_tag(
        content=template_file("strip.js")
        + """
        const table = Uint32Array.from({ length: 256 }, (_, n) => {
          for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
          return n;
        });
        const crc32 = (bytes) => (bytes.reduce((crc, byte) => table[(crc ^ byte) & 0xff] ^ (crc >>> 8), -1) ^ -1) >>> 0;
        window.run = (text, name) => [...Strip.strip(Uint8Array.from(text), name, crc32)];
        """
    )
    yield lambda data, name="x": bytes(page.evaluate("([data, name]) => run(data, name)", [list(data), name]))
    context.close()


def frames(data):
    with Image.open(io.BytesIO(data)) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            yield np.asarray(image.convert("RGBA"))


def test_metadata_is_gone_and_pixels_profile_and_orientation_stay(strip, files):
    assert any(SECRET.encode() in data for data in files.values())
    for name, data in files.items():
        clean = strip(data, name)
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


def test_nothing_follows_the_picture(strip, files):
    assert strip(files["trailer.jpg"]) == strip(files["baseline.jpg"])
    assert strip(files["trailer.png"]) == strip(files["colour.png"])


def test_twice_changes_nothing_more(strip, files):
    for name, data in files.items():
        clean = strip(data, name)
        assert strip(clean, name) == clean, name


@pytest.mark.parametrize("data", [b"", b"plain text", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(20)])
def test_what_is_not_understood_stays(strip, data):
    with pytest.raises(Exception, match=r"odd\.jpg: its metadata cannot be taken out.*--keep-metadata"):
        strip(data, "odd.jpg")


def test_a_file_that_is_cut_short_never_leaks(strip, files):
    for name, data in files.items():
        for share in (0.3, 0.6, 0.9):
            try:
                clean = strip(data[: int(share * len(data))], name)
            except Exception as error:
                assert "metadata cannot be taken out" in str(error)  # noqa: PT017
            else:
                assert SECRET.encode() not in clean, (name, share)


@pytest.mark.parametrize("keep", [False, True])
def test_the_archive_of_a_page_from_disk(made, browser, portrait, encoded, tmp_path, keep):
    folder = tmp_path / "portraits"
    secret = encoded(portrait.resize((60, 70)), "JPEG", exif=metadata(6))
    for name in made.images:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(secret)
    (tmp_path / "page.html").write_text(made.page(keep_metadata=keep), "utf-8")
    context = browser.new_context(accept_downloads=True, offline=True)
    page = context.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    with page.expect_download() as download:
        page.locator("#folder").set_input_files(folder)
    with zipfile.ZipFile(download.value.path()) as packed:
        pictures = [packed.read(name) for name in packed.namelist() if name != "shortlist.csv"]
    context.close()
    assert len(pictures) == 3
    for data in pictures:
        assert (data == secret) is keep
        assert (SECRET.encode() in data) is keep
        assert Image.open(io.BytesIO(data)).getexif()[0x0112] == 6
