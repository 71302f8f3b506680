"""What the containers of AVIF and HEIC say of colours, as other programs than Pillow write them."""

import struct

import pytest

from prescreen.images.color_coding import BT2020, Coding
from prescreen.images.containers import read_header

PQ = Coding("PQ", primaries=BT2020)


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full(kind, version, *parts):
    return box(kind, bytes([version, 0, 0, 0]), *parts)


def nclx(primaries, transfer):
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, 9, 128))


def size(width, height):
    return full(b"ispe", 0, struct.pack(">II", width, height))


def container(brand, primary, **items):
    """Return a file of items without a stream: each its number, with its kind and its properties."""
    entries, uses, known = [], [], []
    for name, (kind, *properties) in items.items():
        number = int(name.removeprefix("item"))
        entries.append(full(b"infe", 2, struct.pack(">HH4s", number, 0, kind), b"\0"))
        uses.append(struct.pack(">HB", number, len(properties)))
        for one in properties:
            known.append(one)
            uses.append(bytes([len(known)]))
    return box(b"ftyp", brand, bytes(4), brand) + full(
        b"meta",
        0,
        full(b"pitm", 0, struct.pack(">H", primary)),
        full(b"iinf", 0, struct.pack(">H", len(entries)), *entries),
        box(b"iprp", box(b"ipco", *known), full(b"ipma", 0, struct.pack(">I", len(items)), *uses)),
    )


@pytest.mark.parametrize(("brand", "tile"), [(b"heic", b"hvc1"), (b"avif", b"av01")])
class TestColours:
    def test_of_a_grid_are_those_of_its_tiles_where_it_tells_none(self, brand, tile):
        tiles = {"item1": (tile, size(256, 192), nclx(9, 16)), "item2": (tile, size(256, 192), nclx(9, 16))}
        header = read_header(container(brand, 3, **tiles, item3=(b"grid", size(500, 180))))
        assert (header.size, header.coding) == ((500, 180), PQ)
        header = read_header(container(brand, 3, **tiles, item3=(b"grid", size(500, 180), nclx(1, 13))))
        assert (header.size, header.coding) == ((500, 180), None)

    def test_of_other_items_say_nothing(self, brand, tile):
        others = {"item2": (b"tmap", size(64, 48), nclx(9, 16)), "item3": (tile, size(32, 24), nclx(9, 16))}
        header = read_header(container(brand, 1, item1=(tile, size(64, 48)), **others))
        assert (header.size, header.coding) == ((64, 48), None)
