"""Files of ratings as spreadsheets, survey tools and programs write them, read into tables of cells.

Read are CSV (any of comma, semicolon, tab and bar; UTF-8, UTF-16 or Windows-1252; decimal commas), Excel workbooks,
JSON lines, a JSON array of rows, Label Studio's export and Parquet. The content decides which, not the name.
`prescreen.ratings.meanings` finds what the columns mean.
"""

import io
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from prescreen.errors import RatingsError
from prescreen.ratings.columns import one_line
from prescreen.ratings.csv_text import as_utf8, open_csv
from prescreen.ratings.json_rows import read_lines, read_list
from prescreen.ratings.label_studio import is_export, label_studio_votes
from prescreen.ratings.table import Table, header_name
from prescreen.ratings.workbook import SPREADSHEET, read_workbook
from prescreen.storage.bounded_files import check_parquet
from prescreen.text import shown


def open_tables(source: Path, data: bytes, image: str = "image") -> list[Table]:
    """Find the tables in a file: one, or for a workbook each sheet with something on it.

    ``source`` is for messages; ``image`` is what Label Studio's export calls the picture.

    Raises
    ------
    RatingsError
        If it is no table, or of a kind that is not read; says what to save it as.
    """
    if data.startswith(b"PAR1"):
        return [_of_frame(source, _read_parquet(source, data))]
    if data.startswith(SPREADSHEET):
        found = read_workbook(source, data)
        tables = []
        for name, cells in found.items():
            sheet = (f"sheet {shown(name)}",) if len(found) > 1 else ()
            top = int(cells.index[0]) - 1 if len(cells) else 1
            header = (f"header in row {top}",) if top > 1 else ()
            tables.append(_of_frame(source, cells, ("an Excel workbook", *sheet, *header), name))
        return tables
    data, form = as_utf8(source, data)
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
    return [open_csv(source, data, form)]


def read_frame(source: Path, data: bytes, text: Collection[str]) -> pd.DataFrame:
    """Read the one table of a file whose columns have fixed names, which also count in other case.

    The columns in ``text`` are text, and named as there in what is returned.

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
    frame = tables[0].rows(names, unstripped=names)[0]
    return frame.rename(columns={old: new for old, new in names.items() if old == new or new not in frame})


def _of_frame(source: Path, frame: pd.DataFrame, form: Iterable[str] = (), sheet: str = "") -> Table:
    frame.columns = pd.Index([header_name(name) for name in frame.columns], dtype=object)
    return Table(source, tuple(frame.columns), tuple(form), (), lambda _: frame, sheet, comma_is_free=bool(sheet))


def _read_parquet(source: Path, data: bytes) -> pd.DataFrame:
    try:
        check_parquet(data)
        frame = pd.read_parquet(io.BytesIO(data))
    except (ValueError, OSError) as error:  # pyarrow's errors are both
        raise RatingsError(
            f"{shown(source)}: not a readable Parquet file ({one_line(error)}); write it again"
        ) from error
    for name in [name for name, kind in frame.dtypes.items() if kind == np.dtype(object)]:
        if frame[name].map(pd.api.types.is_list_like).any():  # a vector or tags: no rating, and no cell of a table
            frame[name] = frame[name].astype(str)
    named = [name for name in frame.index.names if name is not None]
    if named or not pd.api.types.is_integer_dtype(frame.index.dtype):  # an index that only counts is no column
        frame = frame.reset_index()
    return frame.set_axis(pd.RangeIndex(1, 1 + len(frame)))
