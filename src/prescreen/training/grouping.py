"""Which pictures must stand on one side of every split: those of one person, and near-duplicates.

Persons that nobody named are looked for among the faces, cluster by cluster, so that one person's album is found among
many strangers. ``docs/decisions/0099-albums-among-strangers.md`` has what was measured.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist, squareform

from prescreen.predictor.training_portraits import NEAR_DUPLICATE_DISTANCE

DENSE: Final = 0.30
"""Mean distance up to which the pictures of a cluster are taken for one person's, whatever is around it."""
PERSON_DISTANCE: Final = 0.50
"""Mean distance beyond which a cluster is never taken for one person."""
ISOLATED: Final = 0.75
ISOLATED_AMONG_MANY: Final = 0.85
"""A cluster in between is taken for one person if it lies alone: if its mean distance is at most this share of that to
the nearest other cluster. The second holds where more pictures than not are in such clusters already, as in ratings of
several pictures of everybody.
"""
ALBUM: Final = 5
ALBUM_SHARE: Final = 0.01
"""It is taken for one person, too, if it holds a `DENSE` cluster of so many pictures, and of so large a share of all:
chance makes none of that size among different faces.
"""


@dataclass(frozen=True)
class Grouping:
    """Which of n pictures stay together, and why.

    Parameters
    ----------
    labels : ndarray of int, shape (n,)
        Numbers of groups from 0.
    named, alike, copies : (int, int)
        Groups of at least two pictures, and the pictures in them: of a person who is named, of faces that look like one
        person, and of nothing but near-duplicates.
    """

    labels: NDArray[np.int64]
    named: tuple[int, int]
    alike: tuple[int, int]
    copies: tuple[int, int]

    def describe(self) -> str:
        """Say in one line which pictures stay together."""
        n, groups = len(self.labels), len(np.unique(self.labels))
        if groups == n:
            return "none: every picture stands alone; name persons in a column person if some show the same"
        parts = {"of named persons": self.named, "that look like one person": self.alike, "near-copies": self.copies}
        told = [f"{of} {what} ({count} group{'s' * (count > 1)})" for what, (count, of) in parts.items() if count]
        remedy = "; name persons in a column person if that is wrong" if self.alike[0] else ""
        return f"{groups} of {n} pictures; kept together: {', '.join(told)}{remedy}"


def group(descriptors: NDArray[np.float32], persons: NDArray[np.str_]) -> Grouping:
    """Find pictures that must stay together: of one person, or near-duplicates by face descriptor.

    Near-duplicates are chained: if a resembles b and b resembles c, all three are one group. A picture whose person is
    not named joins those that `likely_persons` finds; among them a named one that is nearest decides whose it is.

    Parameters
    ----------
    descriptors : ndarray of float, shape (n, 128)
        Descriptors of dlib's face network.
    persons : ndarray of str, shape (n,)
        Names of persons; empty where unknown.
    """
    distances = squareform(pdist(descriptors))
    unnamed = persons == ""
    same = (persons[:, None] == persons) & ~unnamed[:, None]
    near = distances < NEAR_DUPLICATE_DISTANCE
    alike = np.zeros_like(near)
    if unnamed.any():
        clusters = likely_persons(descriptors)
        alike = (clusters[:, None] == clusters) & unnamed[:, None]
        # Where some of a cluster are named, the others join the nearest of these and not each other.
        known = alike & ~unnamed
        rows = np.flatnonzero(known.any(axis=1))
        nearest = np.where(known[rows], distances[rows], np.inf).argmin(axis=1)
        alike[rows] = False
        alike[:, rows] = False
        alike[rows, nearest] = True
    labels = _components(near | same | alike)
    chains = _components(near)
    named: list[int] = []
    faces: list[int] = []
    copies: list[int] = []
    for label in np.flatnonzero(np.bincount(labels) > 1):
        rows = np.flatnonzero(labels == label)
        one_chain = (chains[rows] == chains[rows[0]]).all()
        told = same[np.ix_(rows, rows)].sum() > (~unnamed[rows]).sum()
        (named if told else copies if one_chain else faces).append(len(rows))
    counted = [(len(sizes), sum(sizes)) for sizes in (named, faces, copies)]
    return Grouping(labels, *counted)


def likely_persons(descriptors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Guess who is who from face descriptors, shape (n, 128).

    Clusters of average linkage are taken for persons by the rules of the constants above, the largest first.

    Returns
    -------
    ndarray of int, shape (n,)
        Number of a cluster; one of its own for a face like no other.
    """
    n = len(descriptors)
    if n < 2:
        return np.zeros(n, dtype=np.int64)
    # Node i < n of the tree is a picture, node n + i the cluster that merge i makes.
    tree = linkage(descriptors, "average")
    parts, inner = tree[:, :2].astype(np.int64), tree[:, 2]
    outer = np.full(2 * n - 1, np.inf)
    outer[parts] = inner[:, None]
    outer = outer[n:]
    core = np.concatenate([np.ones(n), np.where(inner <= DENSE, tree[:, 3], 0)])
    for i, pair in enumerate(parts):
        core[n + i] = max(core[n + i], *core[pair])
    album = core[n:] >= max(ALBUM, ALBUM_SHARE * n)

    def clusters(isolated: float) -> NDArray[np.int64]:
        person = (inner <= DENSE) | ((inner <= PERSON_DISTANCE) & (album | (inner <= isolated * outer)))
        belongs = np.arange(2 * n - 1)
        for i in range(n - 2, -1, -1):
            if person[i] or belongs[n + i] != n + i:
                belongs[parts[i]] = belongs[n + i]
        return belongs[:n]

    found = clusters(ISOLATED)
    together = np.bincount(found)[found] > 1
    return clusters(ISOLATED_AMONG_MANY) if together.mean() > 0.5 else found


def _components(linked: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(connected_components(coo_array(linked), directed=False)[1], dtype=np.int64)
