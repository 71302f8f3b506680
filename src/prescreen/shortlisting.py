"""The inner steps of ranking: goals, the present picture, near-copies, the report."""

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from prescreen import __version__
from prescreen.calibration import score_to_z, z_to_score
from prescreen.comparison import Chooser, KnownBaseline, icc_of_one_vote
from prescreen.embeddings import Embedded, EmbeddingCache, embed_images
from prescreen.encoders import IDENTITY_BLOCK, Encoder
from prescreen.errors import PictureError, UsageError
from prescreen.images import ImageFile, find_images, read_bytes
from prescreen.predictor import Predictor
from prescreen.processors import processors
from prescreen.provenance import ScoresNote
from prescreen.ranking.duplicates import near_duplicates
from prescreen.ranking.gates import NEAR_COPY, Compared, hold_back
from prescreen.ranking.goals import Goals
from prescreen.ranking.shortlist import rank_candidates, ranked_columns
from prescreen.ratings import spearman_brown
from prescreen.reports.render import render_ranking
from prescreen.reports.summarize import BaselinePicture, Provenance, TraitValue, summarize_ranking
from prescreen.traits import parse_levels, refuse_twice
from prescreen.workers import shared_workers

Rows = NDArray[np.intp]

_NO_FACE: Final = np.full(128, np.nan)

SERVED: Final = 1600
"""Longer side in pixels of the large pictures that ``prescreen review`` serves."""

THUMBNAIL: Final = 320
LARGE: Final = 640
LARGE_COUNT: Final = 100
PICTURE_BYTES: Final = 10_000_000
"""Sides of the report's pictures in pixels, how many of the best come large, and what all of them may weigh.

In base64 that is 13.3 MB, which leaves the page below 15 MB.
"""


@dataclass(frozen=True)
class Baseline:
    """The present picture.

    Parameters
    ----------
    name : str
        Its file name, or how its scores were given.
    levels, low, high : mapping of str to float
        Scores from 0 to 10 with the ends of their 90 % intervals, which are missing for scores given by hand.
    file : Path or None
        The picture, where there is one.
    descriptor : ndarray of float32, shape (128,), or None
        Its face descriptor.
    irises : ndarray of float, shape (2,), or None
        Colour of its irises, CIELAB's a and b; NaN where they could not be seen.
    covariance : ndarray of float, shape (t, t), or None
        What is uncertain of scores from a known number of votes, in z.
    vector : ndarray of float16, shape (d,), or None
        The picture's vector.
    content : str
        SHA-256 of its file.
    """

    name: str
    levels: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    file: Path | None
    descriptor: NDArray[np.float32] | None = field(default=None, repr=False)
    irises: NDArray[np.float64] | None = None
    covariance: NDArray[np.float64] | None = field(default=None, repr=False)
    vector: NDArray[np.float16] | None = field(default=None, repr=False)
    content: str = ""

    def known(self, traits: Sequence[str]) -> KnownBaseline:
        """Return it as candidates are compared with it."""
        levels = np.array([self.levels.get(trait, np.nan) for trait in traits], dtype=np.float64)
        covariance = np.zeros((len(traits), len(traits))) if self.covariance is None else self.covariance
        return KnownBaseline(levels, covariance, self.vector, self.content, self.descriptor)

    def in_words(self) -> str:
        """Return the scores as one phrase."""
        return ", ".join(f"{trait} {level:.1f}" for trait, level in self.levels.items())


