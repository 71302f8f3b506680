"""Ranking without any ratings: the verb ``rank --zero-shot``, by words that a CLIP model learned with pictures.

Nothing here is calibrated, and nothing pretends to be: no scores from 0 to 10, no intervals, no chances.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen import __version__
from prescreen.embeddings.pipeline import (
    Embedded,
    EmbeddingCache,
    EmbeddingCounts,
    describe_faults,
    embed_images,
    not_cached,
)
from prescreen.encoders import Encoder, TextSimilarity, make_encoder
from prescreen.errors import NothingScored, UsageError
from prescreen.images.files import ImageFile, find_images
from prescreen.progress import NullReporter, ProgressReporter, reported
from prescreen.ranking.checks import Candidates, Excluded, exclude
from prescreen.ranking.goals import Goals
from prescreen.ranking.options import DEFAULT_BUDGET, DEFAULT_OPTIONS, RankingOptions
from prescreen.ranking.prompts import CAPTIONS, captions, contrasts, fit
from prescreen.reports import thumbnails
from prescreen.reports.zero_shot_page import WARNING, ZeroShotCard, ZeroShotPage, render_zero_shot
from prescreen.shortlist.baseline import Baseline, read_photo, read_references
from prescreen.shortlist.shortlist import face_descriptors, stack_faces
from prescreen.storage import provenance
from prescreen.storage.atomic import write_files_atomic
from prescreen.storage.overwrite_checks import check_output_paths, check_page
from prescreen.storage.tables import table_bytes, table_format
from prescreen.text import FAILED, OK, shown
from prescreen.workflow.inputs import announce_time

BASIS: Final = "words alone, uncalibrated"
TRAITS: Final = tuple(CAPTIONS)
SHOWN: Final = 60
"""Pictures on the page; all are in the table."""


@dataclass(frozen=True)
class ZeroShot:
    """What `rank_zero_shot` made: the whole table and its first rows, the pictures to look at first."""

    table: pd.DataFrame
    shortlist: pd.DataFrame


@reported
def rank_zero_shot(
    inputs: Sequence[Path],
    *,
    encoder: str = "clip",
    baseline: str | None = None,
    options: RankingOptions = DEFAULT_OPTIONS,
    output: Path,
    report: Path | None = None,
    reporter: ProgressReporter | None = None,
) -> ZeroShot:
    """Rank pictures by words for the three traits, without any ratings.

    Parameters
    ----------
    inputs : sequence of Path
        Folders or image files.
    encoder : str
        Name of an encoder with CLIP, see `prescreen.encoders.make_encoder`.
    baseline : str, optional
        The current photo; without it the candidates' mean stands in.
    options : RankingOptions
        What should improve, what must stay, how many pictures, references and gates. Margins and votes have no meaning.
    output : Path
        ``.csv``, ``.parquet`` or ``.jsonl``, with ``OUTPUT.meta.json`` beside it that says what it is.
    report : Path, optional
        One HTML file with the pictures.
    reporter : ProgressReporter, optional
        Receives progress messages.

    Raises
    ------
    UsageError
        If the encoder cannot compare pictures with words, or a wish has no meaning without calibration.
    NothingScored
        If there is no picture, or every picture failed.
    """
    reporter = reporter or NullReporter()
    table_format(output)
    check_page(report)
    check_output_paths(
        {"--output": output, "--report": report},
        {"your current photo": None if baseline is None else Path(baseline)} | {str(place): place for place in inputs},
    )
    goals = _goals(options)
    files = find_images(inputs)  # before any weights are fetched
    if not files:
        raise NothingScored(f"{', '.join(map(str, inputs))}: no pictures there (JPEG, PNG, WebP)")
    network = make_encoder(encoder, texts=True)
    similarity = TextSimilarity(network.specification, captions())
    reporter.info(f"zero-shot  {WARNING}")
    reporter.info(f"encoder    {shown(network.specification.choice)}")
    against = "the candidates' mean" if baseline is None else "your current photo"
    reporter.info(f"goals      {goals.describe()}; SD: standard deviations of these pictures above {against}")
    counts = EmbeddingCounts()
    with EmbeddingCache() as cache:
        present = None if baseline is None else _present(baseline, network, cache)
        references = read_references(options.references, present or Baseline("", {}, {}, {}, None), network, cache)
        if not isinstance(reporter, NullReporter):
            announce_time(*not_cached(files, network, cache), network, reporter)
        with reporter.progress("embedding", len(files)) as advance:
            rows = list(embed_images(files, network, cache, counts=counts, advance=advance))
    if counts.failed == len(rows):
        raise NothingScored(
            f"none of the {len(rows)} pictures could be used: {describe_faults(counts.faults)}; "
            f"the first: {counts.reason}"
        )
    if counts.failed:
        reporter.info(f"pictures   {len(rows) - counts.failed} ranked, {counts.describe_failures()}")
    vectors = [row.vector for row in rows] + ([] if present is None else [present.vector])
    all_ = contrasts(similarity.cosines(vectors), len(rows))
    contrast, level = all_[: len(rows)], np.zeros(len(TRAITS)) if present is None else all_[-1]
    order_by = fit(contrast, TRAITS, goals, level)
    found = {row.name: row.vector for row in rows if row.vector is not None}
    faces = stack_faces([row.name for row in rows], face_descriptors(found, network.specification))
    ranked = np.array([i for i in np.argsort(-order_by, kind="stable") if rows[i].vector is not None], dtype=np.intp)
    excluded = exclude(Candidates(_quality(rows), faces, references), ranked, options.gates_off)
    table = _table(rows, ranked, contrast, level, order_by, excluded, goals, options.most or DEFAULT_BUDGET)
    written = {output: table_bytes(table, output)}
    written[output.with_name(f"{output.name}.meta.json")] = _note(written[output], encoder, network, inputs, goals)
    if report is not None:
        written[report] = _page(table, files, goals, encoder, baseline, reporter).encode()
    write_files_atomic(written)
    return ZeroShot(table, table[table["selected"]])


def _goals(options: RankingOptions) -> Goals:
    for value, option in (
        (options.improve_margin, "--improve-margin"),
        (options.keep_margin, "--keep-margin"),
        (options.votes, "--votes"),
        (options.wanted, "--wanted"),
        (options.baseline_scores, "--baseline-scores"),
        (options.baseline_votes, "--baseline-votes"),
        (options.same_raters, "--same-raters"),
    ):
        if value:
            raise UsageError(f"{option}: has no meaning with --zero-shot, which has no scores; train a predictor")
    return options.goals(TRAITS)


def _present(baseline: str, encoder: Encoder, cache: EmbeddingCache) -> Baseline:
    path = Path(baseline)
    if not path.is_file():
        why = "scores cannot be compared with words" if "=" in baseline else "no such picture"
        raise UsageError(f"baseline {baseline!r}: {why}; give a picture, or leave it out")
    return read_photo(path, encoder, cache)


def _quality(rows: Sequence[Embedded]) -> pd.DataFrame:
    measured = [{} if row.quality is None else asdict(row.quality) for row in rows]
    columns = next(list(found) for found in measured if found)
    frame = pd.DataFrame(measured, columns=columns)
    names = pd.Series([row.name for row in rows], dtype=object)
    return frame.assign(image=names, status=[FAILED if row.vector is None else OK for row in rows])


def _table(
    rows: Sequence[Embedded],
    ranked: NDArray[np.intp],
    contrast: NDArray[np.float64],
    level: NDArray[np.float64],
    order_by: NDArray[np.float64],
    excluded: Excluded,
    goals: Goals,
    budget: int,
) -> pd.DataFrame:
    because, checks = excluded.because, excluded.checks
    chosen = [i for i in ranked if not because[i]][:budget]
    failed = [i for i, row in enumerate(rows) if row.vector is None]
    order = [*chosen, *(i for i in ranked if i not in set(chosen)), *failed]
    records: list[dict[str, Any]] = []
    for place, i in enumerate(order, start=1):
        fine = rows[i].vector is not None
        demoted = because[i] if fine else ""
        moved = ", ".join(
            f"{name} {contrast[i, TRAITS.index(name)] - level[TRAITS.index(name)]:+.1f} SD" for name in goals.traits
        )
        records.append(
            {
                "rank": place,
                "image": rows[i].name,
                "basis": BASIS,
                "selected": i in chosen,
                "order_by": round(float(order_by[i]), 3) if fine else np.nan,
                **{
                    f"{name}_words": round(float(contrast[i, t]), 3) if fine else np.nan
                    for t, name in enumerate(TRAITS)
                },
                "status": OK if fine else FAILED,
                "gates": checks[i] if fine else "",
                "demoted": demoted,
                "duplicate_of": excluded.copy_of[i],
                "reason": rows[i].reason,
                "why": "; ".join(part for part in (demoted, moved) if part) if fine else f"failed: {rows[i].reason}",
            }
        )
    frame = pd.DataFrame(records)
    frame["image"] = pd.Series([record["image"] for record in records], dtype=object)
    return frame


def _note(table: bytes, encoder: str, network: Encoder, inputs: Sequence[Path], goals: Goals) -> bytes:
    content = {
        "kind": provenance.ZERO_SHOT,
        "calibrated": False,
        "warning": WARNING,
        "table_sha256": hashlib.sha256(table).hexdigest(),
        "encoder": encoder,
        "encoder_sha256": network.specification.fingerprint,
        "goals": goals.describe(),
        "captions": {name: asdict(words) for name, words in CAPTIONS.items()},
        "inputs": [str(path.resolve()) for path in inputs],
        "versions": provenance.versions(),
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def _page(
    table: pd.DataFrame,
    files: Sequence[ImageFile],
    goals: Goals,
    encoder: str,
    baseline: str | None,
    reporter: ProgressReporter,
) -> str:
    place = {file.name: file for file in files}
    first = table[table["status"] == OK].head(SHOWN)
    cards = []
    with reporter.progress("drawing", len(first)) as advance:
        for row in first.to_dict("records"):
            picture = thumbnails.thumbnail(place[row["image"]], thumbnails.THUMBNAIL)
            cards.append(ZeroShotCard(row["rank"], row["image"], row["selected"], row["why"], picture))
            advance()
    against = "the candidates' mean" if baseline is None else f"your current photo, {Path(baseline).name}"
    return render_zero_shot(
        ZeroShotPage(
            goals=goals.describe(),
            against=against,
            encoder=encoder,
            version=__version__,
            captions={name: (words.more, words.less) for name, words in CAPTIONS.items()},
            cards=tuple(cards),
            others=len(table) - len(first),
        )
    )
