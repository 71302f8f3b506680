"""Takes out of a picture's file what tells about places, people and devices; `strip.js` does the same in the page.

EXIF (GPS, names, serial numbers), XMP, IPTC, comments, embedded previews and whatever follows the picture go. Pixels
are not touched; the colour profile and the orientation stay. Only what is known to be needed is kept.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prescreen.errors import PictureError, PictureFault
from prescreen.images.boxes import item_extents
from prescreen.images.containers import JPEG_END, JPEG_START, PNG_MAGIC, exif_orientation

_PNG_CHUNKS: Final = frozenset(
    b"IHDR PLTE IDAT IEND tRNS cICP iCCP sRGB gAMA cHRM sBIT bKGD pHYs mDCV cLLI acTL fcTL fdAT".split()
)
_WEBP_CHUNKS: Final = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"))
_LOOPS: Final = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_TOP_BOXES: Final = frozenset((b"ftyp", b"meta", b"moov", b"mdat", b"free", b"skip"))
_TELLING_ITEMS: Final = frozenset((b"Exif", b"mime", b"uri ", b"jumb"))
_SCAN_ENTRIES: Final = frozenset((0x00, *range(0xD0, 0xD8)))  # after FF: a stuffed byte, RST0-7


def without_metadata(data: bytes) -> bytes:
    """Return the file without its metadata.

    Parameters
    ----------
    data : bytes
        A JPEG, PNG, WebP, GIF, AVIF or HEIC file.

    Raises
    ------
    PictureError
        If it is not understood, so that nothing leaves by mistake.
    """
    try:
        if data.startswith(JPEG_START):
            return _jpeg(data)
        if data.startswith(PNG_MAGIC):
            return _png(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
        if data.startswith(b"GIF"):
            return _gif(data)
        if data[4:8] == b"ftyp":
            return _boxed(data)
    except (struct.error, IndexError, ValueError):
        pass
    raise PictureError("its metadata cannot be taken out: the file is not understood", PictureFault.DAMAGED)


def _exif(orientation: int) -> bytes:
    """Return a TIFF with one entry, the orientation."""
    return struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _jpeg(data: bytes) -> bytes:
    kept, orientation, at = [JPEG_START], 1, 2
    while True:
        at = _next_marker(data, at)
        marker = data[at + 1]
        if marker == 0xD9:
            kept.append(JPEG_END)
            break
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if end > len(data):
            raise ValueError("a segment is cut short")
        body = data[at + 4 : end]
        if marker == 0xE1 and body.startswith(b"Exif\0\0") and orientation == 1:
            orientation = exif_orientation(body)
        if _is_needed(marker, body):
            kept.append(data[at:end])
        at = end
        if marker == 0xDA:
            at = _end_of_scan(data, end)
            kept.append(data[end:at])
            if at == len(data):  # cut short: as far as it goes
                break
    if orientation != 1:
        tiff = _exif(orientation)
        kept.insert(1, struct.pack(">HH6s", 0xFFE1, 8 + len(tiff), b"Exif\0\0") + tiff)
    return b"".join(kept)


def _next_marker(data: bytes, at: int) -> int:
    while data[at : at + 2] == b"\xff\xff":  # fill bytes
        at += 1
    if data[at] != 0xFF:
        raise ValueError("no marker")
    return at


def _is_needed(marker: int, body: bytes) -> bool:
    if marker == 0xE0:
        return body.startswith(b"JFIF\0") and len(body) == 14  # without a preview
    if marker == 0xE2:
        return body.startswith(b"ICC_PROFILE\0")
    return (marker == 0xEE and body.startswith(b"Adobe")) or not (0xE1 <= marker <= 0xEF or marker == 0xFE)


def _end_of_scan(data: bytes, at: int) -> int:
    """Return where the next marker stands that is none of a scan's own."""
    while (at := data.find(b"\xff", at)) >= 0 and at + 1 < len(data):
        if data[at + 1] not in _SCAN_ENTRIES:
            return at
        at += 2
    return len(data)


