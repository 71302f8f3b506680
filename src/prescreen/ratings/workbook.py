"""Excel workbooks, and the spreadsheets that are not read: what to save them as."""

import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from prescreen.errors import RatingsError
from prescreen.ratings.columns import one_line
from prescreen.storage.bounded_files import check_workbook
from prescreen.text import shown

SPREADSHEET: Final = (b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0")
"""How zip archives begin, which .xlsx and .ods are, and the container of the old .xls."""

LARGEST: Final = 1 << 30
"""Bytes that a workbook may unpack to."""

_REMEDY = "save it as .xlsx or CSV"


def read_workbook(source: Path, data: bytes) -> Mapping[str, pd.DataFrame]:
    """Read the sheets of an Excel workbook (.xlsx).

    Returns
    -------
    mapping of str to DataFrame
        The sheets with something on them. The first row with two filled cells, or else with one, names the columns
        (empty text: no name); what is above it is a title. Cells are text, numbers or other values of Excel, the empty
        text where blank. The index holds row numbers.

    Raises
    ------
    RatingsError
        If this is another kind of spreadsheet or archive, is damaged, or has nothing on its sheets.
    """
    if not data.startswith(b"PK"):
        raise RatingsError(f"{shown(source)}: an old Excel file (.xls), or one with a password; {_REMEDY}")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_workbook(archive)
            members = {member.filename: member.file_size for member in archive.infolist()}
            kind = archive.read("mimetype").decode(errors="replace") if members.get("mimetype", 1000) < 200 else ""
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError) as error:
        raise RatingsError(f"{shown(source)}: a damaged zip archive or workbook ({one_line(error)})") from error
    if "opendocument" in kind:
        raise RatingsError(f"{shown(source)}: an OpenDocument spreadsheet (.ods); {_REMEDY}")
    if any(name.startswith("Index/") and name.endswith(".iwa") or name == "Index.zip" for name in members):
        raise RatingsError(f"{shown(source)}: a spreadsheet of Apple Numbers; export it as .xlsx or CSV")
    if not any(name.startswith("xl/") for name in members):
        raise RatingsError(f"{shown(source)}: a zip archive and no table; unpack it and name the file in it")
    if sum(members.values()) > LARGEST:
        raise RatingsError(f"{shown(source)}: a workbook that unpacks to more than {LARGEST >> 20} MiB; {_REMEDY}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that openpyxl leaves out
            sheets = pd.read_excel(
                io.BytesIO(data), sheet_name=None, header=None, dtype=object, na_filter=False, engine="openpyxl"
            )
    except Exception as error:  # damaged XML makes openpyxl raise errors of many kinds
        raise RatingsError(
            f"{shown(source)}: a damaged Excel workbook ({one_line(error)}); open it in Excel and {_REMEDY}"
        ) from error
    found = {str(name): _with_header(cells) for name, cells in sheets.items() if cells.shape[1]}
    if not found:
        raise RatingsError(f"{shown(source)}: an Excel workbook with nothing on its sheets; expected ratings")
    return found


def _with_header(cells: pd.DataFrame) -> pd.DataFrame:
    """Find the header, and number the rows below it as Excel does."""
    filled = (cells.astype(str) != "").sum(axis=1).to_numpy()
    first = int((filled >= min(2, filled.max())).argmax())
    rows = cells.iloc[first + 1 :]
    rows = rows.set_axis([str(name).strip() for name in cells.iloc[first]], axis="columns")
    return rows.set_axis(pd.RangeIndex(first + 2, first + 2 + len(rows)), axis="index")
