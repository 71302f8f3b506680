"""Scores on several machines with Ray Data: the only module that imports Ray.

Each actor loads encoder and predictor once and runs the code of the local engine on blocks of pictures. Blocks come
back in the order of their names, so the table equals that of the local engine.
"""

import contextlib
import json
import logging
import os
import platform
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from prescreen import __version__, errors
from prescreen.embeddings.cache import EmbeddingCache
from prescreen.embeddings.pipeline import EmbeddingCounts, embed_images
from prescreen.encoders import Encoder
from prescreen.errors import PrescreenError, UsageError
from prescreen.images.files import ImageFiles
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.scores_table import score_parts
from prescreen.settings import (
    CACHE_VARIABLE,
    LIMIT_VARIABLE,
    PROCESSORS_VARIABLE,
    WEIGHTS_VARIABLE,
    cache_directory,
    processors,
)
from prescreen.storage.tables import read_table_bytes, table_bytes
from prescreen.text import shown

ACTOR_PROCESSORS: Final = 4
"""Processors of an actor; fewer if the largest machine has fewer."""
MOST_PICTURES: Final = 1024
"""Pictures of a block; a block is repeated when its actor dies."""
LEAST_PICTURES: Final = 16

_OBJECT_STORE: Final = 256 << 20  # bytes; blocks are rows of numbers, the pictures never pass through it
_PATIENCE: Final = 10.0  # seconds for an address to answer
_FORMAT: Final = "block.parquet"
_ADDRESS_VARIABLE: Final = "RAY_ADDRESS"


def check_installed() -> None:
    """Raise a UsageError with the remedy if Ray is not installed."""
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"--engine ray needs Ray ({shown(str(error))}): pip install 'portrait-prescreen[ray]'"
        ) from error


