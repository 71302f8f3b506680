"""Files of repositories on the Hugging Face hub: in its cache on this machine, or fetched into it.

The cache is that of the hub's own client, whose layout, locks and variables (``HF_HOME``, ``HF_HUB_CACHE``,
``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HUB_OFFLINE``) hold here. Files are not fetched with that client: it starts anew
after a kill, does not compare what arrived with its name, and draws its progress on the terminal itself.
"""

import contextlib
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

from prescreen.encoders import hub_requests
from prescreen.encoders.hub_requests import AGAIN, NoSuchFile, RemoteFile, RequestFailed
from prescreen.errors import WeightsNotFound
from prescreen.progress import ProgressReporter, receiver
from prescreen.storage.atomic import write_text_atomic
from prescreen.text import describe_size, shown

T = TypeVar("T")

MOVES: Final = "HF_HUB_CACHE or HF_HOME moves it"

_TRIES: Final = 4
"""Tries in a row that bring nothing."""
_LONGEST_WAIT: Final = 300.0
"""Seconds; the hub counts requests in windows of five minutes."""
_MB: Final = 10**6
_SHA256: Final = re.compile("[0-9a-f]{64}")
_SHA1: Final = re.compile("[0-9a-f]{40}")


class NotThere(WeightsNotFound):
    """The repository is there, and has no file of these names."""


def place_of(configuration: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the repository of a tag, and the names that its weights may have there, the preferred one first."""
    repository, _, name = configuration.get("hf_hub", "").rpartition("/")
    if name:
        return repository, (Path(name).with_suffix(".safetensors").name, name)
    return repository, ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def revision_of(file: Path) -> str:
    """Return the commit of the repository that a file of the hub's cache comes from."""
    return file.parent.name if _SHA1.fullmatch(file.parent.name) else ""


def cached(repository: str, names: tuple[str, ...], revision: str = "") -> Path | None:
    """Return the file that the hub's cache on this machine has, in a revision or the latest; or None."""
    import huggingface_hub

    for name in names if repository else ():
        found = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def find(repository: str, names: tuple[str, ...], revision: str = "") -> RemoteFile:
    """Ask the hub for the first of these names that a repository has.

    Parameters
    ----------
    repository : str
        ``OWNER/NAME``.
    names : tuple of str
        Paths of files in it, the preferred one first.
    revision : str
        Branch, tag or commit; by default the latest.

    Raises
    ------
    WeightsNotFound
        If the hub cannot be asked or has none of them: with the reason and what to do about it.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise WeightsNotFound(f"{repository}: not fetched, since HF_HUB_OFFLINE is set; unset it to fetch it once")
    for name in names if repository else ():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise WeightsNotFound(f"{repository}: {shown(name)} is no name of a file in it")
        try:
            return _patiently(partial(hub_requests.describe, repository, name, revision))
        except NoSuchFile:
            continue
        except RequestFailed as failure:
            raise WeightsNotFound(str(failure)) from failure
    if not repository:
        raise WeightsNotFound("the hub has no weights under this name")
    raise NotThere(f"{hub_requests.page_of(repository)}: has no {' or '.join(names)} (404); look what is there")


def fetch(repository: str, names: tuple[str, ...], revision: str = "") -> Path:
    """Fetch the first of these names that a repository has into the hub's cache, and check its content.

    Size, place and progress are told to `prescreen.progress.receiver`. What an earlier run, or another process at the
    same time, has fetched is not fetched again.

    Parameters
    ----------
    repository, names, revision
        As in `find`.

    Returns
    -------
    Path
        In a folder that is named after the commit.

    Raises
    ------
    WeightsNotFound
        If it cannot be fetched, there is no room for it, or it arrived damaged.
    """
    return take(find(repository, names, revision), revision)


def take(remote: RemoteFile, revision: str = "") -> Path:
    """Fetch a file that `find` found, as `fetch` does; its commit becomes what the cache knows as the revision."""
    folder, blob = _folder(remote), _blob(remote)
    lock = cache_directory() / ".locks" / folder.name / f"{remote.etag}.lock"
    pointer = folder / "snapshots" / remote.commit / remote.name
    try:
        for place in (lock, blob, pointer):
            place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(lock):
            if not blob.is_file() and not pointer.is_file():
                _download(remote, blob)
            if not pointer.is_file():
                _point(pointer, blob)
        if not _SHA1.fullmatch(revision):
            write_text_atomic(folder / "refs" / (revision or "main"), remote.commit)
    except OSError as error:
        raise WeightsNotFound(
            f"{shown(error.filename or folder)}: cannot be written ({error.strerror}); {MOVES}"
        ) from error
    return pointer


def bytes_here(remote: RemoteFile) -> int:
    """Return how much of a file earlier runs have fetched; of a file whose size is not known, nothing counts."""
    unfinished = _unfinished(_blob(remote))
    have = unfinished.stat().st_size if unfinished.is_file() else 0
    return have if have <= (remote.size or 0) else 0


def cache_directory() -> Path:
    """Return the folder of the hub's cache, which need not be there."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def free_bytes(place: Path) -> int:
    """Return how much more fits onto the disk of a folder, which need not be there."""
    there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free


def refuse_damaged(file: Path, sha256: str) -> None:
    """Remove and refuse a file of the hub's cache whose content is not what its name says.

    Parameters
    ----------
    file : Path
        Any file; those outside of the hub's cache are not named after their content.
    sha256 : str
        What it hashes to.

    Raises
    ------
    WeightsNotFound
        If it is damaged.
    """
    blob = file.resolve()
    if file.is_symlink() and blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name) and blob.name != sha256:
        damaged = f"{shown(blob)}: damaged since it was fetched (it hashes to {sha256[:12]}…)"
        try:
            blob.unlink(missing_ok=True)
        except OSError as error:
            raise WeightsNotFound(f"{damaged}, and cannot be removed ({error.strerror}); remove it") from error
        raise WeightsNotFound(f"{damaged}, so it is removed; run the same command again to fetch it anew")


