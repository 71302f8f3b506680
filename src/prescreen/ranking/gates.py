"""Reasons to exclude a candidate at any score: a picture that raters should not be shown.

Each gate gives one text for each row of the scores, empty where nothing speaks against the picture. Nothing is dropped:
a candidate that is excluded stays in the table with its reason. What a gate cannot see, for want of a face or of open
eyes, it says nothing about. `benchmarks/gates.py` measures what they find and what they exclude wrongly.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.ranking.gate_names import check_gates

NEAR_COPY: Final = 0.9982
"""Cosine of two face descriptors from which one picture is taken for a near-copy of the other."""
SAME_PERSON: Final = 0.475
"""Largest distance of a face descriptor from the person's centre at which the face is taken for the person's."""
AROUND: Final = 0.5
"""Candidates closer than this to the reference take part in finding the person's centre."""

SMALLEST: Final = 40.0
"""Distance of the eyes in pixels; below it raters see little of a face."""
BLURRED: Final = 7.0
"""Least sharpness (`Quality.sharpness`); 99.7 % of the faces of One Million Impressions are sharper."""
NOSE: Final = 0.15
"""Largest offset of the nose in eye distances; 99 % of the faces of One Million Impressions stay below."""
CROSSED: Final = 0.12
"""Largest crossing of the eyes, in eye widths; beyond it they squint inwards, as 3 % of the faces of One Million
Impressions are measured to do, most of them wrongly in narrow eyes."""
APART: Final = -0.25
"""Least crossing of the eyes; below it they squint outwards."""
SKEW: Final = 0.13
"""Largest difference in height of the irises, in eye widths."""
TWO_COLOURS: Final = 14.0
"""Largest difference between the colours of both irises, in CIELAB's a and b."""
OTHER_COLOUR: Final = 12.0
"""Largest difference of the irises' colour from the reference's, in CIELAB's a and b."""

Vectors = NDArray[np.floating]


@dataclass(frozen=True)
class References:
    """What candidates are compared with.

    Parameters
    ----------
    person : ndarray (r, d)
        Face descriptors of pictures that surely show the person; without any the candidates' median stands in.
    baseline : ndarray (d,) or None
        That of the current photo.
    irises : ndarray (r, 2)
        Colours of the person's irises, CIELAB's a and b; without any the candidates' median stands in.
    """

    person: Vectors = field(default_factory=lambda: np.empty((0, 128)))
    baseline: Vectors | None = None
    irises: Vectors = field(default_factory=lambda: np.empty((0, 2)))


def reasons_to_exclude(
    scores: pd.DataFrame, descriptors: Vectors, references: References, off: Collection[str] = ()
) -> dict[str, pd.Series]:
    """Ask all gates but the one about near-copies of better candidates, which needs a ranking.

    Parameters
    ----------
    scores : DataFrame
        A table of scores; a gate whose columns are missing, as in tables of an earlier version, says nothing.
    descriptors : ndarray (n, d)
        Face descriptors of the candidates; NaN where there is none.
    references : References
        What they are compared with.
    off : collection of str
        Gates that are off.

    Returns
    -------
    dict of str to Series of str
        For each gate that is on, reasons by the index of ``scores``, the most important gate first.
    """
    check_gates(off)
    index = scores.index
    found = {
        "faces": no_single_face(scores),
        "small": too_small(scores),
        "blurred": _beyond(scores, "sharpness", BLURRED, np.inf, "blurred: sharpness {value:.1f}, at least {low:g}"),
        "cut": _beyond(scores, "face_margin", 0.0, np.inf, "the face is cut off by the edge of the picture"),
        "current": copy_of_baseline(descriptors, references.baseline, index),
        "person": another_person(descriptors, references.person, index),
        "novelty": _beyond(
            scores, "novelty", -np.inf, 1.0, "unlike the training portraits: {value:.1f} times the usual distance"
        ),
        "nose": _beyond(scores, "nose_offset", -NOSE, NOSE, "the nose is off the middle by {value:+.2f} eye distances"),
        "eyes": _joined(
            _beyond(scores, "eye_crossing", APART, CROSSED, "the eyes look at different points ({value:+.2f})"),
            _beyond(scores, "eye_skew", -SKEW, SKEW, "the eyes look at different heights ({value:+.2f})"),
            _beyond(scores, "iris_gap", -np.inf, TWO_COLOURS, "the eyes differ in colour ({value:.0f} in a and b)"),
        ),
        "eye-colour": other_eye_colour(scores, references.irises),
    }
    return {gate: reasons for gate, reasons in found.items() if gate not in off}


def no_single_face(scores: pd.DataFrame) -> pd.Series:
    """Exclude pictures in which no face was found, or several.

    Parameters
    ----------
    scores : DataFrame
        With the quality columns ``faces`` and ``status``.
    """
    faces = scores["faces"]
    several = faces.map(lambda count: f"{count:.0f} faces in the picture" if count > 1 else "")
    reasons = several.where(faces != 0, "no face found")
    return reasons.where(scores["status"] == "ok", "").astype(object)


