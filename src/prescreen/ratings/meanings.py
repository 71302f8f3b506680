"""Finds the meaning of each column of a ratings file: by its name, a usual other name, or as the user gave it.

A name counts in any case and with blanks, ``_`` or ``-`` between its words. Another name is understood only where
exactly one column has it and no column has the name itself.
"""

import difflib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from pathlib import Path
from typing import Final

from prescreen.errors import RatingsError, UsageError
from prescreen.text import quoted, shown

MEANINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "image": (
        "photo", "picture", "pic", "file", "filename", "filepath", "path", "url", "img", "imageurl", "imagename",
        "imagefile", "imagepath", "photourl", "photoname", "photofile", "pictureurl", "picturename", "imgurl",
        "imgname", "portrait", "stimulus", "images", "foto",
    ),
    "trait": ("attribute", "question", "dimension", "traitname", "criterion", "characteristic"),
    "vote": ("rating", "score", "value", "answer", "response", "stars", "judgment", "judgement"),
    "mean": ("average", "avg", "meanrating", "meanscore", "meanvote", "averagerating", "averagescore"),
    "votes": ("n", "nvotes", "numvotes", "numberofvotes", "votecount", "nratings", "numratings", "numberofratings"),
    "std": ("sd", "stdev", "stddev", "standarddeviation"),
    "rater": (
        "raterid", "worker", "workerid", "participant", "participantid", "user", "userid", "username", "annotator",
        "annotatorid", "respondent", "respondentid", "judge", "judgeid", "voter", "voterid", "prolificid",
        "prolificpid",
    ),
    "person": ("personid", "identity"),
}  # fmt: skip
"""What a column can mean, and what people also call it (in small letters, without anything between the words)."""

PAIRS: Final[Sequence[Mapping[str, tuple[str, ...]]]] = (
    {"better": ("winner",), "worse": ("loser",)},
    {"left": (), "right": (), "choice": ("chosen", "winner", "answer", "response")},
)
"""The columns of tables that compare two pictures, see `prescreen.ratings.pair_rows`; all of one kind must be there."""

TEXT: Final = ("image", "trait", "rater", "person", "better", "worse", "left", "right", "choice", "side")
_PICTURE = re.compile(r"[^\s\[\]()/\\\"']+(\.(?:jpe?g|png|webp|avif|heic))\b", re.IGNORECASE)
_BRACKETS = re.compile(r"(?<=\S)(\s*)\[.+\]$")
_NUMBERED: Final = 8  # columns that a message names
_LENGTH: Final = 80  # characters of each


def columns_with_meaning(traits: Sequence[str]) -> list[str]:
    """Return all names that mean something in the header of a file that has a column a trait."""
    return [*MEANINGS, *traits]


@dataclass(frozen=True)
class Meaning:
    """What the columns of a table mean.

    Parameters
    ----------
    columns : mapping of str to str
        Meaning (a key of `MEANINGS`) to column, for those that were found.
    traits : mapping of str to str
        Name of each trait that was told, and its column; a ``*`` in it stands for the name of a picture.
    guessed : frozenset of str
        Meanings that were found by another name.
    """

    columns: Mapping[str, str]
    traits: Mapping[str, str] = field(default_factory=dict)
    guessed: frozenset[str] = frozenset()

    def __contains__(self, meaning: str) -> bool:
        return meaning in self.columns

    def describe(self, vote: str) -> str:
        """Say what was understood by another name; the empty text if nothing was. ``vote`` says what a vote is."""
        guessed = [name for name in (*MEANINGS, *PAIRS[0], *PAIRS[1]) if name in self.guessed]
        return ", ".join(
            f"{shown(self.columns[name])} is {vote if name == 'vote' else f'the {name}'}" for name in guessed
        )


