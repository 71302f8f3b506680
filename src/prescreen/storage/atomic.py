"""Write files and folders so that the old one or the whole new one is there at any time, even after a power failure.

New content gets a temporary name in the target's folder, is forced to the disk and is then renamed to the target in one
step. Its writer holds a lock on the temporary until the process ends: one without a lock was left by a killed run, and
the next write into that folder removes it.

A file or folder that replaces another keeps its permissions. A new one has those of the user's umask, but in a folder
for everybody (such as ``/tmp``) only this user may read it.
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import io
import itertools
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from prescreen.errors import PrescreenError
from prescreen.text import shown

_TEMPORARY: Final = re.compile(r"\.prescreen-[0-9a-f]{16}\.tmp")
_EXCHANGE: Final = 2  # RENAME_EXCHANGE of Linux
_HERE: Final = -100  # AT_FDCWD
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_ATTEMPTS: Final = 10
_UNCHANGED: Final = "nothing was changed"
_TAKEN: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST})
_UNKNOWN: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM})


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8, as `write_bytes_atomic` does."""
    write_bytes_atomic(path, text.encode())


def write_bytes_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that a crash or a full disk leaves the old one; see `write_files_atomic`."""
    write_files_atomic({Path(path): data})


def write_files_atomic(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together, and missing folders: all content is on the disk before the first is renamed.

    A full disk or a folder that may not be written leaves all the old ones. A kill between two renames leaves some old
    and some new, each whole; they are replaced in the order given.

    Raises
    ------
    PrescreenError
        If one cannot be written; names it.
    """
    with contextlib.ExitStack() as stack:
        staged = []
        for path, data in files.items():
            file = stack.enter_context(stage_file(path))
            file.write(data)
            file.sync()
            staged.append(file)
        for done, file in enumerate(staged):
            file.rename("the files before it were written" if done else _UNCHANGED)


def write_new_file(path: Path, data: bytes, *, private: bool = False) -> bool:
    """Write a file in one step unless it exists; one that another run makes meanwhile stays, too.

    Parameters
    ----------
    path, data
        The file, whose missing folders are made, and its content.
    private : bool
        Only this user may read it, at any umask.

    Returns
    -------
    bool
        Whether it was written.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path.parent, folder=False, private=private) as (temporary, descriptor):
        _write_out(descriptor, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links: two runs may still meet between these two steps
            if os.path.lexists(path):
                return False
            temporary.rename(path)
        _sync_folder(path.parent)
    return True


class StagedFile(io.RawIOBase):
    """A file written part by part under a temporary name; its methods raise `PrescreenError` if that fails."""

    def __init__(self, path: Path, target: Path, temporary: Path, descriptor: int) -> None:
        super().__init__()
        self._path = path
        self._target = target
        self._temporary = temporary
        self._descriptor = descriptor
        self._size = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the number of bytes written so far."""
        return self._size

    def write(self, data: Any) -> int:
        """Append bytes, all of them."""
        view = memoryview(data).cast("B")
        with reporting_failure(self._path):
            _append(self._descriptor, view)
        self._digest.update(view)
        self._size += len(view)
        return len(view)

    def sync(self) -> None:
        """Force the content to the disk."""
        with reporting_failure(self._path):
            os.fsync(self._descriptor)

    def commit(self) -> None:
        """Force the content to the disk and give the file its name."""
        self.sync()
        self.rename()

    def rename(self, remains: str = _UNCHANGED) -> None:
        """Give the file, whose content is on the disk, its name; if that fails, the error says what remains."""
        with reporting_failure(self._path, remains):
            os.replace(self._temporary, self._target)
            _sync_folder(self._target.parent)

    def abandon(self) -> None:
        """Let nothing more be written: the number of the descriptor may soon be another file's."""
        self._descriptor = -1


@contextlib.contextmanager
def stage_file(path: str | os.PathLike[str]) -> Iterator[StagedFile]:
    """Open a file to be written part by part, and missing folders; without `StagedFile.commit` the old one stays."""
    target = Path(os.path.realpath(path))
    with contextlib.ExitStack() as stack:
        with reporting_failure(path):
            _ensure_parent(target)
            temporary, descriptor = stack.enter_context(_temporary(target.parent, folder=False))
            _keep_permissions(target, temporary)
        staged = StagedFile(Path(path), target, temporary, descriptor)
        try:
            yield staged
        finally:
            staged.abandon()


@contextlib.contextmanager
def reporting_failure(path: str | os.PathLike[str], remains: str = _UNCHANGED) -> Iterator[None]:
    """Turn an OSError on writing a file or folder into a `PrescreenError` that names it and says what remains."""
    try:
        yield
    except OSError as error:
        raise PrescreenError(f"{shown(path)}: cannot be written ({error.strerror}); {remains}") from error


