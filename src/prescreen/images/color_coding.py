"""Colour coding of a file, from nclx boxes, cICP, gAMA and cHRM chunks and some ICC profiles.

References
----------
Recommendation ITU-T H.273, tables 2 and 3; PNG Specification (Third Edition), section 11.3.2; ICC.1:2022, 9.2.17.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from prescreen.errors import PictureError, PictureFault

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of red, green, blue and white."""

BT709: Final[Chromaticities] = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
BT2020: Final[Chromaticities] = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
_DCI_P3: Final[Chromaticities] = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351)
_DISPLAY_P3: Final[Chromaticities] = (*_DCI_P3[:6], 0.3127, 0.3290)
_PRIMARIES: Final = {9: BT2020, 11: _DCI_P3, 12: _DISPLAY_P3}
"""By their number in H.273; the others count as those of sRGB."""

_HDR: Final[dict[int, Literal["PQ", "HLG"]]] = {16: "PQ", 18: "HLG"}
_GAMMAS: Final = {5: 2.8, 8: 1.0, 17: 2.6}
_LOGARITHMIC: Final = (9, 10)
_USUAL_GAMMA: Final = 0.45455
_SAME_GAMMA: Final = 0.05  # shares of a gamma that libpng takes for equal
_SAME_POINT: Final = 0.01
_HIGHEST_GAMMA: Final = 5.0


@dataclass(frozen=True)
class Coding:
    """Colours that are not those of sRGB.

    Parameters
    ----------
    transfer : str
        From numbers to light: ``sRGB``, ``PQ`` (SMPTE ST 2084), ``HLG`` (ARIB STD-B67) or ``gamma``.
    gamma : float
        Exponent, for ``gamma`` only.
    primaries : Chromaticities
        Of red, green, blue and white.
    """

    transfer: Literal["sRGB", "PQ", "HLG", "gamma"] = "sRGB"
    gamma: float = 1.0
    primaries: Chromaticities = BT709

    @property
    def is_hdr(self) -> bool:
        """Whether there is light above the white of paper."""
        return self.transfer in ("PQ", "HLG")


def coding_by_numbers(primaries: int, transfer: int) -> Coding | None:
    """Read code points of H.273; None where they mean sRGB or are unknown.

    The curves of television count as sRGB: screens show both alike.

    Raises
    ------
    PictureError
        A logarithmic curve, which is not supported.
    """
    if transfer in _LOGARITHMIC:
        raise PictureError(
            f"colours on a logarithmic scale (transfer function {transfer}) are not read: save it again as sRGB",
            PictureFault.COLOURS,
        )
    points = _PRIMARIES.get(primaries, BT709)
    if transfer in _GAMMAS:
        return Coding("gamma", _GAMMAS[transfer], points)
    if transfer in _HDR:
        return Coding(_HDR[transfer], primaries=points)
    return None if points is BT709 else Coding(primaries=points)


def coding_by_gamma(gama: int, chrm: Sequence[int]) -> Coding | None:
    """Read PNG's chunks gAMA and cHRM; None where they mean sRGB or are impossible.

    Parameters
    ----------
    gama : int
        The chunk's number: the exponent of coding × 100,000; 0 where there is none.
    chrm : sequence of int
        Its eight numbers, x and y × 100,000 of white, red, green and blue; empty where there are none.
    """
    encoded = gama / 100_000
    usual = abs(encoded / _USUAL_GAMMA - 1) < _SAME_GAMMA
    known = 1 / _HIGHEST_GAMMA <= encoded <= _HIGHEST_GAMMA and not usual
    points = _points([number / 100_000 for number in chrm])
    if known:
        return Coding("gamma", 1 / encoded, points)
    return None if points is BT709 else Coding(primaries=points)


def _points(chrm: Sequence[float]) -> Chromaticities:
    """Reorder chromaticities as in this module; return those of sRGB where they are close to them or impossible."""
    if len(chrm) != 8 or not all(0 < y <= 1 for y in chrm[1::2]) or not all(0 <= x <= 1 for x in chrm[::2]):
        return BT709
    white_x, white_y, *others = chrm
    red_x, red_y, green_x, green_y, blue_x, blue_y = others
    area = (green_x - red_x) * (blue_y - red_y) - (blue_x - red_x) * (green_y - red_y)
    found = (red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y)
    near = all(math.isclose(a, b, abs_tol=_SAME_POINT) for a, b in zip(found, BT709, strict=True))
    return BT709 if near or abs(area) < _SAME_POINT else found


def coding_by_profile(profile: bytes | None) -> Coding | None:
    """Read the tag ``cicp`` of an ICC profile; None unless it means PQ or HLG, so that the profile itself counts."""
    if profile is None:
        return None
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        for at in range(132, 132 + 12 * min(count, 100), 12):
            name, start = struct.unpack_from(">4sI", profile, at)
            if name == b"cicp":
                primaries, transfer = struct.unpack_from("BB", profile, start + 8)
                return coding_by_numbers(primaries, transfer) if transfer in _HDR else None
    except struct.error:
        pass
    return None
