"""Hugging Face's layout ``imagefolder``: a folder of pictures with ``metadata.csv`` or ``metadata.jsonl`` in it.

The column ``file_name`` names the picture, relative to the folder; the other columns are those of the other formats.
"""

import io
import json
from pathlib import Path
from typing import Final

import pandas as pd

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


def lines_as_table(source: Path, data: bytes) -> bytes:
    """Turn JSON lines into a Parquet table, each line into a row; other content stays as it is.

    Raises
    ------
    RatingsError
        Naming the first line that is not a JSON object of texts and numbers.
    """
    if not data.lstrip().startswith(b"{"):
        return data
    rows = []
    for number, line in enumerate(data.decode("utf-8-sig", "replace").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RatingsError(f"{shown(source)}: line {number} is not JSON ({error}); one object a line") from error
        nested = (
            [name for name, value in row.items() if isinstance(value, dict | list)] if isinstance(row, dict) else []
        )
        if not isinstance(row, dict) or nested:
            what = f"{nested[0]} holds more than one value" if nested else "not an object"
            raise RatingsError(f"{shown(source)}: line {number}: {what}; expected an object of texts and numbers")
        rows.append(row)
    table = io.BytesIO()
    frame = pd.DataFrame(rows)
    mixed = [name for name in frame.columns if frame[name].dtype == object]
    frame[mixed] = frame[mixed].map(lambda value: "" if pd.isna(value) else str(value))
    frame.to_parquet(table)
    return table.getvalue()
