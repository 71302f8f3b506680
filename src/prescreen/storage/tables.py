r"""Tables on disk: CSV, Parquet and JSON lines, written whole or not at all.

One frame comes back the same from all three formats, with columns of four kinds: text (``str``, or ``object``
where a name is not UTF-8), ``bool``, ``int64`` and ``float64``. Missing text is the empty text, missing numbers
are NaN. Two rules keep odd text intact:

- A file name that is not UTF-8 holds lone surrogates in Python (PEP 383), which no UTF-8 file can. In all formats a
  text that holds one is written with each surrogate as ``\udcXX`` and each backslash doubled; so is a text that
  already looks like such an escape. All other text, backslashes included, is written as it is.
- A spreadsheet runs a cell that starts like a formula. In CSV a text that starts with ``= + - @`` or another form of
  these (full-width, small, the minus sign), blanks and invisible characters before it aside, gets an apostrophe in
  front; so does one that starts with a tab or a line break, and one that would start so without its leading
  apostrophes. A spreadsheet that divides at semicolons or tabs sees cells inside of a text: where one of these or a
  line break is followed by such a start, the apostrophe stands between the two. Numbers are left alone.

References
----------
OWASP, "CSV Injection", https://owasp.org/www-community/attacks/CSV_Injection
"""

import contextlib
import csv
import io
import json
import os
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from prescreen.errors import PrescreenError, UsageError
from prescreen.storage.atomic import write_bytes_atomic
from prescreen.storage.bounded_files import check_csv, check_extent, check_json_lines, check_parquet, read_bounded
from prescreen.text import shown

TEXT_COLUMNS = frozenset(
    ("image", "status", "reason", "face_detector", "content", "gates", "demoted", "duplicate_of", "why", "basis")
)
"""Columns that stay text in a CSV even where no cell has a value, or every value looks like a number (``0001``)."""

PARTS: Final = "part-*.parquet"
"""Names of the files of a table that is a folder; their order is the order of the rows."""

_ROW_GROUP: Final = 8192
_COMPRESSION: Final = "zstd"
_BLANK = "[ '\"\x0b\x0c\x1c-\x1f\x85\xa0\u1680\u2000-\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]*"
_SIGN = "[=+\\-@＝＋－＠﹦﹢﹣﹫\u2212]"
_CELL = r"(?<![^;\t\r\n])"  # where a spreadsheet may begin a cell
_FORMULA = re.compile(rf"{_CELL}(?={_BLANK}{_SIGN})|\A(?='*[\t\r\n])")
_DEFUSED = re.compile(rf"{_CELL}'(?={_BLANK}{_SIGN})|\A'(?='*[\t\r\n])")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ESCAPE = re.compile(r"\\u(d[89a-f][0-9a-f]{2})")
_ESCAPED_PART = re.compile(r"\\\\|\\u(d[89a-f][0-9a-f]{2})")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|nan|NaN")

_Columns = dict[str, tuple[type, list[Any]]]
"""Columns on their way to a file: the kind (str, bool, int or float) and the values, None for a missing number."""


def table_format(path: str | os.PathLike[str]) -> str:
    """Return the format that a file name asks for, ``csv``, ``parquet`` or ``jsonl``; any other is a `UsageError`.

    Examples
    --------
    >>> table_format("scores.CSV")
    'csv'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _WRITERS:
        raise UsageError(f"{shown(path)}: expected a table that ends in {', '.join(_WRITERS)}")
    return suffix.removeprefix(".")


def write_table(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table as `table_bytes` and `prescreen.storage.atomic.write_bytes_atomic` do; equal data, equal bytes."""
    write_bytes_atomic(path, table_bytes(frame, path))


def table_bytes(frame: pd.DataFrame, path: str | os.PathLike[str]) -> bytes:
    """Return the content of the file that a table becomes.

    Parameters
    ----------
    frame : DataFrame
        Columns of text, booleans or numbers; its index is not written.
    path : path
        Its ending chooses the format: ``.csv``, ``.parquet`` or ``.jsonl``. A table without rows keeps its columns in
        CSV and Parquet only.

    Raises
    ------
    UsageError
        For another ending.
    ValueError
        For a column that mixes text with other things, a repeated column name or an infinite number.
    """
    return _WRITERS[f".{table_format(path)}"](_columns(frame))


