"""Votes as they come in, in a table on disk: one for each rater, item and trait.

An item is a picture, or two pictures of which one is better.
"""

import json
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from prescreen.errors import PrescreenError, RatingsError
from prescreen.ratings.columns import counted, refuse
from prescreen.ratings.formats import read_rows
from prescreen.ratings.rows import Rows
from prescreen.storage.tables import write_table
from prescreen.text import shown

HIGHEST: Final = 3
"""Votes are 0 to 3."""
MAX_RATERS: Final = 1000
"""Raters of one file of votes; a client that makes up names does not fill the disk."""
SIDES: Final = ("left", "right")


@dataclass(frozen=True)
class Choice:
    """Which of two pictures a rater found better, and on which side it was; the side is empty where not known."""

    better: str
    worse: str
    side: str


Item = str | tuple[str, str]
"""A picture, or two in the order of their names."""
Key = tuple[str, Item, str]
"""Rater, item, trait."""
Vote = int | Choice
Collected = dict[Key, Vote]


class Kind(ABC):
    """What is voted on, and how votes are read, written and sent.

    Parameters
    ----------
    columns : str
        Those of the table.
    called : str
        What the table holds, for messages: a vote is one look at a picture, at all traits, and an answer is about two
        pictures and one trait.
    highest : int
        Highest number that a page sends as a vote.
    """

    columns: str
    called: str
    highest: int

    @abstractmethod
    def item(self, text: str) -> Item | None:
        """Return what a page's text for an item means; None if nothing."""

    @abstractmethod
    def vote(self, text: str, number: int) -> Vote:
        """Return what the number of an answer means, for an item as the page sends it."""

    @abstractmethod
    def votes(self, rows: Rows) -> Collected:
        """Return the votes of a table; of two for the same the later row counts.

        Raises
        ------
        RatingsError
            If there are others than a ballot gives, or a picture is compared with itself.
        """

    @abstractmethod
    def table(self, votes: Mapping[Key, Vote]) -> pd.DataFrame:
        """Return votes as a table."""

    def count(self, votes: Mapping[Key, Vote]) -> int:
        """Return how many there are."""
        return len(votes)

    def describe(self, votes: Mapping[Key, Vote]) -> str:
        """Say how many there are: ``40 votes of 2 raters (120 ratings)``, ``120 answers of 2 raters``."""
        count = self.count(votes)
        of = counted(len({rater for rater, _, _ in votes}), "rater")
        ratings = f" ({counted(len(votes), 'rating')})" if count < len(votes) else ""
        return f"{counted(count, self.called.removesuffix('s'))} of {of}{ratings}"


class _Votes(Kind):
    columns = "image, trait, vote, rater"
    called = "votes"
    highest = HIGHEST

    def count(self, votes: Mapping[Key, Vote]) -> int:
        return len({(rater, image) for rater, image, _ in votes})

    def item(self, text: str) -> Item:
        return text

    def vote(self, text: str, number: int) -> Vote:
        return number

    def votes(self, rows: Rows) -> Collected:
        frame = rows.frame
        strange = ~frame["value"].isin(range(HIGHEST + 1))
        if strange.any():
            vote = frame["value"][strange].iloc[0]
            raise RatingsError(
                f"{shown(rows.source)}: row {frame.index[strange][0]}: vote {vote:g}, expected 0 to {HIGHEST}"
            )
        keys = zip(frame["rater"], frame["image"], frame["trait"], strict=True)
        return dict(zip(keys, frame["value"].astype(int).tolist(), strict=True))

    def table(self, votes: Mapping[Key, Vote]) -> pd.DataFrame:
        raters, images, traits = zip(*votes, strict=True)
        return pd.DataFrame({"image": images, "trait": traits, "vote": list(votes.values()), "rater": raters})


class _Choices(Kind):
    columns = "better, worse, side, trait, rater"
    called = "answers"
    highest = 1

    def item(self, text: str) -> Item | None:
        try:
            sides = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(sides, list) or len(sides) != 2 or not all(isinstance(image, str) for image in sides):
            return None
        return None if sides[0] == sides[1] else _pair(*sides)

    def vote(self, text: str, number: int) -> Vote:
        sides = json.loads(text)
        return Choice(sides[number], sides[1 - number], SIDES[number])

    def votes(self, rows: Rows) -> Collected:
        frame = rows.frame
        better, worse = (frame[frame["value"] == value] for value in (1, 0))
        named = better["image"].astype(str)
        same = named.to_numpy() == worse["image"].astype(str).to_numpy()
        refuse(rows.source, better, same, "image {} is compared with itself", "leave the row out", named)
        sides = better["side"].astype(str) if "side" in frame else [""] * len(better)
        choices = map(Choice, better["image"], worse["image"], sides)
        return {
            (rater, _pair(one.better, one.worse), trait): one
            for rater, trait, one in zip(better["rater"], better["trait"], choices, strict=True)
        }

    def table(self, votes: Mapping[Key, Vote]) -> pd.DataFrame:
        raters, _, traits = zip(*votes, strict=True)
        return pd.DataFrame([vars(choice) for choice in votes.values()]).assign(trait=traits, rater=raters)


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


VOTES: Final[Kind] = _Votes()
"""How much a trait fits a picture, 0 to 3."""
CHOICES: Final[Kind] = _Choices()
"""Which of two pictures a trait fits better."""


