"""HEIC, where its decoder is installed."""

import base64
import struct
import sys
import zlib

import numpy as np
import pytest

from prescreen.errors import PictureError, PictureFault
from prescreen.images.decoding import decode, read_size

DATA = zlib.decompress(
    base64.b85decode(
        b"c-muNV30^FsVvAy%}izhg51nBLkOF(JU6u@kpTh}Gg5MjplpVM%;XXVG{9GoS&|E8F#@qpW==lXI2Q&6Ca?$)Gfrn<;1mV&!91=t"
        b"K-vt5EiyCn(!e@FGNM3EDihS4jIv}y1|&g7kP_F5Ot5mP%%apZnC;0a#mQisKz8lREGQ}f((^M5lJkLdI?x<vM#cmna{^eo+y{m~"
        b"e}DX7VBlw70MsGwz{tb+|363pGe`w92+4g=SqPMqc4A~ilUR_%5r6Gtd5pj!pgg+^<AK74B@IARMKX&EQlSnq0Ad9o7EaF3DauRE"
        b"sQ@bFWncp-<IF6|2M3>cW<f42e1Q&UX=Gw<0ZIqwrX&L8IR(`i*S9sC7~!CSLU4yd&^;Oh0}LiMRE%&i&@nKr!DfVmfsTRMqcJeR"
        b"V8Li9G{E2=sPV)GY5n>7GH3yL91Kj1{NQFI8xX583V~W^z_t_{q*3LYn4Mb0007a};;H"
    )
)
"""A picture of 48 x 32 in HEVC without compression (I_PCM), whose EXIF block asks for another orientation."""

COLOURS = [[(255, 134, 200), (200, 200, 200), (120, 120, 120)], [(60, 60, 60), (60, 60, 60), (120, 120, 120)]]


def centres(picture):
    return np.asarray(picture.pixels)[8::16, 8::16].astype(int)


@pytest.fixture
def decoder():
    pytest.importorskip("pi_heif", reason="needs the extra heic")


def test_decoded_and_not_turned_by_its_exif(decoder):
    picture = decode(DATA)
    assert (picture.format, picture.width, picture.height, picture.frames) == ("HEIF", 48, 32, 1)
    assert np.abs(centres(picture) - COLOURS).max() <= 2


def test_turned_once_by_its_container(decoder):
    at = DATA.index(b"irot") + 4
    picture = decode(DATA[:at] + b"\1" + DATA[at + 1 :])  # a quarter, anticlockwise
    assert (picture.width, picture.height) == picture.pixels.size == (32, 48)
    assert np.abs(centres(picture) - np.rot90(np.array(COLOURS))).max() <= 2


def test_hdr_is_brought_to_srgb(decoder):
    at = DATA.index(b"nclx") + 4
    picture = decode(DATA[:at] + struct.pack(">HH", 9, 16) + DATA[at + 4 :])
    # Level 60 is 4.17 cd/m² in PQ, 0.0205 of white; the brightest light there changes nothing that dark.
    assert np.abs(centres(picture)[1, 0] - 39).max() <= 2


def test_refused_from_the_header_and_measured_without_a_decoder(monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(PictureError, match="48 x 32 pixels is too large"):
        decode(DATA, max_pixels=1000)
    assert read_size(DATA) == (48, 32)


def test_without_a_decoder_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(PictureError, match=r"pip install 'portrait-prescreen\[heic\]'") as caught:
        decode(DATA)
    assert caught.value.fault == PictureFault.HEIC
