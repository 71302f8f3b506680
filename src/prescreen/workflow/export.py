"""Scores and shortlists for other tools: tasks for Label Studio, a dataset for FiftyOne, sidecars for photo managers.

All name the pictures where they are and copy none of them. Pictures that could not be scored are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
from prescreen.workflow.exported import Exported, common_folder, describe_scores, scored_traits
from prescreen.workflow.fiftyone_dataset import fiftyone_files
from prescreen.workflow.label_studio_tasks import label_studio_files

LABEL_STUDIO: Final = "label-studio"
FIFTYONE: Final = "fiftyone"
XMP: Final = "xmp"


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
        written, stayed = _write_sidecars(_xmp_files(exported, output, program or "digikam"))
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


def _xmp_files(exported: Exported, output: Path | None, program: str) -> dict[Path, bytes]:
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
            {"origin": origin, "scores": describe_scores(row, exported.traits)},
            made_for,
        )
        for row in exported.table.to_dict("records")
    }


def _write_sidecars(sidecars: Mapping[Path, bytes]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Write sidecars, each by itself; return the paths of those written, and of files of others, which stay."""
    stayed = dict.fromkeys(xmp_sidecars.belongs_to_others(sidecars))
    written = tuple(path for path in sidecars if path not in stayed)
    for path in written:
        write_files_atomic({path: sidecars[path]})
    return written, tuple(stayed)
