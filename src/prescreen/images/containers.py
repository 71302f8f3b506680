"""Headers of picture files, read without decoding a pixel.

The first bytes decide the format, never the name. The size is read here, so that a decompression bomb is refused before
any decoder allocates memory. The decoder of a JPEG or PNG gets a copy of the file without its metadata: broken EXIF,
ICC, XMP or comment blocks cannot fail a picture whose pixels are sound. AVIF and HEIC are read for sizes and colours
only; orientation, profile and frames come from their decoders.
"""

import math
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prescreen.errors import PictureError, PictureFault
from prescreen.images.av1 import read_sequences
from prescreen.images.boxes import Container, read_container
from prescreen.images.color_coding import Coding, coding_by_gamma, coding_by_numbers, coding_by_profile

SUPPORTED = "JPEG, PNG, WebP, GIF, AVIF or HEIC"

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"

_MAX_PROFILE = 8 << 20  # bytes; real ICC profiles stay below 3 MiB
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT"}
_PNG_COLOURS = {b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf"}
_JPEG_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
_JPEG_BARE = {0x00, 0x01, *range(0xD0, 0xDA)}  # without a length: stuffed byte, TEM, RST0-7, SOI, EOI
# An item's entry: version, flags, numbers, type.
_AVIF_EXIF = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)


@dataclass(frozen=True)
class Header:
    """Content of a header.

    Parameters
    ----------
    format : str
        ``JPEG``, ``PNG``, ``WEBP``, ``GIF``, ``AVIF`` or ``HEIF``.
    stream : bytes
        Input of the decoder: the file, in JPEG and PNG without metadata.
    size : (int, int) or None
        Width and height in pixels as stored, in AVIF those of the stream if it is larger; None where only the decoder
        finds them (AVIF and HEIF without a single picture).
    frames : int
        Pictures in an animation, at least 1.
    orientation : int
        EXIF orientation, 1 to 8; 1 when absent or broken.
    profile : bytes or None
        The ICC profile, unchecked.
    complete : bool
        False when the container ends early. A JPEG's scan is checked by its decoder.
    coding : Coding or None
        Colours that are neither sRGB nor those of the profile.
    """

    format: str
    stream: bytes
    size: tuple[int, int] | None = None
    frames: int = 1
    orientation: int = 1
    profile: bytes | None = None
    complete: bool = True
    coding: Coding | None = None

    @property
    def boxed(self) -> bool:
        """Whether orientation, profile and frames come from the decoder."""
        return self.format in ("AVIF", "HEIF")


def read_header(data: bytes) -> Header:
    """Find the format by the content and read the header.

    Raises
    ------
    PictureError
        Not a supported format, or a header that is damaged or cut short.
    """
    reader, name = _reader(data)
    try:
        return reader(data)
    except (struct.error, IndexError, ValueError):
        raise PictureError(f"{name} header is damaged or cut short", PictureFault.DAMAGED) from None


