"""Write vectors of pictures to a Parquet file."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from prescreen.embeddings.pipeline import Embedded
from prescreen.storage.atomic import stage_file
from prescreen.storage.tables import escape

_ROWS: Final = 256  # of a row group, which is what is in memory


def write_vectors(rows: Iterable[Embedded], dimension: int, output: Path) -> None:
    """Write embedded pictures with only a few hundred in memory.

    The file has the columns ``image``, ``content`` (SHA-256 of the file), ``reason`` (why there is no vector, or empty)
    and ``vector`` (a list of ``dimension`` float32, null where there is none). A picture's name is written as in
    `prescreen.storage.tables`.

    Raises
    ------
    PrescreenError
        If the file cannot be written; an older one stays.
    """
    texts = [(name, pa.string()) for name in ("image", "content", "reason")]
    schema = pa.schema([*texts, ("vector", pa.list_(pa.float32()))])
    iterator = iter(rows)
    with stage_file(output) as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            while chunk := list(islice(iterator, _ROWS)):
                writer.write_table(pa.table([*_texts(chunk), _vectors(chunk, dimension)], schema=schema))
        file.commit()


def _texts(rows: list[Embedded]) -> list[pa.Array]:
    return [
        pa.array([escape(row.name) for row in rows]),
        pa.array([row.content for row in rows]),
        pa.array([escape(row.reason) for row in rows]),
    ]


def _vectors(rows: list[Embedded], dimension: int) -> pa.Array:
    there = np.array([row.vector is not None for row in rows])
    values = np.array([row.vector for row in rows if row.vector is not None], np.float32).reshape(-1)
    ends = np.cumsum(there * dimension)
    return pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], ends]), pa.int32()), pa.array(values), mask=pa.array(~there)
    )
