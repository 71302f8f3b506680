"""The examples in docstrings give what they show."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
WITH_EXAMPLES = sorted(path for path in SOURCE.rglob("*.py") if ">>> " in path.read_text("utf-8"))


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_examples_give_what_they_show(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(".".join(path.relative_to(SOURCE).with_suffix("").parts))
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.attempted > 0
    assert results.failed == 0


def commands_in(text):
    """Yield the commands of examples: a line, and those that a backslash joins to it."""
    joined = re.sub(r"\\\\?\n\s*", " ", text)
    yield from re.findall(r"^(?:\$ | +)?(prescreen train --.*)", joined, flags=re.MULTILINE)


def test_no_example_trains_with_weights_that_have_to_be_fetched_by_default():
    root = SOURCE.parent
    texts = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *SOURCE.glob("prescreen/cli/*.py")]
    found = [command for path in texts for command in commands_in(path.read_text("utf-8"))]
    assert len(found) > 8
    assert [command for command in found if "--encoder" not in command and "--base" not in command] == []


def test_there_are_examples():
    assert WITH_EXAMPLES
