"""Checks: reasons to exclude a candidate at any score, since raters should not be shown the picture.

A candidate that is excluded stays in the table with its reason. What a check cannot see, for want of a face or of open
eyes, it says nothing about. `benchmarks/gates.py` measures what the checks find and what they exclude wrongly.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.errors import UsageError
from prescreen.ranking.near_duplicates import near_duplicates
from prescreen.text import OK, parse_names, unknown_name

if TYPE_CHECKING:  # the command line lists the checks before anything needs pandas
    import pandas as pd

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
Reasons = list[str]
"""One text for each candidate, empty where nothing speaks against it."""


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


@dataclass(frozen=True)
class Candidates:
    """n candidates as the checks see them.

    Parameters
    ----------
    scores : DataFrame
        Their table of scores; a check whose columns are missing, as in tables of an earlier version, says nothing.
    faces : ndarray (n, d)
        Face descriptors; NaN where there is none.
    references : References
        What they are compared with.
    tested, rejected : ndarray (n,), bool, optional
        Those that people have scored, and those that the user does not want.
    """

    scores: "pd.DataFrame"
    faces: Vectors
    references: References = field(default_factory=References)
    tested: NDArray[np.bool_] | None = None
    rejected: NDArray[np.bool_] | None = None

    def values(self, *columns: str) -> NDArray[np.float64]:
        """Return columns of the scores, shape (n, number of columns); NaN where one is missing."""
        return self.scores.reindex(columns=list(columns)).to_numpy(dtype=np.float64, na_value=np.nan)


def no_single_face(candidates: Candidates) -> Reasons:
    """Exclude pictures in which no face was found, or several; a picture that failed has its own reason."""
    texts = {True: "no face found", False: ""}
    counts = candidates.values("faces")[:, 0]
    found = [f"{n:.0f} faces in the picture" if n > 1 else texts[n == 0] for n in counts]
    return [text if status == OK else "" for text, status in zip(found, candidates.scores["status"], strict=True)]


def too_small(candidates: Candidates) -> Reasons:
    """Exclude faces whose eyes are closer than `SMALLEST` pixels."""
    share, width, height, faces = candidates.values("face_share", "width", "height", "faces").T
    pixels = share * np.minimum(width, height)
    texts = [f"a small face: {d:.0f} pixels between the eyes, at least {SMALLEST:g}" for d in pixels]
    return _where((pixels < SMALLEST) & (faces > 0), texts)


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


def another_person(candidates: Candidates, most: float = SAME_PERSON) -> Reasons:
    """Exclude pictures whose face is further than ``most`` (Euclidean) from the person's centre."""
    faces, person = candidates.faces, candidates.references.person
    known = np.isfinite(faces).all(axis=1)
    if not known.any():
        return [""] * len(faces)
    distances = np.linalg.norm(faces - person_centre(faces[known], person), axis=1)
    whom = "the reference" if len(person) else "the other candidates"
    texts = [f"may show somebody else: face {d:.2f} from {whom}, at most {most:.2f} passes" for d in distances]
    return _where(known & (distances > most), texts)


def copy_of_baseline(candidates: Candidates) -> Reasons:
    """Exclude near-copies of the current photo, which cannot be better than it."""
    faces, baseline = candidates.faces, candidates.references.baseline
    if baseline is None:
        return [""] * len(faces)
    lengths = np.linalg.norm(faces, axis=1) * np.linalg.norm(baseline)
    with np.errstate(invalid="ignore"):
        return _where(faces @ baseline / lengths >= NEAR_COPY, "a near-copy of your current photo")


def other_eye_colour(candidates: Candidates) -> Reasons:
    """Exclude faces whose irises have another colour than the person's, or the candidates' median."""
    colours, irises = candidates.values("iris_a", "iris_b"), candidates.references.irises
    seen = np.isfinite(colours).all(axis=1)
    known = irises[np.isfinite(irises).all(axis=1)]
    if not (len(known) or seen.any()):
        return [""] * len(colours)
    distances = np.linalg.norm(colours - np.median(known if len(known) else colours[seen], axis=0), axis=1)
    texts = [f"eyes of another colour ({d:.0f} in a and b, at most {OTHER_COLOUR:g} passes)" for d in distances]
    return _where(seen & (distances > OTHER_COLOUR), texts)


def unlike_eyes(candidates: Candidates) -> Reasons:
    """Exclude faces whose eyes look at different points or heights, or differ in colour."""
    found = (
        beyond("eye_crossing", APART, CROSSED, "the eyes look at different points ({value:+.2f})"),
        beyond("eye_skew", -SKEW, SKEW, "the eyes look at different heights ({value:+.2f})"),
        beyond("iris_gap", -np.inf, TWO_COLOURS, "the eyes differ in colour ({value:.0f} in a and b)"),
    )
    return ["; ".join(filter(None, texts)) for texts in zip(*(find(candidates) for find in found), strict=True)]


def beyond(column: str, low: float, high: float, text: str) -> Callable[[Candidates], Reasons]:
    """Return what excludes candidates whose value lies outside of low to high; a value that is missing passes."""

    def find(candidates: Candidates) -> Reasons:
        values = candidates.values(column)[:, 0]
        texts = [text.format(value=value, low=low, high=high) for value in values]
        return _where((values < low) | (values > high), texts)

    return find


def _where(excluded: NDArray[np.bool_] | None, texts: str | Sequence[str]) -> Reasons:
    chosen = [] if excluded is None else excluded.tolist()
    given = [texts] * len(chosen) if isinstance(texts, str) else texts
    return [text if out else "" for text, out in zip(given, chosen, strict=True)]


