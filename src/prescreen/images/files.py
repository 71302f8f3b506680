"""Find image files and read their bytes; `prescreen.images.decoding` decodes them."""

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
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
"""Endings of files that are listed; their content decides the format."""

_REASONS = {
    errno.ENOENT: "file vanished",
    errno.ENOTDIR: "file vanished",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ELOOP: "symbolic-link loop",
}

LEADS_OUT: Final = "link leads out of the folder; score and embed follow it with --follow-links"
"""Reason of a link whose target is in none of the folders that were given."""

PICK_NOTE: Final = "prescreen-pick.json"
"""The note in a folder that ``prescreen pick`` wrote. Pictures there are copies, so such a folder is not searched."""

FileKey = tuple[bytes, int, int, int]
"""Path, size, time of change and inode of a file: changes when the file does."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file by its absolute path or URL and its name, a POSIX path relative to the folder that was given.

    The problem says why it cannot be read, for instance of a folder that could not be listed.
    """

    path: Path | str
    name: str
    problem: str | None = None


class ImageFiles(Sequence[ImageFile]):
    """Pictures in a folder (absolute path or URL) by their sorted names; only the names are in memory.

    The problems say for some names why the file cannot be read.
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

    Folders are searched to the bottom. Hidden files and folders, folders in them that ``prescreen pick`` wrote (their
    pictures are copies), and files without a picture's extension are left out; what is given itself is always listed.
    A folder is listed once: links to folders that are listed already, and folders that cannot be read, are entries
    with a ``problem``. So are links in a folder whose target is in none of the given folders: whoever made the folder
    could have any picture of this machine scored. A given path may itself be a link.

    Names are relative to the folder given. With several inputs they are relative to the deepest folder that holds all
    of them, so that they are unique and do not depend on the order of the inputs.

    Parameters
    ----------
    inputs : sequence of Path or str
        Folders and files of this machine, or one URL that fsspec knows (``s3://bucket/folder``).
    follow_links : bool
        Also follow links that lead out of the folders.
    gone_ok : bool
        Skip inputs of this machine that are gone; names are as if they were there.

    Raises
    ------
    UsageError
        An input that is empty or does not exist, or a URL with other inputs.
    """
    urls = [str(given) for given in inputs if is_url(given)]
    if urls:
        if len(inputs) > 1:
            raise UsageError(f"{urls[0]}: a URL is given alone; score one folder after the other")
        folder, found = find_files(urls[0])
        return ImageFiles(folder, sorted(filter(_is_listed, found)), {})
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
    start = len(str(base).rstrip("/")) + 1
    names: set[str] = set()
    problems: dict[str, str] = {}
    inside = None if follow_links else tuple(os.path.realpath(root) for root in roots if os.path.isdir(root))
    for root in filter(os.path.exists, roots):
        for path, problem in _walk(str(root), inside) if os.path.isdir(root) else [(str(root), None)]:
            name = path[start:] or "."
            if problem is not None and name not in names:
                problems[name] = problem
            names.add(name)
    return ImageFiles(base, sorted(names), problems)


def _walk(root: str, inside: Sequence[str] | None) -> Iterator[tuple[str, str | None]]:
    """Yield the pictures in a folder and their problems, links to folders last: a real folder keeps its own name.

    Targets of links must be in one of the real paths `inside`, if these are given.
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
                entries = sorted((entry for entry in listing if not entry.name.startswith(".")), key=attrgetter("name"))
            if folder != root and any(entry.name == PICK_NOTE for entry in entries):
                continue
        except OSError as error:
            yield folder, f"folder cannot be read: {_reason(error)}"
            continue
        for entry in entries:
            is_folder = _is_folder(entry)
            leads_out = inside is not None and entry.is_symlink() and not _is_inside(entry.path, inside)
            if is_folder and not leads_out:
                (links if entry.is_symlink() else folders).append(entry.path)
            elif is_folder or _is_listed(entry.name):
                yield entry.path, LEADS_OUT if leads_out else None


def _is_inside(link: str, folders: Sequence[str]) -> bool:
    """Tell whether a chain of links ends in one of the folders."""
    target = os.path.realpath(link)
    return any(os.path.commonpath((folder, target)) == folder for folder in folders)


def _is_listed(name: str) -> bool:
    """Tell a picture by its path, which has no hidden part."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not any(part.startswith(".") for part in name.split("/"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # reading it gives the reason
        return False


def read_bytes(file: ImageFile) -> bytes:
    """Read a file at once.

    Raises
    ------
    PictureError
        It vanished, may not be read, is empty, is too large or is not a plain file.
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
    """Return what changes when a file does, without reading it; None if it is unknown or the file has a problem."""
    if file.problem:  # the cache must not lead out of the folder either
        return None
    if isinstance(file.path, str):
        known = version(file.path)
        return known and (file.path.encode("utf-8", "surrogateescape"), known[0], 0, known[1])
    try:
        status = file.path.stat()
        place = os.fsencode(file.path.resolve())
    except OSError:  # reading it gives the reason
        return None
    return place, status.st_size, status.st_mtime_ns, status.st_ino


def content_hash(data: bytes) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__
