"""Tables with a column a trait: scores, one rater's votes in a row, counts of answers, or one column a picture.

==========  ===========================================================================================================
scores      one row a picture, scores as Photofeeler shows them; ``T_votes`` next to ``T`` are that trait's votes, and
            ``T_low`` and ``T_high``, or ``T_range`` (``7.1-8.9``), its 90 % range
votes       one row a rater and picture (there is a column ``rater``), a vote in each trait's column
answers     one row a picture, ``T_no``, ``T_somewhat``, ``T_yes``, ``T_very`` (or ``T_0`` to ``T_3``): how many people
            answered so; each answer is a vote from 0 to 3
votes       one row a rater and one column a picture: the user gave the name of a trait's columns with a ``*`` in it
==========  ===========================================================================================================
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from prescreen.errors import RatingsError, UsageError
from prescreen.ratings.columns import Floats, counted, numbers, refuse, said
from prescreen.ratings.meanings import MEANINGS, Meaning, columns_left, listed, starred
from prescreen.ratings.rows import TraitValues, choose_traits, constant_trait
from prescreen.ratings.scale import ANSWERS, SCORES, Scale
from prescreen.text import shown, traits_option

_LEVELS = {"no": 0, "somewhat": 1, "yes": 2, "very": 3, "0": 0, "1": 1, "2": 2, "3": 3}
_ANSWER = re.compile(rf"^(.+?)[\s_\-.:(\[]+({'|'.join(_LEVELS)})[)\]]?$", re.IGNORECASE)
_COMPANION = re.compile(r"^(.+?)[\s_\-.:(\[]+(votes|low|high|range)[)\]]?$", re.IGNORECASE)
_RANGE = re.compile(r"^\s*([\d.,]+)\s*(?:-|\u2013|\u2014|to)\s*([\d.,]+)\s*$")
_NO_RATING = frozenset(
    ["id", "uid", "index", "idx", "no", "nr", "row", "rowid", "age", "year", "date", "day", "time", "timestamp"]
    + ["datetime", "width", "height", "filesize", "duration"]
)
_NO_RATING_AT_THE_END = frozenset(["id", "date", "time", "timestamp", "duration", "seconds", "minutes"])
_MOST_ANSWERS = 100_000  # of one picture; more are a mistake
_Z95 = float(ndtri(0.95))


def read_wide(
    source: Path,
    frame: pd.DataFrame,
    meaning: Meaning,
    traits: Mapping[str, str] | None,
    scale: Scale | None,
    *,
    lenient: bool = False,
) -> TraitValues:
    """Read a table with a column a trait.

    Parameters
    ----------
    source : Path
        The file, for messages.
    frame : DataFrame
        Its rows; columns with a meaning are named by it, the traits' as in the file.
    meaning : Meaning
        What the columns mean.
    traits : mapping of str to str, optional
        New name of each trait wanted, and its name in the file or in ``meaning.traits``; by default all.
    scale : Scale, optional
        Lowest and highest possible value; without it scores are from 0 to 10.
    lenient : bool
        Whether to pass over columns that are no ratings instead of refusing them.

    Raises
    ------
    RatingsError
        If there is no column of ratings, one that is none was not left out by choosing traits, or a cell is wrong.
    UsageError
        For a trait that is not there.
    """
    _refuse_misplaced(source, frame)
    if "rater" not in frame:
        scale = scale or SCORES
    values, answers, companions = _columns(frame, meaning)
    asked = {name.casefold() for name in (*(traits or {}).values(), *meaning.traits)}
    blank = [name for name in values if name.casefold() not in asked and (said(frame[name]) == "").all()]
    values = [name for name in values if name not in blank]
    if not values and not answers:
        raise RatingsError(
            f"{shown(source)}: no column holds a trait; expected for instance image,competence,likeability"
        )
    if "" in values and traits is None:
        raise RatingsError(f"{shown(source)}: a column has no name; name it, or choose others with --traits")
    usable = [*answers, *_ratings_among(frame, values, scale)]
    if traits is None and lenient:
        traits = {name: name for name in usable}
    elif traits is None and not meaning.traits:
        _refuse_others(source, frame, values, usable, scale)
    wanted = choose_traits(source, [*values, *answers], traits)
    counts = [trait for trait in wanted.values() if trait in answers]
    if counts and len(counts) < len(wanted):
        others = [trait for trait in wanted.values() if trait not in answers]
        raise RatingsError(
            f"{shown(source)}: {listed(counts)} as counts of answers, {listed(others)} as scores: two scales; "
            f"choose one kind: {traits_option({shown(name): shown(name) for name in counts})}"
        )
    known = {*values, *blank, *(column for levels in answers.values() for column in levels.values())}
    known |= {column for part in companions.values() for column in part.values()}
    left = [name for name in _free(frame) if name and name not in known]
    left += ["votes"] if "votes" in frame and "rater" in frame else []
    if traits is not None:  # what could be a rating is learned from, too
        left += [name for name in values if name not in wanted.values() and name not in usable]
    ignored = columns_left(left) + [f"blank {columns}" for columns in columns_left(blank)]
    if counts:
        return _answers(source, frame, answers, wanted, ignored)
    return _values(source, frame, meaning, companions, wanted, ignored)


def read_matrix(source: Path, frame: pd.DataFrame, meaning: Meaning, traits: Mapping[str, str] | None) -> TraitValues:
    """Read a table of one row a rater and one column a picture.

    ``meaning.traits`` are patterns with a ``*`` for the picture; the rest is as in `read_wide`.

    Raises
    ------
    RatingsError, UsageError
        As from `read_wide`.
    """
    plain = [name for name, pattern in meaning.traits.items() if "*" not in pattern]
    if plain:
        raise UsageError(f"--columns: {plain[0]} has no * for the picture, as the other traits have; give all one")
    names = [str(name) for name in frame.columns if name not in MEANINGS]
    pictures: dict[str, dict[str, str]] = {}
    for trait in sorted(meaning.traits, key=lambda name: -len(meaning.traits[name])):  # the most exact first
        found = {name: starred(meaning.traits[trait], name).strip() for name in names}
        pictures[trait] = {name: picture for name, picture in found.items() if picture}
        names = [name for name in names if name not in pictures[trait]]
    wanted = choose_traits(source, list(meaning.traits), traits)
    if without := [old for old in wanted.values() if not pictures[old]]:
        raise UsageError(
            f"{shown(source)}: --columns {shown(without[0])}={shown(meaning.traits[without[0]])}: every such column "
            "belongs to a trait with a longer name; give the traits different columns"
        )
    rater = frame["rater"] if "rater" in frame else pd.Series([f"row {row}" for row in frame.index], frame.index)
    all_pictures = list(dict.fromkeys(picture for old in wanted.values() for picture in pictures[old].values()))
    parts, blank = [], 0
    for code, old in enumerate(wanted.values()):
        for column, picture in pictures[old].items():
            values = numbers(source, frame, column, blank=True)
            rated = np.isfinite(values)
            blank += int((~rated).sum())
            image = np.full(int(rated.sum()), all_pictures.index(picture))
            part = pd.DataFrame({"value": values[rated], "rater": rater[rated].astype(str)}, frame.index[rated])
            part["image"] = pd.Categorical.from_codes(image, categories=pd.Index(all_pictures))
            part["trait"] = constant_trait(code, wanted, len(part))
            parts.append(part)
    rows = pd.concat(parts)
    rows["rater"] = rows["rater"].astype("category")
    ignored = columns_left(names) + ([counted(blank, "blank answer")] if blank else [])
    return TraitValues(rows, "votes", dict.fromkeys(wanted, "vote"), tuple(ignored))


# --- columns ----------------------------------------------------------------------------------------------------------


def _free(frame: pd.DataFrame) -> list[str]:
    """Return the columns that may be traits: all without a meaning, and a vote where each row is a rater's."""
    known = set(MEANINGS) - ({"vote"} if "rater" in frame else set())
    return [str(name) for name in frame.columns if name not in known]


