"""Reads ratings files of several formats, which their columns tell apart, into one form.

==========  ===================================================================================================
votes       ``image,trait,vote[,rater]``: one row a vote
ratings     ``image,trait,mean[,votes][,std]``: one row a picture and trait; ``std`` is the sample standard deviation
wide        ``image,TRAIT,TRAIT...``: a column a trait; see `prescreen.ratings.wide`
pairs       ``better,worse,trait[,rater]``: which of two pictures is better; see `prescreen.ratings.pair_rows`
omi         a folder in the layout of One Million Impressions; see `prescreen.ratings.omi`
==========  ===================================================================================================

The first four are files of any kind that `prescreen.ratings.files` reads and may have a column ``person`` (blank where
not known); other columns that a format does not know are left out, which is said. Columns may have other names, see
`prescreen.ratings.meanings`. A value that is called neither vote nor mean (``rating``, ``score``) is a mean where votes
or a spread go with it, or no picture has two and no rater is named; otherwise a vote. In a folder in
Hugging Face's layout ``imagefolder`` the metadata is read; its column ``file_name`` names the picture. Label Studio's
JSON export is read as votes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from prescreen.errors import PrescreenError, RatingsError
from prescreen.ratings.columns import counted, numbers, read_bytes, refuse, refuse_predictions
from prescreen.ratings.files import open_tables
from prescreen.ratings.meanings import (
    MEANINGS,
    TEXT,
    Meaning,
    columns_left,
    columns_option,
    common_pattern,
    listed,
    picture_pattern,
    shortened,
    understand,
)
from prescreen.ratings.omi import read_omi
from prescreen.ratings.pair_rows import read_pairs
from prescreen.ratings.rows import Rows, TraitValues, choose_rows
from prescreen.ratings.scale import Scale
from prescreen.ratings.table import Table
from prescreen.ratings.wide import read_matrix, read_wide
from prescreen.text import shown

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # of a folder in the layout imagefolder


def read_rows(
    path: Path,
    traits: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    scale: Scale | None = None,
    *,
    lenient: bool = False,
    remedy: str = "check --ratings",
) -> Rows:
    """Read a ratings file of any format.

    Parameters
    ----------
    path : Path
        File, or folder in the layout of One Million Impressions or ``imagefolder``.
    traits : mapping of str to str, optional
        New name of each trait wanted, and its name in the file.
    columns : mapping of str to str, optional
        {meaning, or name of a trait: column}, where names do not tell; see `prescreen.ratings.meanings`.
    scale : Scale, optional
        Lowest and highest possible value of scores, if not 0 to 10.
    lenient : bool
        Whether to pass over columns that are no ratings instead of refusing them.
    remedy : str
        What to do if the file cannot be read.

    Raises
    ------
    RatingsError
        If this is no ratings file, lacks a column, or has a cell of the wrong kind.
    UsageError
        For a trait or a column that is not in the file.
    """
    if path.is_dir():
        metadata = [path / name for name in _METADATA if (path / name).is_file()]
        if len(metadata) > 1:
            names = " and ".join(file.name for file in metadata)
            raise RatingsError(f"{shown(path)}: both {names} are there; remove one, or name the file with --ratings")
        if not metadata:
            return read_omi(path, traits)
        return read_rows(metadata[0], traits, columns, scale, lenient=lenient, remedy=remedy)
    data = read_bytes(path, remedy)
    tables = open_tables(path, data, (columns or {}).get("image", "image"))
    table, meaning = _choose_table(path, tables, columns)
    frame, form, ignored = _read_table(table, meaning)
    refuse_predictions(path, frame)
    read = _read_format(path, frame, meaning, traits, scale, lenient)
    notes = [f"read       {', '.join(form)}"] if form else []
    vote = "the mean" if read.format == "ratings" else "a vote"
    notes += [f"columns    {said}"] if (said := meaning.describe(vote)) else []
    ignored += read.ignored
    notes += [f"ignored    {'; '.join(ignored)}"] if ignored else []
    return Rows(
        frame=read.frame,
        format=read.format,
        single_votes=read.format in ("votes", "answers", "pairs"),
        value_names=read.names,
        source=path,
        fingerprint=hashlib.sha256(data).hexdigest(),
        folders=(path.parent, path.parent / "images"),
        scale=read.scale,
        notes=tuple(notes),
    )


def _choose_table(source: Path, tables: Sequence[Table], columns: Mapping[str, str] | None) -> tuple[Table, Meaning]:
    """Return the table that names pictures, and what its columns mean."""
    if len(tables) == 1:
        meaning = understand(source, tables[0].header, columns)
        if not _names_pictures(meaning):
            raise RatingsError(_without_image(source, tables[0].header, meaning))
        return tables[0], meaning
    sheets = ", ".join(shown(table.sheet) for table in tables)
    found = []
    for table in tables:
        try:
            meaning = understand(source, table.header, columns)
        except PrescreenError:
            continue
        if _names_pictures(meaning) and len(table.header) > 1:
            found.append((table, meaning))
    if len(found) != 1:
        many = ", ".join(shown(table.sheet) for table, _ in found)
        what = f"the sheets {many} could all be ratings" if found else f"no sheet has a column image (sheets: {sheets})"
        raise RatingsError(f"{shown(source)}: {what}; keep one sheet, or save the right one as CSV")
    return found[0]


def _names_pictures(meaning: Meaning) -> bool:
    return "image" in meaning or _compares(meaning) or any("*" in column for column in meaning.traits.values())


def _compares(meaning: Meaning) -> bool:
    return "better" in meaning or "choice" in meaning


def _without_image(source: Path, header: Sequence[str], meaning: Meaning) -> str:
    """Say that no column names the pictures, and how to tell which does."""
    message = f"{shown(source)}: no column image (columns: {listed(header)})"
    if pattern := common_pattern(header):
        example = columns_option(competence=shown(pattern))
        return f"{message}; if columns are pictures and each row is a rater, say so: {example}"
    if sum(map(bool, header)) < 2 or any(picture_pattern(name).startswith("*.") for name in header):
        return f"{message}; the first row must name the columns, for instance image,competence,likeability"
    taken = {*meaning.columns.values(), *meaning.traits.values()}
    words = ("image", "photo", "picture", "file", "url")
    likely = [name for word in words for name in header if word in name.lower() and name not in taken]
    if likely:
        return (
            f"{message}; say which column names the picture, for instance {columns_option(image=shortened(likely[0]))}"
        )
    return (
        f"{message}; say which column names the picture: {columns_option(image='COLUMN')}; where each picture has a "
        f"column, * stands for the picture in their names: {columns_option(competence='Q*')}"
    )


def _read_table(table: Table, meaning: Meaning) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Read the rows, columns named by their meaning; columns that take the name of a meaning wrongly are left out."""
    text = {column for name, column in meaning.columns.items() if name in TEXT}
    pictures = [meaning.columns[name] for name in ("image", "better", "worse", "left", "right") if name in meaning]
    frame, form, ignored = table.rows(text, unstripped=pictures)
    own = {column: name for name, column in (*meaning.columns.items(), *meaning.traits.items()) if "*" not in column}
    wrong = [name for name in frame.columns if name in own.values() and name not in own]
    return frame.drop(columns=wrong).rename(columns=own), form, ignored + columns_left(wrong)


