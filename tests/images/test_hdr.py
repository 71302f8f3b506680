"""Colours that are not sRGB's and are not told by a profile: brought to sRGB, or named."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from prescreen.errors import PictureError, PictureFault
from prescreen.images.color import WHITE, pq_light, pq_numbers, roll_off, to_srgb
from prescreen.images.color_coding import BT709, BT2020, Coding, coding_by_gamma, coding_by_numbers
from prescreen.images.decoding import decode


def pixels(data):
    return np.asarray(decode(data).pixels).astype(int)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(data, **chunks):
    """Return a PNG with more chunks after its header."""
    return data[:33] + b"".join(chunk(kind.encode(), body) for kind, body in chunks.items()) + data[33:]


def light_of(image):
    """Return the light of a picture in sRGB, 1 for white."""
    levels = np.asarray(image) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).astype(np.float32)


def in_pq(image):
    """Return a picture in PQ with the primaries of sRGB, whose white has 203 cd/m²."""
    return Image.fromarray((pq_numbers(light_of(image)) * 255).round().astype(np.uint8))


def srgb_profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def in_bits(data):
    return "".join(f"{byte:08b}" for byte in data)


class TestCurves:
    @pytest.mark.parametrize(
        ("level", "candelas"), [(0.0, 0.0), (0.5081, 100.0), (0.5806, 203.0), (0.7518, 1000.0), (1.0, 10000.0)]
    )
    def test_pq_is_that_of_bt2100(self, level, candelas):
        """Levels of reference white and others in Report BT.2408, and the ends."""
        assert float(pq_light(np.float32(level))) * WHITE == pytest.approx(candelas, rel=0.003)
        assert float(pq_numbers(np.float32(candelas / WHITE))) == pytest.approx(level, abs=3e-4)

    def test_up_to_white_nothing_is_rolled_off(self):
        light = np.linspace(0, 1, 50, dtype=np.float32)
        assert (roll_off(light, 1.0) == light).all()

    @pytest.mark.parametrize("peak", [2.0, 1000 / WHITE, 10000 / WHITE])
    def test_brighter_light_is_rolled_off_to_white(self, peak):
        light = np.linspace(0, peak, 500, dtype=np.float32)
        mapped = roll_off(light, peak)
        assert mapped[-1] == pytest.approx(1, abs=1e-3)
        assert (np.diff(mapped) > -1e-5).all()
        dark = light < 0.1  # 20 cd/m²
        assert mapped[dark] == pytest.approx(light[dark], rel=0.01, abs=1e-5)
        assert mapped[np.searchsorted(light, 1.0)] > 0.5


class TestToSrgb:
    def pq(self, candelas, **options):
        level = round(float(pq_numbers(np.float32(candelas / WHITE))) * 255)
        image = Image.new("RGB", (4, 4), (level,) * 3)
        return np.asarray(to_srgb(image, None, Coding("PQ", **options))).astype(int)[0, 0]

    def test_the_luminance_of_white_becomes_white(self):
        assert self.pq(WHITE).min() >= 252
        assert np.ptp(self.pq(WHITE, primaries=BT2020)) <= 1  # grey stays grey

    def test_a_fifth_of_it_is_a_middle_grey(self):
        assert self.pq(WHITE * 0.2140) == pytest.approx([127.5] * 3, abs=3)

    def test_hlg_at_75_per_cent_becomes_white(self):
        image = Image.new("RGB", (4, 4), (191,) * 3)
        assert np.asarray(to_srgb(image, None, Coding("HLG", primaries=BT2020))).min() >= 252

    def test_highlights_do_not_burn_out_and_faces_stay_bright(self):
        image = in_pq(Image.new("RGB", (64, 64), (200, 150, 120)))
        image.paste((192, 192, 192), (0, 0, 64, 16))  # 1000 cd/m²
        got = np.asarray(to_srgb(image, None, Coding("PQ"))).astype(int)
        assert got[0, 0].min() >= 250
        assert (got[40, 40] < (201, 151, 121)).all()
        assert (got[40, 40] > (170, 125, 95)).all()

    def test_colours_inside_srgb_survive_other_primaries(self):
        """Light of sRGB's primaries written in those of BT.2020, after Recommendation BT.2087."""
        matrix = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
        light = np.array([[0.5, 0.1, 0.1], [0.1, 0.5, 0.1], [0.1, 0.1, 0.5]]) @ matrix.T
        coded = (255 * (1.055 * light ** (1 / 2.4) - 0.055)).round().astype(np.uint8)
        got = np.asarray(to_srgb(Image.fromarray(coded[None]), None, Coding(primaries=BT2020))).astype(int)[0]
        assert np.abs(got - np.array([[188, 89, 89], [89, 188, 89], [89, 89, 188]])).max() <= 2

    def test_what_srgb_cannot_show_is_clipped(self):
        image = Image.new("RGB", (4, 4), (255, 0, 0))
        assert np.asarray(to_srgb(image, None, Coding(primaries=BT2020)))[0, 0].tolist() == [255, 0, 0]


