"""Reasons to hold a candidate back, whatever it scores: a picture that raters should not be shown.

Each gate gives one text for each row of the scores, empty where nothing speaks against the picture. Nothing is dropped:
a candidate that is held back stays in the table with its reason.
"""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

SAME_PERSON: Final = 0.52
"""Largest distance of face descriptors at which two pictures are taken for one person.

On 900 generated portraits of one person, 98 % of the strangers and all grossly distorted faces lie beyond it, and 5 %
of the person's own pictures, those that resemble them least. dlib's authors recommend 0.6 for photographs.
"""


def no_single_face(scores: pd.DataFrame) -> pd.Series:
    """Hold back pictures in which no face was found, or several.

    Parameters
    ----------
    scores : DataFrame
        With the quality columns ``faces`` and ``status``.
    """
    faces = scores["faces"]
    several = faces.map(lambda count: f"{count:.0f} faces in the picture" if count > 1 else "")
    reasons = several.where(faces != 0, "no face found")
    return reasons.where(scores["status"] == "ok", "").astype(object)


def another_person(
    descriptors: NDArray[np.floating],
    reference: NDArray[np.floating] | None,
    index: pd.Index,
    most: float = SAME_PERSON,
) -> pd.Series:
    """Hold back pictures whose face is unlike the reference.

    Parameters
    ----------
    descriptors : ndarray (n, d)
        Face descriptors of the candidates; NaN where there is none.
    reference : ndarray (d,) or None
        Descriptor of a picture that surely shows the person; None takes the candidates' median, which is right when
        most of them show one person.
    index : Index
        Index of the scores, of length n.
    most : float
        Euclidean distance up to which a face passes.
    """
    known = np.isfinite(descriptors).all(axis=1)
    if not known.any():
        return pd.Series("", index=index, dtype=object)
    centre = np.median(descriptors[known], axis=0) if reference is None else reference
    distances = np.linalg.norm(descriptors - centre, axis=1)
    whom = "the other candidates" if reference is None else "the present picture"
    texts = [f"may show somebody else: face {d:.2f} from {whom}, at most {most:.2f} passes" for d in distances]
    far = known & (distances > most)
    return pd.Series(np.where(far, texts, ""), index=index, dtype=object)


def copy_of_present(
    descriptors: NDArray[np.floating], present: NDArray[np.floating] | None, index: pd.Index, least: float
) -> pd.Series:
    """Hold back near-copies of the present picture, which cannot be better than it.

    Parameters
    ----------
    descriptors : ndarray (n, d)
        Face descriptors of the candidates; NaN where there is none.
    present : ndarray (d,) or None
        That of the present picture; None holds nobody back.
    index : Index
        Index of the scores, of length n.
    least : float
        Cosine from which a face is a copy.
    """
    if present is None:
        return pd.Series("", index=index, dtype=object)
    lengths = np.linalg.norm(descriptors, axis=1) * np.linalg.norm(present)
    with np.errstate(invalid="ignore"):
        same = descriptors @ present / lengths >= least
    return pd.Series(np.where(same, "a near-copy of the present picture", ""), index=index, dtype=object)
