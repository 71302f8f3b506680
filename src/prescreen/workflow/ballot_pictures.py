"""The pictures of a ballot: those of a folder or of a shortlist there, and the current photo, drawn for a page."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np

from prescreen.embeddings.workers import shared_workers
from prescreen.errors import NothingScored, PictureError, UsageError
from prescreen.images.files import ImageFile, read_bytes
from prescreen.progress import ProgressReporter
from prescreen.settings import processors
from prescreen.storage.tables import escape, read_table
from prescreen.text import shown
from prescreen.workflow.inputs import find_inputs

PICTURE_BYTES: Final = 15_000_000
"""What all pictures of a page should weigh: as a page they are a third larger, which mail and messengers still take."""

_SIDES: Final = ((55_000, 800), (30_000, 640), (15_000, 480), (0, 320))
"""Longer side of the pictures in pixels, from so many bytes for each of them on."""
_QUALITY: Final = 75
_NAMED: Final = 5
"""Pictures that are left out and named one by one."""


def find_pictures(
    folder: Path, shortlist: Path | None, baseline: Path | None, each: int | None, reporter: ProgressReporter
) -> Sequence[ImageFile]:
    """Find the pictures that people are asked about.

    Parameters
    ----------
    folder : Path
        Where they are.
    shortlist : Path or None
        A table of `rank` or `learn`: only the pictures to send are asked about, not all of the folder.
    baseline : Path or None
        The current photo, which goes along under the name of its file, instead of copies in the folder.
    each : int or None
        How many pictures each rater is asked about, without it all.
    reporter : ProgressReporter
        Receives how many raters the planned votes need.

    Raises
    ------
    UsageError
        If the table is no shortlist, or the current photo has the name of another picture.
    NothingScored
        If there is no picture, or a picture of the shortlist is not in the folder.
    """
    files: Sequence[ImageFile] = find_inputs([folder], follow_links=False)
    votes: Mapping[str, int] = {}
    if shortlist is not None:
        files, votes = _selected(shortlist, files, folder)
    if baseline is not None:
        (current,) = find_inputs([baseline], follow_links=False)
        current = ImageFile(current.path, baseline.name)
        files = [file for file in files if not _is_same(file, current)]
        if any(file.name == current.name for file in files):
            raise UsageError(
                f"--baseline: another picture in {shown(folder)} is named {shown(current.name)}; rename one"
            )
        files = [*files, current]
    if votes:
        _report_plan([votes.get(file.name, max(votes.values())) for file in files], each, reporter)
    return files


def _is_same(file: ImageFile, current: ImageFile) -> bool:
    """Tell whether a picture is the current photo, or a copy of it."""
    try:
        if Path(file.path).stat().st_size != Path(current.path).stat().st_size:
            return False
        return read_bytes(file) == read_bytes(current)
    except (OSError, PictureError):
        return False


def _selected(
    shortlist: Path, files: Sequence[ImageFile], folder: Path
) -> tuple[Sequence[ImageFile], Mapping[str, int]]:
    """Return the files of the pictures to send, and where votes are planned how many each gets."""
    table = read_table(shortlist, text={"image"})
    if not {"image", "selected"} <= set(table.columns):
        raise UsageError(f"--shortlist {shown(shortlist)}: expected the table that prescreen rank --output wrote")
    if table["selected"].dtype != bool:
        raise UsageError(
            f"--shortlist {shown(shortlist)}: expected True or False in every row of the column selected; correct it"
        )
    chosen = table[table["selected"]]
    if chosen.empty:
        raise NothingScored(f"{shown(shortlist)}: no picture is to be sent; there is nothing to ask")
    by_name = {file.name: file for file in files}
    gone = [name for name in chosen["image"] if name not in by_name]
    if gone:
        raise NothingScored(
            f"{shown(shortlist)}: {shown(gone[0])} is not in {shown(folder)}; name the folder that was scored"
        )
    planned: dict[str, int] = {}
    if "votes" in chosen:
        votes = np.nan_to_num(chosen["votes"].to_numpy(np.float64)).astype(int)
        planned = dict(zip(chosen["image"], votes.tolist(), strict=True))
    return [by_name[name] for name in chosen["image"]], planned


def _report_plan(votes: Sequence[int], each: int | None, reporter: ProgressReporter) -> None:
    """Say how many raters the votes of the pictures need; no rater votes twice on a picture."""
    everything = each is None or each >= len(votes)
    raters = max(votes) if each is None or everything else max(*votes, math.ceil(sum(votes) / each))
    asked = "all of them" if everything else f"{each} each"
    reporter.info(f"plan       {len(votes)} pictures, {sum(votes)} votes: {raters} raters, asked about {asked}")


def draw_pictures(files: Sequence[ImageFile], reporter: ProgressReporter) -> dict[str, bytes]:
    """Draw the pictures for a page, without metadata; those that cannot be shown are reported and left out."""
    side = next(side for weight, side in _SIDES if PICTURE_BYTES / len(files) > weight)

    def drawn(file: ImageFile) -> bytes | PictureError:
        try:
            if not shown(file.name) == file.name == escape(file.name):
                raise PictureError("its name has something that a table of votes cannot hold; rename the file")
            return shared_workers().thumbnail(read_bytes(file), side, _QUALITY, tolerant=False)
        except PictureError as error:
            return error
        finally:
            advance()

    pictures: dict[str, bytes] = {}
    reasons: dict[str, str] = {}
    with reporter.progress("drawing", len(files)) as advance, ThreadPoolExecutor(processors()) as pool:
        for file, picture in zip(files, pool.map(drawn, files), strict=True):
            if isinstance(picture, PictureError):
                reasons[file.name] = str(picture)
            else:
                pictures[file.name] = picture
    for name, reason in list(reasons.items())[:_NAMED]:
        reporter.warn(f"{shown(name)}: left out: {reason}")
    if len(reasons) > _NAMED:
        reporter.warn(f"{len(reasons) - _NAMED} more left out")
    if not pictures:
        name, reason = next(iter(reasons.items()))
        raise NothingScored(f"none of the {len(files)} pictures can be shown; {shown(name)}: {reason}")
    return pictures
