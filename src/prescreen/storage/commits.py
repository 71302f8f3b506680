"""The git commit that results come from, read from git's files.

git is not run: a stranger's repository may name programs that git would run.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prescreen.storage.bounded_files import read_bounded

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REFERENCE: Final = re.compile(r"refs/[^\s\0]+")
_MAX_BYTES: Final = 16 << 20  # of a list of all branches and tags


def git_commit() -> str:
    """Return the commit that is checked out in the working directory, or the empty text outside of git."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: a path with a NUL, or text that is none
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / ".git").exists():
                return _head(folder / ".git")
    return ""


def _head(git: Path) -> str:
    """Return the commit that ``HEAD`` of a folder ``.git`` names, or the empty text if it names none."""
    if git.is_file():  # in a further working tree or a submodule
        git = git.parent / _text(git).removeprefix("gitdir:").strip()
    head = _text(git / "HEAD").strip()
    if _COMMIT.fullmatch(head):
        return head
    reference = head.removeprefix("ref:").strip()
    if not _REFERENCE.fullmatch(reference) or ".." in reference:
        return ""
    for common in _folders(git):
        if (common / reference).is_file():
            found = _text(common / reference).strip()
            return found if _COMMIT.fullmatch(found) else ""
        if (common / "packed-refs").is_file():
            for line in _text(common / "packed-refs").splitlines():
                commit, _, name = line.partition(" ")
                if name == reference and _COMMIT.fullmatch(commit):
                    return commit
    return ""


def _folders(git: Path) -> Iterator[Path]:
    """Yield the places of references: a further working tree keeps its branches where the first one does."""
    yield git
    if (git / "commondir").is_file():
        yield git / _text(git / "commondir").strip()


def _text(path: Path) -> str:
    return read_bounded(path, _MAX_BYTES).decode()
