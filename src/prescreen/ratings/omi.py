"""The folder of One Million Impressions, as it is published.

``attribute_ratings.zip`` holds single votes. A ``repeat`` is the same rater seeing the face again, and no vote. A
``fill-in`` comes from a rater who was added for a part of the faces; it is a vote like a ``normal`` one, and with them
the reliabilities come out as published. Without the zip, ``attribute_means.csv`` gives means whose votes are unknown.

References
----------
Peterson, Uddenberg, Griffiths, Todorov & Suchow (2022), Deep models of superficial face judgments, PNAS 119(17).
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from prescreen.errors import RatingsError
from prescreen.ratings.columns import numbers, read_bytes, read_zip, refuse
from prescreen.ratings.files import read_frame
from prescreen.ratings.meanings import listed
from prescreen.ratings.rows import Rows, choose_rows, choose_traits, constant_trait
from prescreen.ratings.scale import Scale
from prescreen.text import shown

STAND_INS: Final = {"competence": "smart", "likeability": "outgoing", "influence": "electable"}
"""{trait: the attribute that comes nearest}; competence, likeability and influence themselves were not asked for."""

_TEXT: Final = ("stimulus", "attribute", "rating_type")
_VOTES: Final = ("normal", "fill-in")
_TYPES: Final = (*_VOTES, "repeat")


def is_omi(place: Path) -> bool:
    """Tell a folder in this layout."""
    return place.is_dir() and any((place / name).is_file() for name in ("attribute_ratings.zip", "attribute_means.csv"))


def read_omi(folder: Path, traits: Mapping[str, str] | None) -> Rows:
    """Read the folder; ``traits`` as in `prescreen.ratings.formats.read_rows`.

    Raises
    ------
    RatingsError
        If neither file is there, or it is not as published.
    """
    packed, means = folder / "attribute_ratings.zip", folder / "attribute_means.csv"
    source = packed if packed.is_file() else means
    if not source.is_file():
        raise RatingsError(
            f"{shown(folder)}: a folder without ratings (metadata.csv, {packed.name} or {means.name}); give the file"
            " with the ratings; a folder of pictures goes to --images"
        )
    data = read_bytes(source)
    frame = _omi_votes(source, data, traits) if source == packed else _omi_means(source, data, traits)
    stimulus = frame["stimulus"].cat
    return Rows(
        frame=frame.assign(image=stimulus.rename_categories([f"{name}.jpg" for name in stimulus.categories])),
        format="omi",
        single_votes=source == packed,
        value_names=dict.fromkeys(frame["trait"].cat.categories, "rating" if source == packed else "mean"),
        source=source,
        fingerprint=hashlib.sha256(data).hexdigest(),
        folders=(folder / "images",),
        scale=Scale(0, 100),
    )


def _omi_votes(source: Path, data: bytes, traits: Mapping[str, str] | None) -> pd.DataFrame:
    frame = read_frame(source, read_zip(source, data, "attribute_ratings.csv"), _TEXT)
    _require(source, frame, ("rating", *_TEXT))
    types = frame["rating_type"]
    expected = f"expected {', '.join(_TYPES)}"
    refuse(source, frame, ~types.isin(_TYPES).to_numpy(), "rating_type {} is unknown", expected, types)
    frame = choose_rows(source, frame[types.isin(_VOTES)], "attribute", traits)
    return frame.assign(value=numbers(source, frame, "rating"))


def _omi_means(source: Path, data: bytes, traits: Mapping[str, str] | None) -> pd.DataFrame:
    frame = read_frame(source, data, _TEXT)
    _require(source, frame, ("stimulus",))
    wanted = choose_traits(source, [str(name) for name in frame.columns if name != "stimulus"], traits)
    parts = []
    for code, column in enumerate(wanted.values()):
        trait = constant_trait(code, wanted, len(frame))
        values = numbers(source, frame, column)
        parts.append(frame[["stimulus"]].assign(trait=trait, value=values, votes=np.nan, std=np.nan))
    return pd.concat(parts)


def _require(source: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in frame]
    if missing:
        raise RatingsError(
            f"{shown(source)}: no column {missing[0]} (columns: {listed(frame.columns)}); expected {listed(columns)}"
        )
