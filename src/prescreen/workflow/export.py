"""Scores and shortlists for other tools: tasks for Label Studio, a dataset for FiftyOne, sidecars for photo managers.

All name the pictures where they are and copy none of them. Pictures that could not be scored are left out.

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
from prescreen.errors import NothingScored, PrescreenError, UsageError
from prescreen.predictor.scored_files import find_scored, places_to_search
from prescreen.progress import NullReporter, ProgressReporter
from prescreen.storage.atomic import write_files_atomic
from prescreen.storage.provenance import ScoresMetadata
from prescreen.storage.remote import is_url
from prescreen.storage.tables import read_table
from prescreen.text import OK, shown
from prescreen.workflow import xmp_sidecars

LABEL_STUDIO: Final = "label-studio"
FIFTYONE: Final = "fiftyone"
XMP: Final = "xmp"
LOCAL_FILES: Final = "/data/local-files/?d="
"""Where Label Studio serves files below its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT."""

_PICTURE: Final = "picture"
_PREDICTION: Final = "prediction"

_RESERVED_FIELDS: Final = frozenset({"id", "filepath", "tags", "metadata", "created_at", "last_modified_at"})
"""Fields that every sample of FiftyOne has."""

_NOT_FACTS: Final = frozenset({"image", "status", "reason", "selected", "gates", "demoted", "frames"})
"""Columns of a row that are said in other ways; frames are those of videos."""


@dataclass(frozen=True)
class Written:
    """What `export` wrote: the files, how many pictures are in them, and the folder that holds all the pictures.

    The folder is None where the pictures are at a URL. Files of others, which were in the place of a sidecar, stay.
    """

    files: tuple[Path, ...]
    pictures: int
    left_out: int
    folder: Path | None
    stayed: tuple[Path, ...] = ()


def export(
    table: Path,
    *,
    to: str,
    output: Path | None,
    images: Path | str | None = None,
    selected: bool = False,
    blind: bool = False,
    prefix: str | None = None,
    program: str | None = None,
    reporter: ProgressReporter | None = None,
) -> Written:
    """Write scores or a shortlist in the form that another tool reads.

    Parameters
    ----------
    table : Path
        A table that ``prescreen score`` or ``prescreen rank`` wrote.
    to : str
        ``label-studio``, ``fiftyone`` or ``xmp``.
    output : Path or None
        Folder to write to; other files in it stay. None puts XMP sidecars beside the pictures.
    images : Path or str, optional
        Folder or URL that the names in the table are relative to; by default the folders of this machine that the note
        beside scores names.
    selected : bool
        Only the pictures on the shortlist.
    blind, prefix
        For Label Studio, see `label_studio_files`.
    program : str, optional
        For XMP: one of `prescreen.workflow.xmp_sidecars.PROGRAMS`; by default ``digikam``.
    reporter : ProgressReporter, optional
        Receives where pictures are searched.

    Raises
    ------
    UsageError
        If the folder of the pictures is not known, the table holds no scores, or options do not go together.
    NothingScored
        If no picture is left to export.
    """
    _check_options(to, output, blind=blind, prefix=prefix, program=program)
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
        which = "selected" if selected else "scored"
        raise NothingScored(f"{table}: no picture is {which}; there is nothing to export")
    # In a folder that was named the names decide: it may hold smaller copies.
    asked = wanted if images is None else wanted.drop(columns="content", errors="ignore")
    with EmbeddingCache() as cache:
        files = {file.name: file.path for file in find_scored(places, asked, cache)}
    found = wanted[wanted["image"].isin(files.keys())]
    if found.empty:
        raise NothingScored(f"{shown(table)}: none of its {len(wanted)} pictures is in {', '.join(places)}")
    if to == FIFTYONE and any(map(is_url, places)):
        raise UsageError(f"{places[0]}: FiftyOne shows pictures of this machine; name a folder with copies: --images")
    made = note or _note_of_ranked(table, rows, traits)
    model = f"{made.predictor_name} {made.predictor_sha256[:12]}" if made else "prescreen (predictor not known)"
    exported = Exported(found, traits, files, model, simulated=made is not None and made.simulated)
    wished = int(rows["selected"].sum()) if selected else len(rows)
    if output is None or to == XMP:
        written, stayed = _write_sidecars(xmp_files(exported, output, program or "digikam"))
        return Written(written, len(written), wished - len(found), common_folder(files), stayed)
    if to == LABEL_STUDIO:
        content = label_studio_files(exported, blind=blind, prefix=prefix)
    else:
        content = fiftyone_files(exported, table.stem)
    together = {output / name: text.encode() for name, text in content.items()}
    write_files_atomic(together)
    return Written(tuple(together), len(found), wished - len(found), common_folder(files))


def _note_of_ranked(table: Path, rows: pd.DataFrame, traits: Sequence[str]) -> ScoresMetadata | None:
    """Return the note about the scores in the same folder that a shortlist was made of; None without such."""
    ranked = rows.set_index("image")[list(traits)].dropna()
    for path in sorted(table.parent.glob("*.meta.json")):
        scores = path.with_name(path.name.removesuffix(".meta.json"))
        try:
            note = ScoresMetadata.read(scores, optional=True)
            if note is None or not set(traits) <= set(note.traits):
                continue
            scored = read_table(scores).set_index("image").reindex(ranked.index)
            if np.allclose(scored[list(traits)], ranked, rtol=0, atol=0.0006):  # a shortlist has three decimals
                return note
        except (PrescreenError, KeyError, TypeError, ValueError):
            continue
    return None


def _check_options(to: str, output: Path | None, *, blind: bool, prefix: str | None, program: str | None) -> None:
    """Refuse options that are for another tool."""
    if to != LABEL_STUDIO and (blind or prefix is not None):
        raise UsageError("--blind and --prefix are for Label Studio")
    if to != XMP and output is None:
        raise UsageError(f"--to {to}: name the folder to write to with --output")
    if to != XMP and program is not None:
        raise UsageError("--for is for --xmp")


def _write_sidecars(sidecars: Mapping[Path, bytes]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Write sidecars, each by itself; return the paths of those written, and of files of others, which stay."""
    stayed = dict.fromkeys(xmp_sidecars.belongs_to_others(sidecars))
    written = tuple(path for path in sidecars if path not in stayed)
    for path in written:
        write_files_atomic({path: sidecars[path]})
    return written, tuple(stayed)


