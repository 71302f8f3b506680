"""Names that MLflow accepts for parameters and metrics."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final, TypeVar

_LONGEST_PART: Final = 120
_LONGEST_NAME: Final = 250
"""Characters that MLflow accepts."""

_REFUSED: Final = re.compile(r"[^\w.\- :]|^\.+$|^\.\.")

_Value = TypeVar("_Value", str, float)


def safely_named(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Give parameters or metrics names that MLflow accepts, each one of its own; see `safe_name`."""
    return {safe_name(name): value for name, value in values.items()}


def safe_name(name: str) -> str:
    """Return the name that MLflow gets for a parameter or metric.

    A name that it accepts stays. Otherwise each part between ``/`` that has other characters, is too long, or means
    something in a path, is changed, and ends with digits of its hash. So the name in MLflow depends on nothing but the
    name: two never become one, and runs can be compared.
    """
    safe = "/".join(_safe_part(part) for part in name.split("/"))
    return safe if len(safe) <= _LONGEST_NAME else f"{safe[:_LONGEST_PART]}_{_digest(name)}"


def _safe_part(part: str) -> str:
    if part and len(part) <= _LONGEST_PART and not _REFUSED.search(part):
        return part
    return f"{_REFUSED.sub('_', part)[:_LONGEST_PART]}_{_digest(part)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