def understand(source: Path, header: Sequence[str], told: Mapping[str, str] | None = None) -> Meaning:
    """Find out what the columns of a table mean; ``told`` is {meaning, or name of a trait: column} of ``--columns``.

    Raises
    ------
    UsageError
        If a column of ``told`` is missing.
    RatingsError
        If several columns could be the same.

    Examples
    --------
    >>> understand(Path("votes.csv"), ["photo", "attribute", "score", "worker_id"]).columns
    {'image': 'photo', 'rater': 'worker_id', 'trait': 'attribute', 'vote': 'score'}
    """
    search = _Search(source, header, told or {})
    if search.guess_pair():
        for meaning in ("trait", "rater"):
            search.guess(meaning)
        return Meaning(search.found, guessed=frozenset(search.guessed))
    matrix = any("*" in column for column in search.traits.values())
    for meaning in ("rater", "person") if matrix else ("image", "rater", "person"):
        search.guess(meaning)
    if not search.traits and (search.found.keys() & {"trait", "vote", "mean"} or _could_be_long(search.free)):
        search.guess("trait")
    if "trait" in search.found:
        for meaning in ("votes", "std") if "vote" in search.found else ("mean", "votes", "std"):
            search.guess(meaning)
        if "mean" not in search.found:
            search.guess("vote")
    elif "rater" not in search.found:
        search.guess("votes")
    return Meaning(search.found, search.traits, frozenset(search.guessed))


class _Search:
    """Goes through the columns of a header; each gets one meaning."""

    def __init__(self, source: Path, header: Sequence[str], told: Mapping[str, str]) -> None:
        self.source = source
        self.found: dict[str, str] = {}
        self.traits: dict[str, str] = {}
        self.guessed: set[str] = set()
        for name, column in told.items():
            part = self.found if name in MEANINGS else self.traits
            part[name] = _column(source, column, header, pattern=name not in MEANINGS)
        columns = [*self.found.values(), *self.traits.values()]
        twice = next((column for column in columns if columns.count(column) > 1), None)
        if twice is not None:
            raise UsageError(f"--columns: {shown(twice)!r} is given two meanings; a column has one")
        self.free = [name for name in header if name and name not in columns]
        for meaning in MEANINGS:
            named = [name for name in self.free if name.lower() == meaning]
            if meaning not in self.found and named:
                self._take(meaning, named[0])

    def guess(self, meaning: str) -> None:
        """Look for a column with another usual name for a meaning."""
        named = [name for name in self.free if _plain(name) in MEANINGS[meaning]]
        if meaning in self.found or not named:
            return
        if len(named) > 1:
            raise RatingsError(
                f"{shown(self.source)}: {' and '.join(shown(name) for name in named)} could both be the {meaning}; "
                f"say which: {columns_option(**{meaning: shown(named[0])})}"
            )
        self._take(meaning, named[0])
        self.guessed.add(meaning)

    def guess_pair(self) -> bool:
        """Look for the columns of a table that compares two pictures, unless one names a picture alone."""
        if self.found.keys() & {"image", "vote", "mean"} or self.traits:
            return False
        for kind in PAIRS:
            plain = {_plain(name): name for name in self.free}
            columns = {
                meaning: next((plain[name] for name in (meaning, *others) if name in plain), None)
                for meaning, others in kind.items()
            }
            found = {meaning: column for meaning, column in columns.items() if column is not None}
            if len(found) < len(kind):
                continue
            for meaning, column in found.items():
                self._take(meaning, column)
                self.guessed |= {meaning} if _plain(column) != meaning else set()
            if kind is PAIRS[0] and "side" in plain:
                self._take("side", plain["side"])
            return True
        return False

    def _take(self, meaning: str, column: str) -> None:
        self.found[meaning] = column
        self.free.remove(column)


def _could_be_long(names: Sequence[str]) -> bool:
    """Whether there is a column for the trait and one for its ratings."""
    plain = [_plain(name) for name in names]
    return any(name in MEANINGS["trait"] for name in plain) and any(
        name in (*MEANINGS["vote"], *MEANINGS["mean"]) for name in plain
    )


