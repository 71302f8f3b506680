"""Paths on the command line: ``~`` is the home folder, and an empty path is a mistake."""

import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from prescreen.storage.remote import is_url


class LocalPath(click.Path):
    """A file or folder of this machine."""

    def __init__(self, **checks: Any) -> None:
        super().__init__(path_type=Path, **checks)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it as a Path."""
        if isinstance(value, Path):  # a default
            return value
        _check(self, value, param, ctx)
        if is_url(value):
            self.fail(f"{value} is a URL; give a file or folder of this machine", param, ctx)
        return super().convert(os.path.expanduser(value), param, ctx)


class Place(click.types.StringParamType):
    """A path or an address: of pictures, of a table of scores, or of a predictor in MLflow.

    Parameters
    ----------
    name : str
        Its placeholder in the help.
    dash : bool
        Whether ``-`` is accepted.
    """

    def __init__(self, name: str = "path", *, dash: bool = False) -> None:
        self.name = name
        self.dash = dash

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as text."""
        if not (self.dash and value == "-"):
            _check(self, value, param, ctx)
        return os.path.expanduser(str(value))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete names of files."""
        return [CompletionItem(incomplete, type="file")]


def _check(
    kind: "click.ParamType[Any]",
    value: str | os.PathLike[str],
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> None:
    if not os.fspath(value).strip():
        kind.fail("it is empty; give a path, or . for this folder", param, ctx)
    if os.fspath(value) == "-":
        kind.fail("- is no file: only prescreen score writes to standard output, --output -", param, ctx)