def read_baseline(
    text: str, votes: int | None, predictor: Predictor, encoder: Encoder, cache: EmbeddingCache
) -> Baseline:
    """Understand ``--baseline``: a picture, which is scored, or scores.

    Parameters
    ----------
    text : str
        A path, or scores such as ``competence=8.2,likeability=9.0``.
    votes : int or None
        Votes behind the scores; without them they count as exact.
    predictor, encoder, cache
        What scores a picture.

    Raises
    ------
    UsageError
        If it is neither, or the picture cannot be scored.
    """
    path = Path(text)
    if path.is_file():
        if votes is not None:
            raise UsageError("--baseline-votes: goes with scores in --baseline, not with a picture")
        (row,) = embed_images([ImageFile(path, path.name)], encoder, cache)
        if row.vector is None:
            raise UsageError(f"baseline {text}: {row.reason}")
        predicted = predictor.predict(row.vector[None], [row.content])
        values = (predicted.score, predicted.score_low, predicted.score_high)
        levels, low, high = (dict(zip(predictor.traits, map(float, v[0]), strict=True)) for v in values)
        descriptor = row.vector[encoder.specification.blocks[IDENTITY_BLOCK]].astype(np.float32)
        return Baseline(
            path.name, levels, low, high, path, descriptor, _irises(row), vector=row.vector, content=row.content
        )
    if "=" not in text:
        raise UsageError(f"baseline {text!r}: no such picture; or give scores such as competence=8.2,likeability=9.0")
    levels = parse_levels(text)
    for trait in levels:
        Goals(improve=(trait,)).check(predictor.traits)
    if votes is None:
        return Baseline("scores from raters", levels, {}, {}, None)
    return _shrunk(levels, votes, predictor)


def _shrunk(levels: Mapping[str, float], votes: int, predictor: Predictor) -> Baseline:
    """Take scores from few votes for what they are: partly luck.

    In z, where scores of portraits are standard normal, the mean of n votes of reliability r = nρ / (1 + (n − 1)ρ)
    leaves the true score at r z ± √(1 − r).
    """
    means, low, high, noise = {}, {}, {}, np.zeros(len(predictor.traits))
    for trait, level in levels.items():
        reliability = spearman_brown(icc_of_one_vote(predictor, trait), votes)
        centre, spread = reliability * score_to_z(level), np.sqrt(1 - reliability)
        means[trait], low[trait], high[trait] = (
            float(z_to_score(centre + end * ndtri(0.95) * spread)) for end in (0, -1, 1)
        )
        noise[predictor.traits.index(trait)] = spread**2
    return Baseline(f"scores from {votes} votes", means, low, high, None, covariance=np.diag(noise))


def read_references(places: Sequence[Path], present: Baseline, encoder: Encoder, cache: EmbeddingCache) -> Compared:
    """Gather what candidates are compared with: the references, and the present picture where it is one.

    Raises
    ------
    UsageError
        If a place has no pictures, or a reference cannot be read or shows no face.
    """
    files = find_images(places) if places else []
    if places and not files:
        raise UsageError(f"reference {places[0]}: no pictures there (JPEG, PNG, WebP)")
    block = encoder.specification.blocks[IDENTITY_BLOCK]
    person = [] if present.descriptor is None else [present.descriptor]
    irises = [] if present.irises is None else [present.irises]
    for row in embed_images(files, encoder, cache):
        if row.vector is None or row.quality is None:
            raise UsageError(f"reference {row.name}: {row.reason}")
        if not row.quality.faces:
            raise UsageError(f"reference {row.name}: no face found; give pictures that show the person's face")
        person.append(row.vector[block].astype(np.float32))
        irises.append(_irises(row))
    return Compared(
        person=np.array(person, dtype=np.float64).reshape(-1, _NO_FACE.size),
        present=present.descriptor,
        irises=np.array(irises, dtype=np.float64).reshape(-1, 2),
    )


def _irises(row: Embedded) -> NDArray[np.float64]:
    measured = row.quality
    return np.array([np.nan, np.nan] if measured is None else [measured.iris_a, measured.iris_b], dtype=np.float64)


def face_descriptors(vectors: Mapping[str, NDArray[np.float16]], encoder: Encoder) -> dict[str, NDArray[np.float32]]:
    """Return the face descriptor, shape (128,), in each vector."""
    block = encoder.specification.blocks[IDENTITY_BLOCK]
    return {name: vector[block].astype(np.float32) for name, vector in vectors.items()}


def shortlist_columns(traits: Sequence[str]) -> list[str]:
    """Return the names of the columns of `rank_with_gates` in their order, with those that only some lists have."""
    columns = ranked_columns(traits)
    columns.insert(columns.index("selected") + 1, "votes")
    columns.insert(columns.index("demoted"), "gates")
    return columns