def _read_format(
    source: Path,
    frame: pd.DataFrame,
    meaning: Meaning,
    traits: Mapping[str, str] | None,
    scale: Scale | None,
    lenient: bool,
) -> TraitValues:
    if _compares(meaning):
        return read_pairs(source, frame, traits)
    if "image" not in frame:
        return read_matrix(source, frame, meaning, traits)
    refuse(source, frame, (frame["image"] == "").to_numpy(), "the image is blank", "expected the name of a picture")
    if "rater" in frame and (frame["rater"] == "").all() and not frame["image"].duplicated().any():
        frame = frame.drop(columns="rater")  # scores, one row a picture
    if "trait" not in frame:
        return read_wide(source, frame, meaning, traits, scale, lenient=lenient)
    left = [str(name) for name in frame.columns if name not in MEANINGS]
    if ("vote" in frame) == ("mean" in frame):
        raise RatingsError(
            f"{shown(source)}: columns {listed(frame.columns)} are no known format; beside image and trait, expected"
            " vote (one row a vote), or mean and votes (one row a picture and trait); "
            "say which is which: --columns vote=COLUMN"
        )
    frame = choose_rows(source, frame, "trait", traits)
    if "vote" in meaning.guessed and _are_means(frame):
        frame = frame.rename(columns={"vote": "mean"})
    column = "vote" if "vote" in frame else "mean"
    values = numbers(source, frame, column, blank=True)
    rated = np.isfinite(values)
    left += [name for name in (("votes", "std") if column == "vote" else ("rater",)) if name in frame]
    ignored = columns_left(left)
    if not rated.all():
        ignored.append(f"{counted(int((~rated).sum()), 'row')} without a {column}")
    frame = frame.assign(value=values)
    read = (frame if column == "vote" else _with_noise(source, frame))[rated].drop(columns=[*left, column])
    called = meaning.columns["vote"] if column == "vote" else column
    names = dict.fromkeys((str(name) for name in read["trait"].cat.categories), called)
    return TraitValues(read, "votes" if column == "vote" else "ratings", names, tuple(ignored))


def _are_means(frame: pd.DataFrame) -> bool:
    """Whether values without a telling name are means: votes or a spread go with them, or each stands alone."""
    if "rater" in frame:
        return False
    return "votes" in frame or "std" in frame or not frame.duplicated(["image", "trait"]).any()


def _with_noise(source: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Return means with the numbers of their votes and the spread of these, NaN where unknown."""
    unknown = np.full(len(frame), np.nan)
    votes = numbers(source, frame, "votes", blank=True) if "votes" in frame else unknown
    refuse(source, frame, votes < 1, "votes {} is too few", "a mean needs at least one vote", votes)
    std = numbers(source, frame, "std", blank=True) if "std" in frame else unknown
    refuse(source, frame, std < 0, "std {} is negative", "expected the sample standard deviation of the votes", std)
    return frame.assign(votes=votes, std=std)
