"""Label Studio's JSON export as single votes.

An export is a list of tasks; each of their annotations is one person's work, and each region of type ``number`` or
``rating`` in it a vote, whose control names the trait. The picture is ``data.name``, as ``prescreen export`` writes it,
otherwise the file name in ``data.image``.

References
----------
Label Studio, "Export annotations: Label Studio JSON format", https://labelstud.io/guide/export
"""

import math
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pandas as pd

from prescreen.errors import RatingsError
from prescreen.text import shown

_VALUES: Final = ("number", "rating")
_OWN: Final = frozenset({"annotations", "data", "predictions", "annotation_id", "lead_time"})
_COLUMNS: Final = ("trait", "vote", "rater")


def is_export(entries: Sequence[Any]) -> bool:
    """Whether the entries of a JSON array are tasks of Label Studio, or something else that it exports."""
    return any(isinstance(entry, dict) and not _OWN.isdisjoint(entry) for entry in entries[:1])


def label_studio_votes(source: Path, tasks: Sequence[Any], image: str = "image") -> pd.DataFrame:
    """Read the votes of an export.

    Parameters
    ----------
    source : Path
        For messages.
    tasks : sequence
        Entries of the JSON array.
    image : str
        Name of the picture in a task's ``data``.

    Returns
    -------
    DataFrame
        A row a vote. Columns: the name of the picture, under the name ``image``; ``trait``; ``vote``; and ``rater``
        (the annotator's id, empty where the export has none).

    Raises
    ------
    RatingsError
        Naming the first entry that is no annotated task; or if nobody has voted.
    """
    rows = []
    for number, task in enumerate(tasks, start=1):
        try:
            rows += list(_votes(task, image))
        except _Unfit as error:
            raise RatingsError(f"{shown(source)}: entry {number}: {error}") from None
        except (LookupError, TypeError, ValueError, AttributeError):
            raise RatingsError(
                f"{shown(source)}: entry {number} is no annotated task of Label Studio; export the project as JSON, "
                "not as JSON-MIN or CSV"
            ) from None
    if not rows:
        raise RatingsError(f"{shown(source)}: {len(tasks)} tasks, and nobody has given a number; expected annotations")
    cells = zip((image, *_COLUMNS), zip(*rows, strict=True), strict=True)
    kinds = {"vote": np.float64}
    return pd.DataFrame(
        {name: pd.Series(column, dtype=kinds.get(name, object)) for name, column in cells}  # names may not be UTF-8
    ).set_axis(pd.RangeIndex(1, 1 + len(rows)))


def _votes(task: Mapping[str, Any], image_key: str) -> Iterator[tuple[str, str, float, str]]:
    image = _name(task["data"], image_key)
    for annotation in task["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        rater = annotation.get("completed_by")
        person = rater.get("id") if isinstance(rater, dict) else rater
        for region in annotation["result"]:
            if region.get("type") in _VALUES:
                trait = str(region["from_name"])
                yield image, trait, _number(trait, region["value"][region["type"]]), _text(person)


class _Unfit(Exception):
    """A task without a picture, or a vote that is no number."""


def _number(trait: str, value: Any) -> float:
    try:
        if type(value) in (int, float) and math.isfinite(number := float(value)):
            return number
    except OverflowError:
        pass
    raise _Unfit(f"{shown(trait)} '{shown(str(value)[:60])}' is not a number; correct it in Label Studio")


def _name(data: Mapping[str, Any], image_key: str) -> str:
    if "name" in data:
        return str(data["name"])
    if image_key not in data:
        keys = [shown(str(key)) for key in data] or ["nothing"]
        raise _Unfit(
            f"its data has neither name nor {image_key} but {', '.join(keys)}; "
            f"name the picture's variable, for instance --columns image={keys[0]}"
        )
    parts = urlsplit(str(data[image_key]))
    local = parse_qs(parts.query).get("d", [""])[0]  # /data/local-files/?d=folder/file.jpg
    return posixpath.basename(local or unquote(parts.path))


def _text(value: Any) -> str:
    return "" if value is None else str(value)