def rank_with_gates(
    table: pd.DataFrame,
    predictor: Predictor,
    baseline: Baseline,
    goals: Goals,
    budget: int,
    descriptors: Mapping[str, NDArray[np.float32]],
    compared: Compared,
    off: Collection[str] = (),
    choose: Chooser | None = None,
    rejected: Collection[str] = (),
) -> pd.DataFrame:
    """Rank the candidates; doubtful ones and near-copies of better ones are held back, with the reason in their row.

    Parameters
    ----------
    table : DataFrame
        The scores.
    predictor, baseline, goals, budget
        As in `prescreen.workflow.rank`.
    descriptors : mapping of str to ndarray of float32, shape (128,)
        Face descriptors by name.
    compared : Compared
        What the candidates are compared with.
    off : collection of str
        Gates that hold nothing back.
    choose : Chooser, optional
        Has the candidates against the present picture by all that is known, and chooses those of the shortlist
        together; without it every picture counts by its scores alone.
    rejected : collection of str
        Names of pictures that the user does not want.

    Returns
    -------
    DataFrame
        As from `prescreen.ranking.shortlist.rank_candidates`, with the column ``gates``: the names of the gates that
        hold a candidate back, separated by commas; and where votes are planned, the column ``votes``: how many each
        picture of the shortlist gets, 0 for all others.
    """
    columns = shortlist_columns(predictor.traits)
    refuse_twice(columns, "columns of the shortlist")
    names = table["image"].tolist()
    faces = np.array([descriptors.get(name, _NO_FACE) for name in names], dtype=np.float64).reshape(len(names), -1)
    gates = hold_back(table, faces, compared, off)
    if "tested" not in off and "content" in table:
        gates["tested"] = _tested(table, predictor)
    if "rejected" not in off:
        unwanted = table["image"].isin(list(rejected))
        gates["rejected"] = pd.Series(np.where(unwanted, "rejected by you", ""), index=table.index, dtype=object)
    calibration = predictor.calibration
    given = np.zeros_like(calibration.error_covariance) if baseline.covariance is None else baseline.covariance

    comparison = None if choose is None else choose.comparison

    def ranked(duplicate_of: pd.Series | None, choose: Callable[[Rows], Rows] | None) -> pd.DataFrame:
        return rank_candidates(
            table,
            predictor.traits,
            baseline=baseline.levels,
            goals=goals,
            covariance=calibration.error_covariance,
            # A predicted baseline errs like a candidate, partly in the same way since both show one person.
            baseline_covariance=None if baseline.file else given,
            shared=calibration.person_share if baseline.file else 0.0,
            difference=None if comparison is None else (comparison.difference, comparison.covariance),
            choose=choose,
            budget=budget,
            duplicate_of=duplicate_of,
            demotions=list(gates.values()),
        )

    place = {name: row for row, name in enumerate(names)}
    copies = None
    if "copies" not in off:
        # Of two copies the one that nothing else speaks against stays; among those, the better one.
        doubtful = {name for reasons in gates.values() for name, text in zip(names, reasons, strict=True) if text}
        best_first = [name for name in ranked(None, lambda rows: rows[:0])["image"] if name in descriptors]
        order = [place[name] for name in sorted(best_first, key=lambda name: name in doubtful)]
        copy_of = near_duplicates(faces, np.array(order, dtype=np.intp), NEAR_COPY)
        better = [names[row] if row >= 0 else "" for row in copy_of]
        copies = pd.Series(better, index=table.index, dtype=object)  # names may not be UTF-8
    held = dict.fromkeys(names, "")
    for gate, reasons in (gates | ({} if copies is None else {"copies": copies})).items():
        for name, text in zip(names, reasons, strict=True):
            if text:
                held[name] = f"{held[name]},{gate}" if held[name] else gate
    result = ranked(copies, choose)
    result["gates"] = [held[name] for name in result["image"]]
    if choose is not None and choose.plan is not None:
        votes = np.zeros(len(result), dtype=np.int64)
        votes[result["selected"].to_numpy()] = choose.plan.votes_each
        result["votes"] = votes
    return result[[column for column in columns if column in result]]


