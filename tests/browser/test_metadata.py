"""Pictures that the page exports: the same pixels, and nothing about places, people and devices."""

import io
import zipfile

import pytest
from PIL import Image

from prescreen.reports.render import template_file
from telling_pictures import SECRET, assert_nothing_told, metadata, telling_files


@pytest.fixture
def files(portrait, encoded):
    return telling_files(portrait, encoded)


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


def test_metadata_is_gone_and_pixels_profile_and_orientation_stay(strip, files):
    assert any(SECRET.encode() in data for data in files.values())
    for name, data in files.items():
        assert_nothing_told(name, data, strip(data, name))


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
