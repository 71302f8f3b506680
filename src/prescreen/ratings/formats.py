"""Ratings files of four formats, told apart by their columns, brought into one form.

==========  ===================================================================================================
votes       ``image,trait,vote[,rater]``: one row a vote
ratings     ``image,trait,mean,votes[,std]``: one row a picture and trait; ``std`` is the sample standard deviation
scores      ``image,TRAIT,TRAIT...[,votes]``: one row a picture, scores as Photofeeler shows them; blank is not rated
omi         a folder in the layout of One Million Impressions
==========  ===================================================================================================

The first three are CSV, Parquet or JSON lines and may have a column ``person`` (blank where not known); other columns
that a format does not know are ignored, except that in scores every column is a trait unless traits are chosen. A
folder in Hugging Face's layout ``imagefolder`` is read by its ``metadata.csv`` or ``metadata.jsonl``, whose column
``file_name`` is the image. Label Studio's JSON export is read as votes (`prescreen.ratings.label_studio`).

One Million Impressions: ``attribute_ratings.zip`` holds single votes. A ``repeat`` is the same rater seeing the face
again, and no vote. A ``fill-in`` comes from a rater who was added for a part of the faces; it is a vote like a
``normal`` one, and with them the reliabilities come out as published. Without the zip, ``attribute_means.csv`` gives
means whose votes are unknown.

References
----------
Peterson, Uddenberg, Griffiths, Todorov & Suchow (2022), Deep models of superficial face judgments, PNAS 119(17).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from prescreen.errors import RatingsError, UsageError
from prescreen.ratings.columns import (
    numbers,
    read_bytes,
    read_frame,
    read_zip,
    refuse,
    refuse_predictions,
    take_frame,
)
from prescreen.ratings.imagefolder import FILE_NAME, metadata_file, read_lines
from prescreen.ratings.label_studio import label_studio_votes
from prescreen.tables import shown
from prescreen.traits import Scale, unknown_name

_TEXT = ("image", "trait", "rater", "person")
_NUMBERS = ("vote", "mean", "votes", "std")
_OMI_TEXT = ("stimulus", "attribute", "rating_type")
_OMI_VOTES = ("normal", "fill-in")
_OMI_TYPES = (*_OMI_VOTES, "repeat")


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a ratings file, whatever its format.

    Parameters
    ----------
    frame : DataFrame
        Only the traits wanted. The index holds row numbers of the file. Columns: ``image`` (categorical, names as they
        stand there), ``trait`` (categorical, new names, in the order wanted), ``value`` (float, a vote or a mean); for
        ready means also ``votes`` and ``std`` (float, NaN where unknown); where the file has them ``rater`` and
        ``person`` (categorical).
    format : str
        ``votes``, ``ratings``, ``scores`` or ``omi``.
    single_votes : bool
        Whether the values are votes rather than means.
    value_name : str
        What the file calls the value.
    source : Path
        The file.
    fingerprint : str
        SHA-256 of its bytes, in hexadecimal.
    folders : tuple of Path
        Where the pictures may be.
    scale : Scale or None
        The scale that the format implies.
    """

    frame: pd.DataFrame
    format: str
    single_votes: bool
    value_name: str
    source: Path
    fingerprint: str
    folders: tuple[Path, ...]
    scale: Scale | None = None