class TestWhatFilesSay:
    def test_png_by_cicp(self, patches, encoded):
        data = with_chunks(encoded(in_pq(patches), "PNG"), cICP=bytes([1, 16, 0, 1]))
        assert np.abs(pixels(data) - np.asarray(patches)).max() <= 4

    def test_cicp_comes_before_a_profile(self, patches, encoded):
        data = encoded(in_pq(patches), "PNG", icc_profile=srgb_profile())
        assert np.abs(pixels(with_chunks(data, cICP=bytes([1, 16, 0, 1]))) - np.asarray(patches)).max() <= 4
        grey = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
        data = encoded(patches, "PNG", icc_profile=grey)
        assert (pixels(with_chunks(data, cICP=bytes([1, 13, 0, 1]))) == np.asarray(patches)).all()

    def test_transparent_hdr_is_laid_onto_white(self, patches, encoded):
        picture = in_pq(patches)
        alpha = Image.new("L", patches.size, 255)
        alpha.paste(0, (0, 0, 24, 32))
        picture.putalpha(alpha)
        got = pixels(with_chunks(encoded(picture, "PNG"), cICP=bytes([1, 16, 0, 1])))
        assert (got[:, :24] == 255).all()
        assert np.abs(got[:, 24:] - np.asarray(patches)[:, 24:]).max() <= 4

    def test_avif_by_its_container(self, portrait, encoded):
        data = encoded(in_pq(portrait), "AVIF", quality=95)
        at = data.index(b"nclx") + 6
        coded = data[:at] + struct.pack(">H", 16) + data[at + 2 :]
        assert np.abs(pixels(coded) - np.asarray(portrait)).mean() < 4
        assert np.abs(pixels(data) - np.asarray(portrait)).mean() > 20

    def test_avif_by_its_stream_where_the_container_is_silent(self, portrait, encoded):
        data = encoded(in_pq(portrait), "AVIF", quality=95).replace(b"colrnclx", b"freenclx")
        start = data.index(b"mdat") + 4
        head, told = in_bits(data[start : start + 20]), in_bits(bytes([1, 13, 6]))
        assert head.count(told) == 1  # Pillow writes the colours into the sequence header, too
        changed = int(head.replace(told, in_bits(bytes([1, 16, 6]))), 2).to_bytes(20, "big")
        coded = data[:start] + changed + data[start + 20 :]
        assert np.abs(pixels(coded) - np.asarray(portrait)).mean() < 4

    def test_profile_that_says_pq(self, patches, encoded):
        profile = bytearray(srgb_profile())
        profile[132:144] = b"cicp" + struct.pack(">II", len(profile), 12)  # in the place of the first tag
        profile += b"cicp\0\0\0\0" + bytes([1, 16, 0, 1])
        data = encoded(in_pq(patches), "PNG", icc_profile=bytes(profile))
        assert np.abs(pixels(data) - np.asarray(patches)).max() <= 4

    def test_png_by_its_gamma(self, patches, encoded):
        linear = Image.fromarray((light_of(patches) * 255).round().astype(np.uint8))
        data = with_chunks(encoded(linear, "PNG"), gAMA=struct.pack(">I", 100_000))
        bright = np.asarray(patches) > 60  # eight bits of light are few in the dark
        assert np.abs(pixels(data) - np.asarray(patches))[bright].max() <= 4
        usual = with_chunks(encoded(patches, "PNG"), gAMA=struct.pack(">I", 45_455))
        assert (pixels(usual) == np.asarray(patches)).all()
        overruled = with_chunks(encoded(patches, "PNG"), sRGB=b"\0", gAMA=struct.pack(">I", 100_000))
        assert (pixels(overruled) == np.asarray(patches)).all()

    @pytest.mark.parametrize("gama", [0, 1, 4_294_967_295])
    @pytest.mark.parametrize("chrm", [(), (0,) * 8, (4_294_967_295,) * 8, (31_270, 32_900) * 4])
    def test_chunks_that_cannot_be_are_ignored(self, gama, chrm):
        assert coding_by_gamma(gama, chrm) is None

    def test_chromaticities(self):
        numbers = [round(100_000 * number) for number in (*BT2020[6:], *BT2020[:6])]
        assert coding_by_gamma(0, numbers) == Coding(primaries=BT2020)
        assert coding_by_gamma(0, [round(100_000 * number) for number in (*BT709[6:], *BT709[:6])]) is None

    @pytest.mark.parametrize("transfer", [0, 1, 2, 6, 13, 14, 15, 200])
    def test_what_screens_show_as_srgb_is_left_alone(self, transfer):
        assert coding_by_numbers(1, transfer) is None

    def test_what_cannot_be_shown_is_a_reason(self, patches, encoded):
        with pytest.raises(PictureError, match=r"logarithmic.*save it again as sRGB") as caught:
            decode(with_chunks(encoded(patches, "PNG"), cICP=bytes([1, 9, 0, 1])))
        assert caught.value.fault == PictureFault.COLOURS
