"""Where prescreen keeps things on this machine, and how much."""

import os
import re
from pathlib import Path
from typing import Final

import platformdirs

from prescreen.errors import UsageError, shown

CACHE_VARIABLE: Final = "PRESCREEN_CACHE"
LIMIT_VARIABLE: Final = "PRESCREEN_CACHE_LIMIT"

_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([kMGT]?)B?", re.IGNORECASE | re.ASCII)
_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def cache_directory() -> Path:
    """Return the folder for what can be made again: ``PRESCREEN_CACHE`` or the user's cache folder.

    Raises
    ------
    UsageError
        If something that is no folder stands there.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    folder = Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("prescreen")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{shown(folder)}: not a folder; name another one for the cache with {CACHE_VARIABLE}")
    return folder


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
