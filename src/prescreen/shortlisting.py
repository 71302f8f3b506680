"""The inner steps of ranking: goals, the present picture, near-copies, the report."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from prescreen import __version__
from prescreen.embeddings import EmbeddingCache, embed_images
from prescreen.encoders import IDENTITY_BLOCK, Encoder
from prescreen.errors import PictureError, UsageError
from prescreen.images import ImageFile, decode, find_images, read_bytes
from prescreen.predictor import Predictor
from prescreen.provenance import ScoresNote
from prescreen.ranking.duplicates import near_duplicates
from prescreen.ranking.gates import another_person, no_single_face
from prescreen.ranking.goals import Goals
from prescreen.ranking.shortlist import rank_candidates
from prescreen.reports.render import render_ranking
from prescreen.reports.summarize import BaselinePicture, Provenance, TraitAccuracy, TraitValue, summarize_ranking
from prescreen.tables import write_text_atomic
from prescreen.traits import parse_levels

NEAR_COPY: Final = 0.905
"""Cosine of the face descriptors, centred on their mean, from which two candidates are taken for near-copies.

On 900 generated portraits of one person it finds all hardly changed repetitions and takes fewer than 1 % of the other
candidates for one.
"""

THUMBNAIL: Final = 256
LARGE: Final = 640


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
    """

    name: str
    levels: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    file: Path | None
    descriptor: NDArray[np.float32] | None = field(default=None, repr=False)

    def in_words(self) -> str:
        """Return the scores as one phrase."""
        return ", ".join(f"{trait} {level:.1f}" for trait, level in self.levels.items())


def read_baseline(text: str, predictor: Predictor, encoder: Encoder, cache: EmbeddingCache) -> Baseline:
    """Understand ``--baseline``: a picture, which is scored, or scores.

    Raises
    ------
    UsageError
        If it is neither, or the picture cannot be scored.
    """
    path = Path(text)
    if path.is_file():
        (row,) = embed_images([ImageFile(path, path.name)], encoder, cache)
        if row.vector is None:
            raise UsageError(f"baseline {text}: {row.reason}")
        predicted = predictor.predict(row.vector[None])
        values = (predicted.score, predicted.score_low, predicted.score_high)
        levels, low, high = (dict(zip(predictor.traits, map(float, v[0]), strict=True)) for v in values)
        descriptor = row.vector[encoder.specification.blocks[IDENTITY_BLOCK]].astype(np.float32)
        return Baseline(path.name, levels, low, high, path, descriptor)
    if "=" not in text:
        raise UsageError(f"baseline {text!r}: no such picture; or give scores such as competence=8.2,likeability=9.0")
    levels = parse_levels(text)
    for trait in levels:
        Goals(improve=(trait,)).check(predictor.traits)
    return Baseline("scores from raters", levels, {}, {}, None)


def candidate_files(note: ScoresNote, table: pd.DataFrame) -> list[ImageFile]:
    """Find the scored pictures again, those that are still where they were."""
    known = set(table.loc[table["status"] == "ok", "image"])
    inputs = [Path(place) for place in note.inputs if Path(place).exists()]
    return [file for file in find_images(inputs) if file.name in known] if inputs else []


def face_descriptors(
    files: Sequence[ImageFile], encoder: Encoder, cache: EmbeddingCache, tolerant: bool, advance: Callable[[], object]
) -> dict[str, NDArray[np.float32]]:
    """Return the face descriptor, shape (128,), of each picture, from the cache where it is there."""
    block = encoder.specification.blocks[IDENTITY_BLOCK]
    rows = embed_images(files, encoder, cache, tolerant=tolerant, advance=advance)
    return {row.name: row.vector[block].astype(np.float32) for row in rows if row.vector is not None}


