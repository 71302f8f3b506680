"""Reads and checks the human scores that somebody typed after a test with people.

They are a ratings file of few pictures (`prescreen.ratings.formats`), of any format: scores or means count as they are,
single votes and counts of answers as the mean of the votes that they are, on the scale of the training. Every trait of
the predictor must have a score for every picture, unless traits were chosen: a column that was forgotten is more likely
than a trait that was not asked for. Other columns are left out, which is said.
"""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from prescreen.errors import RatingsError
from prescreen.ratings.columns import counted, refuse
from prescreen.ratings.formats import read_rows
from prescreen.ratings.image_names import Match, match_known, named_pictures, suggest
from prescreen.ratings.meanings import columns_option
from prescreen.ratings.rows import Rows, UnknownTrait, refuse_beyond
from prescreen.ratings.scale import ANSWERS, SCORES, Scale
from prescreen.text import shown, traits_option

_PLACE: Final = re.compile(r"^[0-9]{1,4}[-_](?=.)")


@dataclass(frozen=True, eq=False)
class TypedResults:
    """What came back from a test with people.

    Parameters
    ----------
    images : tuple of str
        Names of the tested pictures as the scores have them, in the order of the file.
    scores : DataFrame
        One row a picture (index ``images``), one column a trait in the order asked for.
    raw : bool
        Whether they are on the scale of the training ratings; otherwise from 0 to 10.
    votes : DataFrame
        Of the same shape: votes in each score, NaN where the file does not say.
    errors : DataFrame
        Of the same shape: standard error of each score where the file says it itself, otherwise NaN.
    source : Path
        The file.
    fingerprint : str
        SHA-256 of its bytes, in hexadecimal.
    notes : tuple of str
        Lines for the user: what was understood of the file, how names were matched, what was left out.
    """

    images: tuple[str, ...]
    scores: pd.DataFrame
    raw: bool
    votes: pd.DataFrame
    errors: pd.DataFrame
    source: Path
    fingerprint: str
    notes: tuple[str, ...]

    @classmethod
    def of_one(cls, image: str, scores: Mapping[str, float]) -> Self:
        """Return scores of one picture from 0 to 10, as somebody typed them, without a file."""
        typed = pd.DataFrame(scores, index=[image])
        return cls((image,), typed, False, typed * np.nan, typed * np.nan, Path(), "", ())


