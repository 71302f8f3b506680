"""The one form that ratings files of all kinds are brought into: a row a vote, or a row a picture and trait."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from prescreen.errors import UsageError
from prescreen.ratings.columns import refuse
from prescreen.ratings.meanings import listed
from prescreen.ratings.scale import Scale
from prescreen.text import shown, unknown_name


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a ratings file, whatever its format.

    Parameters
    ----------
    frame : DataFrame
        Only the traits wanted. The index holds row numbers of the file. Columns: ``image`` (categorical, names as they
        stand there), ``trait`` (categorical, new names, in the order wanted), ``value`` (float, a vote or a mean); for
        ready means also ``votes`` and ``std`` (float, NaN where unknown), and perhaps ``error`` (float, standard error
        of the mean where the file says it itself); where the file has them ``rater`` and ``person`` (categorical).
    format : str
        ``votes``, ``ratings``, ``scores``, ``answers`` or ``omi``.
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
    """What the rows of a table say of traits; the parts of `Rows` that its layout decides.

    Parameters
    ----------
    frame, scale
        As in `Rows`.
    format : str
        ``votes``, ``ratings``, ``scores`` or ``answers``.
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
    """A trait that was asked for and is not in the file.

    Attributes
    ----------
    name : str
        The trait.
    known : sequence of str
        Traits of the file.
    columns : bool
        Whether these are columns of it.
    """

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


def choose_rows(source: Path, frame: pd.DataFrame, column: str, traits: Mapping[str, str] | None) -> pd.DataFrame:
    """Keep the rows of the traits wanted, under their new names and in their order.

    Parameters
    ----------
    source : Path
        The file, for messages.
    frame : DataFrame
        A trait a row.
    column : str
        The column, categorical, that names it.
    traits : mapping of str to str, optional
        New name of each trait wanted, and its name in the file; by default all.

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
