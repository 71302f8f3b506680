"""Hugging Face's layout ``imagefolder``: a folder of pictures with ``metadata.csv`` or ``metadata.jsonl`` in it.

The column ``file_name`` names the picture, relative to the folder; the other columns are those of the other formats.
"""

from pathlib import Path
from typing import Final

from prescreen.errors import RatingsError
from prescreen.text import shown

NAMES: Final = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


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
