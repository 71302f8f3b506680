"""Columns of a ratings file: read fast, checked strictly, and every fault named by file, row and value.

Rows are numbered as a spreadsheet shows them: in a CSV the header is row 1; in Parquet the first row of data is row 1.
The number stays in the index of the data frame, through any selection of rows.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from prescreen.bounded_files import check_csv, check_parquet, check_zip, read_bounded
from prescreen.errors import RatingsError, UsageError
from prescreen.tables import shown

Floats = npt.NDArray[np.float64]

LARGEST: Final = 1e9
"""Votes and scores beyond it, either side of 0, are taken for mistakes."""

_BLANK = ("", "na", "n/a", "nan")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SHOWN_ROWS = 5
_SHOWN_CHARACTERS = 60


def read_bytes(source: Path) -> bytes:
    """Return the content of a file.

    Raises
    ------
    UsageError
        If there is no such file.
    RatingsError
        If it cannot be read, or is empty.
    """
    try:
        data = read_bounded(source)
    except FileNotFoundError:
        raise UsageError(f"{shown(source)}: no such file or folder; check --ratings") from None
    except OSError as error:
        raise RatingsError(f"{shown(source)}: cannot be read ({error.strerror}); check --ratings") from error
    if not data.strip():
        raise RatingsError(f"{shown(source)}: the file is empty; expected ratings")
    return data


def read_zip(source: Path, data: bytes, member: str) -> bytes:
    """Return one member of a zip archive.

    Raises
    ------
    RatingsError
        If this is no zip archive, or a damaged one, or it lacks the member.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_zip(archive)
            return archive.read(member)
    except (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise RatingsError(f"{shown(source)}: expected a zip archive with {member} in it ({_line(error)})") from error


def read_frame(source: Path, data: bytes, text: Collection[str], known: Collection[str] = ()) -> pd.DataFrame:
    """Read a CSV (UTF-8, with or without byte order mark) or Parquet table; the content decides which, not the name.

    Parameters
    ----------
    source : Path
        Where the bytes come from, for messages.
    data : bytes
        Content of the file.
    text : collection of str
        Columns that are text even if they look like numbers; other columns become numbers where all cells are.
    known : collection of str
        More columns with a meaning. The names in ``text`` and ``known`` also count in other case (``Image``), and are
        then written as given here.

    Returns
    -------
    DataFrame
        Text columns are categorical with ``str`` categories, the empty text where a cell is blank. The index holds
        row numbers. Lines without anything on them are left out.

    Raises
    ------
    RatingsError
        If this is not such a table, or has no rows, or two columns of the same name.
    """
    if data.lstrip().startswith(b"<"):
        raise RatingsError(f"{shown(source)}: a web page and no table; expected comma-separated values with a header")
    known = {*text, *known}
    frame = _read_parquet(source, data, known) if data.startswith(b"PAR1") else _read_csv(source, data, known, text)
    return _with_text(source, frame, text)


def take_frame(source: Path, frame: pd.DataFrame, text: Collection[str], known: Collection[str] = ()) -> pd.DataFrame:
    """Bring rows of another kind of file into the form of `read_frame`; the index holds their numbers already.

    Raises
    ------
    RatingsError
        As from `read_frame`.
    """
    frame = frame.set_axis(_names(source, [str(name) for name in frame.columns], {*text, *known}), axis="columns")
    return _with_text(source, frame, text)


def refuse_predictions(source: Path, frame: pd.DataFrame) -> None:
    """Refuse a table that prescreen wrote itself where people's votes or scores are expected.

    Raises
    ------
    RatingsError
        If it is one.
    """
    columns = {str(name) for name in frame.columns}
    scores = {"status", "content"} <= columns and any(name.endswith("_raw_low") for name in columns)
    if scores or {"p_better", "selected"} <= columns:
        raise RatingsError(
            f"{shown(source)}: predictions that prescreen wrote, and nothing that people said; "
            "give a table of people's votes or scores"
        )


def _with_text(source: Path, frame: pd.DataFrame, text: Collection[str]) -> pd.DataFrame:
    for column in frame.columns.intersection(list(text)):
        cells = frame[column]
        if cells.dtype == object:  # only JSON can hold half a character
            halves = [isinstance(cell, str) and _SURROGATE.search(cell) is not None for cell in cells]
            what = f"{column} {{}} is no Unicode text"
            refuse(source, frame, np.array(halves, dtype=bool), what, "rename the file, or correct it", cells)
        frame[column] = _categorical(frame[column], strip=column != "image")  # file names may begin or end with blanks
    if len(frame) == 0:
        raise RatingsError(f"{shown(source)}: it has a header but no rows; expected ratings")
    return frame


def numbers(source: Path, frame: pd.DataFrame, column: str, blank: bool = False) -> Floats:
    """Return a column as finite numbers.

    Parameters
    ----------
    source : Path
        File, for messages.
    frame : DataFrame
        From :func:`read_frame`.
    column : str
        Name of the column.
    blank : bool
        Whether a cell may be blank (nothing, NA or NaN), which becomes NaN.

    Raises
    ------
    RatingsError
        Naming the first row whose cell is no finite number.
    """
    cells = frame[column]
    if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        missing = np.isnan(values)
    else:
        texts = cells.astype(object).fillna("").astype(str).str.strip()
        values = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        missing = texts.str.lower().isin(_BLANK).to_numpy(dtype=bool)
    faulty = ~np.isfinite(values) & ~(missing if blank else False)
    remedy = "expected a number or nothing" if blank else "expected a number"
    refuse(source, frame, faulty, f"{column} {{}} is not a number", remedy, cells)
    refuse(source, frame, np.abs(values) > LARGEST, f"{column} {{}} is too large", "correct it", cells)
    return values


def refuse(
    source: Path, frame: pd.DataFrame, faulty: npt.NDArray[np.bool_], problem: str, remedy: str, cells: Any = None
) -> None:
    """Raise if any row is at fault; the message names file, first row, its value, and how many rows there are.

    Parameters
    ----------
    source : Path
        File, for the message.
    frame : DataFrame
        Rows, numbered by the index.
    faulty : ndarray of bool, shape (n_rows,)
        Rows at fault.
    problem : str
        What is wrong; ``{}`` stands for the value.
    remedy : str
        What was expected or what to do.
    cells : array-like, shape (n_rows,), optional
        Values to show for ``{}``.

    Raises
    ------
    RatingsError
        If any row is at fault.
    """
    positions = np.flatnonzero(faulty)
    if positions.size == 0:
        return
    rows, first = np.unique(frame.index.to_numpy()[positions], return_index=True)
    value = "" if cells is None else _cell(pd.Series(cells).iloc[positions[first[0]]])
    message = f"{shown(source)}: row {rows[0]}: {problem.replace('{}', value)}"
    if rows.size > 1:
        listed = ", ".join(str(row) for row in rows[:_SHOWN_ROWS]) + (", ..." if rows.size > _SHOWN_ROWS else "")
        message += f" ({rows.size} such rows: {listed})"
    raise RatingsError(f"{message}; {remedy}")


def _read_csv(source: Path, data: bytes, known: Collection[str], text: Collection[str]) -> pd.DataFrame:
    expected = "expected comma-separated values in UTF-8 with a header"
    try:
        check_csv(data)
        records = _records(data)
        header, first = next(records, []), next(records, [])
        if len(first) > len(header):  # pandas would take the first column for row names
            raise RatingsError(f"{shown(source)}: row 2 has {len(first)} cells, the header {len(header)}; {expected}")
        names = _names(source, header, known)
        frame = pd.read_csv(
            io.BytesIO(data),
            encoding="utf-8-sig",
            header=0,
            names=names,
            dtype={name: str for name in names if name in text},
            keep_default_na=False,
            skip_blank_lines=False,
            low_memory=False,
        )
        if frame.iloc[:, -1].astype(str).isin(["", "nan"]).any():  # left blank, or cut off?
            _refuse_short_rows(source, data, expected)
    except (ValueError, csv.Error, pd.errors.ParserError) as error:
        raise RatingsError(f"{shown(source)}: not a CSV ({_line(error)}); {expected}") from error
    frame.index = pd.RangeIndex(2, 2 + len(frame))
    suspects = np.flatnonzero(frame.iloc[:, 0].astype(str).isin(["", "nan"]).to_numpy(dtype=bool))
    filled = np.ones(len(frame), dtype=bool)
    filled[[i for i in suspects if all(cell == "" or cell != cell for cell in frame.iloc[i])]] = False
    return frame if filled.all() else frame[filled]


def _refuse_short_rows(source: Path, data: bytes, expected: str) -> None:
    width = 0
    for row, cells in enumerate(_records(data), start=1):
        width = width or len(cells)
        if 0 < len(cells) < width:
            raise RatingsError(f"{shown(source)}: row {row} has {len(cells)} cells, the header {width}; {expected}")


def _records(data: bytes) -> Iterator[list[str]]:
    return csv.reader(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline=""))