class TableWriter:
    """Writes a table part by part, so that the whole need not be in memory; used in a ``with`` statement.

    CSV and JSON lines become the bytes that `table_bytes` gives for the whole; Parquet gets a row group every 8192
    rows. How the rows were divided into parts changes no byte.

    Parameters
    ----------
    file : binary file
        Where the bytes go; complete when the ``with`` statement ends, and not closed.
    path : path
        Its ending chooses the format.
    """

    def __init__(self, file: io.RawIOBase | io.BufferedIOBase, path: str | os.PathLike[str]) -> None:
        self._file = file
        self._format = table_format(path)
        self._kinds: dict[str, type] = {}
        self._waiting: list[pa.Table] = []
        self._parquet: pq.ParquetWriter | None = None

    def write(self, frame: pd.DataFrame) -> None:
        """Append rows.

        Raises
        ------
        ValueError
            As from `table_bytes`, and if the columns are not those of the first part.
        """
        columns = _columns(frame)
        kinds = {name: kind for name, (kind, _) in columns.items()}
        first = not self._kinds
        if not first and list(kinds.items()) != list(self._kinds.items()):
            raise ValueError(f"columns {kinds} after columns {self._kinds}")
        self._kinds = kinds
        if self._format == "csv":
            self._file.write(_write_csv(columns, header=first))
        elif self._format == "jsonl":
            self._file.write(_write_jsonl(columns))
        else:
            self._waiting.append(_arrow(columns))
            if sum(part.num_rows for part in self._waiting) >= _ROW_GROUP:
                self._write_row_groups()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._write_row_groups(rest=True)
            if self._parquet is not None:
                self._parquet.close()
        elif self._parquet is not None:
            with contextlib.suppress(PrescreenError, OSError):  # the error that ends the table is on its way
                self._parquet.close()
            self._parquet.is_open = False  # or it would try again when it is collected

    def _write_row_groups(self, *, rest: bool = False) -> None:
        """Write the full row groups among the waiting rows, and at the end the rest too."""
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).combine_chunks()
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self._file, table.schema, compression=_COMPRESSION)
        end = table.num_rows if rest else table.num_rows - table.num_rows % _ROW_GROUP
        for start in range(0, end, _ROW_GROUP):
            self._parquet.write_table(table.slice(start, min(_ROW_GROUP, end - start)))
        self._waiting = [table.slice(end)] if end < table.num_rows else []


def _columns(frame: pd.DataFrame) -> _Columns:
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        raise ValueError(f"columns must differ in name: {names}")
    return {escape(name): _plain(frame.iloc[:, i], name) for i, name in enumerate(names)}


def read_table(path: str | os.PathLike[str], text: Collection[str] = TEXT_COLUMNS) -> pd.DataFrame:
    """Read a table and undo what `write_table` did to its text.

    Parameters
    ----------
    path : path
        A ``.csv``, ``.parquet`` or ``.jsonl`` file, or a folder of Parquet parts, which are read in their order.
    text : collection of str
        Columns of a CSV that are text even if all their values look like numbers. Any other column is what its
        values look like; one without values is ``float64``.

    Returns
    -------
    DataFrame
        Columns of dtype ``str`` (``object`` if a text is not UTF-8), ``bool``, ``int64`` and ``float64``.

    Raises
    ------
    UsageError
        If there is no such file, or its ending is none of the three.
    PrescreenError
        If its content cannot be read as a table, or is more than `prescreen.storage.bounded_files` allows; names the
        line where there is one.
    """
    if Path(path).is_dir():
        return _read_folder(Path(path), text)
    table_format(path)
    try:
        data = read_bounded(path)
    except FileNotFoundError:
        raise UsageError(f"{shown(path)}: no such file") from None
    except OSError as error:
        raise PrescreenError(f"{shown(path)}: cannot be read ({error.strerror})") from error
    return read_table_bytes(data, path, text)


def read_table_bytes(data: bytes, path: str | os.PathLike[str], text: Collection[str] = TEXT_COLUMNS) -> pd.DataFrame:
    """Read a table from the content of a file, as `read_table` does; errors name the path, its ending is the format."""
    reader = _READERS[f".{table_format(path)}"]
    try:
        columns = {_unescape(name): values for name, values in reader(data, text).items()}
        return pd.DataFrame({name: _series(values, name) for name, values in columns.items()})
    except (ValueError, OverflowError, RecursionError, OSError, csv.Error, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise PrescreenError(f"{shown(path)}: not a readable table ({reason}); write it again") from error


def part_files(folder: Path) -> list[Path]:
    """Return the parts of a table that is a folder, in their order."""
    return sorted(folder.glob(PARTS))


def _read_folder(folder: Path, text: Collection[str]) -> pd.DataFrame:
    parts = part_files(folder)
    if not parts:
        raise UsageError(f"{shown(folder)}: a folder without {PARTS}; expected one that prescreen score wrote")
    frames: list[pd.DataFrame] = []
    for part in parts:
        frames.append(read_table(part, text))
        try:
            check_extent(sum(map(len, frames)), frames[0].shape[1])
        except ValueError as error:
            raise PrescreenError(f"{shown(folder)}: too large a table ({error}); read it part by part") from None
    return pd.concat(frames, ignore_index=True)


def escape(text: str) -> str:
    r"""Return text that UTF-8 can hold, by the rule at the top of this module.

    Examples
    --------
    >>> escape("\udcff.jpg")
    '\\udcff.jpg'
    """
    if not (_SURROGATE.search(text) or _ESCAPE.search(text)):
        return text
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text.replace("\\", "\\\\"))


def undefused(cell: str) -> str:
    """Return the text of a cell of a CSV that `write_table` wrote, without the apostrophes that defuse formulas."""
    return _DEFUSED.sub("", cell)


