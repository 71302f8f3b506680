"""What the user decided about pictures in ``prescreen review``, in a table beside the scores."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Decided:
    """What a table of decisions says about pictures, by name.

    Parameters
    ----------
    rejected, kept : frozenset of str
        Those to leave out, and those to propose in any case.
    exported : bool
        Whether it is the list that a page exported: then the kept ones are all that is proposed.
    """

    rejected: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    exported: bool = False

    def by_name(self) -> dict[str, str]:
        """Return the decisions by picture."""
        return dict.fromkeys(sorted(self.rejected), "reject") | dict.fromkeys(sorted(self.kept), "keep")

    def among(self, names: Iterable[str]) -> "Decided":
        """Return the decisions by the candidates' own names: a page writes a name with a line break as it shows it."""
        by_shown: dict[str, list[str]] = {}
        for name in names:
            by_shown.setdefault(shown(name), []).append(name)
        rejected, kept = (
            frozenset(name for text in decided for name in by_shown.get(shown(text), [text]))
            for decided in (self.rejected, self.kept)
        )
        return replace(self, rejected=rejected, kept=kept)


NOTHING_DECIDED: Final = Decided()


def read_decided(decisions: Path) -> Decided:
    """Read what was decided: a table as ``prescreen review`` saves it, or the list that a page exported.

    Raises
    ------
    PrescreenError
        If it cannot be read, or is no table of decisions.
    """
    table = read_decisions(decisions)
    exported = _is_export(table)
    rejected = frozenset(table.loc[table["decision"] == "reject", "image"])
    kept = table["decision"] != "reject" if exported else table["decision"] == "keep"
    return Decided(rejected, frozenset(table.loc[kept, "image"]), exported)


def _is_export(table: pd.DataFrame) -> bool:
    return "order" in table.columns


def read_decisions(decisions: Path) -> pd.DataFrame:
    """Read a table of decisions: ``image``, ``decision``, ``tags``, all text; and ``order`` where a page exported it.

    Raises
    ------
    PrescreenError
        If it cannot be read, or is no table of decisions.
    """
    table = read_table(decisions, text={"image", "decision", "tags"})
    if not {"image", "decision"} <= set(table.columns):
        raise UsageError(
            f"{shown(decisions)}: expected the columns image and decision, as prescreen review and the page save them"
        )
    order = ["order"] if _is_export(table) else []
    table = table.reindex(columns=["image", "decision", "tags", *order]).astype(object).fillna("")
    strange = ~table["decision"].isin(list(DECISIONS))
    if strange.any():
        raise UsageError(
            f"{shown(decisions)}: decision '{shown(table['decision'][strange].iloc[0])}' of "
            f"'{shown(table['image'][strange].iloc[0])}', expected keep, reject or nothing"
        )
    return table