@dataclass(frozen=True)
class Check:
    """What one check excludes, in words for the user, and what finds it."""

    excludes: str
    find: Callable[[Candidates], Reasons]


COPIES: Final = "copies"
REJECTED: Final = "rejected"
BY_USER: Final = "rejected by you"
CHECKS: Final[Mapping[str, Check]] = {
    "faces": Check("no face, or several", no_single_face),
    "small": Check("a face of too few pixels", too_small),
    "blurred": Check(
        "a blurred face", beyond("sharpness", BLURRED, np.inf, "blurred: sharpness {value:.1f}, at least {low:g}")
    ),
    "cut": Check(
        "a face that the edge cuts off",
        beyond("face_margin", 0.0, np.inf, "the face is cut off by the edge of the picture"),
    ),
    "current": Check("a near-copy of your current photo", copy_of_baseline),
    "person": Check("somebody else than the reference", another_person),
    "novelty": Check(
        "unlike anything the predictor was trained on",
        beyond("novelty", -np.inf, 1.0, "unlike the training portraits: {value:.1f} times the usual distance"),
    ),
    "nose": Check(
        "a nose beside the middle of the face",
        beyond("nose_offset", -NOSE, NOSE, "the nose is off the middle by {value:+.2f} eye distances"),
    ),
    "eyes": Check("eyes that look at different points, or differ in colour", unlike_eyes),
    "eye-colour": Check("eyes of another colour than the reference's", other_eye_colour),
    "tested": Check(
        "a picture that people have scored already",
        lambda candidates: _where(candidates.tested, "people have scored it already"),
    ),
    REJECTED: Check(
        "a picture that you rejected while reviewing",
        lambda candidates: _where(candidates.rejected, BY_USER),
    ),
    COPIES: Check("a near-copy of a better candidate", lambda candidates: []),  # needs a ranking: `exclude`
}
"""The checks by name, the most important first."""

SWITCHABLE: Final = tuple(name for name in CHECKS if name != REJECTED)
"""Those that can be switched off: `REJECTED` is what the user decided."""

RENAMED: Final[Mapping[str, str]] = {"present": "current", "unfamiliar": "novelty"}
"""Old names of checks, which still work."""


@dataclass(frozen=True)
class Excluded:
    """Why candidates are excluded.

    Attributes
    ----------
    reasons : mapping of str to list of str
        For each check that is on, n texts.
    copy_of : list of str
        For a near-copy the name of the better candidate, otherwise empty.
    """

    reasons: Mapping[str, Reasons]
    copy_of: list[str]

    @property
    def checks(self) -> list[str]:
        """For each candidate the names of the checks that exclude it, separated by commas."""
        return [",".join(name for name, texts in self.reasons.items() if texts[i]) for i in range(len(self.copy_of))]

    @property
    def because(self) -> list[str]:
        """For each candidate all reasons in words; empty where nothing speaks against it."""
        return ["; ".join(texts[i] for texts in self.reasons.values() if texts[i]) for i in range(len(self.copy_of))]


def find_reasons(candidates: Candidates, off: Collection[str] = ()) -> dict[str, Reasons]:
    """Ask all checks but the one about near-copies of better candidates, which needs a ranking.

    Parameters
    ----------
    candidates : Candidates
        The pictures.
    off : collection of str
        Checks that are off.

    Returns
    -------
    dict of str to list of str
        For each check that is on, a text for each candidate, empty where nothing speaks against it.
    """
    require_checks(off)
    found = {name: check.find(candidates) for name, check in CHECKS.items() if name not in off}
    return {name: texts for name, texts in found.items() if texts}


def exclude(candidates: Candidates, best_first: NDArray[np.intp], off: Collection[str] = ()) -> Excluded:
    """Ask all checks, and exclude near-copies of better candidates.

    Of two copies the one that nothing else speaks against stays; among those, the better one.

    Parameters
    ----------
    candidates : Candidates
        The pictures.
    best_first : ndarray of int
        Rows of the candidates that compete, the best first.
    off : collection of str
        Checks that are off.
    """
    reasons = find_reasons(candidates, off)
    names = candidates.scores["image"].tolist()
    copy_of = [""] * len(names)
    if COPIES not in off:
        doubtful = np.array([any(texts) for texts in zip(*reasons.values(), strict=True)] or [False] * len(names))
        order = best_first[np.argsort(doubtful[best_first], kind="stable")]
        better = near_duplicates(candidates.faces, order, NEAR_COPY)
        copy_of = [names[row] if row >= 0 else "" for row in better]
        reasons[COPIES] = [f"near-copy of {name}" if name else "" for name in copy_of]
    return Excluded(reasons, copy_of)


def require_checks(names: Collection[str]) -> None:
    """Raise UsageError for the name of a check that does not exist, with the one that was probably meant."""
    for name in names:
        if name not in CHECKS:
            raise UsageError(unknown_name(name, list(CHECKS), "check"))


def parse_checks(names: str) -> tuple[str, ...]:
    """Return the names of checks from ``all``, ``none``, or names separated by commas, in the order of `CHECKS`.

    ``all`` are those that can be switched off.

    Raises
    ------
    UsageError
        For the name of a check that does not exist.

    Examples
    --------
    >>> parse_checks("nose,faces")
    ('faces', 'nose')
    """
    if names == "none":
        return ()
    given = SWITCHABLE if names == "all" else tuple(RENAMED.get(name, name) for name in parse_names(names))
    require_checks(given)
    return tuple(name for name in CHECKS if name in given)
