"""Files of ratings as spreadsheets, survey tools and programs write them, read into tables of cells.

Read are CSV (any of comma, semicolon, tab and bar; UTF-8, UTF-16 or Windows-1252; decimal commas), Excel workbooks,
JSON lines, a JSON array of rows, Label Studio's export and Parquet. The content decides which, not the name. What a
column means is no matter of this module: see `prescreen.ratings.meanings`.

Rows are numbered as a spreadsheet shows them: in CSV and Excel the header is row 1 (the line ``sep=;`` is not counted);
in the other files the first row of data is row 1. The number stays in the index of the data frame, through any
selection of rows.
"""

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from prescreen.bounded_files import check_csv, check_parquet
from prescreen.errors import RatingsError
from prescreen.ratings.columns import categorical, counted, one_line, refuse
from prescreen.ratings.json_rows import read_lines, read_list
from prescreen.ratings.label_studio import is_export, label_studio_votes
from prescreen.ratings.workbook import SPREADSHEET, read_workbook
from prescreen.tables import shown

SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

_EXPECTED = "comma-separated values in UTF-8 with a header"
_SAMPLE = 1 << 16
_SAMPLE_ROWS = 50
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DECIMAL_COMMA = re.compile(r"^\s*[+-]?\d+,\d+\s*$")
_QUALTRICS = '{"ImportId"'

Body = Callable[[Collection[str]], pd.DataFrame]


