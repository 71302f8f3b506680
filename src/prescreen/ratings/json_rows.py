"""JSON as rows of a table: an object a line, or an array of objects as pandas writes it (``orient="records"``)."""

import codecs
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from prescreen.errors import RatingsError
from prescreen.storage.bounded_files import check_json, check_json_lines
from prescreen.text import shown

_EXPECTED: Final = "expected an object of texts and numbers"


def read_lines(source: Path, data: bytes) -> pd.DataFrame:
    """Read JSON lines, each a row.

    Returns
    -------
    DataFrame
        All cells are text, the index holds the numbers of the lines.

    Raises
    ------
    RatingsError
        Naming the first line that is not a JSON object of texts and numbers under different names.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        check_json_lines(data)
    except ValueError as error:
        raise RatingsError(f"{shown(source)}: too large ({error}); give fewer rows or columns") from None
    rows: dict[int, Mapping[str, Any]] = {}
    for number, line in enumerate(data.decode().split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows[number] = _checked(json.loads(line, object_pairs_hook=_row))
        except _Unfit as error:
            hint = "; pandas writes one with to_json(orient='records')" if number == 1 and error.nested else ""
            raise RatingsError(f"{shown(source)}: line {number}: {error}; {_EXPECTED}{hint}") from None
        except (ValueError, RecursionError) as error:
            raise RatingsError(f"{shown(source)}: line {number} is not JSON ({error}); one object a line") from error
    return _frame(rows)


def read_list(source: Path, data: bytes) -> tuple[list[Any], Callable[[], pd.DataFrame]]:
    """Read a JSON array.

    Returns
    -------
    entries : list
        What is in it.
    rows : callable
        Returns the entries as rows, of text, numbered from 1 in the index; raises `RatingsError` naming the first entry
        that is not an object of texts and numbers.

    Raises
    ------
    RatingsError
        If it is not JSON.
    """
    try:
        check_json(data)
    except ValueError as error:
        raise RatingsError(f"{shown(source)}: too large ({error}); divide it into several files") from None
    try:
        entries = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RatingsError(f"{shown(source)}: starts like JSON and is not ({error})") from error

    def rows() -> pd.DataFrame:
        found: dict[int, Mapping[str, Any]] = {}
        for number, row in enumerate(json.loads(data, object_pairs_hook=_Pairs), start=1):
            try:
                found[number] = _checked(_row(row.pairs) if isinstance(row, _Pairs) else row)
            except _Unfit as error:
                raise RatingsError(f"{shown(source)}: entry {number}: {error}; {_EXPECTED}") from None
        return _frame(found)

    return entries, rows


class _Unfit(Exception):
    """An object that is no row of a table."""

    def __init__(self, message: str, *, nested: bool = False) -> None:
        super().__init__(message)
        self.nested = nested


class _Pairs:
    """An object with its names as they are in the file, where one may be twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def _row(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in pairs:
        if name in row:
            raise _Unfit(f"'{shown(name)}' stands there twice")
        if isinstance(value, dict | list | _Pairs):
            raise _Unfit(f"'{shown(name)}' holds more than one value", nested=True)
        row[name] = value
    return row


def _checked(row: Any) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise _Unfit("not an object")
    return row


def _frame(rows: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows.values()), index=pd.Index(list(rows)), dtype=object)
    for name in frame.columns:
        # Text as in the file: names and raters may be numbers that no float holds.
        texts = ["" if value is None or value != value else str(value) for value in frame[name]]
        frame[name] = pd.Series(texts, frame.index, dtype=object)
    return frame
