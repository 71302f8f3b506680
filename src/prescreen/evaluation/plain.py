"""Frozen dataclasses as JSON has them: plain dictionaries, lists and numbers, and back."""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from prescreen.evaluation.metrics import Estimate

Kinds = Mapping[str, Any]


def to_plain(value: Any) -> dict[str, Any]:
    """Return a dataclass as dictionaries, lists and numbers; None where a number is not finite."""
    plain: dict[str, Any] = _finite(asdict(value))
    return plain


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def from_plain(kind: Any, content: Any) -> Any:
    """Return what `to_plain` was given.

    Parameters
    ----------
    kind : type
        A dataclass of numbers, texts, tuples, mappings and other dataclasses. What the content lacks has its default,
        what it has beyond that is left out: other versions of prescreen know other figures.
    content : object
        As JSON gives it. A number alone is a figure without an interval.

    Raises
    ------
    TypeError
        If a part is of another kind, or one without a default is missing.
    """
    if get_origin(kind) is UnionType:  # X | None
        return None if content is None else from_plain(get_args(kind)[0], content)
    if get_origin(kind) is tuple and isinstance(content, list | tuple):
        return tuple(from_plain(get_args(kind)[0], part) for part in content)
    if get_origin(kind) is Mapping and isinstance(content, Mapping):
        return {str(name): from_plain(get_args(kind)[1], part) for name, part in content.items()}
    if kind is Estimate and not isinstance(content, Mapping):
        return Estimate(from_plain(float | None, content))
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(content, Mapping):
        kinds = _kinds(kind)
        return kind(**{name: from_plain(kinds[name], content[name]) for name in kinds if name in content})
    numbers = (int, float) if kind is float else (kind,)
    if type(content) not in numbers or (isinstance(content, float) and not math.isfinite(content)):
        raise TypeError(f"{content!r} is no {getattr(kind, '__name__', kind)}")
    return content


@cache
def _kinds(kind: Any) -> Kinds:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}
