import os
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from prescreen.embeddings.export import write_vectors
from prescreen.embeddings.pipeline import Embedded

D = 2000


def rows(n):
    for number in range(n):
        vector = None if number % 7 == 3 else np.full(D, number, np.float16)
        yield Embedded(f"{number}.jpg", "ab", vector, reason="" if vector is not None else "empty file")


def test_vectors_come_back_and_failures_are_null(tmp_path):
    write_vectors(rows(600), D, tmp_path / "v.parquet")
    found = pd.read_parquet(tmp_path / "v.parquet")
    assert found.columns.tolist() == ["image", "content", "reason", "vector"]
    assert found["image"].tolist() == [f"{number}.jpg" for number in range(600)]
    assert found.loc[3, "vector"] is None
    assert found.loc[3, "reason"] == "empty file"
    stacked = np.stack(found["vector"].dropna())
    assert stacked.dtype == np.float32
    np.testing.assert_array_equal(stacked[:, -1], [number for number in range(600) if number % 7 != 3])
    assert pq.read_schema(tmp_path / "v.parquet").field("vector").type.value_type == "float"


def test_a_name_that_is_not_utf8_is_escaped_as_in_all_tables(tmp_path):
    write_vectors([Embedded(os.fsdecode(b"\xff.jpg"), reason="empty file")], D, tmp_path / "v.parquet")
    assert pd.read_parquet(tmp_path / "v.parquet")["image"].tolist() == [r"\udcff.jpg"]


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path):
    def peak(n):
        tracemalloc.start()
        write_vectors(rows(n), D, tmp_path / "v.parquet")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(300)  # what is made once is made
    assert peak(3000) == pytest.approx(peak(600), rel=0.1)


def test_a_failure_on_the_way_leaves_the_old_file(tmp_path):
    def broken():
        yield from rows(300)
        raise OSError("gone")

    (tmp_path / "v.parquet").write_bytes(b"old")
    with pytest.raises(OSError, match="gone"):
        write_vectors(broken(), D, tmp_path / "v.parquet")
    assert (tmp_path / "v.parquet").read_bytes() == b"old"