def _column(source: Path, column: str, header: Sequence[str], *, pattern: bool) -> str:
    """Return a column that the user named as the header has it."""
    if pattern and "*" in column and column not in header:
        if not any(starred(column, name) for name in header):
            raise UsageError(f"{shown(source)}: --columns {shown(column)}: no column is named so ({listed(header)})")
        return column
    if column in header:
        return column
    same = [name for name in header if _blank_free(name) == _blank_free(column)]
    if len(same) == 1:
        return same[0]
    close = difflib.get_close_matches(column, header, n=1)
    hint = f"; did you mean {shown(close[0])!r}?" if close else ""
    raise UsageError(f"{shown(source)}: --columns: no column {shown(column)!r}{hint} (columns: {listed(header)})")


def starred(pattern: str, name: str) -> str:
    """Return the picture that a column is about: what the ``*`` of a pattern stands for; the empty text if nothing.

    A pattern such as ``*.jpg`` stands for names of files, ending included.

    Examples
    --------
    >>> starred("How smart is *?", "How smart is 001.jpg?"), starred("*.jpg", "001.jpg")
    ('001.jpg', '001.jpg')
    """
    before, _, after = (_blank_free(part, ends=False) for part in pattern.partition("*"))
    plain = _blank_free(name, ends=False)
    if not (plain.startswith(before) and plain.endswith(after) and len(plain) > len(before) + len(after)):
        return ""
    collapsed = " ".join(name.split())
    return collapsed if not before and after.startswith(".") else collapsed[len(before) : len(plain) - len(after)]


def picture_pattern(name: str) -> str:
    """Return a column's name with ``*`` for the picture in it, as `starred` takes it; the empty text if there is none.

    The picture is a file's name, or what stands in brackets at the end, as in the grids of Google Forms.
    """
    if file := _PICTURE.fullmatch(name):
        return f"*{file[1]}"
    pattern, found = _PICTURE.subn("*", name)
    if found != 1:
        pattern, found = _BRACKETS.subn(r"\1[*]", name)
    return pattern if found == 1 else ""


def common_pattern(names: Iterable[str]) -> str:
    """Return the `picture_pattern` that most columns have, at least two; the empty text if there is none."""
    by_pattern: dict[str, list[str]] = {}
    for name in names:
        by_pattern.setdefault(picture_pattern(name), []).append(name)
    by_pattern.pop("", None)
    pattern = max(by_pattern, key=lambda found: len(by_pattern[found]), default="")
    if len(by_pattern.get(pattern, [])) < 2:
        return ""
    if not pattern.endswith("[*]"):
        return pattern
    before = commonprefix([starred(pattern, name) for name in by_pattern[pattern]])  # the words before each name
    return f"{pattern[:-2]}{before[: before.rfind(' ') + 1]}*]"


def listed(names: Iterable[object], most: int | None = _NUMBERED) -> str:
    """Return names in one line, long lists cut short."""
    texts = [shortened(str(name)) for name in names]
    if most is not None and len(texts) > most + 1:
        texts = [*texts[:most], f"and {len(texts) - most} more"]
    return ", ".join(texts)


def shortened(name: str) -> str:
    """Return a name as one printable line, cut short if it is very long."""
    text = shown(name)
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."


def columns_left(names: Sequence[str]) -> list[str]:
    """Say which columns were left out: one line, or none."""
    return [f"column{'' if len(names) == 1 else 's'} {listed(names)}"] if names else []


def columns_option(**columns: str) -> str:
    """Return ``--columns`` as a shell takes it."""
    return f"--columns {shlex.quote(','.join(f'{name}={quoted(column)}' for name, column in columns.items()))}"


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name).lower()


def _blank_free(name: str, ends: bool = True) -> str:
    collapsed = " ".join(name.split()) if ends else re.sub(r"\s+", " ", name)
    return collapsed.casefold() if len(collapsed.casefold()) == len(collapsed) else collapsed
