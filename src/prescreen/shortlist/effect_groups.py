"""Hypotheses about how pictures were made: by their folders, by a table of tags, by a text that they resemble."""

import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.errors import UsageError
from prescreen.ranking.effect_tests import MIN_PICTURES, Hypothesis
from prescreen.ratings.files import read_frame
from prescreen.storage.bounded_files import read_bounded
from prescreen.text import shown, unknown_name

FOLDER: Final = "folder"
TEXT: Final = "text"

MEASURED: Final = "one standard deviation less"
"""What more of something measured is compared with."""

_IMAGE: Final = ("image", "file", "file_name")
_NO: Final = frozenset({"0", "0.0", "false", "no", "none", "n", "off"})
_LABELS: Final = 5  # a column of numbers with more different ones is a measure, otherwise they name groups


@dataclass(frozen=True)
class Tags:
    """A table that says of pictures how they were made.

    Parameters
    ----------
    frame : DataFrame
        Indexed by the pictures' names, in the order of the file; a picture may stand in several rows.
    unknown : int
        Rows of pictures that were not scored.
    """

    frame: pd.DataFrame
    unknown: int


def read_tags(path: Path, known: Collection[str]) -> Tags:
    """Read a table of tags: CSV or Parquet with a column ``image`` (or ``file``, ``file_name``) and others.

    Parameters
    ----------
    path : Path
        The file.
    known : collection of str
        Names of the scored pictures. A name in the table counts for the one that it ends in, or that ends in it, so
        that ``candidates/001.jpg`` is found where ``candidates/`` was scored.

    Raises
    ------
    RatingsError
        If it is no table.
    UsageError
        If it cannot be read, has no names or no other columns, or names none of the scored pictures.
    """
    try:
        data = read_bounded(path)
    except OSError as error:
        raise UsageError(f"tags {shown(path)}: cannot be read ({error.strerror})") from None
    frame = read_frame(path, data, _IMAGE)
    column = next((name for name in _IMAGE if name in frame), None)
    if column is None or len(frame.columns) < 2:
        columns = ", ".join(shown(str(name)) for name in frame.columns)
        raise UsageError(f"tags {shown(path)}: expected a column image and at least one more (columns: {columns})")
    places = _match([str(name) for name in frame[column]], known)
    found = np.array([place is not None for place in places], dtype=bool)
    if not found.any():
        raise UsageError(
            f"tags {shown(path)}: none of its {len(frame)} pictures was scored; its first is "
            f"'{shown(str(frame[column].iloc[0]))}', the scores' first '{shown(min(known))}'"
        )
    kept = frame[found].drop(columns=column)
    kept.index = pd.Index([place for place in places if place is not None], dtype=object)
    return Tags(kept, int((~found).sum()))


def _match(names: Sequence[str], known: Collection[str]) -> list[str | None]:
    """Find for each name the known one that is the same, or of which one is the end of the other's path."""
    plain = {posixpath.normpath(name): name for name in known}
    ends: dict[str, set[str]] = {}
    for name in plain:
        for end in _ends(name)[1:]:
            ends.setdefault(end, set()).add(name)
    found: list[str | None] = []
    for name in names:
        tails = _ends(posixpath.normpath(name.replace("\\", "/")))
        place = next((tail for tail in tails if tail in plain), None)
        longer = ends.get(tails[0], set())
        place = next(iter(longer)) if place is None and len(longer) == 1 else place
        found.append(None if place is None else plain[place])
    return found


def _ends(name: str) -> list[str]:
    parts = name.strip("/").split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def by_folder(names: Sequence[str]) -> list[Hypothesis]:
    """Compare each folder's pictures with all others; none where all lie in one folder."""
    folders = [posixpath.dirname(name) or "." for name in names]
    return _groups(FOLDER, [{folder} for folder in folders])


def by_tags(tags: Tags, names: Sequence[str], columns: Sequence[str] | None, separator: str) -> list[Hypothesis]:
    """Compare by the columns of a table of tags.

    A column of more than five different numbers is a measure. Any other column names groups; a cell may name several,
    with the separator between them. A picture whose cell is blank, or that is not in the table, is not known.

    Parameters
    ----------
    tags : Tags
        The table.
    names : sequence of str
        The scored pictures.
    columns : sequence of str or None
        Which columns; None for all.
    separator : str
        Between several values in a cell; the empty text where a cell is one value.

    Raises
    ------
    UsageError
        For a column that is not there.
    """
    present = [str(column) for column in tags.frame.columns]
    for column in columns or ():
        if column not in present:
            raise UsageError(f"--by: {unknown_name(column, [FOLDER, *present], 'column')}")
    found = []
    for column in columns or present:
        cells = _texts(tags.frame[column])
        measured = pd.to_numeric(cells, errors="coerce")
        if measured.notna().all() and measured.nunique() > _LABELS:
            numbers = measured.groupby(level=0).mean().reindex(list(names)).to_numpy(np.float64)
            found.append(Hypothesis(column, "", numbers, MEASURED))
        else:
            found += _groups(column, _values(cells, names, separator))
    return found


def by_text(text: str, similarity: NDArray[np.floating]) -> Hypothesis:
    """Compare by how much pictures resemble a text, shape (n,), NaN where not known."""
    return Hypothesis(TEXT, text, np.asarray(similarity, np.float64), MEASURED)


def _texts(cells: pd.Series) -> pd.Series:
    """Return the cells that say something, as text."""
    texts = cells.astype(object).map(lambda cell: "" if pd.isna(cell) else str(cell).strip())
    return texts[texts != ""]


def _values(cells: pd.Series, names: Sequence[str], separator: str) -> list[set[str]]:
    values: dict[str, set[str]] = {}
    for name, text in zip(cells.index, cells.tolist(), strict=True):
        parts = text.split(separator) if separator else [text]
        values.setdefault(name, set()).update(part.strip() for part in parts if part.strip())
    return [values.get(name, set()) for name in names]


def _groups(by: str, values: Sequence[set[str]]) -> list[Hypothesis]:
    """One hypothesis for each value that enough pictures have; of two that exclude each other only one."""
    counts: dict[str, int] = {}
    for several in values:
        for value in several:
            counts[value] = counts.get(value, 0) + 1
    if len(counts) < 2 and not any(not several for several in values):
        return []
    tested = sorted(value for value, count in counts.items() if count >= MIN_PICTURES)
    against: Mapping[str, str] = {}
    if len(counts) == 2 and all(len(several) <= 1 for several in values):
        # Each is the other's opposite: the one that says yes, otherwise the rarer one.
        first = min(counts, key=lambda value: (value.lower() in _NO, counts[value], value))
        tested = [first] if first in tested else []
        against = {first: next(value for value in counts if value != first)}
    found = []
    for value in tested:
        numbers = np.array([np.nan if not several else float(value in several) for several in values])
        found.append(Hypothesis(by, value, numbers, against.get(value, "the rest")))
    return found
