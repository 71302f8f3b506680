"""What a CLIP model was trained with and its weights do not tell: how it saw pictures, and its activation."""

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prescreen.encoders.clip_tables import tables
from prescreen.errors import EncoderError, PrescreenError, UsageError
from prescreen.images.views import RESAMPLING
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, read_bounded
from prescreen.text import first_line, shown

CONFIGURATION: Final = "open_clip_config.json"


@dataclass(frozen=True)
class Settings:
    """How a model expects its pictures, and which activation its layers have.

    Parameters
    ----------
    mean, std : tuple of three floats
        Of red, green and blue in its training data, where white is 1.
    interpolation : str
        How pictures are scaled, ``bicubic`` or ``bilinear``.
    quick_gelu : bool
        Whether layers have OpenAI's approximation of GELU.
    """

    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)
    interpolation: str = "bicubic"
    quick_gelu: bool = False

    @classmethod
    def read(cls, preprocessing: Mapping[str, Any], *, quick_gelu: bool) -> "Settings":
        """Read open_clip's description of preprocessing; what it leaves out is as in OpenAI's models."""
        names = {field.name for field in dataclasses.fields(cls)} - {"quick_gelu"}
        if not isinstance(preprocessing.get("interpolation") or "", str):
            raise ValueError("interpolation is no text")
        given = {name: preprocessing[name] for name in names if preprocessing.get(name) is not None}
        given |= {name: _three(given[name], name) for name in ("mean", "std") if name in given}
        if min(given.get("std", cls.std)) <= 0:
            raise ValueError(f"std is {given['std']}, expected more than 0")
        return cls(**given, quick_gelu=quick_gelu)


def _three(values: Any, name: str) -> tuple[float, ...]:
    numbers = values if isinstance(values, list | tuple) and len(values) == 3 else ()
    if not numbers or not all(isinstance(value, int | float) and math.isfinite(value) for value in numbers):
        raise ValueError(f"{name} is {shown(str(values))[:60]}, expected three numbers")
    return tuple(float(value) for value in numbers)


def of_tag(model: str, tag: str) -> Settings:
    """Return the settings of published weights, empty `tag` for a model as open_clip trains it."""
    known = tables()
    configuration = known.tags.get(model, {}).get(tag.lower().replace("-", "_"), {})
    by_model = known.models.get(model, {}).get("quick_gelu", False)
    return Settings.read(configuration, quick_gelu=bool(by_model or configuration.get("quick_gelu")))


def of_file(model: str, path: Path) -> Settings:
    """Return the settings that all published weights of a model share, for a file that does not say whose it is.

    Raises
    ------
    UsageError
        If they differ.
    """
    groups: dict[Settings, list[str]] = {}
    for tag in tables().tags.get(model, {}):
        groups.setdefault(of_tag(model, tag), []).append(tag)
    if len(groups) > 1:
        differing = [
            field.name
            for field in dataclasses.fields(Settings)
            if len({getattr(settings, field.name) for settings in groups}) > 1
        ]
        kinds = "; ".join(_told(settings, differing, tags) for settings, tags in groups.items())
        raise UsageError(
            f"encoder clip:{model}@{path}: weights of {model} are of {len(groups)} kinds ({kinds}); "
            f"say by the name of published weights which kind this file is: clip:{model}/TAG@{path}"
        )
    return next(iter(groups), of_tag(model, ""))


def _told(settings: Settings, differing: list[str], tags: list[str]) -> str:
    values = [
        f"{name} {'yes' if value is True else 'no' if value is False else value}"
        for name in differing
        for value in [getattr(settings, name)]
    ]
    more = f" and {len(tags) - 2} more" if len(tags) > 2 else ""
    return f"{', '.join(tags[:2])}{more}: {', '.join(values)}"


def of_folder(model: str, folder: Path) -> Settings:
    """Return the settings in a folder's configuration.

    Raises
    ------
    EncoderError
        If it cannot be read, or is not one.
    """
    with in_one_line(model, f"local:{folder}"):
        content = json.loads(read_bounded(folder / CONFIGURATION, MAX_NOTE_BYTES))
        quick_gelu = bool(content["model_cfg"].get("quick_gelu", False))
        return Settings.read(content.get("preprocess_cfg") or {}, quick_gelu=quick_gelu)


def folder_of(weights: str) -> Path | None:
    """Return the folder of a specification's weights; None if they are a file or on the hub, or not there."""
    kind, _, place = weights.partition(":")
    return Path(place) if kind == "local" and os.path.isdir(place) else None


@contextlib.contextmanager
def in_one_line(model: str, weights: str) -> Iterator[None]:
    """Turn whatever open_clip, torch and safetensors raise for damaged files into an EncoderError of one line."""
    try:
        yield
    except PrescreenError:
        raise
    except Exception as error:
        message = f"encoder clip:{model} ({weights}): open_clip cannot load it: {first_line(error)[:160]}"
        raise EncoderError(message) from error


def possible(model: str, weights: str) -> list[Settings]:
    """Return the settings that weights of a specification may have; its `configuration` tells which they have.

    A file has those of some published weights, or, in predictors of older versions, always those that open_clip trains
    with.
    """
    kind, _, place = weights.partition(":")
    if kind == "hub":
        return [of_tag(model, place.partition("@")[0])]
    if folder := folder_of(weights):
        return [of_folder(model, folder)]
    every = [of_tag(model, tag) for tag in (*tables().tags.get(model, {}), "")]
    return list(dict.fromkeys(every))


def checked_interpolation(settings: Settings, name: str) -> str:
    """Return how pictures are scaled.

    Raises
    ------
    EncoderError
        If that is none of the ways that prescreen has.
    """
    if settings.interpolation not in RESAMPLING:
        raise EncoderError(
            f"encoder {name}: its configuration has interpolation {settings.interpolation!r}; "
            f"expected {' or '.join(RESAMPLING)}"
        )
    return settings.interpolation
