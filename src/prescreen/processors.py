"""How many processors this run may use."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prescreen.errors import UsageError

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

    A group is held to its own limit and to those of all groups above it. Inside a container the groups may be named by
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
