"""Which picture a name in a ratings file means."""

import os
import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from prescreen.errors import UsageError
from prescreen.tables import shown


def images_folder(names: Iterable[str], given: Path | None, candidates: Sequence[Path]) -> Path:
    """Return the folder that picture names are relative to.

    Parameters
    ----------
    names : iterable of str
        Names as they stand in the ratings.
    given : Path or None
        The folder that the user gave; taken as it is.
    candidates : sequence of Path
        Without one: the folder of these in which most names are found, the first of equals.

    Raises
    ------
    UsageError
        If the given folder does not exist.
    """
    if given is not None:
        if not given.is_dir():
            raise UsageError(f"{shown(given)}: no such folder of pictures; check --images")
        return given
    names = list(names)
    best, most = candidates[0], -1
    for folder in candidates:
        found = sum(is_picture(folder, relative_name(name, folder)) for name in names)
        if found > most:
            best, most = folder, found
        if found == len(names):
            break
    return best


def relative_name(name: str, folder: Path) -> str | None:
    """Return a picture's name as a POSIX path relative to its folder; None if it lies outside or is empty.

    ``./a.jpg`` and the absolute path of ``a.jpg`` both become ``a.jpg``.
    """
    path = PurePath(name)
    if path.is_absolute():
        for base in (folder.absolute(), folder.resolve()):
            if path.is_relative_to(base):
                path = path.relative_to(base)
                break
        else:
            return None
    plain = posixpath.normpath(path.as_posix())
    outside = plain in ("", ".", "..") or plain.startswith(("../", "/"))
    return None if not name or outside else plain


def is_picture(folder: Path, name: str | None) -> bool:
    """Whether there is a file of this name in the folder; what is in it is not looked at."""
    try:
        return name is not None and os.path.isfile(folder / name)
    except ValueError:  # a name that no file system takes
        return False