def _columns(
    frame: pd.DataFrame, meaning: Meaning
) -> tuple[list[str], dict[str, dict[int, str]], dict[str, dict[str, str]]]:
    """Sort the columns by what they hold.

    Returns
    -------
    values : list of str
        Columns of scores or votes, each named as its trait.
    answers : dict of str to dict of int to str
        For each trait whose answers are counted, {answer: column}.
    companions : dict of str to dict of str to str
        What goes with scores: {votes, low, high or range: {trait: column}}.
    """
    free = _free(frame)
    values = list(meaning.traits or free)
    answers: dict[str, dict[int, str]] = {}
    for name in values:
        if match := _ANSWER.match(name):
            answers.setdefault(match[1], {})[_LEVELS[match[2].lower()]] = name
    answers = {trait: levels for trait, levels in answers.items() if len(levels) == len(set(_LEVELS.values()))}
    counts = {column for levels in answers.values() for column in levels.values()}
    answered = {trait.casefold() for trait in answers}  # a score next to its answers says less than they do
    values = [name for name in values if name not in counts and name.casefold() not in answered]
    companions: dict[str, dict[str, str]] = {kind: {} for kind in ("votes", "low", "high", "range")}
    stems = {name.casefold(): name for name in (*values, *answers)}
    for name in free:
        match = _COMPANION.match(name)
        if match and (trait := stems.get(match[1].casefold())) and name != trait:
            companions[match[2].lower()][trait] = name
    for trait in set(companions["low"]) ^ set(companions["high"]):  # one end alone is no range
        companions["low"].pop(trait, None)
        companions["high"].pop(trait, None)
    taken = {column for part in companions.values() for column in part.values()}
    values = [name for name in values if name not in taken]
    for kind, part in companions.items():
        companions[kind] = {trait: column for trait, column in part.items() if trait in values}
    return values, answers, companions


