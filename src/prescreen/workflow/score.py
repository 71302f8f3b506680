"""The verb ``score``: a folder of pictures to a table of scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from prescreen.embeddings.pipeline import EmbeddingCounts, describe_faults
from prescreen.errors import NothingScored, UsageError
from prescreen.predictor import ray_engine, reproducibility
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.scores_table import score_parts, score_pictures
from prescreen.progress import NullReporter, ProgressReporter, reported
from prescreen.storage import provenance, table_output
from prescreen.storage.overwrite_checks import check_output_paths
from prescreen.storage.provenance import ScoresMetadata
from prescreen.storage.remote import is_url
from prescreen.text import unknown_name
from prescreen.workflow.inputs import (
    embed_inputs,
    find_inputs,
    load_predictor,
    local_paths,
    resolve_model_uri,
    warn_of_unusable,
)

LOCAL: Final = "local"
RAY: Final = "ray"
ENGINES: Final = (LOCAL, RAY)


@dataclass(frozen=True)
class Scoring:
    """What `score` did: the table's path, pictures scored and failed, and where the vectors came from."""

    output: Path | str
    scored: int
    failed: int
    counts: EmbeddingCounts


@reported
def score(
    inputs: Sequence[Path | str],
    *,
    predictor: str,
    output: Path | str,
    tolerant: bool = False,
    follow_links: bool = False,
    engine: str = LOCAL,
    ray_address: str | None = None,
    device: str | None = None,
    reporter: ProgressReporter | None = None,
) -> Scoring:
    """Score pictures and write the table, with ``OUTPUT.meta.json`` beside it.

    Parameters
    ----------
    inputs : sequence of Path or str
        Folders or image files, or one URL that fsspec knows.
    predictor : str
        Directory or MLflow model URI.
    output : Path or str
        ``.csv``, ``.parquet`` or ``.jsonl``, or a folder of Parquet parts (no suffix, or ``/`` at the end), here or at
        a URL; columns as in `prescreen.predictor.scores_table.score_pictures`.
    tolerant : bool
        Score truncated pictures as far as they go instead of failing them.
    follow_links : bool
        Follow links that lead out of the folders; otherwise they are failed rows, see
        `prescreen.images.files.find_images`.
    engine : str
        ``local``, or ``ray`` for actors on this machine or a cluster; see `prescreen.predictor.ray_engine`.
    ray_address : str, optional
        Address of a Ray cluster.
    device : str, optional
        As in `train`.
    reporter : ProgressReporter, optional
        Receives progress messages.

    Raises
    ------
    NothingScored
        If there is no picture, or every picture failed; the table is written in the second case.
    """
    reporter = reporter or NullReporter()
    if engine not in ENGINES:
        raise UsageError(unknown_name(engine, ENGINES, "engine"))
    table_output.check_ending(str(output))  # before the work is done
    if engine == RAY:
        ray_engine.check_installed()
    loaded = load_predictor(predictor)
    if not loaded.usability.usable:
        warn_of_unusable(loaded, loaded.traits, reporter)
    encoder = loaded.make_encoder(device)
    files = find_inputs(inputs, follow_links)
    if not is_url(output):
        check_output_paths({"--output": Path(output)}, local_paths(inputs))
    canaries = reproducibility.check_reproducibility(loaded, encoder, reporter)
    counts = EmbeddingCounts()
    with table_output.stage_table(str(output)) as table:
        if engine == RAY:
            with reporter.progress("scoring", len(files)) as advance:
                parts = ray_engine.score_distributed(
                    files,
                    loaded,
                    tolerant=tolerant,
                    device=encoder.device,
                    counts=counts,
                    address=ray_address,
                    advance=advance,
                )
                table.write(parts)
        else:
            rows = embed_inputs(files, encoder, reporter, title="scoring", counts=counts, tolerant=tolerant)
            table.write(score_parts(rows, loaded))
        scored = counts.decoded + counts.cached
        metadata = ScoresMetadata(
            table_sha256=table.sha256,
            predictor=resolve_model_uri(predictor),
            predictor_name=loaded.manifest.name,
            predictor_sha256=loaded.fingerprint,
            encoder=loaded.manifest.encoder.name,
            encoder_sha256=loaded.manifest.encoder.fingerprint,
            traits=loaded.traits,
            inputs=tuple(str(place if is_url(place) else Path(place).resolve()) for place in inputs),
            scored=scored,
            failed=counts.failed,
            faults=counts.faults,
            tolerant=tolerant,
            simulated=loaded.manifest.simulated,
            versions=provenance.versions(),
            canaries=canaries.text,
            precision=encoder.specification.precision,
        )
        metadata.write(table.place, table.commit)
    if not scored:
        raise NothingScored(
            f"none of the {counts.failed} pictures could be scored: {describe_faults(counts.faults)}; "
            f"the first: {counts.reason}"
        )
    return Scoring(output, scored, counts.failed, counts)


def score_table(
    inputs: Sequence[Path | str], predictor: Predictor, *, tolerant: bool = False, follow_links: bool = False
) -> pd.DataFrame:
    """Score pictures and return the table, with the columns of `prescreen.predictor.scores_table.score_pictures`."""
    files, encoder, reporter = find_inputs(inputs, follow_links), predictor.make_encoder(), NullReporter()
    reproducibility.check_reproducibility(predictor, encoder, reporter)
    return score_pictures(embed_inputs(files, encoder, reporter, title="scoring", tolerant=tolerant), predictor)