@dataclass(frozen=True)
class Contents:
    """The rows of a table.

    Parameters
    ----------
    frame : DataFrame
        Text columns are categorical with ``str`` categories, the empty text where a cell is blank. Other columns are
        numbers where all cells are; otherwise text or objects. The index holds row numbers.
    form : tuple of str
        What was understood of the file that is not the plain default: ``semicolons``, ``UTF-16``.
    ignored : tuple of str
        What was left out, with its number: ``2 empty rows``.
    """

    frame: pd.DataFrame
    form: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table whose header is known and whose rows are yet to be read.

    Parameters
    ----------
    source : Path
        The file, for messages.
    header : tuple of str
        Names of the columns, without blanks around them; the empty text where a column has none.
    form : tuple of str
        As in `Contents`.
    ignored : tuple of str
        As in `Contents`.
    body : callable
        Gets the columns that are text even if they look like numbers; returns the rows.
    sheet : str
        Name of the sheet of a workbook.
    comma_is_free : bool
        Whether commas do not separate the cells, so that a single one is enough to tell decimal commas.
    """

    source: Path
    header: tuple[str, ...]
    form: tuple[str, ...]
    ignored: tuple[str, ...]
    body: Body
    sheet: str = ""
    comma_is_free: bool = False

    def rows(self, text: Collection[str] = (), unstripped: Collection[str] = ()) -> Contents:
        """Read the rows.

        Parameters
        ----------
        text : collection of str
            Columns that are text even if they look like numbers; other columns become numbers where all cells are.
        unstripped : collection of str
            Text columns whose blanks at the ends of a cell belong to it: a file name may begin with one.

        Raises
        ------
        RatingsError
            If the rows do not fit the header, there are none, or two columns have the same name.
        """
        frame = self.body(text)
        form, ignored = list(self.form), list(self.ignored)
        filled = _filled_rows(frame)
        if not filled.all():
            ignored.append(counted(int((~filled).sum()), "empty row"))
            frame = frame[filled]
        frame = self._without_nameless(frame, ignored)
        twice = next((name for name in frame.columns if list(frame.columns).count(name) > 1), None)
        if twice is not None:
            raise RatingsError(f"{shown(self.source)}: two columns are named {twice!r}; give every column its own name")
        if len(frame) == 0:
            raise RatingsError(f"{shown(self.source)}: it has a header but no rows; expected ratings")
        frame = frame.copy(deep=False)
        commas = [_with_points(frame, name, sure=self.comma_is_free) for name in frame.columns if name not in text]
        if any(commas):
            form.append("decimal commas")
        for name in frame.columns.intersection(list(text)):
            frame[name] = self._text(frame, name, strip=name not in unstripped)
        return Contents(frame, tuple(form), tuple(ignored))

    def _without_nameless(self, frame: pd.DataFrame, ignored: list[str]) -> pd.DataFrame:
        """Leave out columns without a name that hold nothing, or only number the rows."""
        kept = np.ones(frame.shape[1], dtype=bool)
        for place, name in enumerate(frame.columns):
            if name in ("", "Unnamed: 0"):
                cells = frame.iloc[:, place]
                if name == "" and not _filled(cells).any():
                    kept[place] = False
                elif place == 0 and _counts_rows(cells):
                    kept[place] = False
                    ignored.append("the first column, which only numbers the rows")
        empty = int((~kept[1:]).sum()) + int(not kept[0] and not _filled(frame.iloc[:, 0]).any())
        if empty:
            ignored.append(counted(empty, "empty column"))
        return frame if kept.all() else frame.loc[:, kept]

    def _text(self, frame: pd.DataFrame, name: str, strip: bool) -> pd.Categorical:
        cells = frame[name]
        if cells.dtype == object:  # only JSON can hold half a character
            halves = [isinstance(cell, str) and _SURROGATE.search(cell) is not None for cell in cells]
            what = f"{name} {{}} is no Unicode text"
            fault = np.array(halves, dtype=bool)
            refuse(self.source, frame, fault, what, "rename the file, or correct it", cells)
        return categorical(cells, strip)


def open_tables(source: Path, data: bytes, image: str = "image") -> list[Table]:
    """Find the tables in a file: one, or as many as a workbook has sheets with something on them.

    Parameters
    ----------
    source : Path
        Where the bytes come from, for messages.
    data : bytes
        Content of the file.
    image : str
        What Label Studio's export calls the picture.

    Raises
    ------
    RatingsError
        If it is no table, or of a kind that is not read; says what to save it as.
    """
    if data.startswith(b"PAR1"):
        return [_of_frame(source, _read_parquet(source, data))]
    if data.startswith(SPREADSHEET):
        found = read_workbook(source, data)
        said = {name: (f"sheet {shown(name)}",) if len(found) > 1 else () for name in found}
        return [_of_frame(source, rows, ("an Excel workbook", *said[name]), name) for name, rows in found.items()]
    data, form = _as_utf8(source, data)
    start = data.lstrip()[:1]
    if start == b"<":
        raise RatingsError(f"{shown(source)}: a web page and no table; expected comma-separated values with a header")
    if start == b"{":
        return [_of_frame(source, read_lines(source, data), form)]
    if start == b"[":
        entries, rows = read_list(source, data)
        if is_export(entries):
            return [_of_frame(source, label_studio_votes(source, entries, image), (*form, "Label Studio's export"))]
        return [_of_frame(source, rows(), (*form, "a JSON array of rows"))]
    return [_open_csv(source, data, form)]


def read_frame(source: Path, data: bytes, text: Collection[str]) -> pd.DataFrame:
    """Read the one table of a file whose columns have fixed names, which also count in other case.

    Parameters
    ----------
    source : Path
        Where the bytes come from, for messages.
    data : bytes
        Content of the file.
    text : collection of str
        Columns that are text; named as given here in what is returned.

    Raises
    ------
    RatingsError
        As from `open_tables` and `Table.rows`, or if there are several sheets.
    """
    tables = open_tables(source, data)
    if len(tables) > 1:
        sheets = ", ".join(shown(table.sheet) for table in tables)
        raise RatingsError(f"{shown(source)}: several sheets ({sheets}); keep the one that counts")
    names = {name: name.lower() for name in tables[0].header if name.lower() in text}
    frame = tables[0].rows(names, unstripped=names).frame
    return frame.rename(columns={old: new for old, new in names.items() if old == new or new not in frame})


def _of_frame(source: Path, frame: pd.DataFrame, form: Iterable[str] = (), sheet: str = "") -> Table:
    frame.columns = pd.Index([str(name).strip() for name in frame.columns], dtype=object)
    return Table(source, tuple(frame.columns), tuple(form), (), lambda _: frame, sheet, comma_is_free=bool(sheet))


# --- CSV --------------------------------------------------------------------------------------------------------------


def _as_utf8(source: Path, data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return text in UTF-8 without byte order mark, and what it was in if that was something else."""
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


