"""The common form of all ratings files: a row a vote, or a row a picture and trait; and their scale."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from prescreen.errors import RatingsError, UsageError
from prescreen.ratings.columns import Floats, refuse
from prescreen.ratings.meanings import listed
from prescreen.ratings.scale import ANSWERS, SCORES, Scale
from prescreen.text import shown, unknown_name

_USUAL: Final = (ANSWERS, SCORES, Scale(0, 100))
_FROM_ONE: Final = (Scale(1, 5), Scale(1, 7), Scale(1, 9))
_SHARE_ON_SCALE: Final = 0.9


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a ratings file of any format.

    Parameters
    ----------
    frame : DataFrame
        Only the traits wanted. The index holds row numbers of the file. Columns: ``image`` (categorical, names as in
        the file), ``trait`` (categorical, new names, in the order wanted), ``value`` (float, a vote or a mean); for
        ready means also ``votes`` and ``std`` (float, NaN where unknown), and perhaps ``error`` (float, standard error
        of the mean where the file says it itself); where the file has them ``rater`` and ``person`` (categorical). Of
        pairs there are two rows for each of the file, in the order of `prescreen.ratings.pair_rows.pairs_of`.
    format : str
        ``votes``, ``ratings``, ``scores``, ``answers``, ``pairs`` or ``omi``.
    single_votes : bool
        Whether the values are votes rather than means.
    value_names : mapping of str to str
        What the file calls the values of each trait.
    source : Path
        The file.
    fingerprint : str
        SHA-256 of its bytes, in hexadecimal.
    folders : tuple of Path
        Where the pictures may be.
    scale : Scale or None
        The scale that the format implies.
    notes : tuple of str
        What was understood of the file beyond the plain default, and what was left out: lines for the user.
    """

    frame: pd.DataFrame
    format: str
    single_votes: bool
    value_names: Mapping[str, str]
    source: Path
    fingerprint: str
    folders: tuple[Path, ...]
    scale: Scale | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TraitValues:
    """The parts of `Rows` that the layout of a table decides.

    Parameters
    ----------
    frame, format, scale
        As in `Rows`.
    names : mapping of str to str
        What the file calls the values of each trait.
    ignored : tuple of str
        What was left out, with its number.
    """

    frame: pd.DataFrame
    format: str
    names: Mapping[str, str]
    ignored: tuple[str, ...] = ()
    scale: Scale | None = None


class UnknownTrait(UsageError):
    """A trait that was asked for and is not among the ``known`` ones of the file, which may be its ``columns``."""

    def __init__(self, source: Path, name: str, known: Sequence[str], *, columns: bool) -> None:
        super().__init__(f"{shown(source)}: {unknown_name(name, known)}")
        self.name, self.known, self.columns = name, known, columns


def choose_traits(
    source: Path, known: Sequence[str], traits: Mapping[str, str] | None, *, columns: bool = True
) -> Mapping[str, str]:
    """Return {new name: name in the file} of the traits wanted; another case counts where one trait fits.

    ``columns`` tells whether the known traits are columns of the file.

    Raises
    ------
    UnknownTrait
        For one that is not there.
    UsageError
        If none was chosen.
    """
    if traits is None:
        return {name: name for name in known}
    wanted = {}
    for new, name in traits.items():
        same = [name] if name in known else [other for other in known if other.casefold() == name.casefold()]
        if len(same) != 1:
            raise UnknownTrait(source, name, known, columns=columns)
        wanted[new] = same[0]
    if not wanted:
        raise UsageError(f"{shown(source)}: no traits were chosen; name at least one of {listed(known, None)}")
    return wanted


def constant_trait(code: int, traits: Iterable[str], length: int) -> "pd.Categorical[Any]":
    """Return a column of traits that holds one of them throughout."""
    return pd.Categorical.from_codes(np.full(length, code), categories=pd.Index(list(traits)))


def choose_rows(source: Path, frame: pd.DataFrame, column: str, traits: Mapping[str, str] | None) -> pd.DataFrame:
    """Keep the rows of the traits wanted, under their new names and in their order.

    The categorical ``column`` names the trait of each row; ``traits`` as in `choose_traits`.

    Raises
    ------
    RatingsError
        If a row names no trait.
    UsageError
        As from `choose_traits`.
    """
    named = frame[column].cat
    blank = (frame[column] == "").to_numpy()
    refuse(source, frame, blank, f"the {column} is blank", f"expected the name of the {column}")
    known = [str(name) for name in named.categories[np.asarray(pd.unique(named.codes))]]
    wanted = choose_traits(source, known, traits, columns=False)
    rows = [np.flatnonzero(named.codes == named.categories.get_loc(old)) for old in wanted.values()]
    codes = np.repeat(np.arange(len(wanted)), [len(part) for part in rows])
    trait = pd.Categorical.from_codes(codes, categories=pd.Index(list(wanted)))
    return frame.iloc[np.concatenate(rows)].assign(trait=trait)


def find_scale(rows: Rows, given: Scale | None, expected: Scale | None) -> tuple[Scale, tuple[str, ...]]:
    """Return the scale of votes and scores, and a note for the user where it was guessed.

    Scores are on 0:10, counts of answers on 0:3 and One Million Impressions on 0:100. Whole votes whose smallest is 1
    and whose largest is 5, 7 or 9 are on 1:5, 1:7 or 1:9, which the note says. Other votes and means are on the
    smallest of 0:3 (whole votes only), 0:10 and 0:100 that holds nine in ten of the values; a value beyond it is an
    error. Ratings that a predictor is evaluated on are taken to be on its own scale where both that and 0:10 hold them
    all.

    Parameters
    ----------
    rows : Rows
        The values.
    given : Scale or None
        By the user; overrides all else.
    expected : Scale or None
        That of the ratings that these go with.

    Raises
    ------
    RatingsError
        If the values fit no scale, or one of them, or a standard deviation, is impossible on it.
    """
    values = rows.frame["value"].to_numpy(np.float64)
    given = given or rows.scale
    scale, why = (given, "") if given else _implied(values, rows.single_votes, expected)
    if scale is None:
        span = f"{values.min():g} to {values.max():g}"
        raise RatingsError(
            f"{shown(rows.source)}: values from {span} fit no usual scale; give it with --scale LOW:HIGH"
        )
    remedy = "correct it, or give the scale with --scale LOW:HIGH"
    refuse_beyond(rows, scale, f"the scale {scale}" if given else f"the scale {scale} of the others", remedy)
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
    if values.size == 0:  # the reader says later that nobody rated anything
        return SCORES, ""
    lowest, highest = float(values.min()), float(values.max())
    whole = votes & (values == np.round(values))
    found = next((scale for scale in _FROM_ONE if whole.all() and (scale.low, scale.high) == (lowest, highest)), None)
    why = f"all votes are whole, from {lowest:g} to {highest:g}" if found else ""
    for scale in () if found else _USUAL:
        fits = (values >= scale.low) & (values <= scale.high) & (whole if scale == ANSWERS else True)
        if fits.mean() >= _SHARE_ON_SCALE:
            found = scale
            break
    if expected and expected != found and found in (SCORES, *_FROM_ONE):
        within = expected.low in SCORES and expected.high in SCORES
        if within and lowest in expected and highest in expected:
            return expected, "as the predictor's"
    return found, why
