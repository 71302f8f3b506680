"""The scale that votes and scores are on: told, or implied by the format, or else by the values.

Scores are on 0:10, counts of answers on 0:3 and One Million Impressions on 0:100. Whole votes whose smallest is 1 and
whose largest is 5, 7 or 9 are on 1:5, 1:7 or 1:9, which is said. Other votes and means are on the smallest of 0:3
(whole votes only), 0:10 and 0:100 that holds nine in ten of the values; a value beyond it is an error. Ratings that a
predictor is evaluated on are taken to be on its own scale where both that and 0:10 hold them all.
"""

from typing import Final

import numpy as np

from prescreen.errors import RatingsError
from prescreen.ratings.columns import Floats, refuse
from prescreen.ratings.rows import Rows
from prescreen.ratings.scale import Scale
from prescreen.text import shown

SCORES: Final = Scale(0, 10)
"""Scores as Photofeeler shows them."""

ANSWERS: Final = Scale(0, 3)
"""What No, Somewhat, Yes and Very count as."""

_USUAL: Final = (Scale(0, 3), Scale(0, 10), Scale(0, 100))
_FROM_ONE: Final = (Scale(1, 5), Scale(1, 7), Scale(1, 9))
_SHARE_ON_SCALE: Final = 0.9


def find_scale(rows: Rows, told: Scale | None, expected: Scale | None) -> tuple[Scale, tuple[str, ...]]:
    """Return the scale of the values, and what to say of it.

    Parameters
    ----------
    rows : Rows
        The values.
    told : Scale or None
        By the user; goes before all else.
    expected : Scale or None
        That of the ratings that these go with.

    Raises
    ------
    RatingsError
        If the values fit no scale, or one of them, or a standard deviation, is impossible on it.
    """
    values = rows.frame["value"].to_numpy(np.float64)
    told = told or rows.scale
    scale, why = (told, "") if told else _implied(values, rows.single_votes, expected)
    if scale is None:
        span = f"{values.min():g} to {values.max():g}"
        raise RatingsError(
            f"{shown(rows.source)}: values from {span} fit no usual scale; give it with --scale LOW:HIGH"
        )
    remedy = "correct it, or give the scale with --scale LOW:HIGH"
    refuse_beyond(rows, scale, f"the scale {scale}" if told else f"the scale {scale} of the others", remedy)
    if "std" in rows.frame:
        stds = rows.frame["std"].to_numpy(np.float64)
        widest = (scale.high - scale.low) / np.sqrt(2)  # of two votes, one at each end
        impossible = stds > widest * (1 + 1e-9)
        refuse(rows.source, rows.frame, impossible, f"std {{}} is impossible on the scale {scale}", remedy, stds)
    return scale, (f"scale      {scale}: {why}; if raters could go further, say so with --scale",) if why else ()


def refuse_beyond(rows: Rows, scale: Scale, which: str, remedy: str) -> None:
    """Refuse a value that is not on a scale; ``which`` says what scale that is."""
    values = rows.frame["value"].to_numpy(np.float64)
    beyond = (values < scale.low) | (values > scale.high)
    if beyond.any():
        called = rows.value_names[str(rows.frame["trait"].iloc[int(np.argmax(beyond))])]
        refuse(rows.source, rows.frame, beyond, f"{shown(called)} {{}} is outside {which}", remedy, values)


def _implied(values: Floats, votes: bool, expected: Scale | None) -> tuple[Scale | None, str]:
    """Return the scale that values are on, if any, and why, where that is not plain."""
    if values.size == 0:  # that nobody rated anything is said later
        return SCORES, ""
    lowest, highest = float(values.min()), float(values.max())
    whole = votes & (values == np.round(values))
    found = next((scale for scale in _FROM_ONE if whole.all() and (scale.low, scale.high) == (lowest, highest)), None)
    why = f"all votes are whole, from {lowest:g} to {highest:g}" if found else ""
    for scale in () if found else _USUAL:
        fits = (values >= scale.low) & (values <= scale.high) & (whole if scale == _USUAL[0] else True)
        if fits.mean() >= _SHARE_ON_SCALE:
            found = scale
            break
    if expected and expected != found and found in (SCORES, *_FROM_ONE):
        within = expected.low in SCORES and expected.high in SCORES
        if within and lowest in expected and highest in expected:
            return expected, "as the predictor's"
    return found, why
