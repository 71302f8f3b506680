"""docs/tables.md has every column of the tables, with its type in Parquet."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from prescreen.storage.tables import TEXT_COLUMNS, read_table, write_table

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
TRAITS = ("competence", "likeability", "influence")


def documented(heading):
    """Return {column: type} of the table below a heading, without those of an option; T stands for each trait."""
    section = PAGE.read_text().split(f"## {heading}")[1].split("\n## ")[0]
    types = {}
    for names, kind, rest in re.findall(r"^\| (`.*?) \| (\w+) \|(.*)$", section, flags=re.MULTILINE):
        if re.search(r"with `--[\w-]+`[^:|]* only", rest):
            continue
        for name in re.findall(r"`(\w+)`", names):
            traits = TRAITS if re.match(r"(p_)?T(_|$)", name) else ("",)
            types |= {re.sub(r"^(p_)?T(?=_|$)", rf"\g<1>{trait}", name) if trait else name: kind for trait in traits}
    return types


def test_columns_of_vectors_are_as_documented(shell, demo, tmp_path):
    candidates = Path(__file__).parents[2] / "data" / "sample" / "candidates"
    done = shell("embed", candidates, "--encoder", "bundled", "--output", tmp_path / "vectors.parquet")
    assert done.returncode == 0, done.stderr
    schema = pq.read_schema(tmp_path / "vectors.parquet")
    types = {
        name: "list" if str(kind).startswith("list") else str(kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    }
    assert documented("Vectors:") == types


def test_text_is_text_in_a_csv_without_any_value():
    texts = {
        name for heading in ("Scores:", "Shortlist:") for name, kind in documented(heading).items() if kind == "string"
    }
    assert texts <= TEXT_COLUMNS


@pytest.mark.parametrize(("name", "heading"), [("scores", "Scores:"), ("shortlist", "Shortlist:")])
def test_columns_are_as_documented(demo, tmp_path, name, heading):
    write_table(read_table(demo / f"{name}.csv"), tmp_path / "table.parquet")
    schema = pq.read_schema(tmp_path / "table.parquet")
    assert documented(heading) == dict(zip(schema.names, map(str, schema.types), strict=True))
