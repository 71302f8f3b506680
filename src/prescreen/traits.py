"""Traits and scales: the words in which ratings, goals and scores are given on the command line."""

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from prescreen.errors import UsageError


@dataclass(frozen=True)
class Scale:
    """The lowest and the highest vote that a rater could give.

    Parameters
    ----------
    low, high : float
        Ends of the scale, both allowed as votes; ``low < high``.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UsageError(f"scale {self.low:g}:{self.high:g}: the first number must be below the second")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``LOW:HIGH``, for instance ``0:10``."""
        low, separator, high = text.partition(":")
        try:
            if not separator:
                raise ValueError(text)
            return cls(float(low), float(high))
        except ValueError:
            raise UsageError(f"scale {text!r}: expected LOW:HIGH, for instance 0:10") from None

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g}:{self.high:g}"


def parse_traits(text: str) -> dict[str, str]:
    """Read ``NEW=COLUMN,...`` (or plain ``COLUMN,...``) into {new name: name in the ratings}."""
    chosen: dict[str, str] = {}
    for item in _items(text, "traits", "competence=smart,likeability=outgoing"):
        new, _, column = (part.strip() for part in item.partition("="))
        if not new or ("=" in item and not column):
            raise UsageError(f"traits {item!r}: expected NAME=COLUMN, for instance competence=smart")
        if new in chosen:
            raise UsageError(f"traits: {new!r} is given twice")
        chosen[new] = column or new
    return chosen


def parse_columns(text: str) -> dict[str, str]:
    """Read ``MEANING=COLUMN,TRAIT=COLUMN,...`` into {meaning, or name of a trait: column}.

    A column whose name has a comma stands in double quotes: ``competence="How competent, on the whole?"``.
    """
    chosen: dict[str, str] = {}
    for item in re.findall(r'(?:"[^"]*"|[^,"])+', text):
        name, _, column = (part.strip().replace('"', "") for part in item.partition("="))
        if not name or not column:
            raise UsageError(f"columns {item.strip()!r}: expected NAME=COLUMN, for instance image=photo,rater=WorkerId")
        if name in chosen:
            raise UsageError(f"columns: {name!r} is given twice")
        chosen[name] = column
    if not chosen:
        raise UsageError(f"columns {text!r}: expected NAME=COLUMN, for instance image=photo,rater=WorkerId")
    return chosen


def parse_levels(text: str) -> dict[str, float]:
    """Read ``competence=8.2,likeability=9.0`` into {trait: score}, each score from 0 to 10."""
    levels: dict[str, float] = {}
    for item in _items(text, "scores", "competence=8.2,likeability=9.0"):
        name, separator, value = (part.strip() for part in item.partition("="))
        try:
            level = float(value)
        except ValueError:
            level = math.nan
        if not (name and separator and 0 <= level <= 10):
            raise UsageError(f"{item!r}: expected TRAIT=SCORE with a score from 0 to 10, for instance competence=8.2")
        if name in levels:
            raise UsageError(f"{name!r} is given twice")
        levels[name] = level
    return levels


def parse_names(text: str) -> tuple[str, ...]:
    """Read ``influence,competence`` into a tuple of names without repeats."""
    return tuple(dict.fromkeys(_items(text, "traits", "influence,competence")))


def unknown_name(name: str, known: Iterable[str], what: str = "trait") -> str:
    """Say that a name is unknown, what is known, and what was probably meant."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {name!r}{hint} (known: {', '.join(known)})"


def _items(text: str, what: str, example: str) -> list[str]:
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise UsageError(f"{what} {text!r}: expected names separated by commas, for instance {example}")
    return items
