"""Pictures in: what is found, what is read, what is decoded and what is refused, and with which reason."""

import hashlib
import os
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from prescreen.errors import PictureError, PictureFault, UsageError
from prescreen.images.containers import exif_orientation
from prescreen.images.decoding import JPEG_FACTOR, decode, read_size
from prescreen.images.files import LEADS_OUT, content_hash, find_images, read_bytes
from prescreen.images.files import ImageFile as Found

PNG_PIXELS_AT = 8 + 25  # after the magic and IHDR


def pixels(data, **options):
    return np.asarray(decode(data, **options).pixels).astype(int)


def names(inputs):
    return [file.name for file in find_images(inputs)]


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"x")


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


class TestFind:
    def test_sorted_recursive_by_extension_without_hidden(self, tmp_path):
        touch(
            tmp_path, "b.JPG", "a/2.png", "a/1.webp", "a.tiff", "notes.txt", ".hidden.jpg", ".cache/x.jpg", "a/._1.jpg"
        )
        assert names([tmp_path]) == ["a.tiff", "a/1.webp", "a/2.png", "b.JPG"]

    def test_file_given_itself_is_listed_whatever_its_name(self, tmp_path):
        touch(tmp_path, "portrait", "x.jpg")
        (file,) = find_images([tmp_path / "portrait"])
        assert (file.name, file.path) == ("portrait", tmp_path / "portrait")

    def test_names_of_several_inputs_are_unique_and_ignore_their_order(self, tmp_path):
        touch(tmp_path, "one/pics/1.jpg", "two/pics/1.jpg", "two/2.jpg")
        inputs = [tmp_path / "two" / "pics", tmp_path / "one" / "pics", tmp_path / "two" / "2.jpg"]
        assert names(inputs) == names(inputs[::-1]) == ["one/pics/1.jpg", "two/2.jpg", "two/pics/1.jpg"]

    def test_files_given_one_by_one_are_named_as_in_their_folder(self, tmp_path):
        touch(tmp_path, "1.jpg", "2.jpg")
        assert names([tmp_path / "2.jpg", tmp_path / "1.jpg"]) == names([tmp_path])

    def test_the_same_file_given_twice_is_listed_once(self, tmp_path):
        touch(tmp_path, "1.jpg")
        assert names([tmp_path / "1.jpg", tmp_path / "1.jpg"]) == ["1.jpg"]
        assert names([tmp_path, tmp_path / "1.jpg"]) == ["1.jpg"]

    def test_odd_names_survive(self, tmp_path):
        odd = [os.fsdecode(b"\xff.jpg"), "=cmd.jpg", "<script>.jpg", 'a"b.jpg', "new\nline.jpg"]
        touch(tmp_path, *odd)
        assert names([tmp_path]) == sorted(odd)

    def test_missing_input(self, tmp_path):
        with pytest.raises(UsageError, match="no such file"):
            find_images([tmp_path / "nowhere"])

    def test_loop_of_links_ends_and_is_recorded(self, tmp_path):
        touch(tmp_path, "a/1.jpg")
        (tmp_path / "a" / "loop").symlink_to(tmp_path)
        (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
        files = {file.name: file for file in find_images([tmp_path])}
        assert sorted(files) == ["a/1.jpg", "a/loop", "self.jpg"]
        with pytest.raises(PictureError, match="listed already"):
            read_bytes(files["a/loop"])
        with pytest.raises(PictureError, match="symbolic-link loop"):
            read_bytes(files["self.jpg"])

    def test_links_that_lead_out_are_rows_unless_they_are_to_be_followed(self, tmp_path):
        touch(tmp_path, "elsewhere/1.jpg", "here/2.jpg", "here-too/3.jpg")
        here, outside = tmp_path / "here", tmp_path / "elsewhere"
        (here / "folder").symlink_to(outside)
        (here / "file.jpg").symlink_to(outside / "1.jpg")
        (here / "relative.jpg").symlink_to("../elsewhere/1.jpg")
        (here / "sibling.jpg").symlink_to(tmp_path / "here-too" / "3.jpg")  # its name begins like the folder's
        (here / "above").symlink_to(tmp_path)
        (here / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
        (here / "chain.jpg").symlink_to(here / "file.jpg")
        (here / "device.jpg").symlink_to("/dev/zero")
        out = {"folder", "file.jpg", "relative.jpg", "sibling.jpg", "above", "gone.jpg", "chain.jpg", "device.jpg"}
        found = {file.name: file for file in find_images([here])}
        assert found.keys() == out | {"2.jpg"}
        assert {name for name, file in found.items() if file.problem == LEADS_OUT} == out
        with pytest.raises(PictureError, match="leads out of the folder.*--follow-links"):
            read_bytes(found["file.jpg"])
        followed = {file.name: file for file in find_images([here], follow_links=True)}
        assert {"2.jpg", "folder/1.jpg", "file.jpg", "chain.jpg"} <= followed.keys()
        assert read_bytes(followed["chain.jpg"]) == read_bytes(followed["folder/1.jpg"])

    def test_links_within_what_was_given_are_followed(self, tmp_path):
        touch(tmp_path, "real/a/1.jpg", "other/2.jpg")
        (tmp_path / "given").symlink_to(tmp_path / "real")  # what is given may be a link
        (tmp_path / "real" / "twin.jpg").symlink_to("a/1.jpg")
        (tmp_path / "real" / "around.jpg").symlink_to(tmp_path / "given" / "a" / "1.jpg")  # out and in again
        (tmp_path / "real" / "beside.jpg").symlink_to(tmp_path / "other" / "2.jpg")
        found = {file.name: file.problem for file in find_images([tmp_path / "given"])}
        assert found == {"a/1.jpg": None, "around.jpg": None, "beside.jpg": LEADS_OUT, "twin.jpg": None}
        both = {file.name: file.problem for file in find_images([tmp_path / "given", tmp_path / "other"])}
        assert both["given/beside.jpg"] is None  # its target is in the other folder
        (tmp_path / "one.jpg").symlink_to(tmp_path / "other" / "2.jpg")
        (file,) = find_images([tmp_path / "one.jpg"])  # named itself
        assert file.problem is None

    def test_folder_keeps_its_own_name_beside_a_link_to_it(self, tmp_path):
        touch(tmp_path, "z/1.jpg")
        (tmp_path / "a").symlink_to(tmp_path / "z")
        files = find_images([tmp_path])
        assert [(file.name, file.problem is None) for file in files] == [("a", False), ("z/1.jpg", True)]

    def test_unreadable_folder_is_recorded_and_the_rest_is_listed(self, tmp_path, monkeypatch):
        touch(tmp_path, "closed/1.jpg", "open/2.jpg")
        scan = os.scandir

        def refuse(path):
            if str(path).endswith("closed"):
                raise PermissionError(13, "Permission denied")
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)  # file modes do not stop a superuser
        closed, file = find_images([tmp_path])
        assert (closed.name, closed.problem) == ("closed", "folder cannot be read: permission denied")
        assert (file.name, file.problem) == ("open/2.jpg", None)


class TestRead:
    def test_bytes_and_hash(self, tmp_path):
        touch(tmp_path, "a.jpg")
        data = read_bytes(Found(tmp_path / "a.jpg", "a.jpg"))
        assert data == b"x"
        assert content_hash(data) == hashlib.sha256(b"x").hexdigest()

    def test_vanished(self, tmp_path):
        with pytest.raises(PictureError, match="file vanished"):
            read_bytes(Found(tmp_path / "gone.jpg", "gone.jpg"))

    def test_empty(self, tmp_path):
        (tmp_path / "a.jpg").touch()
        with pytest.raises(PictureError, match="empty file"):
            read_bytes(Found(tmp_path / "a.jpg", "a.jpg"))

    @pytest.mark.skipif(os.getuid() == 0, reason="the superuser may read everything")
    def test_permission(self, tmp_path):
        touch(tmp_path, "a.jpg")
        (tmp_path / "a.jpg").chmod(0)
        with pytest.raises(PictureError, match="permission denied"):
            read_bytes(Found(tmp_path / "a.jpg", "a.jpg"))

    def test_pipe_and_folder_do_not_hang(self, tmp_path):
        os.mkfifo(tmp_path / "pipe.jpg")
        for path in (tmp_path / "pipe.jpg", tmp_path):
            with pytest.raises(PictureError, match="not a plain file"):
                read_bytes(Found(path, path.name))


class TestFormats:
    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
    def test_decoded_by_content(self, format_, patches, encoded):
        picture = decode(encoded(patches, format_))
        assert (picture.format, picture.width, picture.height, picture.frames) == (format_, 48, 32, 1)
        assert (picture.pixels.mode, picture.pixels.size, picture.truncated) == ("RGB", (48, 32), False)
        # centres of the patches: far from the edges, where lossy formats ring
        centres = (slice(8, None, 16), slice(8, None, 16))
        assert np.abs(np.asarray(picture.pixels).astype(int) - np.asarray(patches))[centres].max() < 30

    @pytest.mark.parametrize("format_", ["BMP", "TIFF", "JPEG2000", "PPM", "ICO", "TGA", "EPS", "PDF"])
    def test_other_formats_are_refused(self, format_, patches, encoded):
        with pytest.raises(PictureError, match="unsupported content: expected JPEG, PNG"):
            decode(encoded(patches, format_))

    @pytest.mark.parametrize(
        "data", [b"plain text", b"\x89PNG", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"GIF89a", b"\0" * 99]
    )
    def test_text_and_stumps_are_refused(self, data):
        with pytest.raises(PictureError):
            decode(data)

    def test_palette_picture_without_its_palette(self, patches, encoded):  # found by benchmarks/fuzz.py
        whole = encoded(patches.convert("P"), "PNG")
        assert decode(whole).format == "PNG"
        with pytest.raises(PictureError, match="PNG file is damaged"):
            decode(whole.replace(b"PLTE", b"\x10LTE"))

    def test_apples_png_is_named(self, patches, encoded):
        whole = encoded(patches, "PNG")
        apples = whole[:8] + png_chunk(b"CgBI", b"\x50\0\x20\x02") + whole[8:]
        with pytest.raises(PictureError, match=r"Apple's own PNG \(CgBI\): save it again as PNG or JPEG") as caught:
            decode(apples)
        assert caught.value.fault == PictureFault.UNSUPPORTED

    @pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG", "AVIF"])
    def test_animation_gives_the_first_frame_and_the_count(self, format_, patches, encoded):
        black = Image.new("RGB", patches.size)
        turned = patches.rotate(180)
        picture = decode(encoded(patches, format_, save_all=True, append_images=[black, turned], duration=100))
        assert picture.frames == 3
        assert (
            np.abs(np.asarray(picture.pixels)[8::16, 8::16].astype(int) - np.asarray(patches)[8::16, 8::16]).max() < 30
        )


class TestLimits:
    @pytest.mark.parametrize("format_", ["PNG", "WEBP", "GIF", "AVIF"])
    def test_refused_above_max_pixels(self, format_, patches, encoded):
        data = encoded(patches, format_)
        assert decode(data, max_pixels=48 * 32).width == 48
        with pytest.raises(PictureError, match=r"48 x 32 pixels is too large.*make it smaller, or a JPEG") as caught:
            decode(data, max_pixels=48 * 32 - 1)
        assert caught.value.fault == PictureFault.TOO_LARGE

    @pytest.mark.parametrize("options", [{}, {"progressive": True}])
    @pytest.mark.parametrize("tolerant", [False, True])
    def test_a_larger_jpeg_is_decoded_at_reduced_size(self, options, tolerant, portrait, encoded):
        whole = encoded(portrait, "JPEG", **options)
        pixels = portrait.width * portrait.height
        picture = decode(whole, max_pixels=pixels - 1, tolerant=tolerant)
        assert (picture.width, picture.height) == portrait.size
        assert picture.pixels.size == (256, 300)
        assert decode(whole, max_pixels=-(-pixels // JPEG_FACTOR)).pixels.size == (256, 300)
        with pytest.raises(PictureError, match=r"512 x 600 pixels is too large.*make it smaller") as caught:
            decode(whole, max_pixels=pixels // JPEG_FACTOR - 1)
        assert caught.value.fault == PictureFault.TOO_LARGE

    @pytest.mark.parametrize("frames", [1, 2])
    def test_a_small_size_declared_over_a_large_avif_stream(self, portrait, encoded, frames):
        whole = encoded(portrait, "AVIF", save_all=True, append_images=[portrait.rotate(180)] * (frames - 1))
        at = whole.index(b"ispe") + 8
        assert struct.unpack_from(">II", whole, at) == portrait.size
        small = whole[:at] + struct.pack(">II", 16, 16) + whole[at + 8 :]
        with pytest.raises(PictureError, match="512 x 600 pixels is too large"):
            decode(small, max_pixels=512 * 600 - 1)
        assert read_size(small) == portrait.size

    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
    def test_the_size_is_read_without_decoding(self, format_, patches, encoded):
        assert read_size(encoded(patches, format_)) == (48, 32)
        with pytest.raises(PictureError):
            read_size(b"plain text")

    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
    def test_refused_from_the_header_before_any_decoder_runs(self, format_, patches, encoded, monkeypatch):
        data = encoded(patches, format_)
        monkeypatch.setattr(ImageFile.ImageFile, "__init__", lambda *_: pytest.fail("a decoder was reached"))
        with pytest.raises(PictureError, match="too large"):
            decode(data, max_pixels=100)

    def test_bomb_of_a_few_bytes(self):
        header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(1000)))
        with pytest.raises(PictureError, match="200000 x 200000"):
            decode(bomb + png_chunk(b"IEND", b""))

    def test_pillows_own_limit_is_not_used(self, patches, encoded, monkeypatch):
        data = {format_: encoded(patches, format_) for format_ in ("JPEG", "PNG", "GIF", "AVIF")}
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        assert all(decode(each).width == 48 for each in data.values())


class TestTruncated:
    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
    @pytest.mark.parametrize("share", [0.6, 0.9, 1.0])
    def test_jpeg(self, portrait, encoded, options, share):
        whole = encoded(portrait, "JPEG", **options)
        cut = whole[: min(int(share * len(whole)), len(whole) - 2)]  # 1.0: only the end marker is missing
        with pytest.raises(PictureError, match="JPEG file is truncated"):
            decode(cut)
        picture = decode(cut, tolerant=True)
        assert picture.truncated
        top = np.abs(np.asarray(picture.pixels).astype(int) - pixels(whole))[: int(0.4 * portrait.height)]
        assert top.mean() < (5 if "progressive" in options else 0.01)

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
    def test_png(self, portrait, encoded, mode):
        whole = encoded(portrait.convert(mode), "PNG")
        cut = whole[: int(0.6 * len(whole))]
        with pytest.raises(PictureError, match="PNG file is truncated"):
            decode(cut)
        picture = decode(cut, tolerant=True)
        assert picture.truncated
        assert (np.asarray(picture.pixels)[:200] == pixels(whole)[:200]).all()
        with pytest.raises(PictureError, match="PNG file is truncated"):
            decode(whole[:-12])

    def test_gif_and_webp(self, portrait, encoded):
        for format_ in ("GIF", "WEBP"):
            whole = encoded(portrait, format_)
            with pytest.raises(PictureError, match=f"{format_} file is truncated"):
                decode(whole[: len(whole) // 2])
        cut = decode(encoded(portrait, "GIF")[:-1], tolerant=True)
        assert cut.truncated
        assert (np.asarray(cut.pixels) == pixels(encoded(portrait, "GIF"))).all()

    def test_zeros_after_the_cut_do_not_hide_it(self, portrait, encoded):
        whole = encoded(portrait, "JPEG")
        with pytest.raises(PictureError, match="truncated"):
            decode(whole[: len(whole) // 2] + bytes(len(whole) // 2))

    def test_rubbish_after_the_end_is_ignored(self, patches, encoded):
        for format_ in ("JPEG", "PNG", "WEBP", "GIF", "AVIF"):
            whole = encoded(patches, format_)
            assert (pixels(whole + b"rubbish" * 9) == pixels(whole)).all()

    def test_pillows_switch_is_left_alone(self, portrait, encoded):
        whole = encoded(portrait, "JPEG")
        decode(whole[: len(whole) // 2], tolerant=True)
        assert ImageFile.LOAD_TRUNCATED_IMAGES is False


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "AVIF"])
    def test_upright(self, format_, orientation, patches, encoded, stored_ways):
        stored = Image.fromarray(np.ascontiguousarray(stored_ways[orientation](np.asarray(patches))))
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "AVIF": {"quality": 95}}.get(format_, {})
        picture = decode(encoded(stored, format_, exif=exif, **options))
        assert (picture.width, picture.height) == picture.pixels.size == patches.size
        difference = np.asarray(picture.pixels).astype(int) - np.asarray(patches)
        assert np.abs(difference)[8::16, 8::16].max() < 15

    @pytest.mark.parametrize("order", ["<", ">"])
    @pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
    def test_byte_orders_and_number_types(self, order, prefix):
        start = prefix + {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, 2)
        width = struct.pack(f"{order}HHII", 0x0100, 3, 1, 0)
        assert exif_orientation(start + width + struct.pack(f"{order}HHIHH", 0x0112, 3, 1, 6, 0)) == 6
        assert exif_orientation(start + width + struct.pack(f"{order}HHII", 0x0112, 4, 1, 8)) == 8
        assert exif_orientation(start + width + struct.pack(f"{order}HHIHH", 0x0112, 3, 1, 9, 0)) == 1
        assert exif_orientation(start + width) == 1


class TestBrokenMetadata:
    RUBBISH = [b"", b"x", b"MM\0*\0\0\0\x08\xff\xff\x01\x12", b"II*\0\xff\xff\xff\xff", bytes(range(256))]

    @pytest.mark.parametrize("body", RUBBISH)
    def test_jpeg(self, body, patches, encoded):
        whole = encoded(patches, "JPEG")
        kinds = [(0xE1, b"Exif\0\0"), (0xE1, b"http://ns.adobe.com/xap/1.0/\0"), (0xE2, b"ICC_PROFILE\0")]
        kinds += [(0xE2, b"MPF\0"), (0xED, b"Photoshop 3.0\x008BIM"), (0xFE, b"")]
        blocks = b"".join(
            struct.pack(">BBH", 0xFF, marker, 2 + len(prefix + body)) + prefix + body for marker, prefix in kinds
        )
        assert (pixels(whole[:2] + blocks + whole[2:]) == pixels(whole)).all()

    @pytest.mark.parametrize("body", RUBBISH)
    def test_png(self, body, patches, encoded):
        whole = encoded(patches, "PNG")
        blocks = b"".join(
            png_chunk(kind, body) for kind in (b"eXIf", b"iCCP", b"iTXt", b"zTXt", b"acTL", b"gAMA", b"pHYs")
        )
        wrong_checksum = png_chunk(b"tEXt", body)[:-4] + b"\0\0\0\0"
        broken = whole[:PNG_PIXELS_AT] + blocks + wrong_checksum + whole[PNG_PIXELS_AT:]
        assert (pixels(broken) == pixels(whole)).all()

    @pytest.mark.parametrize("body", [body for body in RUBBISH if body])
    def test_webp(self, body, patches, encoded):
        whole = encoded(patches, "WEBP", lossless=True)
        assert (
            pixels(encoded(patches, "WEBP", lossless=True, exif=body, icc_profile=body, xmp=body)) == pixels(whole)
        ).all()

    @pytest.mark.parametrize("position", [0, 4, 8, 12])
    def test_avif(self, position, patches, encoded):
        exif = Image.Exif()
        exif[0x010E] = "a description"
        whole = encoded(patches, "AVIF", exif=exif)
        at = whole.index(b"MM\0*") + position
        assert (pixels(whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]) == pixels(whole)).all()

    def test_text_bomb_in_png(self, patches, encoded):
        whole = encoded(patches, "PNG")
        bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9))
        assert (pixels(whole[:PNG_PIXELS_AT] + bomb + whole[PNG_PIXELS_AT:]) == pixels(whole)).all()


class TestReducedSize:
    def test_shorter_side_stays_above_and_the_file_size_is_told(self, portrait, encoded):
        large = portrait.resize((1000, 1400))
        data = encoded(large, "JPEG", quality=95)
        for min_side, size in [
            (None, (1000, 1400)),
            (501, (1000, 1400)),
            (500, (500, 700)),
            (251, (500, 700)),
            (100, (125, 175)),
        ]:
            picture = decode(data, min_side=min_side)
            assert (picture.width, picture.height) == (1000, 1400)
            assert picture.pixels.size == size
            plain = np.asarray(large.resize(size, Image.Resampling.BOX)).astype(int)
            assert np.abs(np.asarray(picture.pixels) - plain).mean() < 3

    def test_other_formats_are_decoded_whole(self, patches, encoded):
        assert decode(encoded(patches, "PNG"), min_side=4).pixels.size == (48, 32)


def test_threads_agree(portrait, encoded):
    files = [encoded(portrait, "JPEG", quality=q) for q in (60, 75, 90)] + [encoded(portrait, "PNG")]
    expected = [content_hash(decode(data).pixels.tobytes()) for data in files]
    start = threading.Barrier(4)

    def work(_):
        start.wait(timeout=10)
        cut = [decode(data[: len(data) // 2], tolerant=True).truncated for data in files]
        return cut, [content_hash(decode(data).pixels.tobytes()) for data in files]

    with ThreadPoolExecutor(4) as pool:
        for cut, hashes in pool.map(work, range(4)):
            assert cut == [True] * 4
            assert hashes == expected


@pytest.fixture(scope="module")
def small_files(patches, encoded):
    return [encoded(patches, format_) for format_ in ("JPEG", "PNG", "WEBP", "GIF", "AVIF")]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_give_a_picture_or_a_reason(small_files, data):
    file = bytearray(data.draw(st.sampled_from(small_files), label="file"))
    for _ in range(data.draw(st.integers(1, 6), label="changes")):
        at = data.draw(st.integers(0, len(file) - 1))
        file[at : at + 1] = data.draw(st.binary(max_size=4))
    reason = ""
    try:
        picture = decode(bytes(file), tolerant=data.draw(st.booleans()), max_pixels=2_500_000)
    except PictureError as error:
        reason = str(error)
    if reason:
        assert len(reason.splitlines()) == 1
    else:
        assert picture.pixels.mode == "RGB"
        if picture.width * picture.height <= 2_500_000:  # a larger JPEG is decoded smaller
            assert picture.pixels.size == (picture.width, picture.height)
