"""Commands that tests run in their own process, one after the other, compile a network once."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from prescreen.encoders.backends import CompiledNetwork, is_converted
from prescreen.settings import processors

_KEPT: dict[tuple[str, str, int], CompiledNetwork] = {}


def compiled_once() -> Any:
    """Return a context in which networks that this process has compiled are taken again: it takes a third of a second.

    What is not in the cache folder is converted into it as ever.
    """
    return patch("prescreen.encoders.devices.CompiledNetwork", _compile)


def _compile(build: Callable[[], Any], *, key: str, precision: str, **options: Any) -> CompiledNetwork:
    name = key, precision, processors()
    if name not in _KEPT or not is_converted(key):
        _KEPT[name] = CompiledNetwork(build, key=key, precision=precision, **options)
    return _KEPT[name]