def _png(data: bytes) -> bytes:
    kept, orientation, at, kind = [PNG_MAGIC], 1, len(PNG_MAGIC), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise ValueError("a chunk is cut short")
        if kind == b"eXIf":
            orientation = exif_orientation(data[at + 8 : end - 4])
        elif kind in _PNG_CHUNKS:
            kept.append(data[at:end])
        at = end
    if orientation != 1:
        body = b"eXIf" + _exif(orientation)
        kept.insert(2, struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
    return b"".join(kept)


def _webp(data: bytes) -> bytes:
    last = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    kept: list[bytes] = []
    extended, orientation, at = None, 1, 12
    while at + 8 <= last:
        kind, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > len(data):
            raise ValueError("a chunk is cut short")
        end = at + 8 + length + length % 2
        if kind == b"EXIF":
            orientation = exif_orientation(data[at + 8 : at + 8 + length])
        elif kind in _WEBP_CHUNKS:
            extended = len(kept) if kind == b"VP8X" else extended
            kept.append(data[at:end])
        at = end
    if extended is not None:
        flags = kept[extended][8] & ~0x0C | (0x08 if orientation != 1 else 0)  # EXIF and XMP, or EXIF alone
        kept[extended] = kept[extended][:8] + bytes([flags]) + kept[extended][9:]
        if orientation != 1:
            kept.append(struct.pack("<4sI", b"EXIF", len(_exif(orientation))) + _exif(orientation))
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _gif(data: bytes) -> bytes:
    def colours(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    at = 13 + colours(data[10])
    kept = [data[:at]]
    while data[at] != 0x3B:
        start, is_picture = at, data[at] == 0x2C
        if not is_picture and data[at] != 0x21:
            raise ValueError("no block")
        label = data[at + 1]
        at += 11 + colours(data[at + 9]) if is_picture else 2
        loops = not is_picture and label == 0xFF and data[at + 1 : at + 12] in _LOOPS
        while data[at]:
            at += 1 + data[at]
        at += 1
        if is_picture or label == 0xF9 or loops:
            kept.append(data[start:at])
    return b"".join([*kept, b"\x3b"])


@dataclass(frozen=True)
class _Box:
    """Places in the file: of the box, of what is in it, and of its end."""

    kind: bytes
    start: int
    body: int
    end: int


def _boxed(data: bytes) -> bytes:
    """Overwrite metadata where it lies: places are written as numbers all over the file."""
    cleaned = bytearray(data)
    _clean(cleaned, 0, len(cleaned), top=True)
    return bytes(cleaned)


def _boxes(data: bytearray, start: int, end: int) -> Iterator[_Box]:
    while start + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        length = length or end - start
        if length < head or start + length > end:
            raise ValueError("a box of a wrong length")
        yield _Box(kind, start, start + head, start + length)
        start += length


def _clean(data: bytearray, start: int, end: int, *, top: bool = False) -> None:
    for box in _boxes(data, start, end):
        if (top and box.kind not in _TOP_BOXES) or box.kind in (b"uuid", b"udta"):
            _blank(data, box)
        elif box.kind in (b"moov", b"trak"):
            _clean(data, box.body, box.end)
        elif box.kind == b"meta":
            _clean_items(data, box)


def _blank(data: bytearray, box: _Box) -> None:
    """Make it an empty box of the same length."""
    data[box.start + 4 : box.start + 8] = b"free"
    data[box.body : box.end] = bytes(box.end - box.body)


def _clean_items(data: bytearray, meta: _Box) -> None:
    parts = {box.kind: box for box in _boxes(data, meta.body + 4, meta.end)}
    if b"iinf" not in parts:
        _blank(data, meta)
        return
    iinf, telling = parts[b"iinf"], set()
    for entry in _boxes(data, iinf.body + (8 if data[iinf.body] else 6), iinf.end):
        wide = 2 if data[entry.body] == 2 else 4
        place = entry.body + 6 + wide
        if bytes(data[place : place + 4]) in _TELLING_ITEMS:
            telling.add(int.from_bytes(data[entry.body + 4 : entry.body + 4 + wide], "big"))
            data[place : place + 4] = b"none"  # a kind that nobody reads
    if not telling:
        return
    idat = parts[b"idat"].body if b"idat" in parts else 0
    for number, start, end in _places(data, parts.get(b"iloc"), idat):
        if number in telling:
            data[start:end] = bytes(end - start)


def _places(data: bytearray, iloc: _Box | None, idat: int) -> Iterator[tuple[int, int, int]]:
    """Yield the number of each item with the start and the end of each of its parts."""
    if iloc is None or iloc.body == iloc.end:
        raise ValueError("items without places")
    for number, method, extents in item_extents(bytes(data[iloc.body : iloc.end])):
        for offset, length in extents:
            start = offset + (idat if method == 1 else 0)
            if method >= 2 or start + length > len(data):
                raise ValueError("an item outside of the file")
            yield number, start, start + length if length else len(data)