class CollectedVotes:
    """Votes in a table. A second vote of a rater on an item and trait replaces the first.

    Parameters
    ----------
    path : Path
        Written whole at every change, so that a kill leaves the old or the new table.
    votes : mapping of (str, str or (str, str), str) to int or Choice
        Those it has, as `read_votes` returns them.
    images, traits : sequence of str
        What is voted on. Votes on anything else that are in the file stay there.
    kind : Kind
        What votes there are.
    asked : int, optional
        Items that a rater is asked about. Twice as many are taken, since another page may have asked about others;
        without it all that the pictures allow.
    """

    def __init__(
        self,
        path: Path,
        votes: Mapping[Key, Vote],
        images: Sequence[str],
        traits: Sequence[str],
        kind: Kind = VOTES,
        asked: int | None = None,
    ) -> None:
        self.path = path
        self.images = dict.fromkeys(images)
        self.traits = dict.fromkeys(traits)
        self.kind = kind
        self._votes = dict(votes)
        self._most = None if asked is None else 2 * asked
        self._items: dict[str, set[Item]] = {}
        self._count(votes)
        self._waiting: list[Collected] = []
        self._counting = threading.Lock()
        self._writing = threading.Lock()

    def save(self, rater: str, votes: Mapping[str, Mapping[str, int]]) -> None:
        """Save the votes of a rater: for items as the page sends them, a number for each trait that they voted on.

        Votes on pictures and traits that are not known are passed over: a page that was opened before a restart may
        have some that are gone by now. Votes that come in while others are written are then written together: many
        raters at once do not wait for a file each.

        Raises
        ------
        PrescreenError
            If the table cannot be written, or has as many raters, or as many items of this rater, as it may; the votes
            are not in it then.
        """
        mine = {
            (rater, item, trait): self.kind.vote(text, number)
            for text, by_trait in votes.items()
            if (item := self.kind.item(text)) is not None and all(image in self.images for image in images_of(item))
            for trait, number in by_trait.items()
            if trait in self.traits
        }
        if not mine:
            return
        with self._counting:
            raters = self._items.keys() | {next(iter(one))[0] for one in self._waiting}
            if rater not in raters and len(raters) >= MAX_RATERS:
                raise PrescreenError(
                    f"{shown(self.path)}: has {self.kind.called} of {MAX_RATERS} raters; collect into another file"
                )
            items = {item for one in [*self._waiting, mine] for who, item, _ in one if who == rater}
            if self._most is not None and len(items | self._items.get(rater, set())) > self._most:
                raise PrescreenError(
                    f"{shown(self.path)}: {shown(rater)} answered more than {self._most} pairs, twice as many as "
                    "asked; the rest is not saved"
                )
            self._waiting.append(mine)
        with self._writing:
            place = next((place for place, one in enumerate(self._waiting) if one is mine), None)
            if place is None:
                return  # another thread has written them meanwhile
            batch = list(self._waiting)
            changed = dict(self._votes)
            for one in batch:
                changed |= one
            try:
                if changed != self._votes:
                    write_votes(changed, self.path, self.kind)
            except BaseException:  # the others of the batch try for themselves
                with self._counting:
                    del self._waiting[place]
                raise
            with self._counting:
                self._votes = changed
                for one in batch:
                    self._count(one)
                del self._waiting[: len(batch)]

    def _count(self, votes: Mapping[Key, Vote]) -> None:
        for rater, item, _ in votes:
            self._items.setdefault(rater, set()).add(item)

    def counts(self) -> dict[str, int]:
        """Return how often each picture was seen: by how many raters, or of two pictures in how many pairs of them."""
        seen = {(rater, item) for rater, item, trait in self._votes if trait in self.traits}
        by_image = Counter(image for _, item in seen for image in images_of(item))
        return {image: by_image[image] for image in self.images}


def images_of(item: Item) -> Collection[str]:
    """Return the pictures of an item."""
    return {item} if isinstance(item, str) else set(item)


def read_votes(path: Path, kind: Kind | None = VOTES) -> tuple[Collected, tuple[str, ...]]:
    """Read the votes of a file by rater, item and trait; of two for the same the later row counts.

    Parameters
    ----------
    path : Path
        The file.
    kind : Kind, optional
        What it must hold; None for any.

    Returns
    -------
    votes : dict of (str, str or (str, str), str) to int or Choice
        The votes, a number or `Choice` for each trait.
    notes : tuple of str
        What was understood of the file, and what was left out, where it is not a table that `write_votes` wrote.

    Raises
    ------
    RatingsError
        If it cannot be read, or holds no votes of that kind with their raters.
    """
    rows = read_rows(path, remedy="check the path")
    frame = rows.frame
    found = CHOICES if rows.format == "pairs" else VOTES
    kind = kind or found
    if kind is not found or not rows.single_votes or "rater" not in frame or (frame["rater"] == "").any():
        raise RatingsError(f"{shown(path)}: expected {kind.called} with their raters: the columns {kind.columns}")
    return kind.votes(rows), rows.notes + (("ignored    column person",) if "person" in frame else ())


def kind_of(votes: Mapping[Key, Vote]) -> Kind:
    """Return what votes these are; of none, votes."""
    return VOTES if isinstance(next(iter(votes.values()), 0), int) else CHOICES


def write_votes(votes: Mapping[Key, Vote], path: Path, kind: Kind = VOTES) -> None:
    """Write votes by rater, item and trait as a table of their kind."""
    write_table(kind.table(votes), path)
