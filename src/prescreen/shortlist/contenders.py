"""Candidates among which some are proposed, with all that the choice needs: `rank` and its page make the same one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prescreen.ranking.checks import COPIES, NEAR_COPY, REJECTED, Excluded
from prescreen.ranking.comparison import MAX_CANDIDATES
from prescreen.ranking.near_duplicates import near_copies
from prescreen.ranking.selection import Draws

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Contenders:
    """m candidates that can be proposed, the best first, and then those that the user kept from beyond them.

    What the user rejects changes neither them nor their draws: the next one moves up, and the chances stay comparable.

    Parameters
    ----------
    images : tuple of str, of length m
        Their names.
    doubtful : ndarray (m,), bool
        Excluded by a check, and here only because the user kept them.
    copies : ndarray (m, m), bool
        Whether the picture of a row is a near-copy of an earlier one, in the column: it is left out while that one is
        in.
    count : int
        How many are proposed.
    together : bool
        Whether they are chosen together; otherwise those with the best chances are proposed.
    draws : Draws or None
        Which of them meet all goals in joint draws; None where there is no current photo, or the predictor is not
        usable.
    """

    images: tuple[str, ...]
    doubtful: NDArray[np.bool_]
    copies: NDArray[np.bool_]
    count: int
    together: bool = True
    draws: Draws | None = None


@dataclass(frozen=True)
class Field:
    """Candidates in their order, checked.

    Parameters
    ----------
    ranked, free, kept : ndarray of int
        Rows of all that have a merit, the best first; of those that nothing excludes; of those that the user kept.
    excluded : Excluded
        Why some are excluded.
    faces : ndarray (n, d)
        Face descriptors by row.
    """

    ranked: Rows
    free: Rows
    kept: Rows
    excluded: Excluded
    faces: NDArray[np.floating]

    def rows(self, count: int) -> Rows:
        """Return the rows of the candidates to choose so many from, the best first, then those of others kept."""
        doubts = np.array(self._doubts(), dtype=bool)
        open_ = self.ranked[~doubts[self.ranked]][:MAX_CANDIDATES]
        if np.isin(open_, self.free).sum() < min(count, len(self.free)):  # too few are left of them
            open_ = self.free[:MAX_CANDIDATES]
        return np.concatenate([open_, self.kept[~np.isin(self.kept, open_)]])  # last: the draws of the others stay

    def contenders(
        self, rows: Rows, names: Sequence[str], count: int, together: bool, draws: Draws | None
    ) -> Contenders:
        """Return what the page needs of the candidates in these rows."""
        copies = np.zeros((len(rows),) * 2, dtype=bool)
        if COPIES in self.excluded.reasons:
            copies = np.tril(near_copies(self.faces[rows], NEAR_COPY), -1)
        doubts = np.array(self._doubts(), dtype=bool)[rows]
        return Contenders(tuple(names[row] for row in rows), doubts, copies, count, together, draws)

    def _doubts(self) -> Collection[bool]:
        own = [texts for name, texts in self.excluded.reasons.items() if name not in (COPIES, REJECTED)]
        return [any(texts) for texts in zip(*own, strict=True)] or [False] * len(self.excluded.copy_of)
