"""Names that MLflow accepts for parameters and metrics."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

_LONGEST_NAME: Final = 120

_Value = TypeVar("_Value", str, float)


def safely_named(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Give parameters or metrics names that MLflow accepts: it writes them as paths, so no part may be ``..`` either.

    Names that are fine stay, whatever the others become.
    """
    safe = {name: _safe_name(name) for name in values}
    taken = {name for name in values if safe[name] == name}
    for name in values:
        if name not in taken:
            safe[name] = _free_name(safe[name], taken)
            taken.add(safe[name])
    return {safe[name]: value for name, value in values.items()}


def _safe_name(name: str) -> str:
    parts = re.sub(r"[^/\w.\- :]", "_", name)[:_LONGEST_NAME].split("/")
    safe = "/".join(part if part.strip(".") else "_" * max(len(part), 1) for part in parts)
    return f"__{safe[2:]}" if safe.startswith("..") else safe


def _free_name(name: str, taken: Iterable[str]) -> str:
    free, number = name, 2
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
