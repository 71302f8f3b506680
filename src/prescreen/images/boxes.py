"""The container of AVIF and HEIC files: boxes in boxes, and in them the picture's size, colours and streams.

References
----------
ISO/IEC 14496-12 (ISO base media file format), 8.11; ISO/IEC 23008-12 (HEIF), 6.5.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_MAX_EXTENTS = 10_000
_DERIVED = (b"grid", b"iden", b"iovl")


@dataclass(frozen=True)
class Item:
    """A picture, a tile of one, or metadata: its type (``av01``, ``hvc1``, ``grid``, ``Exif``), data and properties."""

    kind: bytes
    stream: bytes = field(repr=False)
    properties: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def size(self) -> tuple[int, int] | None:
        """Declared width and height in pixels, before the picture is turned."""
        for kind, body in self.properties:
            if kind == b"ispe":
                width, height = struct.unpack_from(">II", body, 4)
                return width, height
        return None

    @property
    def colours(self) -> tuple[int, int] | None:
        """Primaries and transfer function by their numbers in H.273."""
        for kind, body in self.properties:
            if kind == b"colr" and body[:4] == b"nclx":
                primaries, transfer = struct.unpack_from(">HH", body, 4)
                return primaries, transfer
        return None

    @property
    def profile(self) -> bytes | None:
        """Its ICC profile, unchecked."""
        profiles = (body[4:] for kind, body in self.properties if kind == b"colr" and body[:4] in (b"prof", b"rICC"))
        return next(profiles, None)


@dataclass(frozen=True)
class Container:
    """Items of a file, and which of them is the picture to show, if it is there."""

    shown: Item | None = None
    items: Sequence[Item] = ()

    @property
    def coloured(self) -> Item | None:
        """The item with the colours: the picture to show, or its first tile where only tiles have them."""
        if self.shown is None or self.shown.kind not in _DERIVED or self.shown.colours or self.shown.profile:
            return self.shown
        return next((item for item in self.items if item.colours or item.profile), self.shown)


def read_container(data: bytes) -> Container:
    """Read the items of a file; a file of tracks alone has none.

    Raises
    ------
    struct.error, IndexError, ValueError
        The container is damaged or cut short.
    """
    meta = next((body for kind, body in _boxes(data) if kind == b"meta"), None)
    if meta is None:
        return Container()
    parts = dict(_boxes(meta[4:]))
    if b"iinf" not in parts or b"pitm" not in parts:
        return Container()
    (primary,) = struct.unpack_from(">I" if parts[b"pitm"][0] else ">H", parts[b"pitm"], 4)
    kinds = dict(_kinds(parts[b"iinf"]))
    streams = dict(_streams(parts.get(b"iloc", b""), data, parts.get(b"idat", b"")))
    properties = dict(_properties(parts.get(b"iprp", b"")))
    items = {number: Item(kind, streams.get(number, b""), properties.get(number, ())) for number, kind in kinds.items()}
    return Container(items.get(primary), tuple(items.values()))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        length = length or len(data) - at
        if length < head:
            raise ValueError("a box shorter than its head")
        yield kind, data[at + head : at + length]
        at += length


def _kinds(iinf: bytes) -> Iterator[tuple[int, bytes]]:
    for name, entry in _boxes(iinf[8:] if iinf[0] else iinf[6:]):
        if name == b"infe" and entry[0] >= 2:
            number, _, kind = struct.unpack_from(">HH4s" if entry[0] == 2 else ">IH4s", entry, 4)
            yield number, kind


def _streams(iloc: bytes, data: bytes, idat: bytes) -> Iterator[tuple[int, bytes]]:
    for number, method, extents in item_extents(iloc):
        place = idat if method == 1 else data
        parts = [place[start : start + length] if length else place[start:] for start, length in extents]
        if method < 2:
            yield number, b"".join(parts)


def item_extents(iloc: bytes) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yield where the items of a file are: number, method of construction, and start and length of each part.

    Parameters
    ----------
    iloc : bytes
        Body of the box ``iloc``; empty where there is none.

    Raises
    ------
    ValueError, IndexError
        If it ends early, or names too many parts.
    """
    if not iloc:
        return
    version, sizes = iloc[0], (iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15)
    at, known = 6, 0

    def take(size: int) -> int:
        nonlocal at
        if at + size > len(iloc):
            raise ValueError("iloc ends early")
        at += size
        return int.from_bytes(iloc[at - size : at], "big")

    wide = 4 if version == 2 else 2
    for _ in range(take(wide)):
        number = take(wide)
        method = take(2) & 15 if version else 0
        take(2)
        base = take(sizes[2])
        extents = []
        for _ in range(take(2)):
            if version:
                take(sizes[3])
            start = base + take(sizes[0])
            extents.append((start, take(sizes[1])))
            known += 1
            if known > _MAX_EXTENTS:
                raise ValueError("too many extents")
        yield number, method, extents


def _properties(iprp: bytes) -> Iterator[tuple[int, tuple[tuple[bytes, bytes], ...]]]:
    known: list[tuple[bytes, bytes]] = []
    for kind, body in _boxes(iprp):
        if kind == b"ipco":
            known = list(_boxes(body))
        if kind != b"ipma":
            continue
        wide, at = body[3] & 1, 8
        (count,) = struct.unpack_from(">I", body, 4)
        for _ in range(count):
            (number,) = struct.unpack_from(">I" if body[0] else ">H", body, at)
            at += 4 if body[0] else 2
            uses = body[at]
            indices = struct.unpack_from(f">{uses}{'H' if wide else 'B'}", body, at + 1)
            at += 1 + uses * (2 if wide else 1)
            places = [index & (0x7FFF if wide else 0x7F) for index in indices]
            yield number, tuple(known[place - 1] for place in places if 0 < place <= len(known))
