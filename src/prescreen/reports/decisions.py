"""What the user decided about pictures in ``prescreen review``, in a table beside the scores."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from prescreen.errors import UsageError
from prescreen.storage.tables import read_table, write_table
from prescreen.text import shown

DECISIONS: Final = frozenset({"", "keep", "reject"})
"""What can be decided about a picture; the empty text is nothing yet."""


def decisions_beside(scores: Path) -> Path:
    """Return where ``prescreen review`` saves decisions if no other place is named."""
    return scores.with_name(f"{scores.stem}.decisions.csv")


class Decisions:
    """What the reviewer decided, in a table on disk: ``image``, ``decision`` (``keep``, ``reject``, empty), ``tags``.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.parquet`` or ``.jsonl``; read if it is there, written whole at every change.
    names : sequence of str
        The candidates. Decisions about other pictures stay in the file untouched.

    Raises
    ------
    PrescreenError
        If the file is there and is no table of decisions.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self.names = list(names)
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[str, str]] = {}
        if path.exists():
            table = read_decisions(path)
            rows = zip(table["image"], table["decision"], table["tags"], strict=True)
            self._entries = {str(image): (str(decision), str(tags)) for image, decision, tags in rows}

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Return the decisions by the names that the page shows."""
        return {
            shown(name): {"decision": decision, "tags": [tag for tag in tags.split(", ") if tag]}
            for name, (decision, tags) in self._entries.items()
        }

    def set(self, row: int, decision: str, tags: Sequence[str]) -> None:
        """Save one decision; an empty one without tags is forgotten."""
        name = self.names[row]
        with self._lock:
            entries = {key: entry for key, entry in self._entries.items() if key != name}
            if decision or tags:
                entries[name] = (decision, ", ".join(tags))
            columns = zip(*((key, *entry) for key, entry in sorted(entries.items())), strict=True) if entries else ()
            table = pd.DataFrame(dict(zip(("image", "decision", "tags"), columns or ((), (), ()), strict=True)))
            write_table(table.astype(object), self.path)
            self._entries = entries


def read_rejected(decisions: Path) -> frozenset[str]:
    """Return the names that a table of decisions, as ``prescreen review`` saves it, rejects.

    Raises
    ------
    PrescreenError
        If it cannot be read, or is no table of decisions.
    """
    table = read_decisions(decisions)
    return frozenset(table.loc[table["decision"] == "reject", "image"])


def read_decisions(decisions: Path) -> pd.DataFrame:
    """Read a table of decisions, as ``prescreen review`` saves it: ``image``, ``decision``, ``tags``; all text.

    Raises
    ------
    PrescreenError
        If it cannot be read, or is no table of decisions.
    """
    table = read_table(decisions, text={"image", "decision", "tags"})
    if not {"image", "decision"} <= set(table.columns):
        raise UsageError(f"{shown(decisions)}: expected the columns image and decision, as prescreen review saves them")
    table = table.reindex(columns=["image", "decision", "tags"]).fillna("").astype(object)
    strange = ~table["decision"].isin(list(DECISIONS))
    if strange.any():
        raise UsageError(
            f"{shown(decisions)}: decision '{shown(table['decision'][strange].iloc[0])}' of "
            f"'{shown(table['image'][strange].iloc[0])}', expected keep, reject or nothing"
        )
    return table
