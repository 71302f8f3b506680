"""Scores that come back from a test with people, as somebody typed them, checked before anything is learned.

==========  ===================================================================================================
wide        ``image,TRAIT,TRAIT...[,votes]``: one row a picture, as Photofeeler shows it
long        ``image,trait,mean[,votes]``: one row a picture and trait
==========  ===================================================================================================

CSV in UTF-8 or Parquet; further columns are ignored. Of Label Studio's JSON export the means count. Every trait of the
predictor must have a score for every picture, unless traits were chosen: a column that was forgotten is more likely
than a trait that was not asked for.
"""

import difflib
import hashlib
import posixpath
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from prescreen.bounded_files import read_bounded
from prescreen.errors import RatingsError, UsageError
from prescreen.ratings.columns import numbers, read_frame, refuse, refuse_predictions, take_frame
from prescreen.ratings.label_studio import label_studio_votes
from prescreen.tables import shown
from prescreen.traits import Scale, unknown_name

SCORES = Scale(0, 10)


@dataclass(frozen=True, eq=False)
class TypedResults:
    """What came back from a test with people.

    Parameters
    ----------
    images : tuple of str
        Names of the tested pictures as the scores have them, in the order of the file.
    scores : DataFrame
        One row a picture (index ``images``), one column a trait in the order asked for; on the scale asked for.
    votes : DataFrame
        Of the same shape: votes in each score, NaN where the file does not say.
    source : Path
        The file.
    fingerprint : str
        SHA-256 of its bytes, in hexadecimal.
    """

    images: tuple[str, ...]
    scores: pd.DataFrame
    votes: pd.DataFrame
    source: Path
    fingerprint: str


def typed_names(path: Path) -> tuple[str, ...]:
    """Return the names of pictures in a file of results as they were typed, each once.

    Raises
    ------
    RatingsError
        If this is no file of results.
    """
    _, frame = _read(path)
    return tuple(dict.fromkeys(str(name) for name in frame["image"]))


def read_results(
    path: Path, traits: Sequence[str], known: Collection[str], *, where: str, scale: Scale = SCORES
) -> TypedResults:
    """Read results and refuse them if anything is not right.

    Parameters
    ----------
    path : Path
        The file.
    traits : sequence of str
        Traits that every picture must have scores on.
    known : collection of str
        Names of the pictures that can have been tested.
    where : str
        What has these names, for messages: ``scores.csv``.
    scale : Scale
        Lowest and highest possible score.

    Raises
    ------
    RatingsError
        Naming file, row and value: for a picture that is not known (with the one that was probably meant), a score that
        is missing, no number or outside the scale, a picture that stands twice, a number of votes below 1, or a column
        that is missing.
    UsageError
        For a trait in the long form that the predictor does not know.
    """
    fingerprint, frame = _read(path)
    names = frame["image"].astype(str)
    exact = {posixpath.normpath(name): name for name in known}
    plain = names.map(posixpath.normpath)
    unknown = ~plain.isin(exact.keys())
    if unknown.any():
        first = plain[unknown].iloc[0]
        refuse(path, frame, unknown.to_numpy(), f"image {{}} is not in {where}", _meant(first, exact), names)
    images = plain.map(exact.get)
    table = _long(path, frame, images, traits) if "trait" in frame else _wide(path, frame, images, traits)
    values = table["score"].to_numpy(np.float64)
    beyond = (values < scale.low) | (values > scale.high)
    refuse(path, table, beyond, f"score {{}} is outside {scale}", "correct it", table["score"])
    repeated = table.duplicated(["image", "trait"]).to_numpy()
    refuse(path, table, repeated, "a second score of image {} for the same trait", "keep one row", table["image"])
    shaped = [table.pivot(index="image", columns="trait", values=column) for column in ("score", "votes")]
    order = list(dict.fromkeys(table["image"]))
    scores, votes = (part.reindex(index=order, columns=list(traits)) for part in shaped)
    lacking = scores.isna().to_numpy()
    if lacking.any():
        i, t = np.argwhere(lacking)[0]
        row = table.index[table["image"] == order[i]][0]
        what = f"image '{shown(order[i])}' has no score for {traits[t]!r}"
        raise RatingsError(f"{shown(path)}: row {row}: {what}; add it")
    return TypedResults(tuple(order), scores, votes, path, fingerprint)