def read_results(
    path: Path,
    traits: Sequence[str],
    known: Collection[str],
    *,
    where: str,
    training: Scale = SCORES,
    raw: bool = False,
    columns: Mapping[str, str] | None = None,
    only: str | None = None,
    copies: Mapping[str, str] | None = None,
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
    training : Scale
        Scale of the training ratings. Means of single votes are on it; those of counted answers are stretched to it.
    raw : bool
        Whether scores and means are on it too; otherwise from 0 to 10.
    columns : mapping of str to str, optional
        {meaning, or name of a trait: column}, where the names of the columns do not tell.
    copies : mapping of str to str, optional
        {name of a copy: the picture that it was made of}; results of a copy are results of that picture.
    only : str, optional
        The picture whose rows alone count; the file may hold others that are not known, and traits without a score.

    Raises
    ------
    RatingsError
        Naming file, row and value: for a picture that is not known (with the one that was probably meant), a score that
        is missing, no number or outside the scale, a picture that stands twice, a number of votes below 1, or a column
        or trait that is missing.
    UsageError
        For a file or a column that is not there.
    """
    scale = training if raw else SCORES
    rows = _read(path, traits, columns, scale, partly=only is not None)
    rows = rows if only is None else _rows_of(rows, only)
    images, matched = _tested_pictures(rows, known, copies or {}, where)
    ballot = rows.format == "votes" and not raw and _are_answers(rows.frame["value"], training)
    if rows.format == "votes" and not ballot:
        refuse_beyond(
            rows, training, f"the scale of the training, {training}", "give votes on it, or scores from 0 to 10"
        )
    else:
        scale = ANSWERS if rows.format == "answers" else scale
        refuse_beyond(rows, scale, f"{scale}", "correct it")
    table = _table(rows, images)
    notes = (*rows.notes, *matched)
    if ballot:
        notes = (*notes, f"votes      0 to 3 only, as prescreen ballot asks: taken for answers on {ANSWERS}")
    elif rows.format == "votes" and not raw:
        notes = (*notes, f"votes      their means count on the scale of the training, {training}")
    if (ballot or rows.format == "answers") and training != ANSWERS:
        table["score"] = training.low + table["score"] / ANSWERS.high * (training.high - training.low)
        notes = (*notes, f"answers    their means, on {ANSWERS}, are stretched to the training scale {training}")
    shaped = [table.pivot(index="image", columns="trait", values=column) for column in ("score", "votes", "error")]
    order = list(dict.fromkeys(table["image"].iloc[np.argsort(table.index, kind="stable")]))
    scores, votes, errors = (part.reindex(index=order, columns=list(traits)) for part in shaped)
    lacking = scores.isna().to_numpy()
    if only is None and lacking.any():
        i, t = np.argwhere(lacking)[0]
        row = table.index[table["image"] == order[i]][0]
        what = f"image '{shown(order[i])}' has no score for {traits[t]!r}"
        raise RatingsError(f"{shown(path)}: row {row}: {what}; add it")
    return TypedResults(tuple(order), scores, raw or rows.single_votes, votes, errors, path, rows.fingerprint, notes)


def _tested_pictures(
    rows: Rows, known: Collection[str], copies: Mapping[str, str], where: str
) -> tuple[npt.NDArray[np.object_], tuple[str, ...]]:
    """Return the picture that each row is about, and how names were matched; see `named_pictures`."""
    known = {*known, *copies}
    images, matched = named_pictures(
        rows, where, lambda names: _match_tested(names, known), lambda: known, "correct the name"
    )
    tested = [name for name in dict.fromkeys(images) if name in copies]
    if not tested:
        return images, matched
    copy = "its copy" if len(tested) == 1 else "their copies"
    told = f"{shown(tested[0])} is {shown(copies[tested[0]])}"
    note = f"matched    {counted(len(tested), 'picture')} by the name of {copy}: {told}"
    return np.array([copies.get(name, name) for name in images], dtype=object), (*matched, note)


def _are_answers(votes: "pd.Series[float]", training: Scale) -> bool:
    """Tell answers from 0 to 3 from votes on a larger scale, on which nobody would have gone beyond 3.

    On a scale from 1 up a 0 tells.
    """
    whole = votes.isin(range(int(ANSWERS.low), int(ANSWERS.high) + 1)).all()
    beyond = training.low >= ANSWERS.low and training.high > ANSWERS.high
    return bool(whole and beyond and (training.low == ANSWERS.low or (votes == ANSWERS.low).any()))


def _match_tested(names: Sequence[str], known: Collection[str]) -> list[Match]:
    """Find the pictures; of a name that fits none, a number before it is its place in what the page exported."""
    found = match_known(names, known)
    plain = match_known([_PLACE.sub("", PurePosixPath(name).name) for name in names], known)
    how = "without the number that the page's export put before it"
    return [
        replace(without, how=how) if match.name is None and not match.among and without.name else match
        for match, without in zip(found, plain, strict=True)
    ]


def _read(path: Path, traits: Sequence[str], columns: Mapping[str, str] | None, scale: Scale, *, partly: bool) -> Rows:
    """Read the rows of all traits, or of those that are there; refuse what says nothing of single pictures."""
    remedy = "give the file of the scores that came back from people"
    wanted = list(traits)
    while True:
        try:
            rows = read_rows(path, {trait: trait for trait in wanted}, columns, scale, remedy=remedy)
            break
        except UnknownTrait as error:
            if not partly:
                raise RatingsError(
                    f"{shown(path)}: no scores of {error.name!r}: every trait of the predictor is expected "
                    f"({', '.join(traits)}); {_remedy(error, traits, columns or {})}"
                ) from None
            wanted.remove(error.name)
            if not wanted:
                raise RatingsError(
                    f"{shown(path)}: scores of none of {', '.join(traits)}; name its columns like these"
                ) from None
    if rows.format == "pairs":
        raise RatingsError(
            f"{shown(path)}: it says which of two pictures is better, but not how good they are; give votes or scores "
            "(prescreen ballot without --pairs)"
        )
    return rows


def _rows_of(rows: Rows, picture: str) -> Rows:
    """Keep the rows of one picture."""
    image = rows.frame["image"]
    names = [str(name) for name in image.cat.categories]
    fitting = [name for name, found in zip(names, match_known(names, [picture]), strict=True) if found.name is not None]
    if not fitting:
        remedy = f"did you mean '{shown(close)}'? " if (close := suggest(picture, names)) else ""
        raise RatingsError(
            f"{shown(rows.source)}: no row of {shown(picture)}; {remedy}the picture must have the same name there"
        )
    return replace(rows, frame=rows.frame[image.isin(fitting)])


def _remedy(error: UnknownTrait, traits: Sequence[str], columns: Mapping[str, str]) -> str:
    """Say how to bring the traits of the predictor and those of the file together."""
    known = {name.casefold(): name for name in error.known}
    there = [trait for trait in traits if trait.casefold() in known]
    close = {
        trait: known[near[0]]
        for trait in traits
        if trait not in there and (near := difflib.get_close_matches(trait.casefold(), known, n=1))
    }
    if error.name in close and error.columns:
        told = {**columns, **{trait: known[trait.casefold()] for trait in there if trait not in columns}, **close}
        return f"if {shown(close[error.name])} is meant: {columns_option(**told)}"
    meant = f"is it {shown(close[error.name])!r}? " if error.name in close else ""
    chosen = traits_option({trait: trait for trait in there}) if there else "--traits"
    return f"{meant}correct or add it, or name those that were tested: {chosen}"


def _table(rows: Rows, images: npt.NDArray[np.object_]) -> pd.DataFrame:
    """Return a row a picture and trait: ``image``, ``trait``, ``score``, ``votes``, ``error``; numbered as the file."""
    frame = rows.frame
    table = pd.DataFrame(
        {"image": images, "trait": frame["trait"].astype(str), "score": frame["value"], "row": frame.index}, frame.index
    )
    if not rows.single_votes:
        for column in ("votes", "error"):
            table[column] = frame.get(column, np.nan)
        _refuse_repeats(rows, table)
        return table
    if rows.format == "answers":
        _refuse_repeats(rows, table.drop_duplicates(["image", "trait", "row"]))
    grouped = table.groupby(["image", "trait"], sort=False)
    summed = grouped.agg(score=("score", "mean"), votes=("score", "size"), row=("row", "first"))
    return summed.reset_index().set_index("row").assign(error=np.nan).astype({"votes": np.float64})


def _refuse_repeats(rows: Rows, table: pd.DataFrame) -> None:
    repeated = table.duplicated(["image", "trait"]).to_numpy()
    what = "a second score of image {} for the same trait"
    refuse(rows.source, table, repeated, what, "keep one row", table["image"])