def score_distributed(
    files: ImageFiles,
    predictor: Predictor,
    *,
    tolerant: bool = False,
    device: str = "cpu",
    counts: EmbeddingCounts | None = None,
    address: str | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Iterator[pd.DataFrame]:
    """Score pictures as `prescreen.predictor.scores_table.score_parts` does, in Ray actors.

    An actor that dies is replaced and its block repeated; its vectors are in the cache of its machine. On one machine
    all actors use the cache of this run. On a cluster each machine has a cache.

    Parameters
    ----------
    files : ImageFiles
        Pictures that every machine of the cluster sees under the same path or URL.
    predictor : Predictor
        Sent to the actors; they need not see its directory.
    tolerant : bool
        Score truncated pictures as far as they go.
    device : str
        Device of the networks. With ``cuda`` each actor gets a graphics card, otherwise none.
    counts : EmbeddingCounts, optional
        Updated with each block.
    address : str, optional
        Address of a Ray cluster; by default ``RAY_ADDRESS``, or else Ray is started on this machine for the run.
    advance : callable
        Called once for each picture.

    Yields
    ------
    DataFrame
        Rows in the order of the pictures, a block at a time.

    Raises
    ------
    UsageError
        If Ray is not installed.
    PrescreenError
        If the cluster cannot be reached or gives up, or what an actor raised.
    """
    check_installed()
    import ray
    from ray.data import ActorPoolStrategy, from_arrow

    counts = counts or EmbeddingCounts()
    with _session(address):
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        processors_of = [int(machine.get("CPU", 0)) for machine in machines]
        each = min(ACTOR_PROCESSORS, max(processors_of, default=0) or ACTOR_PROCESSORS)
        cards = 1 if device == "cuda" else None
        actors = sum(count // each for count in processors_of)
        if cards:
            there = sum(int(machine.get("GPU", 0)) for machine in machines)
            if not there:
                raise PrescreenError("--device cuda: no machine of the Ray cluster has a graphics card")
            actors = min(actors, there)
        actors = max(1, actors)  # Ray waits for free processors and says so
        size = min(MOST_PICTURES, max(LEAST_PICTURES, len(files) // (4 * actors)))
        blocks = [_block(files, start, min(start + size, len(files))) for start in range(0, len(files), size)]
        place = str(files.base), isinstance(files.base, str)
        dataset = from_arrow(blocks).map_batches(
            _Actor,
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=min(actors, len(blocks))),
            fn_constructor_args=(
                ray.put(_contents(predictor)),
                __version__,
                *place,
                device,
                tolerant,
                predictor.beside,
            ),
            num_cpus=each,
            num_gpus=cards,
            runtime_env={"env_vars": _environment(each, alone=len(machines) == 1)},
        )
        try:
            for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for row in batch.to_pylist():
                    yield _parse(row, counts, advance)
        except ray.exceptions.RayError as error:
            raise PrescreenError(f"Ray gave up: {_cause(error)}") from error


def _block(files: ImageFiles, start: int, end: int) -> pa.Table:
    """Return the pictures of a block; names are bytes because some are not UTF-8."""
    names = [os.fsencode(name) for name in files.names[start:end]]
    problems = [files.problems.get(name) for name in files.names[start:end]]
    return pa.table({"name": pa.array(names, pa.binary()), "problem": pa.array(problems, pa.string())})


def _contents(predictor: Predictor) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="prescreen-") as folder:
        place = Path(folder) / "predictor"
        predictor.save(place)
        return {file.name: file.read_bytes() for file in place.iterdir()}


def _environment(each: int, *, alone: bool) -> dict[str, str]:
    """Return the environment of an actor: its processors, and the place and size of the cache."""
    variables = {PROCESSORS_VARIABLE: str(each), LIMIT_VARIABLE: os.environ.get(LIMIT_VARIABLE, "")}
    if alone or CACHE_VARIABLE in os.environ:
        variables[CACHE_VARIABLE] = str(cache_directory().absolute())
    if WEIGHTS_VARIABLE in os.environ:
        variables[WEIGHTS_VARIABLE] = os.environ[WEIGHTS_VARIABLE]
    return variables


@contextlib.contextmanager
def _session(address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start Ray here; an existing session is used and left as it is."""
    import ray

    if ray.is_initialized():
        with _quiet():
            yield
        return
    address = address or os.environ.get(_ADDRESS_VARIABLE) or "local"
    options: dict[str, Any] = {
        "address": address,
        "logging_level": logging.ERROR,
        "log_to_driver": False,
    }
    if not address.startswith("ray://"):  # a client server gives actors no working directory
        options["job_config"] = _job()
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        options |= {"num_cpus": processors(), "include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    with _quiet():
        try:
            _check_reachable(address)
            ray.init(**options)
        except (OSError, RuntimeError, ValueError) as error:
            raise PrescreenError(f"Ray at {address}: {_cause(error)}; check --ray-address or RAY_ADDRESS") from error
        try:
            yield
        finally:
            ray.shutdown()


def _job() -> Any:
    """Return a job whose actors import no modules from the working directory, as Ray's default lets them."""
    from ray.job_config import JobConfig

    class Job(JobConfig):  # type: ignore[misc]
        def _runtime_env_has_working_dir(self) -> bool:
            return True

    return Job()


def _check_reachable(address: str) -> None:
    """Raise an OSError if nothing listens there; Ray itself needs ten minutes to notice."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the order of the blocks, and Ray's progress messages off the terminal."""
    from ray.data import DataContext

    context, logger = DataContext.get_current(), logging.getLogger("ray.data")
    before = context.execution_options.preserve_order, context.enable_progress_bars, logger.level
    context.execution_options.preserve_order, context.enable_progress_bars = True, False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.execution_options.preserve_order, context.enable_progress_bars = before[:2]
        logger.setLevel(before[2])


def _parse(row: Mapping[str, Any], counts: EmbeddingCounts, advance: Callable[[], object]) -> pd.DataFrame:
    """Return the rows of a block, or raise what its actor did."""
    if row["error"]:
        kind = getattr(errors, row["error"], PrescreenError)
        raise kind(row["message"])
    counts.add(EmbeddingCounts(**json.loads(row["counts"])))
    table = read_table_bytes(row["table"], _FORMAT)
    for _ in range(len(table)):
        advance()
    return table


def _cause(error: BaseException) -> str:
    """Return the last line of an error: Ray's long messages name the cause there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[-1] if lines else type(error).__name__)


# --- in the actor -----------------------------------------------------------------------------------------------------


class _Actor:
    """Scores blocks of pictures. Returns errors instead of raising them: Ray would retry, in vain."""

    def __init__(
        self,
        predictor: Any,
        asked: str,
        base: str,
        remote: bool,
        device: str,
        tolerant: bool,
        beside: Sequence[Path],
    ) -> None:
        import ray

        self._base = base if remote else Path(base)
        self._tolerant = tolerant
        self._error: PrescreenError | None = None
        try:
            if asked != __version__:
                raise PrescreenError(
                    f"{platform.node()}: has prescreen {__version__}, this run is one of {asked}; install the same"
                )
            with tempfile.TemporaryDirectory(prefix="prescreen-") as folder:
                for name, data in ray.get(predictor).items():
                    (Path(folder) / name).write_bytes(data)
                self._predictor = Predictor.load(Path(folder))
            self._encoder = Encoder(self._predictor.manifest.encoder, device, beside)
        except PrescreenError as error:
            self._error = error

    def __call__(self, block: pa.Table) -> pa.Table:
        counts = EmbeddingCounts()
        table, kind, message = b"", "", ""
        try:
            if self._error is not None:
                raise self._error
            table = table_bytes(self._score(block, counts), _FORMAT)
        except PrescreenError as error:
            kind, message = type(error).__name__, str(error)
        answer = {"table": table, "error": kind, "message": message, "counts": json.dumps(asdict(counts))}
        return pa.table({name: [value] for name, value in answer.items()})

    def _score(self, block: pa.Table, counts: EmbeddingCounts) -> pd.DataFrame:
        names = [os.fsdecode(name) for name in block["name"].to_pylist()]
        problems = dict(zip(names, block["problem"].to_pylist(), strict=True))
        files = ImageFiles(self._base, names, {name: problem for name, problem in problems.items() if problem})
        with EmbeddingCache() as cache:  # opened for each block: Ray calls from different threads
            rows = embed_images(files, self._encoder, cache, tolerant=self._tolerant, counts=counts)
            return pd.concat(list(score_parts(rows, self._predictor)), ignore_index=True)
