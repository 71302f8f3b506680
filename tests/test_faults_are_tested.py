"""Every fault that docs/faults.md promises to handle, and every claim of SECURITY.md, names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def rows(file, start, end="no such heading"):
    """Cells of the rows of all tables between two headings."""
    lines = (ROOT / file).read_text("utf-8").partition(start)[2].partition(end)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if row[0] not in ("Fault", "From")]


FAULTS = rows("docs/faults.md", "# Bad input and faults")
HEADING = "## Each claim and its tests"
PROTECTED = rows("SECURITY.md", "# Security", HEADING)
CLAIMS = rows("SECURITY.md", HEADING)


def names_in(path):
    """Names of the tests of a file, with their class, as pytest writes them."""
    body = ast.parse(path.read_text("utf-8")).body
    found = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    for group in (node for node in body if isinstance(node, ast.ClassDef)):
        found |= {f"{group.name}::{node.name}" for node in group.body if isinstance(node, ast.FunctionDef)}
    return {name for name in found if name.split("::")[-1].startswith("test_")}


def test_the_table_is_read():
    assert len(FAULTS) >= 28
    assert len(CLAIMS) >= 30


def test_nothing_is_said_to_be_protected_without_a_claim_that_is_tested():
    assert {who for who, *_ in PROTECTED} == {who for who, *_ in CLAIMS}


@pytest.mark.parametrize("row", FAULTS + CLAIMS, ids=lambda row: ": ".join(row[:-1])[:80])
def test_each_fault_names_tests_that_exist(row):
    fault, answer, tests = row
    assert fault
    assert answer
    named = re.findall(r"`(tests/[^`]+?\.py)::([^`]+)`", tests)
    assert named, "no test is named"
    assert len(named) == tests.count("`") // 2
    for path, name in named:
        assert name in names_in(ROOT / path), f"{path}::{name}"