def _read_parquet(source: Path, data: bytes, known: Collection[str]) -> pd.DataFrame:
    try:
        check_parquet(data)
        frame = pd.read_parquet(io.BytesIO(data))
    except (ValueError, OSError) as error:  # pyarrow's errors are both
        raise RatingsError(f"{shown(source)}: not a readable Parquet file ({_line(error)}); write it again") from error
    frame.columns = pd.Index(_names(source, [str(name) for name in frame.columns], known))
    frame.index = pd.RangeIndex(1, 1 + len(frame))
    return frame


def _names(source: Path, header: list[str], known: Collection[str]) -> list[str]:
    """Clean the header: no blanks around names, and the columns that the formats know in lower case."""
    stripped = [name.strip() for name in header]
    names = [name.lower() if name.lower() in known else name for name in stripped]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RatingsError(f"{shown(source)}: two columns are named {twice!r}; give every column its own name")
    return names


def _categorical(cells: "pd.Series[Any]", strip: bool) -> pd.Categorical:
    """Return text as categories, numbers as the text that they are written as."""
    cells = cells.astype(object) if cells.dtype != "str" else cells
    codes, found = pd.factorize(cells.where(cells.notna(), ""))
    texts = [str(value).strip() if strip else str(value) for value in found]
    recoded, categories = pd.factorize(pd.Series(texts, dtype=object))
    return pd.Categorical.from_codes(recoded[codes], categories=pd.Index(categories))


def _cell(value: Any) -> str:
    """Show a cell in one line."""
    if isinstance(value, float | np.floating):
        return f"{value:.10g}"
    text = shown(str(value))
    if isinstance(value, str):
        text = ascii(text) if any(not c.isprintable() for c in text) else f"'{text}'"
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
