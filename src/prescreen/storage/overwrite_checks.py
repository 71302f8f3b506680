"""No result may overwrite an input or another result."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from prescreen.errors import UsageError
from prescreen.storage.tables import PARTS, part_files
from prescreen.text import shown


def check_output_paths(written: Mapping[str, Path | None], read: Mapping[str, Path | None]) -> None:
    """Refuse to write over what is read, or one result over the other; links are followed.

    Parameters
    ----------
    written : mapping of str to Path or None
        Option and the path of its result; None where it was not given.
    read : mapping of str to Path or None
        Option or argument and the path that is read.

    Raises
    ------
    UsageError
        If two are the same file; names both options.
    """
    taken = [(name, path) for name, path in read.items() if path is not None]
    for option, path in written.items():
        if path is None:
            continue
        for other, place in taken:
            if _same(path, place) or _is_part(path, place):
                raise UsageError(f"{option} {shown(path)}: would write over {other}; give it another name")
        taken.append((option, path))


def check_page(report: Path | None) -> None:
    """Refuse with a `UsageError` a report that is a folder, or whose name does not end in .html or .htm."""
    if report is None:
        return
    if report.is_dir():
        raise UsageError(f"--report {shown(report)}: a folder; give the name of an .html file")
    if report.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report {shown(report)}: it is a page for the browser; give a name that ends in .html")


def _is_part(path: Path, table: Path) -> bool:
    """Tell a file that would become a part of a table that is a folder."""
    return path.match(PARTS) and bool(part_files(table)) and _same(path.parent, table)


def _same(one: Path, other: Path) -> bool:
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    with contextlib.suppress(OSError):  # one of them is not there
        return os.path.samefile(one, other)
    return False
