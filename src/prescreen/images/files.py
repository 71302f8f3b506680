"""Pictures in: find them and read their bytes; `prescreen.images.decoding` makes pixels of them.

A picture that cannot be used raises :class:`~prescreen.errors.PictureError`, whose text is the reason in its row; it
never ends a run.
"""

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, overload

from prescreen.errors import PictureError, PictureFault, UsageError
from prescreen.storage.bounded_files import read_bounded
from prescreen.storage.remote import find_files, is_url, read, version

MAX_BYTES = 512 << 20
"""Files larger than this are not read."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".png", ".apng", ".webp", ".gif", ".avif", ".avifs"}
    | {".heic", ".heif", ".hif", ".bmp", ".dib", ".tif", ".tiff", ".jp2", ".jxl"}
)
"""Names that claim to be a picture. What is in the file decides whether it is one."""

_REASONS = {
    errno.ENOENT: "file vanished",
    errno.ENOTDIR: "file vanished",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ELOOP: "symbolic-link loop",
}


LEADS_OUT: Final = "link leads out of the folder; score and embed follow it with --follow-links"
"""Reason of a link whose target is in none of the folders that were given."""

FileKey = tuple[bytes, int, int, int]
"""What tells whether a file is the one that was read before: path, size, time of change, inode; see `file_key`."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that claims to be a picture.

    Parameters
    ----------
    path : Path or str
        Absolute path, or a URL.
    name : str
        POSIX path relative to the folder that was given; for a single file its name.
    problem : str or None
        Why it cannot even be read: set for a folder that could not be listed.
    """

    path: Path | str
    name: str
    problem: str | None = None


class ImageFiles(Sequence[ImageFile]):
    """Pictures below one folder, sorted by name; only the names are in memory.

    Parameters
    ----------
    base : Path or str
        The folder: an absolute path, or a URL.
    names : list of str
        Their POSIX paths relative to it, sorted.
    problems : mapping of str to str
        Name to why it cannot even be read.
    """

    def __init__(self, base: Path | str, names: list[str], problems: Mapping[str, str]) -> None:
        self.base = base
        self.names = names
        self.problems = problems

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> ImageFile: ...

    @overload
    def __getitem__(self, index: slice) -> "ImageFiles": ...

    def __getitem__(self, index: int | slice) -> "ImageFile | ImageFiles":
        if isinstance(index, slice):
            return ImageFiles(self.base, self.names[index], self.problems)
        name = self.names[index]
        path = f"{self.base}/{name}" if isinstance(self.base, str) else self.base / name
        return ImageFile(path, name, self.problems.get(name))


def find_images(inputs: Sequence[Path | str], *, follow_links: bool = False, gone_ok: bool = False) -> ImageFiles:
    """List the pictures in folders, and files given one by one, sorted by name.

    Folders are searched to the bottom. Hidden files and folders, and files without a picture's extension, are left
    out; a file that is given itself is always listed. Each real folder is listed once: a symbolic link to one that is
    listed already (a loop is such a link) and a folder that cannot be read are entries with a ``problem``. So is a link
    in a folder, to a file or to another folder, whose target lies in none of the folders given: whoever made the folder
    could have any picture of this machine scored. What is given may itself be a link.

    Names are relative to the folder given. With several inputs they are relative to the deepest folder that holds all
    of them, so that they are unique and do not depend on the order of the inputs.

    Parameters
    ----------
    inputs : sequence of Path or str
        Folders and files of this machine, or one URL that fsspec knows (``s3://bucket/folder``).
    follow_links : bool
        Follow links that lead out of the folders, too.
    gone_ok : bool
        Inputs of this machine may be gone; what is in the others keeps its name.

    Raises
    ------
    UsageError
        An input that is empty or does not exist, or a URL beside other inputs.
    """
    urls = [str(given) for given in inputs if is_url(given)]
    if urls:
        if len(inputs) > 1:
            raise UsageError(f"{urls[0]}: a URL is given alone; score one folder after the other")
        return _find_remote(urls[0])
    roots = [Path(os.path.abspath(given)) for given in inputs]
    if not all(str(given).strip() for given in inputs):
        raise UsageError("an empty path among the inputs; give a folder or a file, or . for this folder")
    gone = [given for given, root in zip(inputs, roots, strict=True) if not os.path.exists(root)]
    if gone and not gone_ok:
        raise UsageError(f"{gone[0]}: no such file or folder")
    if not roots:
        return ImageFiles(Path(), [], {})
    base = Path(os.path.commonpath(roots))
    if not base.is_dir():
        base = base.parent
    names: set[str] = set()
    problems: dict[str, str] = {}
    inside = None if follow_links else tuple(os.path.realpath(root) for root in roots if os.path.isdir(root))
    for root in filter(os.path.exists, roots):
        for path, problem in _walk(str(root), inside) if os.path.isdir(root) else [(str(root), None)]:
            name = _below(base, path)
            if problem is not None and name not in names:
                problems[name] = problem
            names.add(name)
    return ImageFiles(base, sorted(names), problems)


def _find_remote(url: str) -> ImageFiles:
    base, found = find_files(url)
    names = [name for name in found if _is_listed(name)]
    return ImageFiles(base, sorted(names), {})


def _below(base: Path, path: str) -> str:
    """Return the POSIX path from a folder to what is in it, or ``.`` for the folder itself."""
    start = len(str(base).rstrip(os.sep)) + 1
    return path[start:].replace(os.sep, "/") or "."


def _walk(root: str, inside: Sequence[str] | None) -> Iterator[tuple[str, str | None]]:
    """Pictures below a folder. Links to folders come last, so that a real folder keeps its own name.

    Parameters
    ----------
    root : str
        The folder.
    inside : sequence of str or None
        Real paths of the folders in one of which the target of a link must be; None if it may be anywhere.
    """
    seen: set[tuple[int, int]] = set()
    folders, links = [root], list[str]()
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                yield folder, "symbolic link to a folder that is listed already"
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listing:
                entries = sorted((entry for entry in listing if not entry.name.startswith(".")), key=_name)
        except OSError as error:
            yield folder, f"folder cannot be read: {_reason(error)}"
            continue
        for entry in entries:
            if _is_folder(entry):
                if inside is not None and entry.is_symlink() and not _is_inside(entry.path, inside):
                    yield entry.path, LEADS_OUT
                else:
                    (links if entry.is_symlink() else folders).append(entry.path)
            elif _is_listed(entry.name):
                out = inside is not None and entry.is_symlink() and not _is_inside(entry.path, inside)
                yield entry.path, LEADS_OUT if out else None


def _is_inside(link: str, folders: Sequence[str]) -> bool:
    """Tell whether the end of a chain of links is in one of the folders; a link to itself leads nowhere."""
    target = os.path.realpath(link)
    return any(os.path.commonpath((folder, target)) == folder for folder in folders)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _is_listed(name: str) -> bool:
    """Tell a picture by its name, none of whose parts is hidden."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not any(part.startswith(".") for part in name.split("/"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or into a folder that is closed to us: reading it will tell
        return False


def read_bytes(file: ImageFile) -> bytes:
    """Read a file at once.

    Raises
    ------
    PictureError
        It vanished, may not be read, is empty, is too large or is no plain file (a pipe would never end).
    """
    if file.problem:
        raise PictureError(file.problem, PictureFault.LINK if file.problem == LEADS_OUT else PictureFault.UNREADABLE)
    data = read(file.path, MAX_BYTES) if isinstance(file.path, str) else _read_local(file.path)
    if not data:
        raise PictureError("empty file", PictureFault.EMPTY)
    return data


def _read_local(path: Path) -> bytes:
    try:
        return read_bounded(path, MAX_BYTES)
    except IsADirectoryError:
        raise PictureError("not a plain file") from None
    except OSError as error:
        fault = PictureFault.TOO_LARGE if error.errno == errno.EFBIG else PictureFault.UNREADABLE
        raise PictureError(_reason(error), fault) from None


def file_key(file: ImageFile) -> FileKey | None:
    """Return what changes when a file does, without reading it; None if that cannot be known, or must not be read."""
    if file.problem:  # what the cache knows of the target of a link is not available through it either
        return None
    if isinstance(file.path, str):
        known = version(file.path)
        return known and (file.path.encode("utf-8", "surrogateescape"), known[0], 0, known[1])
    try:
        status = file.path.stat()
        place = os.fsencode(file.path.resolve())
    except OSError:  # why, reading it will tell
        return None
    return place, status.st_size, status.st_mtime_ns, status.st_ino


def content_hash(data: bytes) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__