def _open_csv(source: Path, data: bytes, form: tuple[str, ...]) -> Table:
    told = re.match(rb"\s*\"?sep=(.)\"?[ \t]*\r?\n", data)
    if told:
        data = data[told.end() :]
    separator = told[1].decode() if told else _separator(data)
    if told:
        form = (f"the line sep={separator}", *form)
    elif separator != ",":
        form = (SEPARATORS[separator], *form)
    try:
        check_csv(data, separator)
        first = list(islice(_records(data, separator), 3))
    except (ValueError, csv.Error) as error:
        raise RatingsError(f"{shown(source)}: not a CSV ({error}); expected {_EXPECTED}") from error
    header = tuple(name.strip() for name in first[0]) if first else ()
    skipped: tuple[int, ...] = ()
    ignored: tuple[str, ...] = ()
    if len(first) == 3 and any(cell.startswith(_QUALTRICS) for cell in first[2]):
        skipped, ignored = (1, 2), ("rows 2 and 3, which are headings of Qualtrics",)

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
        if named and not _filled(frame.iloc[:, named[-1]]).all():  # left blank, or cut off?
            _refuse_short_rows(source, data, separator, 1 + named[-1])
    except (ValueError, csv.Error) as error:
        raise RatingsError(f"{shown(source)}: not a CSV ({one_line(error)}); expected {_EXPECTED}") from error
    frame.columns = pd.Index(list(header), dtype=object)
    frame.index = pd.RangeIndex(2 + len(skipped), 2 + len(skipped) + len(frame))
    return frame


def _trimmed(source: Path, data: bytes, separator: str, width: int) -> bytes:
    """Take off blank cells beyond the header, as spreadsheets leave them; refuse cells with something in them."""
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, lineterminator="\n")
    for row, cells in enumerate(_records(data, separator, strict=True), start=1):
        if any(cell.strip() for cell in cells[width:]):
            raise RatingsError(
                f"{shown(source)}: row {row} has {len(cells)} cells, the header {width}; expected {_EXPECTED}"
            )
        writer.writerow(cells[:width])
    return written.getvalue().encode()


def _refuse_short_rows(source: Path, data: bytes, separator: str, width: int) -> None:
    for row, cells in enumerate(_records(data, separator), start=1):
        if 0 < len(cells) < width:
            raise RatingsError(
                f"{shown(source)}: row {row} has {len(cells)} cells, the header {width}; expected {_EXPECTED}"
            )


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


# --- cells ------------------------------------------------------------------------------------------------------------


def _filled(cells: "pd.Series[Any]") -> npt.NDArray[np.bool_]:
    if pd.api.types.is_numeric_dtype(cells):
        return np.asarray(cells.notna())
    if cells.dtype == object:  # JSON may hold half a character, which Arrow does not take
        return np.array([cell == cell and str(cell).strip() != "" for cell in cells], dtype=bool)
    return np.asarray(cells.notna() & (cells.astype(str).str.strip() != ""))


def _filled_rows(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    filled = np.zeros(len(frame), dtype=bool)
    for place in range(frame.shape[1]):
        filled[~filled] = _filled(frame.iloc[:, place][~filled])
        if filled.all():
            break
    return filled


def _counts_rows(cells: "pd.Series[Any]") -> bool:
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    return bool(len(numbers) and numbers[0] in (0, 1) and (np.diff(numbers) == 1).all())


def _with_points(frame: pd.DataFrame, name: str, *, sure: bool) -> bool:
    """Write decimal commas of a column as points, if it has no decimal points of its own."""
    cells = frame[name]
    if pd.api.types.is_numeric_dtype(cells) or isinstance(cells.dtype, pd.CategoricalDtype):
        return False
    texts = cells.astype(object).where(cells.notna(), "").astype(str)
    commas = texts.str.match(_DECIMAL_COMMA)
    if commas.sum() < (1 if sure else 2):
        return False
    others = pd.to_numeric(texts[~commas], errors="coerce").notna()
    words = int((~others & (texts[~commas].str.strip() != "")).sum())
    if words > commas.sum() or (others & texts[~commas].str.contains(".", regex=False)).any():
        return False
    frame[name] = texts.str.replace(",", ".", regex=False).where(commas, cells.astype(object))
    return True


def _read_parquet(source: Path, data: bytes) -> pd.DataFrame:
    try:
        check_parquet(data)
        frame = pd.read_parquet(io.BytesIO(data))
    except (ValueError, OSError) as error:  # pyarrow's errors are both
        raise RatingsError(
            f"{shown(source)}: not a readable Parquet file ({one_line(error)}); write it again"
        ) from error
    named = [name for name in frame.index.names if name is not None]
    if named or not pd.api.types.is_integer_dtype(frame.index.dtype):  # an index that only counts is no column
        frame = frame.reset_index()
    return frame.set_axis(pd.RangeIndex(1, 1 + len(frame)))
