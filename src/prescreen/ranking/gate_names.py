"""The gates by name, and which of them are off."""

from collections.abc import Collection, Mapping
from typing import Final

from prescreen.errors import UsageError
from prescreen.text import parse_names, unknown_name

GATES: Final[Mapping[str, str]] = {
    "faces": "no face, or several",
    "small": "a face of too few pixels",
    "blurred": "a blurred face",
    "cut": "a face that the edge cuts off",
    "person": "somebody else than the reference",
    "novelty": "unlike anything the predictor was trained on",
    "current": "a near-copy of your current photo",
    "copies": "a near-copy of a better candidate",
    "tested": "a picture that people have scored already",
    "rejected": "a picture that you rejected while reviewing",
    "nose": "a nose beside the middle of the face",
    "eyes": "eyes that look at different points, or differ in colour",
    "eye-colour": "eyes of another colour than the reference's",
}
"""What each check excludes, by its name."""


RENAMED: Final[Mapping[str, str]] = {"present": "current", "unfamiliar": "novelty"}
"""Old names of checks, which still work."""


def check_gates(names: Collection[str]) -> None:
    """Raise UsageError for the name of a gate that does not exist, with the one that was probably meant."""
    for name in names:
        if name not in GATES:
            raise UsageError(unknown_name(name, list(GATES), "gate"))


def gates_on(names: str) -> tuple[str, ...]:
    """Return the gates that are on, from ``all``, ``none``, or names separated by commas; errors as `gates_off`."""
    off = gates_off(names)
    return tuple(name for name in GATES if name not in off)


def gates_off(on: str, off: str = "") -> tuple[str, ...]:
    """Return the gates that are off.

    Parameters
    ----------
    on : str
        ``all``, ``none``, or names of gates separated by commas.
    off : str
        Names of gates that are off all the same.

    Raises
    ------
    UsageError
        For the name of a gate that does not exist.
    """
    named = tuple(GATES) if on == "all" else () if on == "none" else _current_names(on)
    without = _current_names(off) if off else ()
    check_gates([*named, *without])
    return tuple(gate for gate in GATES if gate not in named or gate in without)


def _current_names(names: str) -> tuple[str, ...]:
    return tuple(RENAMED.get(name, name) for name in parse_names(names))