def exif_orientation(exif: bytes) -> int:
    """Orientation (tag 0x0112) from an EXIF block, with or without its ``Exif`` prefix; 1 when absent or broken."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == 0x0112:
                (value,) = struct.unpack_from(order + ("I" if kind == 4 else "H"), tiff, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _reader(data: bytes) -> tuple[Callable[[bytes], Header], str]:
    if data.startswith(JPEG_START + b"\xff"):
        return _jpeg, "JPEG"
    if data.startswith(PNG_MAGIC):
        return _png, "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp, "WebP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _gif, "GIF"
    if data[4:8] == b"ftyp":
        end = min(int.from_bytes(data[:4], "big"), 256)
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
        if brands & {b"avif", b"avis"}:
            return _avif, "AVIF"
        if brands & _HEIC_BRANDS:
            return _heif, "HEIC"
    raise PictureError(f"unsupported content: expected {SUPPORTED}", PictureFault.UNSUPPORTED)


def _jpeg(data: bytes) -> Header:
    size, orientation, position = None, 1, len(JPEG_START)
    kept, fragments = [JPEG_START], []
    while True:
        position = data.index(b"\xff", position)  # skips junk between segments, as decoders do
        marker = data[position + 1]
        if marker == 0xFF or marker in _JPEG_BARE:
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        segment, body = data[position : position + 2 + length], data[position + 4 : position + 2 + length]
        if marker == 0xDA:
            break
        if marker in _JPEG_FRAMES and size is None:
            height, width = struct.unpack_from(">HH", body, 1)
            size = (width, height)
        if marker == 0xE1 and body.startswith(b"Exif\0\0") and orientation == 1:
            orientation = exif_orientation(body)
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
            fragments.append(body[12:])
        elif marker in (0xE0, 0xEE) or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(segment)  # JFIF and Adobe declare the colour space; other APPn and comments are metadata
        position += len(segment)
    if size is None:
        raise ValueError("scan without a frame")
    profile = b"".join(fragment[2:] for fragment in sorted(fragments)) or None
    return Header("JPEG", b"".join([*kept, data[position:]]), size, 1, orientation, profile)


def _png(data: bytes) -> Header:
    kind, *size = struct.unpack_from(">4sII", data, 12)
    if kind == b"CgBI":
        raise PictureError("Apple's own PNG (CgBI): save it again as PNG or JPEG", PictureFault.UNSUPPORTED)
    if kind != b"IHDR":
        raise ValueError("no IHDR chunk")
    depth, colour_type = struct.unpack_from("BB", data, 24)
    frames, complete, colours = 1, False, dict[bytes, bytes]()
    kept, position = [PNG_MAGIC], len(PNG_MAGIC)
    while position + 8 <= len(data) and not complete:
        length, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        if kind == b"tRNS":
            kept.append(_png_chunk(kind, _as_decoded(body, depth, colour_type)))
        elif kind in _PNG_PIXELS:
            whole = data[position : position + 12 + length]
            # A last chunk that is cut short is closed, so that a tolerant decoder can read up to the cut.
            kept.append(whole if len(whole) == 12 + length else _png_chunk(kind, body))
        elif kind == b"acTL" and length >= 4:
            frames = max(1, *struct.unpack_from(">I", body))
        elif kind in _PNG_COLOURS:
            colours[kind] = body
        complete = kind == b"IEND"
        position += 12 + length
    return Header(
        "PNG",
        b"".join([*kept, _png_chunk(b"IEND")]),
        (size[0], size[1]),
        frames,
        exif_orientation(colours.get(b"eXIf", b"")),
        None if b"cICP" in colours or b"iCCP" not in colours else _inflate(colours[b"iCCP"].partition(b"\0")[2][1:]),
        complete,
        _png_coding(colours),
    )


def _as_decoded(transparent: bytes, depth: int, colour_type: int) -> bytes:
    """Scale the transparent colour of a PNG as its decoder scales the pixels: to 8 bits, except grey of 16 bits."""
    if colour_type not in (0, 2) or len(transparent) < 2 or len(transparent) % 2:
        return transparent
    values = struct.unpack(f">{len(transparent) // 2}H", transparent)
    if depth < 8:
        values = tuple((value & ((1 << depth) - 1)) * 255 // ((1 << depth) - 1) for value in values)
    elif depth == 16 and colour_type == 2:
        values = tuple(value >> 8 for value in values)
    return struct.pack(f">{len(values)}H", *values)


def _png_coding(chunks: Mapping[bytes, bytes]) -> Coding | None:
    """Read the colours of a PNG: cICP comes before a profile, which comes before sRGB and the rest."""
    if len(chunks.get(b"cICP", b"")) == 4:
        primaries, transfer = chunks[b"cICP"][:2]
        return coding_by_numbers(primaries, transfer)
    if b"iCCP" in chunks or b"sRGB" in chunks:
        return None
    gama, chrm = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    return coding_by_gamma(
        int.from_bytes(gama, "big") if len(gama) == 4 else 0, struct.unpack(">8I", chrm) if len(chrm) == 32 else ()
    )


def _png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _inflate(packed: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(packed, _MAX_PROFILE)
    except zlib.error:
        return None


def _webp(data: bytes) -> Header:
    size, frames, orientation, profile = None, 0, 1, None
    for kind, body in _riff_chunks(data):
        if kind == b"VP8X":
            size = (1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
        elif kind == b"VP8 " and size is None:
            width, height = struct.unpack_from("<HH", body, 6)
            size = (width & 0x3FFF, height & 0x3FFF)
        elif kind == b"VP8L" and size is None:
            (packed,) = struct.unpack_from("<I", body, 1)
            size = (1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF))
        elif kind == b"ANMF":
            frames += 1
        elif kind == b"EXIF":
            orientation = exif_orientation(body)
        elif kind == b"ICCP":
            profile = body
    if size is None:
        raise ValueError("no picture in the container")
    complete = len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return Header("WEBP", data, size, max(frames, 1), orientation, profile, complete)


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        yield kind, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _gif(data: bytes) -> Header:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position, frames, complete = 13 + _gif_colours(flags), 0, False
    try:
        while not complete:
            block, position = data[position], position + 1
            if block == 0x2C:
                left, top, w, h, flags = struct.unpack_from("<HHHHB", data, position)
                if frames == 0:  # a first frame beyond the screen enlarges the picture
                    width, height = max(width, left + w), max(height, top + h)
                frames += 1
                position += 9 + _gif_colours(flags) + 1
            elif block == 0x21:
                position += 1
            else:
                complete = True  # the trailer, or junk after the last frame
                continue
            while data[position]:
                position += 1 + data[position]
            position += 1
    except (IndexError, struct.error):
        if frames == 0:
            raise
    return Header("GIF", data, (width, height), max(frames, 1), complete=complete)


def _gif_colours(flags: int) -> int:
    """Size in bytes of the colour table that these flags declare."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _avif(data: bytes) -> Header:
    """Hide the EXIF item under a type that no decoder knows: the container itself has the orientation."""
    container = read_container(data)
    shown, colours = container.shown, None
    sizes = [shown.size] if shown and shown.size else []
    for item in container.items:
        for sequence in read_sequences(item.stream) if item.kind == b"av01" else ():
            sizes.append((sequence.width, sequence.height))
            if item is shown or (shown and shown.kind != b"av01"):
                colours = colours or sequence.colours
    largest = max(sizes, key=math.prod, default=None)
    return Header("AVIF", _AVIF_EXIF.sub(rb"\1none", data), largest, coding=_box_coding(container, colours))


def _heif(data: bytes) -> Header:
    container = read_container(data)
    size = container.shown.size if container.shown else None
    return Header("HEIF", data, size, coding=_box_coding(container))


def _box_coding(container: Container, stream_colours: tuple[int, int] | None = None) -> Coding | None:
    """Read both kinds of a box ``colr``: a profile comes first, except for HDR, which it cannot describe."""
    item = container.coloured
    profile, colours = (item.profile, item.colours or stream_colours) if item else (None, stream_colours)
    coding = coding_by_profile(profile) or (coding_by_numbers(*colours) if colours else None)
    return coding if profile is None or (coding is not None and coding.is_hdr) else None
