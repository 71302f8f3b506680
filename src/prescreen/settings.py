"""What the environment sets: where the cache is, how large it may get, and how many processors a run may use."""

import contextlib
import functools
import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import platformdirs

from prescreen.errors import PrescreenError, UsageError
from prescreen.text import shown

PROCESSORS_VARIABLE: Final = "PRESCREEN_PROCESSORS"


def processors() -> int:
    """Return how many threads may compute at once.

    That is ``PRESCREEN_PROCESSORS``, or the number of processors that the system lets this process use. In a container
    these may be fewer than the machine has, or a share of their time (``docker --cpus``), which is rounded up.

    Raises
    ------
    UsageError
        If the variable is not a whole number from 1 up.
    """
    chosen = os.environ.get(PROCESSORS_VARIABLE)
    if chosen:
        if not chosen.isascii() or not chosen.isdigit() or int(chosen) < 1:
            raise UsageError(f"{PROCESSORS_VARIABLE}={chosen}: expected a whole number from 1 up")
        return int(chosen)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *map(math.ceil, _quotas())]))


def _quotas(root: Path = Path("/")) -> Iterator[float]:
    """Give the limits on processor time that Linux's control groups set for this process, in processors.

    A group has its own limit and those of all groups above it. Inside a container the groups may be named by
    their path outside, and only the uppermost is there to be read.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text("utf-8").splitlines():
            _, _, rest = line.partition(":")
            controllers, _, group = rest.partition(":")
            if controllers == "":
                mounts, read = ("sys/fs/cgroup", "sys/fs/cgroup/unified"), _quota
            elif "cpu" in controllers.split(","):
                mounts, read = (f"sys/fs/cgroup/{controllers}", "sys/fs/cgroup/cpu"), _first_quota
            else:
                continue
            for mount in mounts:
                place = Path(group.lstrip("/"))
                for part in (place, *place.parents):
                    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
                        if math.isfinite(quota := read(root / mount / part)):
                            yield quota


def _quota(folder: Path) -> float:
    """Read a limit of control groups of version 2: ``max 100000`` or ``200000 100000``."""
    quota, period = (folder / "cpu.max").read_text("utf-8").split()
    return math.inf if quota == "max" else int(quota) / int(period)


def _first_quota(folder: Path) -> float:
    """Read a limit of control groups of version 1, where -1 is none."""
    quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text("utf-8")) for name in ("quota", "period"))
    return quota / period if quota > 0 else math.inf


WEIGHTS_VARIABLE: Final = "PRESCREEN_WEIGHTS"
"""Names the file of a network's weights, or a folder that has it."""

CACHE_VARIABLE: Final = "PRESCREEN_CACHE"

LIMIT_VARIABLE: Final = "PRESCREEN_CACHE_LIMIT"


_OWN_FOLDER: Final = 0o700

_OURS: Final = re.compile(
    r"embeddings\.sqlite(-wal|-shm|-journal)?|\.prescreen-\S+|networks|canaries|runs|ballots|trained|matplotlib"
)
"""What prescreen makes in its cache folder."""

_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([kMGT]?)B?", re.IGNORECASE | re.ASCII)

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def cache_directory() -> Path:
    """Return the folder for what can be made again: ``PRESCREEN_CACHE`` or the user's cache folder.

    Raises
    ------
    UsageError
        If something that is no folder stands there, or the user has no home folder; names the variable.
    """
    place = _place()
    if place.startswith("~") or Path(os.devnull) in Path(place).parents:
        raise UsageError(f"this user has no home folder; name a folder for the cache with {CACHE_VARIABLE}")
    if os.path.exists(place) and not os.path.isdir(place):
        raise UsageError(f"{shown(place)}: not a folder; name another one for the cache with {CACHE_VARIABLE}")
    return Path(place)


def _place() -> str:
    chosen = os.environ.get(CACHE_VARIABLE)
    try:
        return os.path.expanduser(chosen) if chosen else platformdirs.user_cache_dir("prescreen")
    except RuntimeError:  # platformdirs knows of no home folder
        return "~"


def make_cache_directory(*below: str) -> Path:
    """Make the folder for what can be made again, or a folder in it, for this user alone whatever the umask says.

    What earlier versions left open to other users is closed once in a process. A folder that holds other things than
    the cache keeps its own permissions.

    Raises
    ------
    PrescreenError
        If it cannot be made; names the variable that moves it.
    """
    folder = cache_directory()
    try:
        folder.mkdir(mode=_OWN_FOLDER, parents=True, exist_ok=True)
        _close_to_others(folder)
        for name in below:
            folder /= name
            folder.mkdir(mode=_OWN_FOLDER, exist_ok=True)
    except OSError as error:
        raise unusable_cache(folder, error) from error
    return folder


def unusable_cache(place: Path, error: OSError) -> PrescreenError:
    """Return the error for a place in the cache that cannot be written."""
    return PrescreenError(
        f"cache {shown(place)}: cannot be written ({error.strerror}); name another folder for it with {CACHE_VARIABLE}"
    )


def make_private(place: Path) -> None:
    """Close a file, or a folder and all in it, to other users, where it is ours and the file system can."""
    if os.name != "posix" or place.is_symlink():
        return
    places = [place]
    if place.is_dir():
        places += [Path(folder, name) for folder, *names in os.walk(place) for name in (*names[0], *names[1])]
    for path in places:
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(path.lstat().st_mode)
            if mode & 0o077 and not path.is_symlink():
                path.chmod(mode & 0o700)


@functools.cache
def _close_to_others(folder: Path) -> None:
    with os.scandir(folder) as listing:
        entries = list(listing)
    ours = [entry for entry in entries if _OURS.fullmatch(entry.name)]
    for entry in ours:
        make_private(Path(entry.path))
    if os.name == "posix" and len(ours) == len(entries):
        with contextlib.suppress(OSError):
            folder.chmod(_OWN_FOLDER)


def cache_limit() -> int | None:
    """Return how many bytes the cache of vectors may have: ``PRESCREEN_CACHE_LIMIT``, without it no limit.

    Raises
    ------
    UsageError
        If the variable is no size such as ``20GB`` or ``500 MB`` (1 GB is 10⁹ bytes).
    """
    chosen = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not chosen:
        return None
    found = _SIZE.fullmatch(chosen)
    if found is None:
        raise UsageError(f"{LIMIT_VARIABLE}={chosen}: expected a size such as 20GB or 500 MB")
    return int(float(found[1]) * _UNITS[found[2].lower()])
