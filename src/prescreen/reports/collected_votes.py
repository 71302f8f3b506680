"""Votes as they come in, in a table on disk: one for each rater, picture and trait."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pandas as pd

from prescreen.errors import PrescreenError, RatingsError
from prescreen.ratings.formats import read_rows
from prescreen.storage.tables import write_table
from prescreen.text import shown

HIGHEST: Final = 3
"""Votes are 0 to 3."""
MAX_RATERS: Final = 1000
"""Raters of one file of votes; a client that makes up names does not fill the disk."""

Key = tuple[str, str, str]


class CollectedVotes:
    """Votes in a table ``image,trait,vote,rater``. A second vote of a rater on a picture and trait replaces the first.

    Parameters
    ----------
    path : Path
        Written whole at every change, so that a kill leaves the old or the new table.
    votes : mapping of (str, str, str) to int
        Those it has, as `read_votes` returns them.
    images, traits : sequence of str
        What is voted on. Votes on anything else that are in the file stay there.
    """

    def __init__(self, path: Path, votes: Mapping[Key, int], images: Sequence[str], traits: Sequence[str]) -> None:
        self.path = path
        self.images = dict.fromkeys(images)
        self.traits = dict.fromkeys(traits)
        self._votes = dict(votes)
        self._raters = {rater for rater, _, _ in votes}
        self._waiting: list[dict[Key, int]] = []
        self._counting = threading.Lock()
        self._writing = threading.Lock()

    def save(self, rater: str, votes: Mapping[str, Mapping[str, int]]) -> None:
        """Save the votes of a rater: for pictures by their names, a vote for each trait that they voted on.

        Votes that come in while others are written are then written together: many raters at once do not wait for a
        file each.

        Raises
        ------
        PrescreenError
            If the table cannot be written, or has as many raters as it may; the votes are not in it then.
        """
        mine = {(rater, image, trait): vote for image, by_trait in votes.items() for trait, vote in by_trait.items()}
        if not mine:
            return
        with self._counting:
            raters = self._raters.union(next(iter(one))[0] for one in self._waiting)
            if rater not in raters and len(raters) >= MAX_RATERS:
                raise PrescreenError(f"{shown(self.path)}: has votes of {MAX_RATERS} raters; collect into another file")
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
                    write_votes(changed, self.path)
            except BaseException:  # the others of the batch try for themselves
                with self._counting:
                    del self._waiting[place]
                raise
            with self._counting:
                self._votes = changed
                self._raters |= {next(iter(one))[0] for one in batch}
                del self._waiting[: len(batch)]

    def counts(self) -> dict[str, int]:
        """Return how many raters voted on each picture."""
        rated = {(rater, image) for rater, image, trait in self._votes if trait in self.traits}
        by_image = Counter(image for _, image in rated)
        return {image: by_image[image] for image in self.images}


def read_votes(path: Path) -> tuple[dict[Key, int], tuple[str, ...]]:
    """Read the votes of a file by rater, picture and trait; of two for the same the later row counts.

    Returns
    -------
    votes : dict of (str, str, str) to int
        Votes from 0 to 3.
    notes : tuple of str
        What was understood of the file, and what was left out, where it is not a table that `write_votes` wrote.

    Raises
    ------
    RatingsError
        If it cannot be read, or holds no votes from 0 to 3 with their raters.
    """
    rows = read_rows(path, remedy="check the path")
    frame = rows.frame
    if not rows.single_votes or "rater" not in frame or (frame["rater"] == "").any():
        raise RatingsError(f"{shown(path)}: expected votes with their raters: the columns image, trait, vote, rater")
    strange = ~frame["value"].isin(range(HIGHEST + 1))
    if strange.any():
        vote = frame["value"][strange].iloc[0]
        raise RatingsError(f"{shown(path)}: row {frame.index[strange][0]}: vote {vote:g}, expected 0 to {HIGHEST}")
    keys = zip(frame["rater"], frame["image"], frame["trait"], strict=True)
    votes = dict(zip(keys, frame["value"].astype(int).tolist(), strict=True))
    return votes, rows.notes + (("ignored    column person",) if "person" in frame else ())


def write_votes(votes: Mapping[Key, int], path: Path) -> None:
    """Write votes by rater, picture and trait as ``image,trait,vote,rater``."""
    raters, images, traits = zip(*votes, strict=True)
    table = pd.DataFrame({"image": images, "trait": traits, "vote": list(votes.values()), "rater": raters})
    write_table(table, path)