def rank_with_gates(
    table: pd.DataFrame,
    predictor: Predictor,
    baseline: Baseline,
    goals: Goals,
    budget: int,
    descriptors: Mapping[str, NDArray[np.float32]],
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

    Returns
    -------
    DataFrame
        As from `prescreen.ranking.shortlist.rank_candidates`.
    """
    names = table["image"].tolist()
    faces = np.full((len(names), len(baseline.descriptor) if baseline.descriptor is not None else 128), np.nan)
    for row, name in enumerate(names):
        if name in descriptors:
            faces[row] = descriptors[name]
    gates = [no_single_face(table), another_person(faces, baseline.descriptor, table.index)]
    covariance = predictor.calibration.error_covariance

    def ranked(duplicate_of: pd.Series | None) -> pd.DataFrame:
        return rank_candidates(
            table,
            predictor.traits,
            baseline=baseline.levels,
            goals=goals,
            covariance=covariance,
            # Scores that raters gave are taken as they are; a predicted baseline errs like a candidate.
            baseline_covariance=np.zeros_like(covariance) if baseline.file is None else None,
            budget=budget,
            duplicate_of=duplicate_of,
            demotions=gates,
        )

    place = {name: row for row, name in enumerate(names)}
    best_first = [place[name] for name in ranked(None)["image"] if name in descriptors]
    if len(best_first) < 2:
        return ranked(None)
    copy_of = near_duplicates(faces - np.nanmean(faces, axis=0), np.array(best_first), NEAR_COPY)
    return ranked(pd.Series([names[better] if better >= 0 else "" for better in copy_of], index=table.index))


def write_report(
    path: Path,
    ranked: pd.DataFrame,
    predictor: Predictor,
    baseline: Baseline,
    goals: Goals,
    files: Sequence[ImageFile],
    note: ScoresNote,
    advance: Callable[[], object],
) -> None:
    """Write the page with the pictures as one HTML file."""
    interval = {t: TraitValue(v, baseline.low.get(t), baseline.high.get(t)) for t, v in baseline.levels.items()}
    source = "scores from raters" if baseline.file is None else "predicted from the picture"
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
            scored=", ".join(note.inputs),
            version=__version__,
        ),
        accuracy=[_accuracy(name, trait) for name, trait in predictor.evaluation["traits"].items()],
        simulated=manifest.simulated,
    )
    images = _thumbnails(files, set(ranked.loc[ranked["selected"], "image"]), advance)
    present = None if baseline.file is None else _thumbnail(ImageFile(baseline.file, baseline.name), LARGE)
    write_text_atomic(path, render_ranking(summary, images, present))


def picture_base64(file: ImageFile) -> str:
    """Return a picture as a small JPEG in base64, as a client of a served model would send it."""
    stream = io.BytesIO()
    decode(read_bytes(file)).pixels.resize((256, 256)).save(stream, "JPEG", quality=85)
    return base64.b64encode(stream.getvalue()).decode()


def _thumbnails(files: Sequence[ImageFile], large: set[str], advance: Callable[[], object]) -> dict[str, bytes]:
    def draw(file: ImageFile) -> tuple[str, bytes | None]:
        return file.name, _thumbnail(file, LARGE if file.name in large else THUMBNAIL)

    images = {}
    with ThreadPoolExecutor() as pool:
        for name, image in pool.map(draw, files):
            advance()
            if image is not None:
                images[name] = image
    return images


def _thumbnail(file: ImageFile, side: int) -> bytes | None:
    """Return a small WebP without metadata, or None if the picture can no longer be read."""
    try:
        pixels = decode(read_bytes(file), tolerant=True, min_side=side).pixels
    except PictureError:
        return None
    pixels.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    pixels.save(stream, "WEBP", quality=70, method=2)
    return stream.getvalue()


def _accuracy(name: str, trait: Mapping[str, Any]) -> TraitAccuracy:
    """Take what the report shows from a trait of the evaluation's JSON form."""
    ceiling = trait["ceiling"] or {}
    pearson = trait["pearson"]
    return TraitAccuracy(
        trait=name,
        r=pearson["value"] or 0.0,
        pictures=trait["n"],
        r_low=pearson["low"],
        r_high=pearson["high"],
        ceiling=ceiling.get("highest_r"),
        votes=(ceiling.get("votes") or {}).get("value"),
    )
