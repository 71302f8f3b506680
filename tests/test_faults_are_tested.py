"""Every fault that docs/faults.md promises to handle names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = [
    line
    for line in (ROOT / "docs" / "faults.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| Fault ")
]


def names_in(path):
    """Names of the tests of a file, with their class, as pytest writes them."""
    body = ast.parse(path.read_text("utf-8")).body
    found = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    for group in (node for node in body if isinstance(node, ast.ClassDef)):
        found |= {f"{group.name}::{node.name}" for node in group.body if isinstance(node, ast.FunctionDef)}
    return {name for name in found if name.split("::")[-1].startswith("test_")}


def test_the_table_is_read():
    assert len(LINES) >= 28


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("|")[1].strip())
def test_each_fault_names_tests_that_exist(line):
    fault, answer, tests = (cell.strip() for cell in line.strip("|").split("|"))
    assert fault
    assert answer
    named = re.findall(r"`(tests/[^`]+?\.py)::([^`]+)`", tests)
    assert named, "no test is named"
    assert len(named) == tests.count("`") // 2
    for path, name in named:
        assert name in names_in(ROOT / path), f"{path}::{name}"
