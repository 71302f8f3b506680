"""Copies of pictures to send: their names in the order to upload, without what they tell about places and people."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from prescreen.errors import PictureError
from prescreen.images.files import ImageFile, read_bytes
from prescreen.images.metadata import without_metadata
from prescreen.progress import ProgressReporter
from prescreen.storage.atomic import write_bytes_atomic
from prescreen.text import shown

_NOT_IN_NAMES: Final = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f\ud800-\udfff]')
_LONGEST_NAME: Final = 200  # bytes; file systems take 255


def upload_names(pictures: Sequence[str], known: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Return the name of each picture's copy: its number in the order to upload, then its own name.

    Parameters
    ----------
    pictures : sequence of str
        In their order.
    known : iterable of str
        Names of all candidates. No copy has such a name, so that results cannot mean another picture.
    taken : collection of str
        Names of earlier copies.

    Examples
    --------
    >>> upload_names(["formal/027.jpg", "020.jpg"], ["formal/027.jpg", "020.jpg"])
    {'1-027.jpg': 'formal/027.jpg', '2-020.jpg': '020.jpg'}
    """
    refused = {PurePosixPath(name).name.casefold() for name in (*known, *taken)}
    digits = len(str(len(pictures)))
    while True:
        names = {f"{number:0{digits}}-{_plain(name)}": name for number, name in enumerate(pictures, 1)}
        if refused.isdisjoint(name.casefold() for name in names):
            return names
        digits += 1


def _plain(name: str) -> str:
    """Return the last part of a name as every system and service takes it."""
    last = _NOT_IN_NAMES.sub("_", PurePosixPath(name).name)
    while len(last.encode()) > _LONGEST_NAME:
        last = last[1:]
    return last


def current_copy(current: str, known: Iterable[str]) -> str:
    """Return the name of the current photo's copy, which comes first: ``0-now.jpg``."""
    refused = {PurePosixPath(name).name.casefold() for name in known}
    name, number = _plain(Path(current).name), "0"
    while f"{number}-{name}".casefold() in refused:
        number += "0"
    return f"{number}-{name}"


def original_files(files: Mapping[str, ImageFile], copies: Mapping[str, str]) -> dict[str, ImageFile]:
    """Return the files that copies are made of; a picture without a file has a problem."""
    return {copy: files.get(name) or ImageFile(name, name, "it is no longer there") for copy, name in copies.items()}


def copy_pictures(
    copies: Mapping[str, ImageFile], folder: Path, reporter: ProgressReporter, *, keep_metadata: bool
) -> dict[str, str]:
    """Copy pictures without what they tell about places, people and devices.

    A picture that cannot be cleaned is not copied, which is told; returns {name of the copy: where the original is} of
    those.
    """
    left = {}
    for name, file in copies.items():
        try:
            data = read_bytes(file)
            write_bytes_atomic(folder / name, data if keep_metadata else without_metadata(data))
        except PictureError as error:
            left[name] = str(file.path)
            reporter.warn(f"{shown(name)}: not copied, {error}; send the original yourself: {shown(left[name])}")
    return left
