"""The verb ``embed``: pictures to vectors."""

from collections.abc import Sequence
from pathlib import Path

from prescreen.embeddings.export import write_vectors
from prescreen.embeddings.pipeline import EmbeddingCounts, describe_faults
from prescreen.encoders import make_encoder
from prescreen.errors import NothingScored, UsageError
from prescreen.progress import NullReporter, ProgressReporter, reported
from prescreen.storage.overwrite_checks import check_output_paths
from prescreen.storage.tables import table_format
from prescreen.text import shown
from prescreen.workflow.inputs import embed_inputs, find_inputs, local_paths


@reported
def embed(
    inputs: Sequence[Path | str],
    *,
    encoder: str = "clip",
    precision: str = "auto",
    device: str | None = None,
    views: Sequence[str] | None = None,
    mirror: bool | None = None,
    output: Path | None = None,
    follow_links: bool = False,
    reporter: ProgressReporter | None = None,
) -> EmbeddingCounts:
    """Turn pictures into vectors and cache them; with an output, write them as `prescreen.embeddings.export` does.

    The other arguments are those of `prescreen.workflow.train.TrainingOptions` and `prescreen.workflow.score.score`.
    """
    reporter = reporter or NullReporter()
    if output is not None and table_format(output) != "parquet":
        raise UsageError(f"{output}: vectors are written as .parquet")
    files = find_inputs(inputs, follow_links)  # before any weights are fetched
    check_output_paths({"--output": output}, local_paths(inputs))
    network = make_encoder(encoder, precision, device, views=views, mirror=mirror)
    reporter.info(f"encoder    {shown(network.specification.choice)} sees {network.specification.sees}")
    counts = EmbeddingCounts()
    rows = embed_inputs(files, network, reporter, title="embedding", counts=counts, may_choose=True)
    if output is not None:
        write_vectors(rows, network.specification.dimension, output)
    for _ in rows:  # without an output, only the cache is filled
        pass
    if counts.failed == len(files):
        raise NothingScored(
            f"none of the {len(files)} pictures could be used: {describe_faults(counts.faults)}; "
            f"the first: {counts.reason}"
        )
    return counts
