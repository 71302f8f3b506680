"""Scores as a dataset for FiftyOne.

References
----------
FiftyOne, "Importing data", section FiftyOneDataset, https://docs.voxel51.com/user_guide/import_datasets.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from prescreen.workflow.exported import Exported, as_json, is_known
from prescreen.workflow.xmp_sidecars import failed_checks

_RESERVED_FIELDS: Final = frozenset({"id", "filepath", "tags", "metadata", "created_at", "last_modified_at"})
"""Fields that every sample of FiftyOne has."""

_NOT_FACTS: Final = frozenset({"image", "status", "reason", "selected", "gates", "demoted", "frames"})
"""Columns of a row that are said in other ways; frames are those of videos."""


def fiftyone_files(exported: Exported, name: str) -> dict[str, str]:
    """Return a dataset in FiftyOne's own format on disk, ``fiftyone.types.FiftyOneDataset``.

    Parameters
    ----------
    exported : Exported
        The pictures; their paths in the dataset are absolute.
    name : str
        Name of the dataset.

    Returns
    -------
    dict of str to str
        ``metadata.json`` and ``samples.json``. Each trait is a ``Regression`` label; interval ends, quality and chances
        are numbers; ``shortlist`` and the names of gates are tags.
    """
    samples = []
    fields = field_names([str(column) for column in exported.table.columns])
    for row in exported.table.to_dict("records"):
        facts = {
            str(column): value
            for column, value in row.items()
            if column not in (*_NOT_FACTS, *exported.traits) and is_known(value) and value != ""
        }
        labels: dict[str, Any] = {
            trait: {"_cls": "Regression", "tags": [], "value": float(row[trait]), "confidence": None}
            for trait in exported.traits
        }
        named = {fields[column]: value for column, value in (labels | facts).items()}
        samples.append({"filepath": str(exported.files[str(row["image"])]), "tags": _tags(row)} | named)
    info = {"model": exported.model, "traits": list(exported.traits), "pictures": len(samples)}
    return {
        "metadata.json": as_json({"name": name, "info": info}),
        "samples.json": as_json({"samples": samples}),
    }


def _tags(row: Mapping[Any, Any]) -> list[str]:
    selected = row.get("selected")
    return (["shortlist"] if is_known(selected) and selected else []) + failed_checks(row)


def field_names(columns: Sequence[str]) -> dict[str, str]:
    """Return a name for each column that FiftyOne accepts for a field, and Python for an attribute.

    Of columns that would get the same name the second gets ``_2`` at its end, and so on.

    Examples
    --------
    >>> field_names(["warm, kind", "warm. kind", "id", "2nd"])
    {'warm, kind': 'warm__kind', 'warm. kind': 'warm__kind_2', 'id': 'id_2', '2nd': 'field_2nd'}
    """
    fields: dict[str, str] = {}
    for column in columns:
        plain = re.sub(r"\W", "_", column)
        if not plain[:1].isalpha():  # FiftyOne keeps names with _ in front for itself
            plain = f"field_{plain.lstrip('_')}"
        field, number = plain, 1
        while field in _RESERVED_FIELDS or field in fields.values():
            number += 1
            field = f"{plain}_{number}"
        fields[column] = field
    return fields