def _ensure_parent(target: Path) -> None:
    """Make the folders above a file; refuse a folder, device or pipe in its place, and a link that leads to itself."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "not a plain file")


def replace_folder(directory: Path, files: Mapping[str, bytes], can_replace: Callable[[Path], bool]) -> None:
    """Write a folder of files, which replaces an older one; see `stage_folder`."""
    with stage_folder(directory, can_replace) as (temporary, commit):
        for name, data in files.items():
            handle = os.open(temporary / name, _NEW_FILE, 0o666)
            try:
                _write_out(handle, data)
            finally:
                os.close(handle)
        commit()


@contextlib.contextmanager
def stage_folder(directory: Path, can_replace: Callable[[Path], bool]) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Make a folder to be filled, which then replaces an older one.

    On Linux the two names are exchanged in one step, if the file system can. Elsewhere the older folder is named
    ``.NAME.previous`` for a moment, and `recover_folder` brings it back after a kill in that moment.

    Parameters
    ----------
    directory : Path
        The target; a symbolic link is followed.
    can_replace : callable
        Whether the older folder, given its path, may be removed; called with what was really replaced.

    Yields
    ------
    (Path, callable)
        The folder under a temporary name, and a function to call when all its files are on the disk.

    Raises
    ------
    FileExistsError
        If the target may not be replaced; it stays.
    OSError
        If the folder cannot be written; the older one stays.
    """
    target = Path(os.path.realpath(directory))
    recover_folder(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(target.parent, folder=True) as (temporary, _):
        _keep_permissions(target, temporary)

        def commit() -> None:
            _sync_folder(temporary)
            _replace(temporary, target, can_replace)
            _sync_folder(target.parent)

        yield temporary, commit


def recover_folder(directory: Path) -> None:
    """Bring back a folder that a kill left as ``.NAME.previous``."""
    previous = _previous(directory)
    if os.path.lexists(previous) and not os.path.lexists(directory):
        with contextlib.suppress(OSError):  # another run was faster, or the folder may not be written
            previous.rename(directory)


def _replace(new: Path, target: Path, can_replace: Callable[[Path], bool]) -> None:
    for _ in range(_ATTEMPTS):  # another run may take or clear the place between two steps
        try:
            if not os.path.lexists(target):
                new.rename(target)
                return
            if not _exchange(new, target):
                _replace_in_two_steps(new, target, can_replace)
                return
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            continue
        if can_replace(new):  # the older folder has this name now
            return
        _exchange(new, target)
        break
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))


def _replace_in_two_steps(new: Path, target: Path, can_replace: Callable[[Path], bool]) -> None:
    previous = _previous(target)
    if not can_replace(target):
        raise FileExistsError(errno.EPERM, os.strerror(errno.EEXIST), str(target))
    _remove(previous)
    target.rename(previous)
    try:
        new.rename(target)
    except BaseException:
        previous.rename(target)
        raise
    _remove(previous)


def _previous(directory: Path) -> Path:
    return directory.parent / f".{directory.name}.previous"


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(other))


@contextlib.contextmanager
def _temporary(place: Path, *, folder: bool, private: bool = False) -> Iterator[tuple[Path, int]]:
    """Make a locked temporary file or folder, after those that killed runs left; removed unless it was renamed."""
    _sweep(place)
    mode = (0o777 if folder else 0o666) & (0o700 if private or _is_for_everybody(place) else 0o777)
    for attempt in itertools.count(1):
        path = place / f".prescreen-{secrets.token_hex(8)}.tmp"
        try:
            if folder:
                path.mkdir(mode)
            descriptor = os.open(path, os.O_RDONLY if folder else _NEW_FILE, mode)
        except FileNotFoundError:
            if place.is_dir() and attempt < _ATTEMPTS:
                continue  # swept by another run before it was locked
            raise  # /proc and the like are folders that take no files
        if _lock(descriptor) is not False and os.path.lexists(path):
            break
        os.close(descriptor)  # it is being swept
    try:
        yield path, descriptor
    finally:
        _remove(path)
        os.close(descriptor)


def _is_for_everybody(place: Path) -> bool:
    """Tell a folder such as ``/tmp``: all users may write to it, and none may remove the others' files."""
    wanted = stat.S_IWOTH | stat.S_ISVTX
    return place.stat().st_mode & wanted == wanted


def _keep_permissions(target: Path, temporary: Path) -> None:
    """Give what is to replace a file or folder the permissions of that one, so that what was private stays private."""
    try:
        mode = stat.S_IMODE(target.stat().st_mode)
    except OSError:
        return
    temporary.chmod((mode | 0o700 if temporary.is_dir() else mode) & 0o777)


def _sweep(place: Path) -> None:
    """Remove temporaries that no process has locked."""
    with contextlib.suppress(OSError), os.scandir(place) as listing:
        for entry in listing:
            if not _TEMPORARY.fullmatch(entry.name) or entry.is_symlink():
                continue
            with contextlib.suppress(OSError):
                descriptor = os.open(entry.path, os.O_RDONLY)
                try:
                    if _lock(descriptor):
                        _remove(Path(entry.path))
                finally:
                    os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock a file; False if another process has it, None where the file system has no locks (nothing is swept then)."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _write_out(descriptor: int, data: bytes) -> None:
    _append(descriptor, memoryview(data))
    os.fsync(descriptor)


def _append(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