def _read(path: Path) -> tuple[str, pd.DataFrame]:
    try:
        data = read_bounded(path)
    except FileNotFoundError:
        raise UsageError(f"{shown(path)}: no such file; give the scores that came back from people") from None
    except OSError as error:
        raise RatingsError(f"{shown(path)}: cannot be read ({error.strerror}); give the file of results") from error
    if not data.strip():
        raise RatingsError(f"{shown(path)}: the file is empty; expected image,TRAIT,TRAIT...,votes")
    labelled = label_studio_votes(path, data)
    text, numeric = ("image", "trait"), ("mean", "votes")
    if labelled is None:
        frame = read_frame(path, data, text, numeric)
    else:
        frame = take_frame(path, _means(labelled), text, numeric)
    refuse_predictions(path, frame)
    if "image" not in frame:
        columns = ", ".join(shown(str(name)) for name in frame.columns)
        hint = "; separate columns by commas" if len(frame.columns) == 1 else ""
        raise RatingsError(
            f"{shown(path)}: no column image (columns: {columns}); expected image,TRAIT,TRAIT...,votes{hint}"
        )
    refuse(path, frame, (frame["image"] == "").to_numpy(), "the image is blank", "expected the name of a picture")
    return hashlib.sha256(data).hexdigest(), frame


def _means(votes: pd.DataFrame) -> pd.DataFrame:
    grouped = votes.groupby(["image", "trait"], sort=False)["vote"]
    means = grouped.agg(mean="mean", votes="size").reset_index()
    return means.set_axis(pd.RangeIndex(1, 1 + len(means)))


def _wide(path: Path, frame: pd.DataFrame, images: pd.Series, traits: Sequence[str]) -> pd.DataFrame:
    lower = {str(name).lower(): name for name in frame.columns}
    votes = _votes(path, frame)
    parts = []
    for trait in traits:
        column = trait if trait in frame else lower.get(trait.lower())
        if column is None:
            close = difflib.get_close_matches(trait, [str(name) for name in frame.columns], n=1)
            hint = f"is it the column {close[0]!r}? " if close else ""
            raise RatingsError(
                f"{shown(path)}: no column {trait!r}: {hint}every trait of the predictor is expected "
                f"({', '.join(traits)}); add it, or name the traits that were tested with --traits"
            )
        values = numbers(path, frame, str(column))
        parts.append(pd.DataFrame({"image": images, "trait": trait, "score": values, "votes": votes}, frame.index))
    return pd.concat(parts).sort_index(kind="stable")


def _long(path: Path, frame: pd.DataFrame, images: pd.Series, traits: Sequence[str]) -> pd.DataFrame:
    if "mean" not in frame:
        raise RatingsError(f"{shown(path)}: a column trait but no column mean; expected image,trait,mean,votes")
    trait = frame["trait"].astype(str)
    strange = ~trait.isin(list(traits))
    if strange.any():
        row, name = trait.index[strange][0], trait[strange].iloc[0]
        raise UsageError(f"{shown(path)}: row {row}: {unknown_name(name, traits)}")
    score = numbers(path, frame, "mean")
    return pd.DataFrame({"image": images, "trait": trait, "score": score, "votes": _votes(path, frame)}, frame.index)


def _votes(path: Path, frame: pd.DataFrame) -> "np.typing.NDArray[np.float64]":
    if "votes" not in frame:
        return np.full(len(frame), np.nan)
    votes = numbers(path, frame, "votes", blank=True)
    refuse(path, frame, votes < 1, "votes {} is too few", "a score needs at least one vote; leave it blank", votes)
    return votes


def _meant(name: str, known: Collection[str]) -> str:
    """Say which known picture was probably meant: of the same file name, else with the most similar name."""
    last = posixpath.basename(name)
    close = [other for other in known if posixpath.basename(other) == last]
    close = (
        close
        or difflib.get_close_matches(name, known, n=1)
        or difflib.get_close_matches(last, [posixpath.basename(other) for other in known], n=1)
    )
    return f"did you mean '{shown(close[0])}'?" if close else "correct the name"
