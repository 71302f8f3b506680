"""Grouped folds: pictures of one group (a person, near-duplicates) are never on both sides of a split."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prescreen.errors import RatingsError

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]


def grouped_folds(groups: NDArray[Any], n_splits: int, seed: int) -> list[Fold]:
    """Split rows into shuffled folds of about equal size that keep groups whole.

    With fewer groups than ``n_splits`` there are as many folds as groups.

    Parameters
    ----------
    groups : ndarray of shape (n,)
        Group of each row; any labels that can be sorted.
    n_splits : int
        Folds wanted, at least 2.
    seed : int
        Of the shuffling.

    Returns
    -------
    list of (train, test)
        Sorted row indices. Each row is in exactly one ``test``.

    Raises
    ------
    RatingsError
        With fewer than two groups.

    Examples
    --------
    >>> [test.tolist() for _, test in grouped_folds(np.array(["ann", "ann", "bob"]), 2, seed=0)]
    [[2], [0, 1]]
    """
    from sklearn.model_selection import GroupKFold  # slow to load, and scoring needs no folds

    if n_splits < 2:
        raise ValueError(f"n_splits is {n_splits}; at least 2 are needed")
    codes = group_codes(groups)
    n_groups = int(codes.max(initial=-1)) + 1
    require_groups(n_groups, 2)
    splitter = GroupKFold(n_splits=min(n_splits, n_groups), shuffle=True, random_state=seed)
    return [(train, test) for train, test in splitter.split(codes, groups=codes)]


def group_codes(groups: NDArray[Any] | None, n: int | None = None) -> NDArray[np.intp]:
    """Return the groups as numbers from 0; without groups every row is its own."""
    if groups is None:
        return np.arange(n or 0, dtype=np.intp)
    groups = np.asarray(groups)
    if groups.ndim != 1 or (n is not None and len(groups) != n):
        raise ValueError(f"groups have shape {groups.shape}; expected one label for each of the {n} rows")
    return np.unique(groups, return_inverse=True)[1].astype(np.intp)


def require_groups(n_groups: int, needed: int, what: str = "the ratings") -> None:
    """Refuse data that cannot be split so that no group stands on both sides."""
    if n_groups == 1:
        raise RatingsError(
            f"{what}: all pictures are of one person or near-copies of each other (1 group, at least {needed} are "
            "needed); add ratings of pictures of other persons"
        )
    if n_groups < needed:
        raise RatingsError(
            f"{what}: pictures from {n_groups} group(s) of persons or near-duplicates, "
            f"at least {needed} are needed; add ratings of pictures that are not near-duplicates"
        )
