"""Bytes and cells of a ratings file: read once, checked strictly, and every fault named by file, row and value."""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from prescreen.errors import RatingsError, UsageError
from prescreen.storage.bounded_files import check_zip, read_bounded
from prescreen.text import shown

Floats = npt.NDArray[np.float64]

LARGEST: Final = 1e9
"""Votes and scores beyond it, either side of 0, are taken for mistakes."""

_BLANK: Final = ("", "na", "n/a", "nan")
_SHOWN_ROWS = 5
_SHOWN_CHARACTERS = 60


def read_bytes(source: Path, remedy: str = "check --ratings") -> bytes:
    """Return the content of a file; ``remedy`` says what to do if it cannot be read.

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
        raise UsageError(f"{shown(source)}: no such file or folder; {remedy}") from None
    except OSError as error:
        raise RatingsError(f"{shown(source)}: cannot be read ({error.strerror}); {remedy}") from error
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
        raise RatingsError(
            f"{shown(source)}: expected a zip archive with {member} in it ({one_line(error)})"
        ) from error


def refuse_predictions(source: Path, frame: pd.DataFrame) -> None:
    """Raise `RatingsError` for a table that prescreen wrote itself, where people's votes or scores are expected."""
    columns = {str(name) for name in frame.columns}
    scores = {"status", "content"} <= columns and any(name.endswith("_raw_low") for name in columns)
    if scores or {"p_better", "selected"} <= columns:
        raise RatingsError(
            f"{shown(source)}: predictions that prescreen wrote, and nothing that people said; "
            "give a table of people's votes or scores"
        )


def numbers(source: Path, frame: pd.DataFrame, column: str, blank: bool = False) -> Floats:
    """Return a column as finite numbers; a blank cell (nothing, NA or NaN) is NaN if ``blank`` allows it.

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
        texts = said(cells)
        values = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        missing = (texts == "").to_numpy(dtype=bool)
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
    problem, remedy : str
        What is wrong, ``{}`` standing for the value, and what to do.
    cells : array-like, shape (n_rows,), optional
        Values to show for ``{}``.

    Raises
    ------
    RatingsError

    Examples
    --------
    >>> frame = pd.DataFrame({"vote": [1, 12, 13]}, index=[2, 3, 4])
    >>> refuse(Path("votes.csv"), frame, frame["vote"] > 10, "vote {} is too high", "correct it", frame["vote"])
    Traceback (most recent call last):
    ...
    prescreen.errors.RatingsError: votes.csv: row 3: vote 12 is too high (2 such rows: 3, 4); correct it
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


def said(cells: "pd.Series[Any]") -> "pd.Series[str]":
    """Return cells as text without blanks around it; the empty text where blank (nothing, NA or NaN)."""
    texts = cells.astype(object).where(cells.notna(), "").astype(str).str.strip()
    return texts.where(~texts.str.lower().isin(_BLANK), "")


def categorical(cells: "pd.Series[Any]", strip: bool) -> pd.Categorical:
    """Return text as categories, numbers as the text that they are written as; the empty text where there is none."""
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


def counted(number: int, what: str) -> str:
    """Return a number with its noun: ``1 empty row``, ``2 empty rows``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def one_line(error: BaseException) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split())
