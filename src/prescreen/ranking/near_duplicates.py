"""Near-copies: pictures so alike that sending both to raters would spend votes on one."""

import numpy as np
from numpy.typing import NDArray

_CHUNK = 512
_ROUNDING = 1e-5  # float32: equal pictures may come out slightly below 1


def near_duplicates(vectors: NDArray[np.floating], order: NDArray[np.integer], threshold: float) -> NDArray[np.intp]:
    """Find for each picture a better one that it is a near-copy of.

    Pictures are taken best first. One that is as similar as ``threshold`` to a picture kept before it is its
    near-copy; all others are kept. A chain of small steps is therefore thinned out, not thrown away whole.

    Parameters
    ----------
    vectors : ndarray (n, d)
        One vector a picture, of any length; compared by the cosine of their angle. Pictures whose vector is zero or
        not finite are copies of none.
    order : ndarray (m,), int
        Row numbers of the pictures that compete, best first; others are copies of none, and nothing is their copy.
    threshold : float, above 0 to 1
        The least cosine of a near-copy.

    Returns
    -------
    ndarray (n,), intp
        Row number of the most similar kept picture, or -1.

    Raises
    ------
    ValueError
        If ``order`` repeats or exceeds the row numbers, or the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold:g}: expected a cosine above 0, at most 1")
    order = np.asarray(order, dtype=np.intp)
    if len(np.unique(order)) < len(order) or (len(order) and not 0 <= order.min() <= order.max() < len(vectors)):
        raise ValueError("order: expected different row numbers of the vectors")
    copy_of = np.full(len(vectors), -1, dtype=np.intp)
    lengths = np.linalg.norm(vectors, axis=1)
    sound = np.isfinite(lengths) & (lengths > 0)
    order = order[sound[order]]
    unit = np.asarray(vectors[order] / lengths[order, None], dtype=np.float32)
    least = threshold - _ROUNDING

    kept = np.empty(len(order), dtype=np.intp)  # positions in order
    count = 0
    for start in range(0, len(order), _CHUNK):
        block = unit[start : start + _CHUNK]
        best = np.full(len(block), -1, dtype=np.intp)
        closest = np.full(len(block), -np.inf, dtype=np.float32)
        for first in range(0, count, 8 * _CHUNK):
            earlier = kept[first : min(first + 8 * _CHUNK, count)]
            similarity = block @ unit[earlier].T
            nearest = similarity.argmax(axis=1)
            value = similarity[np.arange(len(block)), nearest]
            closer = value > closest
            best[closer], closest[closer] = earlier[nearest[closer]], value[closer]
        within = block @ block.T
        for i in range(len(block)):
            if closest[i] < least:
                kept[count] = start + i
                count += 1
                later = np.flatnonzero(within[i, i + 1 :] > closest[i + 1 :]) + i + 1
                best[later], closest[later] = start + i, within[i, later]
            else:
                copy_of[order[start + i]] = order[best[i]]
    return copy_of


def near_copies(vectors: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Tell which pictures are as similar as that, (n, n), by the same measure; one without a vector is like none."""
    lengths = np.linalg.norm(vectors, axis=1)
    sound = np.isfinite(lengths) & (lengths > 0)
    unit = np.zeros(vectors.shape, dtype=np.float32)
    unit[sound] = vectors[sound] / lengths[sound, None]
    return np.asarray(unit @ unit.T >= threshold - _ROUNDING)
