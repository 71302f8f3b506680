"""Label Studio's JSON export as single votes.

An export is a list of tasks; each of their annotations is one person's work, and each region of type ``number`` or
``rating`` in it a vote, whose control names the trait. The picture is ``data.name``, as ``prescreen export`` writes it,
otherwise the file name in ``data.image``.

References
----------
Label Studio, "Export annotations: Label Studio JSON format", https://labelstud.io/guide/export
"""

import codecs
import json
import math
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pandas as pd

from prescreen.bounded_files import MAX_JSON_BYTES
from prescreen.errors import RatingsError
from prescreen.tables import shown

_VALUES: Final = ("number", "rating")
_COLUMNS: Final = ("image", "trait", "vote", "rater")


def label_studio_votes(source: Path, data: bytes) -> pd.DataFrame | None:
    """Read the votes of an export.

    Parameters
    ----------
    source : Path
        Where the bytes come from, for messages.
    data : bytes
        Content of the file.

    Returns
    -------
    DataFrame or None
        Columns ``image``, ``trait``, ``vote`` and ``rater`` (the annotator's id, empty where the export has none), a
        row a vote; None if this is no JSON list, and so no export.

    Raises
    ------
    RatingsError
        If it is a JSON list, but of something else, or nobody has voted.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data.lstrip().startswith(b"["):
        return None
    if len(data) > MAX_JSON_BYTES:
        raise RatingsError(
            f"{shown(source)}: {len(data)} bytes of JSON, at most {MAX_JSON_BYTES} are read; export fewer tasks at once"
        )
    try:
        tasks = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RatingsError(f"{shown(source)}: starts like JSON and is not ({error})") from error
    rows = []
    for number, task in enumerate(tasks, start=1):
        try:
            rows += list(_votes(task))
        except _NotANumber as error:
            raise RatingsError(f"{shown(source)}: entry {number}: {error}") from None
        except (LookupError, TypeError, ValueError, AttributeError):
            raise RatingsError(
                f"{shown(source)}: entry {number} is no annotated task of Label Studio; export the project as JSON, "
                "not as JSON-MIN or CSV"
            ) from None
    if not rows:
        raise RatingsError(f"{shown(source)}: {len(tasks)} tasks, and nobody has given a number; expected annotations")
    cells = zip(_COLUMNS, zip(*rows, strict=True), strict=True)
    kinds = {"vote": np.float64}
    return pd.DataFrame(
        {name: pd.Series(column, dtype=kinds.get(name, object)) for name, column in cells}  # names may not be UTF-8
    ).set_axis(pd.RangeIndex(1, 1 + len(rows)))


def _votes(task: Mapping[str, Any]) -> Iterator[tuple[str, str, float, str]]:
    image = _name(task["data"])
    for annotation in task["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        rater = annotation.get("completed_by")
        person = rater.get("id") if isinstance(rater, dict) else rater
        for region in annotation["result"]:
            if region.get("type") in _VALUES:
                trait = str(region["from_name"])
                yield image, trait, _number(trait, region["value"][region["type"]]), _text(person)


class _NotANumber(Exception):
    """A vote that is none."""


def _number(trait: str, value: Any) -> float:
    try:
        if type(value) in (int, float) and math.isfinite(number := float(value)):
            return number
    except OverflowError:
        pass
    raise _NotANumber(f"{shown(trait)} '{shown(str(value)[:60])}' is not a number; correct it in Label Studio")


def _name(data: Mapping[str, Any]) -> str:
    if "name" in data:
        return str(data["name"])
    parts = urlsplit(str(data["image"]))
    local = parse_qs(parts.query).get("d", [""])[0]  # /data/local-files/?d=folder/file.jpg
    return posixpath.basename(local or unquote(parts.path))


def _text(value: Any) -> str:
    return "" if value is None else str(value)