def _refuse_misplaced(source: Path, frame: pd.DataFrame) -> None:
    """Refuse a column of votes or means of which nothing says what trait they rate."""
    misplaced = [name for name in ("mean", "std") if name in frame]
    if "vote" in frame and "rater" not in frame:
        misplaced.insert(0, "vote")
    if misplaced:
        raise RatingsError(
            f"{shown(source)}: column {misplaced[0]} but no column trait; say which trait each row rates, "
            f"or name the trait that it holds: --columns competence={misplaced[0]}"
        )


def _ratings_among(frame: pd.DataFrame, columns: Sequence[str], scale: Scale | None) -> list[str]:
    """Return the columns that hold numbers, mostly on the scale, and are not named like something else."""
    usable = []
    for name in columns:
        values, share = _leniently(frame, name)
        on_scale = scale is None or not values.size or np.mean((values >= scale.low) & (values <= scale.high)) > 0.5
        if share > 0.5 and on_scale and not _named_otherwise(name):
            usable.append(name)
    return usable


def _named_otherwise(trait: str) -> bool:
    """Whether a name, or its last word, says that there is no rating: ``age``, ``WorkTimeInSeconds``, ``user_id``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", trait).lower()
    return trait.lower() in _NO_RATING or re.split(r"[\s_.-]+", words)[-1] in _NO_RATING_AT_THE_END


def _leniently(frame: pd.DataFrame, column: str) -> tuple[Floats, float]:
    """Return the numbers of a column, and their share of the cells that are not blank (1 if all are)."""
    texts = said(frame[column])
    filled = texts[texts != ""]
    values = pd.to_numeric(filled, errors="coerce").to_numpy(np.float64)
    values = values[np.isfinite(values)]
    return values, values.size / len(filled) if len(filled) else 1.0


def _refuse_others(
    source: Path, frame: pd.DataFrame, columns: Sequence[str], usable: Sequence[str], scale: Scale | None
) -> None:
    """Refuse a column that holds no ratings, with the traits to choose instead."""
    if not usable:
        return  # the reader says what is wrong with the first column
    remedy = f"choose the traits: {traits_option({shown(name): shown(name) for name in usable})}"
    for column in columns:
        if column in usable:
            continue
        values, share = _leniently(frame, column)
        if share <= 0.5:
            texts = said(frame[column])
            faulty = (pd.to_numeric(texts, errors="coerce").isna() & (texts != "")).to_numpy(bool)
            refuse(
                source, frame, faulty, f"{shown(column)} {{}} is not a number", f"if it is no rating, {remedy}", texts
            )
        if scale is not None and not _named_otherwise(column):
            values = numbers(source, frame, column, blank=True)
            beyond = (values < scale.low) | (values > scale.high)
            remedy = f"if {shown(column)} is no rating, {remedy}; otherwise give the scale with --scale LOW:HIGH"
            refuse(source, frame, beyond, f"{shown(column)} {{}} is outside the scale {scale}", remedy, values)
        first = ", ".join(f"{value:g}" for value in values[:2])
        raise RatingsError(f"{shown(source)}: column {shown(column)} ({first}, ...) looks like no rating; {remedy}")


# --- rows -------------------------------------------------------------------------------------------------------------


def _values(
    source: Path,
    frame: pd.DataFrame,
    meaning: Meaning,
    companions: Mapping[str, Mapping[str, str]],
    wanted: Mapping[str, str],
    ignored: list[str],
) -> TraitValues:
    """Read scores, or votes of a rater in each row."""
    single = "rater" in frame
    of_all = numbers(source, frame, "votes", blank=True) if "votes" in frame and not single else None
    kept = frame.columns.intersection(["image", "person", "rater"])
    parts, rated_at_all, blank = [], np.zeros(len(frame), dtype=bool), 0
    for code, old in enumerate(wanted.values()):
        values = numbers(source, frame, old, blank=True)
        rated = np.isfinite(values)
        rated_at_all |= rated
        blank += int((~rated).sum())
        part = frame.loc[rated, kept].assign(trait=constant_trait(code, wanted, int(rated.sum())), value=values[rated])
        if not single:
            column = companions["votes"].get(old)
            votes = of_all if column is None else numbers(source, frame, column, blank=True)
            votes = np.full(len(frame), np.nan) if votes is None else votes
            few = (votes < 1) & rated
            refuse(source, frame, few, "votes {} is too few", "a score needs at least one vote", votes)
            error = _range_error(source, frame, companions, old, values)
            part = part.assign(votes=votes[rated], std=np.nan, error=error[rated])
        parts.append(part)
    if of_all is not None:
        refuse(source, frame, of_all < 0, "votes {} is negative", "expected a number of votes or nothing", of_all)
    nothing = int((~rated_at_all).sum())
    blank -= nothing * len(wanted)
    ignored += [f"{counted(nothing, 'row')} without a score"] if nothing else []
    ignored += [counted(blank, "blank score")] if blank else []
    names = {new: meaning.traits.get(old, old) for new, old in wanted.items()}
    kind, scale = ("votes", None) if single else ("scores", SCORES)
    return TraitValues(pd.concat(parts), kind, names, tuple(ignored), scale)


def _range_error(
    source: Path, frame: pd.DataFrame, companions: Mapping[str, Mapping[str, str]], trait: str, scores: Floats
) -> Floats:
    """Return the standard error of each score, from its 90 % range; NaN where there is none."""
    if trait in companions["low"]:
        low, high = (numbers(source, frame, companions[end][trait], blank=True) for end in ("low", "high"))
    elif column := companions["range"].get(trait):
        texts = said(frame[column])
        ends = texts.str.extract(_RANGE).apply(lambda end: end.str.replace(",", "."))
        low, high = (pd.to_numeric(ends[i], errors="coerce").to_numpy(np.float64) for i in (0, 1))
        faulty = (np.isnan(low) | np.isnan(high)) & (texts != "").to_numpy(bool)
        refuse(source, frame, faulty, f"{shown(column)} {{}} is no range", "expected for instance 7.1-8.9", texts)
    else:
        return np.full(len(frame), np.nan)
    refuse(
        source, frame, low >= high, f"the range of {shown(trait)} ends at {{}}, not above its start", "correct it", high
    )
    beyond = (scores < low) | (scores > high)
    refuse(source, frame, beyond, f"{shown(trait)} {{}} is outside its range", "correct it", scores)
    return np.asarray((high - low) / (2 * _Z95))


def _answers(
    source: Path,
    frame: pd.DataFrame,
    answers: Mapping[str, Mapping[int, str]],
    wanted: Mapping[str, str],
    ignored: list[str],
) -> TraitValues:
    """Take each answer that was counted for a vote."""
    kept = frame.columns.intersection(["image", "person"])
    parts = []
    for code, old in enumerate(wanted.values()):
        columns = []
        for _, column in sorted(answers[old].items()):
            counts = np.nan_to_num(numbers(source, frame, column, blank=True))
            faulty = (counts < 0) | (counts != np.round(counts)) | (counts > _MOST_ANSWERS)
            what = f"{shown(column)} {{}} is no number of answers"
            refuse(source, frame, faulty, what, "expected a count, 0 or more", counts)
            columns.append(counts.astype(np.intp))
        by_row = np.stack(columns, axis=1)
        rows = np.repeat(np.arange(len(frame)), by_row.sum(axis=1))
        values = np.repeat(np.tile(np.sort(list(answers[old])).astype(np.float64), len(frame)), by_row.ravel())
        parts.append(frame[kept].iloc[rows].assign(trait=constant_trait(code, wanted, rows.size), value=values))
    answered = pd.concat(parts)
    nothing = len(frame) - answered.index.nunique()
    ignored += [f"{counted(nothing, 'row')} without answers"] if nothing else []
    names = {new: f"{old} answer" for new, old in wanted.items()}
    return TraitValues(answered, "answers", names, tuple(ignored), ANSWERS)