def read_rows(path: Path, traits: Mapping[str, str] | None = None) -> Rows:
    """Read a ratings file of any of the four formats.

    Parameters
    ----------
    path : Path
        File, or folder in the layout of One Million Impressions.
    traits : mapping of str to str, optional
        New name of each trait wanted, and its name in the file.

    Raises
    ------
    RatingsError
        If this is no ratings file, lacks a column, or has a cell of the wrong kind.
    UsageError
        For a trait that is not in the file.
    """
    if path.is_dir():
        metadata = metadata_file(path)
        return _read_omi(path, traits) if metadata is None else read_rows(metadata, traits)
    data = read_bytes(path)
    rows = label_studio_votes(path, data)
    rows = read_lines(path, data) if rows is None else rows
    text = (*_TEXT, FILE_NAME)
    frame = read_frame(path, data, text, _NUMBERS) if rows is None else take_frame(path, rows, text, _NUMBERS)
    refuse_predictions(path, frame)
    if FILE_NAME in frame and "image" not in frame:
        frame = frame.rename(columns={FILE_NAME: "image"})
    if "image" not in frame:
        hint = "separate columns by commas" if len(frame.columns) == 1 else "one column must be named image"
        raise RatingsError(f"{shown(path)}: no column image (columns: {_listed(frame.columns)}); {hint}")
    refuse(path, frame, (frame["image"] == "").to_numpy(), "the image is blank", "expected the name of a picture")
    if "trait" not in frame:
        format_, value_name, frame = "scores", "score", _scores(path, frame, traits)
    elif "vote" in frame and "mean" not in frame:
        format_, value_name, frame = "votes", "vote", _votes(path, frame, traits)
    elif {"mean", "votes"} <= set(frame.columns) and "vote" not in frame:
        format_, value_name, frame = "ratings", "mean", _ratings(path, frame, traits)
    else:
        raise RatingsError(
            f"{shown(path)}: columns {_listed(frame.columns)} are no known format; beside image and trait, expected"
            " vote (one row a vote), or mean and votes (one row a picture and trait)"
        )
    return Rows(
        frame=frame,
        format=format_,
        single_votes=format_ == "votes",
        value_name=value_name,
        source=path,
        fingerprint=hashlib.sha256(data).hexdigest(),
        folders=(path.parent, path.parent / "images"),
        scale=Scale(0, 10) if format_ == "scores" else None,
    )


def _votes(source: Path, frame: pd.DataFrame, traits: Mapping[str, str] | None) -> pd.DataFrame:
    frame = _choose(source, frame, "trait", traits)
    return frame.assign(value=numbers(source, frame, "vote"))


def _ratings(source: Path, frame: pd.DataFrame, traits: Mapping[str, str] | None) -> pd.DataFrame:
    frame = _choose(source, frame, "trait", traits)
    votes = numbers(source, frame, "votes")
    refuse(source, frame, votes < 1, "votes {} is too few", "a mean needs at least one vote", votes)
    std = numbers(source, frame, "std", blank=True) if "std" in frame else np.full(len(frame), np.nan)
    refuse(source, frame, std < 0, "std {} is negative", "expected the sample standard deviation of the votes", std)
    return frame.assign(value=numbers(source, frame, "mean"), votes=votes, std=std)


def _scores(source: Path, frame: pd.DataFrame, traits: Mapping[str, str] | None) -> pd.DataFrame:
    misplaced = [name for name in ("vote", "mean", "std", "rater") if name in frame]
    if misplaced:
        raise RatingsError(
            f"{shown(source)}: column {misplaced[0]} but no column trait; say which trait each row rates"
        )
    columns = [str(name) for name in frame.columns if name not in ("image", "person", "votes")]
    if not columns:
        raise RatingsError(
            f"{shown(source)}: no column holds a trait; expected for instance image,competence,likeability"
        )
    if "" in columns and traits is None:
        raise RatingsError(f"{shown(source)}: a column has no name; name it, or choose others with --traits")
    wanted = _wanted(source, columns, traits)
    votes = numbers(source, frame, "votes", blank=True) if "votes" in frame else np.full(len(frame), np.nan)
    parts = []
    for code, column in enumerate(wanted.values()):
        values = numbers(source, frame, column, blank=True)
        rated = np.isfinite(values)
        refuse(source, frame, (votes < 1) & rated, "votes {} is too few", "a score needs at least one vote", votes)
        part = frame.loc[rated, frame.columns.intersection(["image", "person"])]
        trait = pd.Categorical.from_codes(np.full(len(part), code), categories=pd.Index(list(wanted)))
        parts.append(part.assign(trait=trait, value=values[rated], votes=votes[rated], std=np.nan))
    refuse(source, frame, votes < 0, "votes {} is negative", "expected a number of votes or nothing", votes)
    return pd.concat(parts)