def _folder(remote: RemoteFile) -> Path:
    return cache_directory() / f"models--{remote.repository.replace('/', '--')}"


def _blob(remote: RemoteFile) -> Path:
    """Return where the content of a file is kept, by its name."""
    return _folder(remote) / "blobs" / remote.etag


def _unfinished(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.incomplete")


def _download(remote: RemoteFile, blob: Path) -> None:
    """Fetch a file into the cache, from where an earlier run stopped, and check it. Only for the owner of its lock."""
    reporter, place = receiver(), cache_directory()
    unfinished = _unfinished(blob)
    unfinished.touch()
    have, free = bytes_here(remote), free_bytes(place)
    size = describe_size(remote.size)
    if (remote.size or 0) - have > free:
        raise WeightsNotFound(
            f"{remote.repository}: {remote.name} has {size}, and {describe_size(free)} are free in {shown(place)}; "
            "make room, or name a folder on another disk with HF_HUB_CACHE or HF_HOME"
        )
    onward = f", {describe_size(have)} of it are here already" if have else ""
    tell = reporter.info if remote.size is None or remote.size >= _MB else reporter.detail
    tell(
        f"download   {remote.name} of {remote.repository}: {size}{onward}, from {remote.host} into {shown(place)} "
        f"({describe_size(free)} free; {MOVES})"
    )
    try:
        _patiently(partial(_receive, remote, unfinished, reporter), lambda: unfinished.stat().st_size)
    except RequestFailed as failure:
        kept = unfinished.stat().st_size
        if not (failure.passing and kept):
            raise WeightsNotFound(str(failure)) from failure
        raise WeightsNotFound(
            f"{failure.asked}: {failure.what}; {describe_size(kept)} of {size} are kept; {AGAIN}"
        ) from failure
    if not _is_named(unfinished, remote.etag):
        unfinished.unlink()
        raise WeightsNotFound(
            f"{remote.repository}: {remote.name} arrived damaged: its content is not the one that {remote.host} names "
            f"({remote.etag[:12]}…), so it is removed; run the same command again to fetch it anew"
        )
    os.replace(unfinished, blob)


def _receive(remote: RemoteFile, unfinished: Path, reporter: ProgressReporter) -> None:
    """Fetch what is not there of a file."""
    have = bytes_here(remote)
    if have == remote.size:
        return
    with unfinished.open("r+b") as file:
        steps = max(0, (remote.size or 0) // _MB - have // _MB)
        with reporter.progress("fetching", steps, " MB") as step:
            for now in hub_requests.receive(remote, file, have):
                for _ in range(have // _MB, now // _MB):
                    step()
                have = now


def _patiently(action: Callable[[], T], arrived: Callable[[], int] = lambda: 0) -> T:
    """Do something again while failures pass, after the pause that the server asks for or growing ones."""
    tries, before = 0, arrived()
    while True:
        try:
            return action()
        except RequestFailed as failure:
            now = arrived()
            tries, before = (1 if now >= before + _MB else tries + 1), now
            wait = 2.0 ** (tries - 1) if failure.wait is None else failure.wait
            if not failure.passing or tries >= _TRIES:
                raise
            if wait > _LONGEST_WAIT:
                what = f"{failure.what} and asks to wait {wait:.0f} seconds"
                raise RequestFailed(failure.asked, what, "run the same command again then") from failure
            receiver().info(f"download   {failure.what}; tries again in {wait:.0f} s")
            time.sleep(wait)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep out other processes, those of the hub's client included; say so if another one is there."""
    from filelock import FileLock, Timeout
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    with contextlib.suppress(NotImplementedError):  # such a disk gets another kind of lock below
        try:
            with FileLock(lock, timeout=0, mode=0o664):
                pass
        except Timeout:
            receiver().info("download   another process is at it: waits for it")
    with WeakFileLock(lock):
        yield


def _point(pointer: Path, blob: Path) -> None:
    """Let a revision have a file; where links cannot be made, it is moved there."""
    pointer.unlink(missing_ok=True)
    try:
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except (OSError, NotImplementedError):
        os.replace(blob, pointer)


def _is_named(file: Path, etag: str) -> bool:
    """Tell whether a content has that name: a SHA-256, or the SHA-1 of it or of its Git blob; no other can be told."""
    if _SHA256.fullmatch(etag):
        digests = [hashlib.sha256()]
    elif _SHA1.fullmatch(etag):
        digests = [hashlib.sha1(), hashlib.sha1(b"blob %d\0" % file.stat().st_size)]
    else:
        return True
    with file.open("rb") as content:
        while piece := content.read(_MB):
            for digest in digests:
                digest.update(piece)
    return etag in (digest.hexdigest() for digest in digests)
