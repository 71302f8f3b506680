"""Files and folders on disk that are the old ones or the whole new ones at any time, whenever the power goes.

What is written gets a temporary name in the target's folder, is forced to the disk and then takes the target's name in
one step. Its writer holds a lock on it meanwhile, which ends with the process: a temporary that nobody holds was left
by a run that was killed, and the next write into that folder removes it. No clock and no process number is asked.

Who may read what is written: a file or folder that replaces another keeps its permissions. A new one has those that the
user's umask gives, but in a folder for everybody (as ``/tmp``) it is for this user alone.
"""

import contextlib
import ctypes
import enum
import errno
import hashlib
import io
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
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_ATTEMPTS: Final = 10
_TAKEN: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST})
_UNKNOWN: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM})

if sys.platform != "win32":
    import fcntl


def write_text_atomic(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8 with the guarantees of :func:`write_bytes_atomic`."""
    write_bytes_atomic(path, text.encode())


def write_bytes_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that a crash or a full disk leaves the old one; missing folders are made.

    Raises
    ------
    PrescreenError
        If the file cannot be written.
    """
    write_files_atomic({Path(path): data})


def write_files_atomic(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: all their content is on the disk before the first takes its place.

    A full disk or a folder that may not be written leaves all the old ones. A kill in the moment between two renames
    leaves some old and some new, each whole; they are replaced in the order given.

    Raises
    ------
    PrescreenError
        If one cannot be written; names it.
    """
    with contextlib.ExitStack() as stack:
        ready = []
        for path, data in files.items():
            target = Path(os.path.realpath(path))
            try:
                _ensure_parent(target)
                temporary, descriptor = stack.enter_context(_temporary(target.parent, folder=False))
                _keep_permissions(target, temporary)
                _write_out(descriptor, data)
            except OSError as error:
                raise _failure(path, error, "nothing was changed") from error
            ready.append((path, target, temporary))
        for done, (path, target, temporary) in enumerate(ready):
            try:
                os.replace(temporary, target)
                _sync_folder(target.parent)
            except OSError as error:
                remains = "nothing was changed" if not done else "the files before it were written"
                raise _failure(path, error, remains) from error


def write_new_file(path: Path, data: bytes) -> bool:
    """Write a file that is not there yet, in one step; one that is there, or that another run makes meanwhile, stays.

    Returns
    -------
    bool
        Whether it was written.

    Raises
    ------
    PrescreenError
        If it cannot be written; missing folders are made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path.parent, folder=False) as (temporary, descriptor):
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
    except OSError as error:
        raise _failure(path, error, "nothing was changed") from error
    return True


class StagedFile(io.RawIOBase):
    """A file that is written part by part and takes its place at the end; made by `stage_file`."""

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
        """SHA-256 of what was written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the number of bytes written so far."""
        return self._size

    def write(self, data: Any) -> int:
        """Append bytes, all of them.

        Raises
        ------
        PrescreenError
            If they cannot be written.
        """
        view = memoryview(data).cast("B")
        try:
            _append(self._descriptor, view)
        except OSError as error:
            raise _failure(self._path, error, "nothing was changed") from error
        self._digest.update(view)
        self._size += len(view)
        return len(view)

    def abandon(self) -> None:
        """Let nothing more be written: the number of the descriptor may soon be another file's."""
        self._descriptor = -1

    def commit(self) -> None:
        """Force the content to the disk and give the file its name.

        Raises
        ------
        PrescreenError
            If that cannot be done.
        """
        try:
            os.fsync(self._descriptor)
            os.replace(self._temporary, self._target)
            _sync_folder(self._target.parent)
        except OSError as error:
            raise _failure(self._path, error, "nothing was changed") from error


@contextlib.contextmanager
def stage_file(path: str | os.PathLike[str]) -> Iterator[StagedFile]:
    """Open a file that is written part by part; without `StagedFile.commit` the old one stays.

    Raises
    ------
    PrescreenError
        If it cannot be written; missing folders are made.
    """
    target = Path(os.path.realpath(path))
    with contextlib.ExitStack() as stack:
        try:
            _ensure_parent(target)
            temporary, descriptor = stack.enter_context(_temporary(target.parent, folder=False))
            _keep_permissions(target, temporary)
        except OSError as error:
            raise _failure(path, error, "nothing was changed") from error
        staged = StagedFile(Path(path), target, temporary, descriptor)
        try:
            yield staged
        finally:
            staged.abandon()


def _ensure_parent(target: Path) -> None:
    """Make the folders above a file that is to be written.

    Raises
    ------
    OSError
        If that cannot be done, or a folder, a device or a pipe has the name: a file in its place would destroy it; or
        the name is a link that leads to itself.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "not a plain file")


def replace_folder(directory: Path, files: Mapping[str, bytes], can_replace: Callable[[Path], bool]) -> None:
    """Put a folder of files in the place of an older one, in one step where the system can exchange two names.

    Where it cannot (only Linux can), the older folder stands as ``.NAME.previous`` for a moment, and
    `recover_folder` brings it back after a kill in that moment.

    Parameters
    ----------
    directory : Path
        The place; a symbolic link is followed.
    files : mapping of str to bytes
        Name to content.
    can_replace : callable
        Whether what stands there, given its path, may be removed; asked of what was really replaced.

    Raises
    ------
    FileExistsError
        If something stands there that may not go; it stays.
    OSError
        If the folder cannot be written; the older one stays.
    """
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
    """Make a folder to be filled, and what puts it in the place of an older one; `replace_folder` says how.

    Yields
    ------
    (Path, callable)
        The folder under a temporary name, and what is called when all its files are on the disk.
    """
    target = Path(os.path.realpath(directory))
    recover_folder(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(target.parent, folder=True) as (temporary, descriptor):
        _keep_permissions(target, temporary)

        def commit() -> None:
            if sys.platform != "win32":
                os.fsync(descriptor)
            _replace(temporary, target, can_replace)
            _sync_folder(target.parent)

        yield temporary, commit


def recover_folder(directory: Path) -> None:
    """Bring back a folder that a kill left under its temporary name; does nothing where all is well."""
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
        if can_replace(new):  # where the new folder was stands now what was replaced
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
def _temporary(place: Path, *, folder: bool) -> Iterator[tuple[Path, int]]:
    """Make a locked temporary file or folder, after those that killed runs left; removed unless it was renamed."""
    _sweep(place)
    alone = _is_for_everybody(place)
    while True:
        path = place / f".prescreen-{secrets.token_hex(8)}.tmp"
        if folder:
            path.mkdir(0o700 if alone else 0o777)
        try:
            descriptor = _open_folder(path) if folder else os.open(path, _NEW_FILE, 0o600 if alone else 0o666)
        except FileNotFoundError:
            if folder and place.is_dir():
                continue  # swept by another run before it was locked
            raise
        if _lock(descriptor) is not _Lock.OTHERS and os.path.lexists(path):
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
    if sys.platform != "win32":
        temporary.chmod((mode | 0o700 if temporary.is_dir() else mode) & 0o777)


def _sweep(place: Path) -> None:
    """Remove temporaries that nobody holds."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError), os.scandir(place) as listing:
        for entry in listing:
            if not _TEMPORARY.fullmatch(entry.name) or entry.is_symlink():
                continue
            with contextlib.suppress(OSError):
                descriptor = os.open(entry.path, os.O_RDONLY)
                try:
                    if _lock(descriptor) is _Lock.OURS:
                        _remove(Path(entry.path))
                finally:
                    os.close(descriptor)


class _Lock(enum.Enum):
    OURS = enum.auto()
    OTHERS = enum.auto()
    NONE = enum.auto()  # the file system has no locks; nothing is swept on it


def _lock(descriptor: int) -> _Lock:
    if sys.platform == "win32":
        return _Lock.NONE
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _Lock.OTHERS
    except OSError:
        return _Lock.NONE
    return _Lock.OURS


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


def _open_folder(folder: Path) -> int:
    """Open a folder to lock it or to force its listing to the disk; Windows can do neither, and opens nothing."""
    return os.open(os.devnull if sys.platform == "win32" else folder, os.O_RDONLY)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = _open_folder(folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failure(path: str | os.PathLike[str], error: OSError, remains: str) -> PrescreenError:
    return PrescreenError(f"{shown(path)}: cannot be written ({error.strerror}); {remains}")