@dataclass(frozen=True)
class Exported:
    """Pictures with their scores, ready for any tool.

    Parameters
    ----------
    table : DataFrame
        A table of scores or a shortlist, only rows with a score.
    traits : tuple of str
        The scored traits.
    files : mapping of str to Path or str
        Absolute path or URL of each picture, by its name in the table.
    model : str
        What made the scores.
    simulated : bool
        Whether it is known to have learned from simulated votes.
    """

    table: pd.DataFrame
    traits: tuple[str, ...]
    files: Mapping[str, Path | str]
    model: str
    simulated: bool = False


def scored_traits(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the traits of a table of scores or a shortlist.

    Raises
    ------
    UsageError
        If there are none.

    Examples
    --------
    >>> columns = ["image", "status", "warm", "warm_low", "warm_high", "warm_raw", "warm_raw_low", "warm_raw_high"]
    >>> scored_traits(pd.DataFrame(columns=columns))
    ('warm',)
    """
    columns = list(map(str, table.columns))
    with_interval = [name for name in columns if f"{name}_low" in columns and f"{name}_high" in columns]
    traits = tuple(
        name
        for name in with_interval
        if name != "p_better" and (not name.endswith("_raw") or name.removesuffix("_raw") not in with_interval)
    )
    if not traits or not {"image", "status"} <= set(columns):
        raise UsageError("expected a table that prescreen score or prescreen rank wrote")
    return traits


def label_studio_files(exported: Exported, *, blind: bool, prefix: str | None) -> dict[str, str]:
    """Return what Label Studio imports.

    Parameters
    ----------
    exported : Exported
        The pictures.
    blind : bool
        Leave out predictions, reasons and the order, so that people judge the pictures by themselves.
    prefix : str, optional
        Address that the names of the pictures are appended to; by default the path below which Label Studio serves
        local files, or the URLs of the pictures.

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
        task: dict[str, Any] = {"data": {"image": addresses[name], "name": name}}
        if not blind:
            task["data"][_PREDICTION] = _describe(row, exported.traits)
            task["data"] |= {key: row[key] for key in ("rank", "p_better") if _is_known(row.get(key))}
            task["predictions"] = [_prediction(row, exported)]
        tasks.append(task)
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


def xmp_files(exported: Exported, output: Path | None, program: str) -> dict[Path, bytes]:
    """Return XMP sidecars by their paths: stars, tags, and the scores with what made them.

    Parameters
    ----------
    exported : Exported
        The pictures.
    output : Path or None
        Folder to write to; None for beside the pictures.
    program : str
        One of `prescreen.workflow.xmp_sidecars.PROGRAMS`.
    """
    made_for = xmp_sidecars.PROGRAMS[program]
    files = {name: exported.files[name] for name in map(str, exported.table["image"])}
    paths = xmp_sidecars.sidecar_paths(files, output, made_for)
    votes = " (simulated votes)" if exported.simulated else ""
    origin = f"predicted by {exported.model}{votes}"
    return {
        paths[str(row["image"])]: xmp_sidecars.sidecar(
            xmp_sidecars.stars(row, exported.traits),
            xmp_sidecars.tags(row, exported.traits, origin),
            {"origin": origin, "scores": _describe(row, exported.traits)},
            made_for,
        )
        for row in exported.table.to_dict("records")
    }


def _prediction(row: Mapping[Any, Any], exported: Exported) -> dict[str, Any]:
    regions = [
        {
            "id": f"trait{number}",
            "from_name": trait,
            "to_name": _PICTURE,
            "type": "number",
            "value": {"number": round(float(row[trait]), 1)},
        }
        for number, trait in enumerate(exported.traits)
    ]
    chance = {"score": row["p_better"]} if _is_known(row.get("p_better")) else {}
    return {"model_version": exported.model, "result": regions} | chance


def _describe(row: Mapping[Any, Any], traits: Sequence[str]) -> str:
    """Say the scores with their intervals, and why the picture has its rank."""
    scores = [f"{trait} {row[trait]:.1f} [{row[f'{trait}_low']:.1f}, {row[f'{trait}_high']:.1f}]" for trait in traits]
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
    fields = field_names([str(column) for column in exported.table.columns])
    for row in exported.table.to_dict("records"):
        facts = {
            str(column): value
            for column, value in row.items()
            if column not in (*_NOT_FACTS, *exported.traits) and _is_known(value) and value != ""
        }
        labels: dict[str, Any] = {
            trait: {"_cls": "Regression", "tags": [], "value": float(row[trait]), "confidence": None}
            for trait in exported.traits
        }
        named = {fields[column]: value for column, value in (labels | facts).items()}
        samples.append({"filepath": str(exported.files[str(row["image"])]), "tags": _tags(row)} | named)
    info = {"model": exported.model, "traits": list(exported.traits), "pictures": len(samples)}
    return {
        "metadata.json": _as_json({"name": name, "info": info}),
        "samples.json": _as_json({"samples": samples}),
    }


def _tags(row: Mapping[Any, Any]) -> list[str]:
    selected = row.get("selected")
    return (["shortlist"] if _is_known(selected) and selected else []) + xmp_sidecars.failed_checks(row)


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


def _is_known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def common_folder(files: Mapping[str, Path | str]) -> Path | None:
    """Return the deepest folder that holds all the pictures; None where they are at a URL."""
    folders = {str(place.parent) for place in files.values() if isinstance(place, Path)}
    return Path(os.path.commonpath(folders)) if folders else None


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"
