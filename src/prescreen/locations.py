"""Where prescreen keeps things on this machine."""

import os
from pathlib import Path

import platformdirs

CACHE_VARIABLE = "PRESCREEN_CACHE"


def cache_directory() -> Path:
    """Return the folder for what can be made again: ``PRESCREEN_CACHE`` or the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("prescreen")
