"""Reads text as a table: finds its encoding and separator, and rows that end before or beyond the header."""

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from prescreen.errors import RatingsError
from prescreen.ratings.columns import one_line
from prescreen.ratings.meanings import picture_pattern
from prescreen.ratings.table import Table, filled_cells, header_name
from prescreen.storage.bounded_files import check_csv
from prescreen.storage.tables import undefused
from prescreen.text import shown

SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

_EXPECTED = "comma-separated values in UTF-8 with a header"
_SAMPLE = 1 << 16
_SAMPLE_ROWS = 50
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_QUALTRICS = '{"ImportId"'


def as_utf8(source: Path, data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return text in UTF-8 without byte order mark, and what it was in if that was something else.

    Raises
    ------
    RatingsError
        If it is no text, or a damaged one.
    """
    if data.startswith(codecs.BOM_UTF8):
        return data.removeprefix(codecs.BOM_UTF8), ()
    encoding = _utf16(data)
    if encoding:
        try:
            return data.decode(encoding).removeprefix("\ufeff").encode(), ("UTF-16",)
        except ValueError as error:
            raise RatingsError(f"{shown(source)}: broken UTF-16 ({error}); save it again as UTF-8") from None
    if data.isascii():
        return data, ()
    try:
        data.decode()
        return data, ()
    except UnicodeDecodeError as error:
        if _CONTROL.search(data):
            raise RatingsError(f"{shown(source)}: not a CSV ({one_line(error)}); expected {_EXPECTED}") from None
        partly = not data.decode(errors="ignore").isascii() or data.lstrip()[:1] in (b"{", b"[")
        if not partly:
            with contextlib.suppress(UnicodeDecodeError):
                return data.decode("cp1252").encode(), ("Windows-1252",)
        line = data.count(b"\n", 0, error.start) + 1
        raise RatingsError(f"{shown(source)}: line {line} is not UTF-8; save the file as UTF-8") from None


def _utf16(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    start = data[:1024]
    zeros = np.flatnonzero(np.frombuffer(start, np.uint8) == 0)
    if zeros.size < 0.4 * len(start) or len(data) % 2:
        return ""
    return "utf-16-le" if (zeros % 2 == 1).all() else "utf-16-be" if (zeros % 2 == 0).all() else ""


def open_csv(source: Path, data: bytes, form: tuple[str, ...]) -> Table:
    """Find the separator and the header of CSV, given as UTF-8 without byte order mark.

    ``form`` is what was understood of the file so far.

    Raises
    ------
    RatingsError
        If the first rows are no CSV.
    """
    told = re.match(rb"\s*\"?sep=([ -~\t])\"?[ \t]*\r?\n", data)
    if told:
        data, separator = data[told.end() :], told[1].decode()
        form = (f"the line sep={separator}", *form)
    elif (separator := _separator(data)) != ",":
        form = (SEPARATORS[separator], *form)
    try:
        check_csv(data, separator)
        first = list(islice(_records(data, separator), 3))
    except (ValueError, csv.Error) as error:
        raise RatingsError(f"{shown(source)}: not a CSV ({error}); expected {_EXPECTED}") from error
    header = tuple(header_name(name) for name in first[0]) if first else ()
    skipped: tuple[int, ...] = ()
    ignored: tuple[str, ...] = ()
    if len(first) == 3 and any(cell.startswith(_QUALTRICS) for cell in first[2]):
        skipped, ignored = (1, 2), ("rows 2 and 3, which are headings of Qualtrics",)
        questions = [" ".join(text.split()) for text in first[1]]
        patterns = [picture_pattern(text) for text in questions]
        named = [bool(pattern) and patterns.count(pattern) > 1 for pattern in patterns]
        if any(named) and len(questions) == len(header):  # a question a picture, under names such as Q7
            header = tuple(text if use else name for text, use, name in zip(questions, named, header, strict=True))
            form, ignored = ("the questions of Qualtrics as names", *form), ("row 3, which is a heading of Qualtrics",)

    def body(text: Collection[str]) -> pd.DataFrame:
        return _read_csv(source, data, separator, header, skipped, text)

    return Table(source, header, form, ignored, body, comma_is_free=separator != ",")


def _read_csv(
    source: Path, data: bytes, separator: str, header: Sequence[str], skipped: Sequence[int], text: Collection[str]
) -> pd.DataFrame:
    data = data.rstrip(b"\r\n")
    first = next(islice(_records(data, separator), 1, None), [])
    if len(first) > len(header):
        data = _trimmed(source, data, separator, len(header))

    def parsed(data: bytes) -> pd.DataFrame:
        return pd.read_csv(
            io.BytesIO(data),
            sep=separator,
            header=None,
            skiprows=[0, *skipped],
            names=range(len(header)),
            index_col=False,
            dtype={place: str for place, name in enumerate(header) if name in text},
            keep_default_na=False,
            skip_blank_lines=False,
            low_memory=False,
        )

    try:
        try:
            frame = parsed(data)
        except pd.errors.EmptyDataError:
            frame = pd.DataFrame(columns=range(len(header)))
        except pd.errors.ParserError:  # a row is longer than the header; perhaps only by blank cells
            frame = parsed(_trimmed(source, data, separator, len(header)))
        named = [place for place, name in enumerate(header) if name]
        if named and not filled_cells(frame.iloc[:, named[-1]]).all():  # left blank, or cut off?
            for row, cells in enumerate(_records(data, separator), start=1):
                _check_width(source, row, cells, 1 + named[-1], 0 < len(cells) <= named[-1])
    except (ValueError, csv.Error) as error:
        raise RatingsError(f"{shown(source)}: not a CSV ({one_line(error)}); expected {_EXPECTED}") from error
    for place, name in enumerate(header):
        if name in text:  # a table that prescreen wrote may have apostrophes before what a spreadsheet would run
            marked = frame[place].str.contains("'", regex=False)
            frame.loc[marked, place] = frame.loc[marked, place].map(undefused)
    frame.columns = pd.Index(list(header), dtype=object)
    frame.index = pd.RangeIndex(2 + len(skipped), 2 + len(skipped) + len(frame))
    return frame


def _trimmed(source: Path, data: bytes, separator: str, width: int) -> bytes:
    """Take off blank cells beyond the header, as spreadsheets leave them; refuse cells with something in them."""
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, lineterminator="\n")
    for row, cells in enumerate(_records(data, separator, strict=True), start=1):
        _check_width(source, row, cells, width, any(cell.strip() for cell in cells[width:]))
        writer.writerow(cells[:width])
    return written.getvalue().encode()


def _check_width(source: Path, row: int, cells: Sequence[str], width: int, faulty: bool) -> None:
    if faulty:
        what = f"row {row} has {len(cells)} cells, the header {width}"
        raise RatingsError(f"{shown(source)}: {what}; expected {_EXPECTED}")


def _records(data: bytes, separator: str, *, strict: bool = False) -> Iterable[list[str]]:
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    return csv.reader(text, delimiter=separator, strict=strict)


def _separator(data: bytes) -> str:
    """Return the separator that divides most rows as it divides the header, and the header into most columns."""
    sample = data[:_SAMPLE].decode(errors="ignore")
    if len(data) > _SAMPLE:
        sample = sample[: sample.rfind("\n") + 1] or sample

    def fit(separator: str) -> tuple[float, int]:
        try:
            rows = list(islice(csv.reader(io.StringIO(sample, newline=""), delimiter=separator), _SAMPLE_ROWS))
        except csv.Error:
            return 0.0, 0
        rows = [row for row in rows if row]
        if not rows or len(rows[0]) < 2:
            return 0.0, 0
        return sum(len(row) == len(rows[0]) for row in rows) / len(rows), len(rows[0])

    return max(SEPARATORS, key=fit)
