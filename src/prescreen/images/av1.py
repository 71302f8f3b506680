"""Sequence headers of an AV1 stream: the size that is really decoded, and the colours.

A container may declare a small picture for a large stream; the decoder works on the stream.

References
----------
AV1 Bitstream & Decoding Process Specification, sections 5.3 to 5.5.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_SEQUENCE_HEADER = 1


@dataclass(frozen=True)
class Sequence:
    """Largest size of the frames in pixels; primaries and transfer function by their numbers in H.273, if declared."""

    width: int
    height: int
    colours: tuple[int, int] | None


class _Bits:
    """Reads numbers, the highest bit first; raises ValueError at the end."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("the sequence header ends early")
        return self._number >> self._left & ((1 << count) - 1)

    def skip_variable(self) -> None:
        zeros = 0
        while not self.take(1):
            zeros += 1
        if zeros < 32:
            self.take(zeros)


def read_sequences(stream: bytes) -> Iterator[Sequence]:
    """Read all sequence headers of a stream of open bitstream units.

    Raises
    ------
    ValueError
        If one of them ends early.
    """
    at = 0
    while at < len(stream):
        first, at = stream[at], at + 1 + (stream[at] >> 2 & 1)
        length = len(stream) - at
        if first >> 1 & 1:
            length, at = _variable(stream, at)
        if first >> 3 & 15 == _SEQUENCE_HEADER:
            yield _sequence(_Bits(stream[at : at + min(length, 256)]))
        at += length


def _variable(stream: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(8):
        if at + place >= len(stream):
            raise ValueError("a length ends early")
        byte = stream[at + place]
        value |= (byte & 127) << 7 * place
        if not byte & 128:
            return value, at + place + 1
    raise ValueError("a length without end")


def _sequence(bits: _Bits) -> Sequence:
    profile = bits.take(3)
    bits.take(1)
    reduced = bits.take(1)
    if reduced:
        bits.take(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(width_bits) + 1, bits.take(height_bits) + 1
    if not reduced and bits.take(1):
        bits.take(7)
    bits.take(3)
    if not reduced:
        _skip_tools(bits)
    bits.take(3)
    deep = bits.take(1)
    if profile == 2 and deep:
        bits.take(1)
    if profile != 1:
        bits.take(1)
    return Sequence(width, height, (bits.take(8), bits.take(8)) if bits.take(1) else None)


def _skip_operating_points(bits: _Bits) -> None:
    delay = 0
    if bits.take(1):
        bits.take(64)
        if bits.take(1):
            bits.skip_variable()
        if bits.take(1):
            delay = bits.take(5) + 1
            bits.take(42)
    displayed = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay and bits.take(1):
            bits.take(2 * delay + 1)
        if displayed and bits.take(1):
            bits.take(4)


def _skip_tools(bits: _Bits) -> None:
    bits.take(4)
    ordered = bits.take(1)
    if ordered:
        bits.take(2)
    screen = 2 if bits.take(1) else bits.take(1)
    if screen and not bits.take(1):
        bits.take(1)
    if ordered:
        bits.take(3)
