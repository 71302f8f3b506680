"""JSON nested deeper than the reader's stack is damage like any other."""

import pytest

from prescreen.errors import PrescreenError
from prescreen.ratings.reading import read_ratings
from prescreen.storage.provenance import ScoresMetadata
from prescreen.storage.tables import read_table

DEPTH = 100_000


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("table.jsonl", "[" * DEPTH, lambda folder: read_table(folder / "table.jsonl")),
        ("table.csv.meta.json", "[" * DEPTH, lambda folder: ScoresMetadata.read(folder / "table.csv")),
        ("project.json", "[" * DEPTH, lambda folder: read_ratings(folder / "project.json")),
        ("project.json", '[{"a": ' + "[" * DEPTH, lambda folder: read_ratings(folder / "project.json")),
        ("ratings.jsonl", '{"a": ' * DEPTH, lambda folder: read_ratings(folder / "ratings.jsonl")),
        ("metadata.jsonl", '{"a": ' * DEPTH, read_ratings),
    ],
)
def test_it_is_refused_by_the_name_of_the_file(tmp_path, name, text, read):
    (tmp_path / name).write_text(text)
    with pytest.raises(PrescreenError, match=name.replace(".", r"\.")):
        read(tmp_path)
