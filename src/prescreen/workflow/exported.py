"""Pictures with their scores, as the forms of all other tools are made of them."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from prescreen.errors import UsageError


@dataclass(frozen=True)
class Exported:
    """Pictures with their scores, ready for any tool.

    Parameters
    ----------
    table : DataFrame
        A table of scores or a shortlist, only rows with a score.
    traits : tuple of str
        The scored traits.
    files : mapping of str to Path or str
        Absolute path or URL of each picture, by its name in the table.
    model : str
        What made the scores.
    simulated : bool
        Whether it is known to have learned from simulated votes.
    """

    table: pd.DataFrame
    traits: tuple[str, ...]
    files: Mapping[str, Path | str]
    model: str
    simulated: bool = False


def scored_traits(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the traits of a table of scores or a shortlist.

    Raises
    ------
    UsageError
        If there are none.

    Examples
    --------
    >>> columns = ["image", "status", "warm", "warm_low", "warm_high", "warm_raw", "warm_raw_low", "warm_raw_high"]
    >>> scored_traits(pd.DataFrame(columns=columns))
    ('warm',)
    """
    columns = list(map(str, table.columns))
    with_interval = [name for name in columns if f"{name}_low" in columns and f"{name}_high" in columns]
    traits = tuple(
        name
        for name in with_interval
        if name != "p_better" and (not name.endswith("_raw") or name.removesuffix("_raw") not in with_interval)
    )
    if not traits or not {"image", "status"} <= set(columns):
        raise UsageError("expected a table that prescreen score or prescreen rank wrote")
    return traits


def describe_scores(row: Mapping[Any, Any], traits: Sequence[str]) -> str:
    """Say the scores with their intervals, and why the picture has its rank."""
    scores = [f"{trait} {row[trait]:.1f} [{row[f'{trait}_low']:.1f}, {row[f'{trait}_high']:.1f}]" for trait in traits]
    return "; ".join([*scores, *([str(row["why"])] if row.get("why") else [])])


def common_folder(files: Mapping[str, Path | str]) -> Path | None:
    """Return the deepest folder that holds all the pictures; None where they are at a URL."""
    folders = {str(place.parent) for place in files.values() if isinstance(place, Path)}
    return Path(os.path.commonpath(folders)) if folders else None


def is_known(value: Any) -> bool:
    """Tell whether a cell of a table says something."""
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def as_json(content: Any) -> str:
    """Return the text of a JSON file."""
    return json.dumps(content, indent=1) + "\n"
