"""The raters of a file of votes: who can be compared, who stands out, and what to say of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from prescreen.ratings.columns import counted
from prescreen.ratings.rater_checks import (
    LEVEL,
    CheckedRaters,
    CheckedTraits,
    TraitVotes,
    check_raters,
    one_sided,
    with_sides,
)
from prescreen.ratings.rater_fit import Codes, Flags
from prescreen.ratings.raters import raters_overlap
from prescreen.ratings.rows import Rows
from prescreen.text import shown

SHOWN: Final = 4
"""Raters named in a line; of more the number is given."""


@dataclass(frozen=True)
class RaterFinding:
    """A rater whose votes in one trait tell nothing, or the opposite of what the others say.

    Parameters
    ----------
    rater : str
        As in the file.
    trait : str
        Empty for all traits together.
    kind : str
        ``same`` (always the same vote), ``left`` or ``right`` (of two pictures nearly always that one), ``random``
        (unrelated to the others' votes) or ``reversed``.
    votes : int
        Votes; answers where pairs are compared.
    value : float
        The vote that is always the same; how many answers are that side; otherwise the correlation with the mean votes
        of the others, -1 to 1.
    usual : float
        Median of that correlation over the raters.
    called : str
        What a vote is called: ``answer`` where pairs are compared.
    """

    rater: str
    trait: str
    kind: Literal["same", "left", "right", "random", "reversed"]
    votes: int
    value: float
    usual: float
    called: str = "vote"

    def describe(self) -> str:
        """Say what was found."""
        if self.kind == "same":
            return f"all {self.votes} {self.called}s are {self.value:g}"
        if self.kind in ("left", "right"):
            return f"{self.value:g} of {counted(self.votes, 'answer')} are the picture on the {self.kind}"
        return f"{counted(self.votes, self.called)}, r {self.value:.2f}, usually {self.usual:.2f}"


@dataclass(frozen=True)
class Crowd:
    """What is known of the raters of a file.

    Parameters
    ----------
    raters : int
        How many the file names.
    findings : tuple of RaterFinding
        Who stands out, by trait; see :mod:`prescreen.ratings.rater_checks`.
    left_out : bool
        Whether the votes in `findings` were left out.
    """

    raters: int = 0
    findings: tuple[RaterFinding, ...] = ()
    left_out: bool = False

    @property
    def raters_left_out(self) -> int:
        """How many raters' votes were left out, of some traits or of all."""
        return len({found.rater for found in self.findings}) if self.left_out else 0

    def describe(self) -> tuple[str, ...]:
        """Return lines for the user, none if nobody stands out."""
        silent = [found for found in self.findings if found.kind != "reversed"]
        turned = [found for found in self.findings if found.kind == "reversed"]
        if not self.findings:
            return ()
        votes = f"{self.findings[0].called}s"
        how = f"their {votes} were left out" if self.left_out else f"--leave-out-raters trains without these {votes}"
        meaning = (
            ""
            if all(found.kind in ("same", "left", "right") for found in self.findings)
            else f"r: with the others' {votes}; "
        )
        return (
            *self._line(silent, "give", "no information"),
            *self._line(turned, self.findings[0].called, "in reverse"),
            f"           {meaning}{how}",
        )

    def _line(self, findings: Sequence[RaterFinding], verb: str, what: str) -> tuple[str, ...]:
        by_rater: dict[str, list[RaterFinding]] = {}
        for found in findings:
            by_rater.setdefault(found.rater, []).append(found)
        if not by_rater:
            return ()
        parts = []
        for rater, (first, *others) in list(by_rater.items())[:SHOWN]:
            on = f" on {shown(first.trait)}" if first.trait else ""
            more = f"; on {counted(len(others), 'more trait')}" if others else ""
            parts.append(f"{shown(rater)}{on} ({first.describe()}{more})")
        if len(by_rater) > SHOWN:
            parts.append(f"and {len(by_rater) - SHOWN} more")
        verb += "s" if len(by_rater) == 1 else ""
        return (f"raters     {len(by_rater)} of {self.raters} {verb} {what}: {', '.join(parts)}",)


def check_crowd(
    rows: Rows, images: Codes, by_trait: Sequence[Codes], n_images: int
) -> tuple[Crowd, CheckedTraits | None]:
    """Check the raters; None of a file that names none.

    Parameters
    ----------
    rows : Rows
    images : ndarray of int, shape (n_rows,)
        Picture of each row.
    by_trait : sequence of ndarray of int
        The rows of each trait.
    n_images : int
    """
    if not rows.single_votes or "rater" not in rows.frame:
        return Crowd(), None
    names, values = rows.frame["rater"], rows.frame["value"].to_numpy(np.float64)
    categories, codes = list(names.cat.categories), names.cat.codes.to_numpy().astype(np.intp)
    known = (names != "").to_numpy()
    named = [chosen[known[chosen]] for chosen in by_trait]
    votes = [TraitVotes(images[chosen], codes[chosen], values[chosen]) for chosen in named]
    checked = check_raters(votes, n_images, len(categories))
    sides = _sides(rows, named, codes)
    if sides:
        sided = [one_sided(part.raters, part.left, len(categories), LEVEL / len(sides)) for part in sides]
        checked = with_sides(checked, sided)
    together = np.zeros(len(categories), dtype=bool) if checked.together is None else checked.together.found
    findings = []
    called = "answer" if rows.format == "pairs" else "vote"
    by_name = zip(rows.frame["trait"].cat.categories, votes, checked.single, strict=True)
    for place, (trait, trait_votes, found) in enumerate(by_name):
        for rater in np.flatnonzero(found.found & (found.same | ~together)):
            if sides and found.same[rater]:
                findings.append(_side_finding(sides[place], rater, str(categories[rater]), str(trait)))
                continue
            first = float(trait_votes.votes[np.argmax(trait_votes.raters == rater)])
            findings.append(_finding(found, rater, str(categories[rater]), str(trait), first, called))
    if checked.together is not None:
        found = checked.together
        findings += [
            _finding(found, rater, str(categories[rater]), "", np.nan, called) for rater in np.flatnonzero(together)
        ]
    return Crowd(np.unique(codes[known]).size, tuple(findings)), checked


@dataclass(frozen=True, eq=False)
class _Sides:
    """The answers about two pictures in one trait: whose, and whether the left picture was found better."""

    raters: Codes
    left: Flags


def _sides(rows: Rows, by_trait: Sequence[Codes], codes: Codes) -> list[_Sides]:
    """Return them for each trait where the file says on which side the better picture was."""
    if "side" not in rows.frame:
        return []
    side = rows.frame["side"].astype(str).str.lower()
    told = ((rows.frame["value"] == 1) & side.isin(["left", "right"])).to_numpy()
    left = (side == "left").to_numpy()
    return [_Sides(codes[chosen[told[chosen]]], left[chosen[told[chosen]]]) for chosen in by_trait]


def _side_finding(sides: _Sides, rater: np.intp, name: str, trait: str) -> RaterFinding:
    left = sides.left[sides.raters == rater]
    kind: Literal["left", "right"] = "left" if 2 * left.sum() >= left.size else "right"
    return RaterFinding(name, trait, kind, left.size, float(max(left.sum(), left.size - left.sum())), np.nan, "answer")


def _finding(found: CheckedRaters, rater: np.intp, name: str, trait: str, first: float, called: str) -> RaterFinding:
    """Say what was found; an answer about two pictures is two votes."""
    votes = int(found.votes[rater]) // (2 if called == "answer" else 1)
    if found.same[rater]:
        return RaterFinding(name, trait, "same", votes, first, found.usual, called)
    kind: Literal["random", "reversed"] = "reversed" if found.reversed[rater] else "random"
    return RaterFinding(name, trait, kind, votes, float(found.correlation[rater]), found.usual, called)


def leave_out(
    rows: Rows, images: Codes, by_trait: Sequence[Codes], checked: CheckedTraits | None
) -> tuple[list[Codes], tuple[str, ...]]:
    """Return the rows of each trait without the votes of raters who stand out in it, and a note for the user."""
    if checked is None:
        return list(by_trait), ()
    codes = rows.frame["rater"].cat.codes.to_numpy()
    kept = [chosen[~checked.found(trait)[codes[chosen]]] for trait, chosen in enumerate(by_trait)]
    before, after = np.concatenate(by_trait), np.concatenate(kept)
    lost = np.unique(images[before]).size - np.unique(images[after]).size
    pictures = f", and {counted(lost, 'picture')} that nobody else rated" if lost else ""
    left = before.size - after.size
    paired = rows.format == "pairs"
    if not left:
        return kept, (f"raters     none stands out, no {'answer' if paired else 'vote'}s are left out",)
    if paired:
        return kept, (f"raters     {left // 2} of {counted(before.size // 2, 'answer')} left out{pictures}",)
    return kept, (f"raters     {left} of {counted(before.size, 'vote')} left out{pictures}",)


def known_raters(rows: Rows, images: Codes, by_trait: Sequence[Codes]) -> Codes | None:
    """Return a number for each vote's rater; None unless at least half of the votes name raters who can be compared.

    A vote without a rater gets its own number, of which nothing is known.
    """
    if not rows.single_votes or "rater" not in rows.frame:
        return None
    names = rows.frame["rater"]
    raters = names.cat.codes.to_numpy().astype(np.intp)
    known = (names != "").to_numpy()
    for chosen in by_trait:
        named = chosen[known[chosen]]
        if 2 * named.size < chosen.size or not raters_overlap(images[named], raters[named]):
            return None
    raters[~known] = len(names.cat.categories) + np.arange(np.count_nonzero(~known))
    return raters


def silent_raters(raters: Codes, checked: CheckedRaters | None) -> Flags | None:
    """Return which of the raters, numbered as by `known_raters`, always give the same vote; None if nobody does."""
    if checked is None or not checked.same.any():
        return None
    named = raters < checked.same.size
    return np.where(named, checked.same[np.where(named, raters, 0)], False)


def describe_unheard(ratings: int) -> tuple[str, ...]:
    """Say how many ratings are left out because all their votes are from `silent_raters`."""
    if not ratings:
        return ()
    return (
        f"raters     {counted(ratings, 'rating')} left out: all votes are from raters who always give the same vote",
    )


def describe_unknown_raters(frame: pd.DataFrame, two_way: bool, called: str) -> tuple[str, ...]:
    """Say how many votes have no rater in a file that names raters."""
    if "rater" not in frame:
        return ()
    blank = int((frame["rater"] == "").sum())
    if not blank or blank == len(frame):
        return ()
    how = "each counts as a rater of its own" if two_way else "raters' leniency is not taken out"
    return (f"raters     {counted(blank, called)} without a rater: {how}",)
