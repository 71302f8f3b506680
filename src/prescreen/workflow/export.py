"""Scores and shortlists for other tools: tasks for Label Studio, a dataset for FiftyOne.

Both name the pictures where they are and copy none of them. Pictures that could not be scored are left out.

References
----------
Label Studio, "Import pre-annotated data" and "Import data from a local directory",
https://labelstud.io/guide/predictions and https://labelstud.io/guide/storage
FiftyOne, "Importing data", section FiftyOneDataset, https://docs.voxel51.com/user_guide/import_datasets.html
"""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd

from prescreen.embeddings.pipeline import EmbeddingCache
from prescreen.errors import NothingScored, UsageError
from prescreen.predictor.scored_files import find_scored, places_to_search
from prescreen.progress import NullReporter, ProgressReporter
from prescreen.storage.atomic import write_files_atomic
from prescreen.storage.provenance import ScoresMetadata
from prescreen.storage.remote import is_url
from prescreen.storage.tables import read_table
from prescreen.text import OK, shown

LABEL_STUDIO: Final = "label-studio"
FIFTYONE: Final = "fiftyone"
TOOLS: Final = (LABEL_STUDIO, FIFTYONE)
LOCAL_FILES: Final = "/data/local-files/?d="
"""Where Label Studio serves files below its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT."""

_PICTURE: Final = "picture"
_PREDICTION: Final = "prediction"

_TAKEN: Final = frozenset({"id", "filepath", "tags", "metadata", "created_at", "last_modified_at"})
"""Fields that every sample of FiftyOne has."""

_DECIMALS: Final = 1  # of a score that people see and may correct


@dataclass(frozen=True)
class Written:
    """What `export` wrote: the files, how many pictures are in them, and the folder that holds all the pictures.

    The folder is None where the pictures are at a URL.
    """

    files: tuple[Path, ...]
    pictures: int
    left_out: int
    folder: Path | None


def export(
    table: Path,
    *,
    to: str,
    output: Path,
    images: Path | str | None = None,
    selected: bool = False,
    blind: bool = False,
    prefix: str | None = None,
    reporter: ProgressReporter | None = None,
) -> Written:
    """Write scores or a shortlist in the form that another tool reads.

    Parameters
    ----------
    table : Path
        A table that ``prescreen score`` or ``prescreen rank`` wrote.
    to : str
        One of `TOOLS`.
    output : Path
        Folder to write to; other files in it stay.
    images : Path or str, optional
        Folder or URL that the names in the table are relative to; by default the folders of this machine that the note
        beside scores names.
    selected : bool
        Only the pictures on the shortlist.
    blind, prefix
        For Label Studio, see `label_studio_files`.
    reporter : ProgressReporter, optional
        Hears where pictures are searched.

    Raises
    ------
    UsageError
        If the folder of the pictures is not known, the table holds no scores, or options do not go together.
    NothingScored
        If no picture is left to export.
    """
    if to != LABEL_STUDIO and (blind or prefix is not None):
        raise UsageError("--blind and --prefix are for Label Studio")
    rows = read_table(table)
    traits = scored_traits(rows)
    if selected and "selected" not in rows:
        raise UsageError(f"{table}: scores without a shortlist; give the table that prescreen rank wrote")
    note = ScoresMetadata.read(table, optional=True)
    if images is None and "content" not in rows:
        note = None  # nothing in the table tells whether a picture in the note's folders is the one that was scored
    places = places_to_search(note, () if images is None else (images,), reporter or NullReporter())
    if not places:
        raise UsageError(f"{table}: where its pictures are is not known; name their folder with --images")
    wanted = rows[(rows["status"] == OK) & (rows["selected"] if selected else True)]
    if wanted.empty:
        raise NothingScored(
            f"{table}: no picture is {'selected' if selected else 'scored'}; there is nothing to export"
        )
    # In a folder that was named the names decide: it may hold smaller copies.
    asked = wanted if images is None else wanted.drop(columns="content", errors="ignore")
    with EmbeddingCache() as cache:
        files = {file.name: file.path for file in find_scored(places, asked, cache)}
    found = wanted[wanted["image"].isin(files.keys())]
    if found.empty:
        raise NothingScored(f"{shown(table)}: none of its {len(wanted)} pictures is in {', '.join(places)}")
    if to == FIFTYONE and any(map(is_url, places)):
        raise UsageError(f"{places[0]}: FiftyOne shows pictures of this machine; name a folder with copies: --images")
    model = f"{note.predictor_name} {note.predictor_sha256[:12]}" if note else "prescreen"
    exported = Exported(found, traits, files, model)
    if to == LABEL_STUDIO:
        content = label_studio_files(exported, blind=blind, prefix=prefix)
    else:
        content = fiftyone_files(exported, table.stem)
    written = {output / name: text.encode() for name, text in content.items()}
    write_files_atomic(written)
    left_out = (len(rows) if not selected else int(rows["selected"].sum())) - len(found)
    return Written(tuple(written), len(found), left_out, common_folder(exported.files))