def _unescape(text: str) -> str:
    if not _ESCAPE.search(text):
        return text
    return _ESCAPED_PART.sub(lambda match: chr(int(match[1], 16)) if match[1] else "\\", text)


def _plain(column: pd.Series, name: str) -> tuple[type, list[Any]]:
    """Return a column's kind and its values, text escaped and missing numbers None."""
    if pd.api.types.is_bool_dtype(column) and not column.hasnans:
        return bool, column.tolist()
    if pd.api.types.is_integer_dtype(column) and not column.hasnans:
        return int, column.tolist()
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isinf(numbers).any():
            raise ValueError(f"column {name!r}: an infinite number has no place in a table")
        return float, [None if value != value else value for value in numbers.tolist()]
    values = ["" if missing else value for value, missing in zip(column.array, pd.isna(column), strict=True)]
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"column {name!r}: expected text, booleans or numbers")
    return str, [escape(value) for value in values]


def _series(values: Sequence[Any], name: str) -> pd.Series:
    """Turn what a reader found into one of the four kinds of column."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {str} and (kinds or not values):
        texts = [_unescape(value or "") for value in values]
        dtype: type = object if any(_SURROGATE.search(value) for value in texts) else str
        return pd.Series(texts, dtype=dtype)
    if kinds == {bool} and None not in values:
        return pd.Series(values, dtype=bool)
    if kinds == {int} and None not in values:
        return pd.Series(values, dtype=np.int64)
    if kinds <= {int, float}:
        return pd.Series(np.array([np.nan if value is None else value for value in values], dtype=np.float64))
    raise ValueError(f"column {name!r} mixes text, booleans and numbers")


def _write_csv(columns: _Columns, *, header: bool = True) -> bytes:
    lone = len(columns) == 1  # an empty cell alone on its line would be an empty line

    def cell(value: Any) -> str:
        text = "" if value is None else _FORMULA.sub("'", value) if isinstance(value, str) else str(value)
        if re.search(r'[",\r\n]', text) or (lone and not text):
            text = '"' + text.replace('"', '""') + '"'
        return text

    rows = [*([columns.keys()] if header else []), *zip(*(values for _, values in columns.values()), strict=True)]
    return "".join(",".join(map(cell, row)) + "\n" for row in rows).encode()


def _read_csv(data: bytes, text: Collection[str]) -> dict[str, list[Any]]:
    check_csv(data)
    reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    header = next(reader, None)
    if not header:
        raise ValueError("it has no header line")
    rows = []
    for row in reader:
        if len(row) not in (0, len(header)):
            raise ValueError(f"line {reader.line_num} has {len(row)} fields, the header has {len(header)}")
        if row:
            rows.append(row)
    names = [undefused(name) for name in header]
    if len(set(names)) < len(names):
        raise ValueError("two columns have the same name")
    cells = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: _typed(values, name in text) for name, values in zip(names, cells, strict=True)}


def _typed(cells: tuple[str, ...], text: bool) -> list[Any]:
    """Give the cells of a CSV column the type that they were written with."""
    filled = [cell for cell in cells if cell]
    if not text:
        if filled and len(filled) == len(cells) and set(filled) <= {"True", "False"}:
            return [cell == "True" for cell in cells]
        if all(map(_INTEGER.fullmatch, filled)):
            return [int(cell) if cell else None for cell in cells]
        if all(map(_NUMBER.fullmatch, filled)):
            return [float(cell) if cell else None for cell in cells]
    return [undefused(cell) for cell in cells]


def _write_jsonl(columns: _Columns) -> bytes:
    rows = zip(*(values for _, values in columns.values()), strict=True)
    lines = (dict(zip(columns, row, strict=True)) for row in rows)
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines).encode()


def _read_jsonl(data: bytes, text: Collection[str]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    check_json_lines(data)
    for number, line in enumerate(data.decode().split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: {error}") from error
        if not isinstance(row, dict) or (columns and set(row) != set(columns)):
            raise ValueError(f"line {number}: expected an object with the same keys on every line")
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    return columns


def _arrow(columns: _Columns) -> pa.Table:
    kinds = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    arrays = [pa.array(values, type=kinds[kind]) for kind, values in columns.values()]
    return pa.table(arrays, names=list(columns))


def _write_parquet(columns: _Columns) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(_arrow(columns), buffer, compression=_COMPRESSION)
    return buffer.getvalue()


def _read_parquet(data: bytes, text: Collection[str]) -> dict[str, list[Any]]:
    check_parquet(data)
    table = pq.read_table(io.BytesIO(data))
    if len(set(table.column_names)) < len(table.column_names):
        raise ValueError("two columns have the same name")
    return {name: table.column(name).to_pylist() for name in table.column_names}


_WRITERS: dict[str, Callable[[_Columns], bytes]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".jsonl": _write_jsonl,
}
_READERS: dict[str, Callable[[bytes, Collection[str]], dict[str, list[Any]]]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".jsonl": _read_jsonl,
}