def too_small(scores: pd.DataFrame) -> pd.Series:
    """Exclude faces whose eyes are closer than `SMALLEST` pixels."""
    pixels = scores["face_share"] * scores[["width", "height"]].min(axis=1)
    small = pixels.map(lambda d: f"a small face: {d:.0f} pixels between the eyes, at least {SMALLEST:g}")
    return small.where((pixels < SMALLEST) & (scores["faces"] > 0), "").astype(object)


def person_centre(descriptors: Vectors, person: Vectors) -> NDArray[np.float64]:
    """Find the middle of the candidates that show the person: a better reference than any one picture.

    Twice the mean is taken of the references and of the candidates near the mean before.

    Parameters
    ----------
    descriptors : ndarray (n, d)
        Face descriptors of the candidates, finite.
    person : ndarray (r, d)
        Those of the references; without any it starts at the candidates' median, which is right when most of them
        show one person.
    """
    centre = np.asarray(person.mean(axis=0) if len(person) else np.median(descriptors, axis=0), np.float64)
    first = centre
    for _ in range(2):
        near = descriptors[np.linalg.norm(descriptors - centre, axis=1) < AROUND]
        centre = np.vstack([near, person]).mean(axis=0) if len(near) or len(person) else centre
    # Candidates that mostly show somebody else must not carry the centre away from the references.
    return centre if np.linalg.norm(centre - first) < AROUND else first


def another_person(
    descriptors: Vectors,
    person: Vectors,
    index: pd.Index,
    most: float = SAME_PERSON,
) -> pd.Series:
    """Exclude pictures whose face is unlike the person's.

    Parameters
    ----------
    descriptors : ndarray (n, d)
        Face descriptors of the candidates; NaN where there is none.
    person : ndarray (r, d)
        Descriptors of pictures that surely show the person; without any the candidates speak for themselves.
    index : Index
        Index of the scores, of length n.
    most : float
        Euclidean distance from the person's centre up to which a face passes.
    """
    known = np.isfinite(descriptors).all(axis=1)
    if not known.any():
        return pd.Series("", index=index, dtype=object)
    distances = np.linalg.norm(descriptors - person_centre(descriptors[known], person), axis=1)
    whom = "the reference" if len(person) else "the other candidates"
    texts = [f"may show somebody else: face {d:.2f} from {whom}, at most {most:.2f} passes" for d in distances]
    return pd.Series(np.where(known & (distances > most), texts, ""), index=index, dtype=object)


def copy_of_baseline(
    descriptors: Vectors, baseline: Vectors | None, index: pd.Index, least: float = NEAR_COPY
) -> pd.Series:
    """Exclude near-copies of the current photo, which cannot be better than it.

    Parameters
    ----------
    descriptors : ndarray (n, d)
        Face descriptors of the candidates; NaN where there is none.
    baseline : ndarray (d,) or None
        That of the current photo; None excludes nobody.
    index : Index
        Index of the scores, of length n.
    least : float
        Cosine from which a face is a copy.
    """
    if baseline is None:
        return pd.Series("", index=index, dtype=object)
    lengths = np.linalg.norm(descriptors, axis=1) * np.linalg.norm(baseline)
    with np.errstate(invalid="ignore"):
        same = descriptors @ baseline / lengths >= least
    return pd.Series(np.where(same, "a near-copy of your current photo", ""), index=index, dtype=object)


def other_eye_colour(scores: pd.DataFrame, irises: Vectors, most: float = OTHER_COLOUR) -> pd.Series:
    """Exclude faces whose irises have another colour than the person's.

    Parameters
    ----------
    scores : DataFrame
        With the columns ``iris_a`` and ``iris_b``, NaN where the irises could not be seen.
    irises : ndarray (r, 2)
        Colours of the person's irises; without any the candidates' median stands in.
    most : float
        Distance in CIELAB's a and b up to which a colour passes.
    """
    colours = _numbers(scores, ["iris_a", "iris_b"])
    seen = np.isfinite(colours).all(axis=1)
    known = irises[np.isfinite(irises).all(axis=1)]
    if not (len(known) or seen.any()):
        return pd.Series("", index=scores.index, dtype=object)
    distances = np.linalg.norm(colours - np.median(known if len(known) else colours[seen], axis=0), axis=1)
    texts = [f"eyes of another colour ({d:.0f} in a and b, at most {most:g} passes)" for d in distances]
    return pd.Series(np.where(seen & (distances > most), texts, ""), index=scores.index, dtype=object)


def _beyond(scores: pd.DataFrame, column: str, low: float, high: float, text: str) -> pd.Series:
    """Exclude rows whose value lies outside of low to high; NaN passes."""
    values = _numbers(scores, [column])[:, 0]
    texts = [text.format(value=value, low=low, high=high) for value in values]
    return pd.Series(np.where((values < low) | (values > high), texts, ""), index=scores.index, dtype=object)


def _joined(*reasons: pd.Series) -> pd.Series:
    texts = ["; ".join(filter(None, several)) for several in zip(*reasons, strict=True)]
    return pd.Series(texts, index=reasons[0].index, dtype=object)


def _numbers(scores: pd.DataFrame, columns: list[str]) -> NDArray[np.float64]:
    return scores.reindex(columns=columns).to_numpy(dtype=np.float64, na_value=np.nan)