def _tested(table: pd.DataFrame, predictor: Predictor) -> pd.Series:
    """Hold back what people have scored: its answer is known."""
    tested = predictor.was_tested(table["content"].tolist())
    return pd.Series(np.where(tested, "people have scored it already", ""), index=table.index, dtype=object)


def draw_report(
    ranked: pd.DataFrame,
    predictor: Predictor,
    baseline: Baseline,
    goals: Goals,
    files: Sequence[ImageFile],
    note: ScoresNote | None,
    advance: Callable[[], object],
    token: str | None = None,
    plan: str = "",
    folders: pd.DataFrame | None = None,
    keep_metadata: bool = False,
) -> str:
    """Draw the page with the pictures, one HTML file; with a token it is the one that a server gives out."""
    interval = {t: TraitValue(v, baseline.low.get(t), baseline.high.get(t)) for t, v in baseline.levels.items()}
    source = baseline.name.removeprefix("scores ") if baseline.file is None else "predicted from the picture"
    manifest = predictor.manifest
    summary = summarize_ranking(
        ranked,
        predictor.traits,
        goals,
        BaselinePicture(baseline.name, source, interval),
        Provenance(
            predictor=f"{manifest.name} ({predictor.fingerprint[:12]})",
            encoder=manifest.encoder.name,
            trained_on=f"{manifest.data['images']} portraits from {manifest.data['source']}",
            scored=", ".join(note.inputs) if note else "",
            version=__version__,
        ),
        accuracy=predictor.evaluation.traits,
        simulated=manifest.simulated,
        plan=plan,
        folders=folders,
    )
    images = _thumbnails(files, ranked["image"].tolist(), advance)
    present = None if baseline.file is None else thumbnail(ImageFile(baseline.file, baseline.name), LARGE)
    return render_ranking(summary, images, present, token, keep_metadata)


def picture_base64(file: ImageFile) -> str:
    """Return a picture as a small WebP in base64, as a client of a served model would send it."""
    return base64.b64encode(shared_workers().thumbnail(read_bytes(file), side=256, quality=85)).decode()


def _thumbnails(
    files: Sequence[ImageFile], best_first: Sequence[str], advance: Callable[[], object]
) -> dict[str, bytes]:
    """Draw small pictures of all files and large ones of the best, as many as the page can bear."""
    place = {name: rank for rank, name in enumerate(best_first)}
    ordered = sorted(files, key=lambda file: place.get(file.name, len(place)))
    weight = PICTURE_BYTES / max(len(files), 1)
    side, quality = (THUMBNAIL, 60) if weight > 9_000 else (224, 50) if weight > 3_500 else (128, 40)

    def small(file: ImageFile) -> bytes | None:
        image = thumbnail(file, side, quality)
        advance()
        return image

    images = {}
    with ThreadPoolExecutor(max_workers=processors()) as pool:
        for file, image in zip(ordered, pool.map(small, ordered), strict=True):
            if image is not None:
                images[file.name] = image
        left = PICTURE_BYTES - sum(map(len, images.values()))
        best = [file for file in ordered[:LARGE_COUNT] if file.name in images]
        for file, image in zip(best, pool.map(lambda file: thumbnail(file, LARGE, 70), best), strict=True):
            if image is not None and (left := left - len(image)) > 0:
                images[file.name] = image
    return images


def thumbnail(file: ImageFile, side: int, quality: int = 70) -> bytes | None:
    """Return a small WebP without metadata, drawn by a worker, or None if the picture can no longer be read.

    Parameters
    ----------
    file : ImageFile
        The picture.
    side : int
        Its longer side in pixels; a smaller picture keeps its size.
    quality : int, 0 to 100
        Of the WebP.
    """
    try:
        return shared_workers().thumbnail(read_bytes(file), side, quality)
    except PictureError:
        return None
