"""What raises which trait: the verb ``effects``. Its statistics are in `prescreen.ranking.effect_tests`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from prescreen.embeddings.pipeline import EmbeddingCache
from prescreen.encoders import TextSimilarity
from prescreen.errors import UsageError
from prescreen.predictor.scored_files import find_candidates, scored_vectors
from prescreen.progress import NullReporter, ProgressReporter, reported
from prescreen.ranking.effect_tests import MIN_PICTURES
from prescreen.shortlist.effect_groups import by_text, read_tags
from prescreen.shortlist.effects_table import (
    DEFAULT_CHECKS,
    effects_table,
    keep_comparable,
    list_hypotheses,
    measure_effects,
    pair_near_copies,
)
from prescreen.shortlist.shortlist import face_descriptors
from prescreen.storage.atomic import write_files_atomic
from prescreen.storage.overwrite_checks import check_output_paths
from prescreen.storage.tables import table_bytes, table_format
from prescreen.text import OK
from prescreen.workflow.inputs import open_scores


@dataclass(frozen=True)
class Found:
    """What `effects` found.

    Parameters
    ----------
    table : DataFrame
        One row for each hypothesis and trait; columns in docs/effects.md.
    pictures, distinct, left_out : int
        Pictures compared, those of them that are no near-copies, and pictures that gates left out.
    """

    table: pd.DataFrame
    pictures: int
    distinct: int
    left_out: int


@reported
def effects(
    scores: Path,
    *,
    by: Sequence[str] = (),
    tags: Path | None = None,
    separator: str = ";",
    texts: Sequence[str] = (),
    gates: Collection[str] = DEFAULT_CHECKS,
    output: Path | None = None,
    predictor: str | None = None,
    images: Sequence[str | Path] = (),
    reporter: ProgressReporter | None = None,
) -> Found:
    """Test what goes with higher and lower scores: folders, tags, similarity to texts.

    Parameters
    ----------
    scores : Path
        A table that `score` wrote.
    by : sequence of str
        ``folder`` and columns of the tags; by default the folders, where there are several, and all columns.
    tags : Path, optional
        Table that says of pictures how they were made; see `prescreen.shortlist.effect_groups.read_tags`.
    separator : str
        Between several tags in one cell.
    texts : sequence of str
        What pictures may show; needs a predictor with a CLIP encoder.
    gates : collection of str
        Gates whose pictures are left out, all but those that need a current photo.
    output : Path, optional
        ``.csv``, ``.parquet`` or ``.jsonl``.
    predictor : str, optional
        Directory or MLflow model URI, where the note beside the scores does not name it or it has moved.
    images : sequence of str or Path
        Where the scored pictures are, as in `prescreen.workflow.rank.rank`.
    reporter : ProgressReporter, optional
        Receives progress messages.

    Raises
    ------
    UsageError
        If there is nothing to compare by.
    EncoderError
        For a text where the encoder has no text tower.
    """
    reporter = reporter or NullReporter()
    if output is not None:
        table_format(output)
        check_output_paths({"--output": output}, {"SCORES": scores, "--tags": tags})
    note, table, loaded, encoder = open_scores(scores, predictor, reporter)
    similarity = TextSimilarity(loaded.manifest.encoder, texts, loaded.beside) if texts else None
    table = table[table["status"] == OK].reset_index(drop=True)
    names = table["image"].tolist()
    read = None if tags is None else read_tags(tags, names)
    with EmbeddingCache() as cache:
        files = find_candidates(note, table, images, cache, reporter)
        with reporter.progress("comparing", len(table)) as advance:
            vectors = scored_vectors(table, files, encoder, cache, advance)
    faces = face_descriptors(vectors, encoder.specification)
    kept = keep_comparable(table, faces, gates)
    left_out = len(table) - len(kept)
    names = kept["image"].tolist()
    hypotheses = list_hypotheses(names, by, read, separator)
    if read is not None:
        untagged = len(set(names) - set(read.frame.index))
        if read.unknown or untagged:
            reporter.info(
                f"tags       {untagged} pictures are not in it; {read.unknown} of its rows are of no scored picture"
            )
    if similarity is not None:
        rows = [vectors.get(name) for name in names]
        hypotheses += [by_text(text, row) for text, row in zip(texts, similarity.cosines(rows), strict=True)]
    if not hypotheses:
        raise UsageError(
            f"nothing to compare by: no two folders or tags with at least {MIN_PICTURES} pictures each; "
            "name a table with --tags, or a --text"
        )
    clusters = pair_near_copies(names, faces)
    if missing := sum(name not in vectors for name in names):
        reporter.info(f"{missing} of {len(names)} pictures cannot be found: near-copies and errors in common not seen")
    if left_out:
        reporter.info(
            f"left out   {left_out} pictures by the checks {', '.join(sorted(gates))}; --gates none takes them in"
        )
    found = measure_effects(kept, loaded, hypotheses, clusters, vectors)
    result = effects_table(found, hypotheses, loaded.traits)
    reporter.info(
        f"compared   {len(kept)} pictures, {len(np.unique(clusters))} of them no near-copies; "
        f"{int(result['p'].notna().sum())} effects tested together: p is adjusted for that"
    )
    reporter.info(
        "           predicted: what the predictor sees; raters: what people would say, as far as it can be trusted"
    )
    if output is not None:
        write_files_atomic({output: table_bytes(result, output)})
    return Found(result, len(kept), len(np.unique(clusters)), left_out)
