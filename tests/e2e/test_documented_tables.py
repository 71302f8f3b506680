"""docs/tables.md has every column of the tables, with its type in Parquet."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from prescreen.tables import read_table, write_table

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
TRAITS = ("competence", "likeability", "influence")


def documented(heading):
    """Return {column: type} of the table below a heading, without those of an option; T stands for each trait."""
    section = PAGE.read_text().split(f"## {heading}")[1].split("\n## ")[0]
    types = {}
    for names, kind, rest in re.findall(r"^\| (`.*?) \| (\w+) \|(.*)$", section, flags=re.MULTILINE):
        if re.search(r"with `--[\w-]+` only", rest):
            continue
        for name in re.findall(r"`(\w+)`", names):
            traits = TRAITS if re.match(r"(p_)?T(_|$)", name) else ("",)
            types |= {re.sub(r"^(p_)?T(?=_|$)", rf"\g<1>{trait}", name) if trait else name: kind for trait in traits}
    return types


@pytest.mark.parametrize(("name", "heading"), [("scores", "Scores:"), ("shortlist", "Shortlist:")])
def test_columns_are_as_documented(demo, tmp_path, name, heading):
    write_table(read_table(demo / f"{name}.csv"), tmp_path / "table.parquet")
    schema = pq.read_schema(tmp_path / "table.parquet")
    assert documented(heading) == dict(zip(schema.names, map(str, schema.types), strict=True))
