"""Hugging Face's layout ``imagefolder``: a folder of pictures with ``metadata.csv`` or ``metadata.jsonl`` in it.

The column ``file_name`` names the picture, relative to the folder; the other columns are those of the other formats.
"""

import codecs
import json
from pathlib import Path
from typing import Any, Final

import pandas as pd

from prescreen.bounded_files import check_extent
from prescreen.errors import RatingsError
from prescreen.tables import shown

NAMES: Final = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
FILE_NAME: Final = "file_name"


def metadata_file(folder: Path) -> Path | None:
    """Return the metadata of a folder in this layout, or None.

    Raises
    ------
    RatingsError
        If there are several.
    """
    found = [folder / name for name in NAMES if (folder / name).is_file()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        raise RatingsError(f"{shown(folder)}: both {names} are there; remove one, or name the file with --ratings")
    return found[0] if found else None


def read_lines(source: Path, data: bytes) -> pd.DataFrame | None:
    """Read JSON lines, each a row.

    Returns
    -------
    DataFrame or None
        All cells are text, the index holds the numbers of the lines; None if the content does not start like one.

    Raises
    ------
    RatingsError
        Naming the first line that is not a JSON object of texts and numbers, each under a name of its own.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data.lstrip().startswith(b"{"):
        return None
    rows: dict[int, dict[str, Any]] = {}
    try:
        check_extent(data.count(b"\n") + 1, 1, data.count(b'":'))
    except ValueError as error:
        raise RatingsError(f"{shown(source)}: too large ({error}); give fewer rows or columns") from None
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        faulty = data.count(b"\n", 0, error.start) + 1
        raise RatingsError(f"{shown(source)}: line {faulty} is not UTF-8; save the file as UTF-8") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows[number] = json.loads(line, object_pairs_hook=_row)
        except _Unfit as error:
            raise RatingsError(
                f"{shown(source)}: line {number}: {error}; expected an object of texts and numbers"
            ) from None
        except (ValueError, RecursionError) as error:
            raise RatingsError(f"{shown(source)}: line {number} is not JSON ({error}); one object a line") from error
        if not isinstance(rows[number], dict):
            raise RatingsError(
                f"{shown(source)}: line {number}: not an object; expected an object of texts and numbers"
            )
    frame = pd.DataFrame(list(rows.values()), index=pd.Index(list(rows)), dtype=object)
    for name in frame.columns:
        # Text as it stands there: names and raters may be numbers that no float holds.
        texts = ["" if value is None or value != value else str(value) for value in frame[name]]
        frame[name] = pd.Series(texts, frame.index, dtype=object)
    return frame


class _Unfit(Exception):
    """An object that is no row of a table."""


def _row(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in pairs:
        if name in row:
            raise _Unfit(f"'{shown(name)}' stands there twice")
        if isinstance(value, dict | list):
            raise _Unfit(f"'{shown(name)}' holds more than one value")
        row[name] = value
    return row