def _read_omi(folder: Path, traits: Mapping[str, str] | None) -> Rows:
    packed, means = folder / "attribute_ratings.zip", folder / "attribute_means.csv"
    source = packed if packed.is_file() else means
    if not source.is_file():
        raise RatingsError(
            f"{shown(folder)}: a folder with neither {packed.name} nor {means.name}; expected a ratings file, or a"
            " folder in the layout of One Million Impressions"
        )
    data = read_bytes(source)
    frame = _omi_votes(source, data, traits) if source == packed else _omi_means(source, data, traits)
    stimulus = frame["stimulus"].cat
    return Rows(
        frame=frame.assign(image=stimulus.rename_categories([f"{name}.jpg" for name in stimulus.categories])),
        format="omi",
        single_votes=source == packed,
        value_name="rating" if source == packed else "mean",
        source=source,
        fingerprint=hashlib.sha256(data).hexdigest(),
        folders=(folder / "images",),
        scale=Scale(0, 100),
    )


def _omi_votes(source: Path, data: bytes, traits: Mapping[str, str] | None) -> pd.DataFrame:
    frame = read_frame(source, read_zip(source, data, "attribute_ratings.csv"), _OMI_TEXT)
    _require(source, frame, ("rating", *_OMI_TEXT))
    types = frame["rating_type"]
    expected = f"expected {', '.join(_OMI_TYPES)}"
    refuse(source, frame, ~types.isin(_OMI_TYPES).to_numpy(), "rating_type {} is unknown", expected, types)
    frame = _choose(source, frame[types.isin(_OMI_VOTES)], "attribute", traits)
    return frame.assign(value=numbers(source, frame, "rating"))


def _omi_means(source: Path, data: bytes, traits: Mapping[str, str] | None) -> pd.DataFrame:
    frame = read_frame(source, data, _OMI_TEXT)
    _require(source, frame, ("stimulus",))
    wanted = _wanted(source, [str(name) for name in frame.columns if name != "stimulus"], traits)
    parts = []
    for code, column in enumerate(wanted.values()):
        trait = pd.Categorical.from_codes(np.full(len(frame), code), categories=pd.Index(list(wanted)))
        values = numbers(source, frame, column)
        parts.append(frame[["stimulus"]].assign(trait=trait, value=values, votes=np.nan, std=np.nan))
    return pd.concat(parts)


def _choose(source: Path, frame: pd.DataFrame, column: str, traits: Mapping[str, str] | None) -> pd.DataFrame:
    """Keep the rows of the traits wanted, under their new names and in their order."""
    named = frame[column].cat
    blank = (frame[column] == "").to_numpy()
    refuse(source, frame, blank, f"the {column} is blank", f"expected the name of the {column}")
    known = [str(name) for name in named.categories[np.asarray(pd.unique(named.codes))]]
    wanted = _wanted(source, known, traits)
    rows = [np.flatnonzero(named.codes == named.categories.get_loc(old)) for old in wanted.values()]
    codes = np.repeat(np.arange(len(wanted)), [len(part) for part in rows])
    trait = pd.Categorical.from_codes(codes, categories=pd.Index(list(wanted)))
    return frame.iloc[np.concatenate(rows)].assign(trait=trait)


def _wanted(source: Path, known: list[str], traits: Mapping[str, str] | None) -> Mapping[str, str]:
    if traits is None:
        return {name: name for name in known}
    for name in traits.values():
        if name not in known:
            raise UsageError(f"{shown(source)}: {unknown_name(name, known)}")
    if not traits:
        raise UsageError(f"{shown(source)}: no traits were chosen; name at least one of {_listed(known)}")
    return traits


def _require(source: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in frame]
    if missing:
        raise RatingsError(
            f"{shown(source)}: no column {missing[0]} (columns: {_listed(frame.columns)}); expected {_listed(columns)}"
        )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(shown(str(name)) for name in names)
