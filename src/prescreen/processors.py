"""How many processors this run may use."""

import os
from typing import Final

from prescreen.errors import UsageError

PROCESSORS_VARIABLE: Final = "PRESCREEN_PROCESSORS"


def processors() -> int:
    """Return how many threads may compute at once.

    That is ``PRESCREEN_PROCESSORS``, or the number of processors that the system lets this process use, which in a
    container may be fewer than the machine has.

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
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