@dataclass(frozen=True)
class Exported:
    """Pictures with what is known of them, ready for either tool.

    Parameters
    ----------
    table : DataFrame
        A table of scores or a shortlist, only rows with a score.
    traits : tuple of str
        Traits scored.
    files : mapping of str to Path or str
        Where each picture is, an absolute path or a URL, by its name in the table.
    model : str
        What made the scores.
    """

    table: pd.DataFrame
    traits: tuple[str, ...]
    files: Mapping[str, Path | str]
    model: str


def scored_traits(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the traits that a table of scores or a shortlist holds.

    Raises
    ------
    UsageError
        If there are none.
    """
    columns = {str(name) for name in table.columns}
    traits = [str(name) for name in table.columns if {f"{name}_low", f"{name}_high"} <= columns]
    found = tuple(
        name for name in traits if name.removesuffix("_raw") == name or name.removesuffix("_raw") not in traits
    )
    if not found or not {"image", "status"} <= columns:
        raise UsageError("expected a table that prescreen score or prescreen rank wrote")
    return found


def label_studio_files(exported: Exported, *, blind: bool, prefix: str | None) -> dict[str, str]:
    """Return what Label Studio imports.

    Parameters
    ----------
    exported : Exported
        The pictures.
    blind : bool
        Leave out predictions, reasons and the order, so that people judge the pictures by themselves.
    prefix : str, optional
        Address that the pictures' names are appended to; by default the path below which Label Studio serves local
        files, with the name of the folder that holds all the pictures, or the URLs of pictures that have some.

    Returns
    -------
    dict of str to str
        ``tasks.json``, one task a picture with ``data`` and ``predictions``, and ``config.xml``, the labeling
        configuration with a number from 0 to 10 for each trait.
    """
    addresses = _addresses(exported.files, prefix)
    rows = exported.table.sort_values("image") if blind else exported.table
    tasks: list[dict[str, Any]] = []
    for row in rows.to_dict("records"):
        name = str(row["image"])
        data: dict[str, Any] = {"image": addresses[name], "name": name}
        if blind:
            tasks.append({"data": data})
            continue
        known = {key: value for key in ("rank", "p_better") if (value := _plain(row.get(key))) is not None}
        data = data | {_PREDICTION: _describe(row, exported.traits)} | known
        tasks.append({"data": data, "predictions": [_prediction(row, exported)]})
    return {"tasks.json": _as_json(tasks), "config.xml": labeling_config(exported.traits, blind=blind)}


def _addresses(files: Mapping[str, Path | str], prefix: str | None) -> dict[str, str]:
    """Return where Label Studio finds each picture."""
    if prefix is not None:
        return {name: prefix + quote(os.fsencode(name)) for name in files}
    base = common_folder(files)
    if base is None:
        return {name: str(place) for name, place in files.items()}
    start = LOCAL_FILES + quote(os.fsencode(base.name)) + "/"
    return {name: start + quote(os.fsencode(Path(place).relative_to(base).as_posix())) for name, place in files.items()}


def _prediction(row: Mapping[Any, Any], exported: Exported) -> dict[str, Any]:
    regions = [
        {
            "id": f"trait{number}",
            "from_name": trait,
            "to_name": _PICTURE,
            "type": "number",
            "value": {"number": round(float(row[trait]), _DECIMALS)},
        }
        for number, trait in enumerate(exported.traits)
    ]
    chance = _plain(row.get("p_better"))
    return {"model_version": exported.model, "result": regions} | ({} if chance is None else {"score": chance})


def _describe(row: Mapping[Any, Any], traits: Sequence[str]) -> str:
    """Say the scores with their intervals, and why the picture stands where it does."""
    scores = [
        f"{trait} {float(row[trait]):.1f} [{float(row[f'{trait}_low']):.1f}, {float(row[f'{trait}_high']):.1f}]"
        for trait in traits
    ]
    return "; ".join([*scores, *([str(row["why"])] if row.get("why") else [])])


def control_names(traits: Sequence[str]) -> list[str]:
    """Return the names of all tags in `labeling_config`."""
    return [_PICTURE, _PREDICTION, *traits]


def labeling_config(traits: Sequence[str], *, blind: bool) -> str:
    """Return Label Studio's labeling configuration: the picture and a number from 0 to 10 for each trait."""
    controls = [
        f"  <Header value={quoteattr(trait)}/>\n"
        f'  <Number name={quoteattr(trait)} toName="{_PICTURE}" min="0" max="10" step="0.1" required="true"/>'
        for trait in traits
    ]
    told = [] if blind else [f'  <Text name="{_PREDICTION}" value="${_PREDICTION}"/>']
    return "\n".join(
        ["<View>", f'  <Image name="{_PICTURE}" value="$image" zoom="true"/>', *told, *controls, "</View>", ""]
    )


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
    fields = _fields([str(name) for name in exported.table.columns])
    for row in exported.table.to_dict("records"):
        labels: dict[str, Any] = {
            fields[trait]: {"_cls": "Regression", "tags": [], "value": float(row[trait]), "confidence": None}
            for trait in exported.traits
        }
        facts = {fields[name]: value for name, value in _facts(row, exported.traits).items()}
        path = exported.files[str(row["image"])]
        samples.append({"filepath": str(path), "tags": _tags(row)} | labels | facts)
    info = {"model": exported.model, "traits": list(exported.traits), "pictures": len(samples)}
    metadata = {"name": name, "info": info}
    return {"metadata.json": _as_json(metadata), "samples.json": _as_json({"samples": samples})}


def _tags(row: Mapping[Any, Any]) -> list[str]:
    gates = [gate for gate in str(row.get("gates") or "").split(",") if gate]
    return (["shortlist"] if _plain(row.get("selected")) else []) + gates


def _facts(row: Mapping[Any, Any], traits: Sequence[str]) -> dict[str, Any]:
    """Return everything of a row but its picture, its scores and what is empty."""
    known = {
        "image",
        "status",
        "reason",
        "selected",
        "gates",
        "demoted",
        "frames",
        *traits,
    }  # frames are those of videos
    facts = {str(key): _plain(value) for key, value in row.items() if key not in known}
    return {key: value for key, value in facts.items() if value is not None and value != ""}


def _fields(names: Sequence[str]) -> dict[str, str]:
    """Return for each name one of its own that FiftyOne accepts for a field and that can be asked for as an attribute.

    Of names that become the same the second gets ``_2`` at its end, and so on; `_TAKEN` are FiftyOne's own.
    """
    fields: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"\W", "_", name)
        if not plain[:1].isalpha():  # FiftyOne keeps names with _ in front for itself
            plain = f"field_{plain.lstrip('_')}"
        field, number = plain, 1
        while field in _TAKEN or field in fields.values():
            number += 1
            field = f"{plain}_{number}"
        fields[name] = field
    return fields


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it, None for a number that is missing."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def common_folder(files: Mapping[str, Path | str]) -> Path | None:
    """Return the deepest folder that holds all the pictures; None where they are at a URL."""
    folders = {str(place.parent) for place in files.values() if isinstance(place, Path)}
    return Path(os.path.commonpath(folders)) if folders else None


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"
