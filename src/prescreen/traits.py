"""Traits and scales: the words in which ratings, goals and scores are given on the command line.

Lists of names are separated by commas, and ``=`` stands between a name and what is said of it. A name with either in
it is put in double quotes, in which a double quote is written twice: ``"warm, kind",influence``.
"""

import difflib
import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

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


_QUOTED: Final = re.compile(r'"(?:[^"]|"")*"')
_TOKEN: Final = re.compile(rf"\s*{_QUOTED.pattern}\s*(?=[,=]|$)|[^,=]+|[,=]")
"""A name in quotes, which end before a separator; anything else up to one; or a separator."""

_PLAIN: Final = re.compile(r'[^\s",=](?:[^,=]*[^\s,=])?')


def parse_traits(text: str) -> dict[str, str]:
    """Read ``NEW=COLUMN,...`` (or plain ``COLUMN,...``) into {new name: name in the ratings}."""
    chosen: dict[str, str] = {}
    for item in _items(text, "traits", "competence=smart,likeability=outgoing"):
        new, column = _name(item[:1]), _name(item[1:])
        if not new or (len(item) > 1 and not column):
            raise UsageError(f"traits {'='.join(item)!r}: expected NAME=COLUMN, for instance competence=smart")
        if new in chosen:
            raise UsageError(f"traits: {new!r} is given twice")
        chosen[new] = column or new
    return chosen


def parse_columns(text: str) -> dict[str, str]:
    """Read ``MEANING=COLUMN,TRAIT=COLUMN,...`` into {meaning, or name of a trait: column}."""
    chosen: dict[str, str] = {}
    for item in _items(text, "columns", "image=photo,rater=WorkerId"):
        name, column = _name(item[:1]), _name(item[1:])
        if not name or not column:
            raise UsageError(
                f"columns {'='.join(item).strip()!r}: expected NAME=COLUMN, for instance image=photo,rater=WorkerId"
            )
        if name in chosen:
            raise UsageError(f"columns: {name!r} is given twice")
        chosen[name] = column
    return chosen


def parse_levels(text: str) -> dict[str, float]:
    """Read ``competence=8.2,likeability=9.0`` into {trait: score}, each score from 0 to 10."""
    levels: dict[str, float] = {}
    for item in _items(text, "scores", "competence=8.2,likeability=9.0"):
        name = _name(item[:-1])
        try:
            level = float(item[-1])
        except ValueError:
            level = math.nan
        if not (name and len(item) == 2 and 0 <= level <= 10):
            raise UsageError(
                f"{'='.join(item).strip()!r}: expected TRAIT=SCORE with a score from 0 to 10, "
                "for instance competence=8.2"
            )
        if name in levels:
            raise UsageError(f"{name!r} is given twice")
        levels[name] = level
    return levels


def parse_names(text: str) -> tuple[str, ...]:
    """Read ``influence,competence`` into a tuple of names without repeats."""
    return tuple(dict.fromkeys(_name(item) for item in _items(text, "traits", "influence,competence")))


def quoted(name: str) -> str:
    """Return a name as these lists take it: in double quotes where it would be divided otherwise."""
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def traits_option(chosen: Mapping[str, str]) -> str:
    """Return ``--traits`` as a shell takes it, for {name: name in the ratings}."""
    items = (quoted(old) if new == old else f"{quoted(new)}={quoted(old)}" for new, old in chosen.items())
    return f"--traits {shlex.quote(','.join(items))}"


def names_as_text(names: Iterable[str]) -> str:
    """Return names as one text that `names_from_text` reads, whatever is in them."""
    return json.dumps(list(names), ensure_ascii=False)


def names_from_text(text: str) -> tuple[str, ...]:
    """Read what `names_as_text` wrote, or names separated by commas, as older versions wrote them."""
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return tuple(names)
    return tuple(text.split(","))


def refuse_twice(names: Sequence[str], what: str) -> None:
    """Refuse traits with which a name would stand for two things.

    Parameters
    ----------
    names : sequence of str
        All names that something gets.
    what : str
        What gets them, for the message.

    Raises
    ------
    UsageError
        If a name stands there twice.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{what}: {twice[0]!r} would stand for two things; rename the trait with --traits NEW=OLD")


def unknown_name(name: str, known: Iterable[str], what: str = "trait") -> str:
    """Say that a name is unknown, what is known, and what was probably meant."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {quoted(close[0])!r}?" if close else ""
    listed = [quoted(other) for other in known]
    quotes = "; put a name with a comma or = in it in double quotes" if listed != known else ""
    return f"unknown {what} {name!r}{hint} (known: {', '.join(listed)}){quotes}"


def _items(text: str, what: str, example: str) -> list[list[str]]:
    """Divide a text at commas and then at ``=``, but nowhere within quotes; each item has one part or more."""
    items = [[""]]
    for token in _TOKEN.findall(text):
        if token == ",":
            items.append([""])
        elif token == "=":
            items[-1].append("")
        else:
            items[-1][-1] = token
    if not all(_name(item) for item in items):
        raise UsageError(f"{what} {text!r}: expected names separated by commas, for instance {example}")
    return items


def _name(parts: Sequence[str]) -> str:
    """Return the name that stands in an item; one without quotes may hold ``=``."""
    text = "=".join(parts).strip()
    return text[1:-1].replace('""', '"') if len(parts) == 1 and _QUOTED.fullmatch(text) else text
