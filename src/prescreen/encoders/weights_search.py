"""Finds the weights of a network by their hash, where the predictor was trained on another machine.

Searched in this order: what ``PRESCREEN_WEIGHTS`` names, the folders beside the predictor, the cache of the Hugging
Face hub. A file counts only if its content has the hash; its name and place mean nothing.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final

from prescreen.encoders import hub
from prescreen.encoders.clip_settings import CONFIGURATION
from prescreen.encoders.notes import file_sha256
from prescreen.encoders.specification import MemberSpecification
from prescreen.errors import UsageError, WeightsNotFound
from prescreen.settings import WEIGHTS_VARIABLE
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, read_bounded
from prescreen.text import shown

SUFFIXES: Final = (".safetensors", ".bin", ".pt", ".pth")
"""Of weights files, the preferred first; the suffix says how a file is read."""


def find_weights(member: MemberSpecification, beside: Sequence[Path] = ()) -> tuple[MemberSpecification, Path] | None:
    """Find the weights of a specification by their hash.

    Parameters
    ----------
    member : MemberSpecification
        With the hash of a weights file, or of one in a folder together with the configuration there.
    beside : sequence of Path
        Folders to search, with the folders of models in them.

    Returns
    -------
    tuple of MemberSpecification and Path, or None
        The specification, with the folder where the configuration is part of the hash, and the weights file.

    Raises
    ------
    UsageError
        If ``PRESCREEN_WEIGHTS`` names something that is not there.
    WeightsNotFound
        If it names a file with other weights.
    """
    for file in _candidates(member, beside):
        try:
            plain, with_configuration = _digests(file)
        except OSError:
            continue
        if plain == member.weights_sha256:
            return member, file
        if with_configuration == member.weights_sha256:
            return replace(member, weights=f"local:{file.parent}"), file
    named = os.environ.get(WEIGHTS_VARIABLE)
    if named and os.path.isfile(Path(named).expanduser()):
        raise WeightsNotFound(
            f"{shown(named)}: not the weights of {member.network.partition(':')[2]} that were trained with; expected "
            f"the file with the SHA-256 {member.weights_sha256}"
        )
    return None


def _candidates(member: MemberSpecification, beside: Sequence[Path]) -> Iterator[Path]:
    """Yield weights files, each once; those of the hub's cache only where they may well be the ones."""
    seen: set[Path] = set()
    for file in chain(_named(), *map(_beside, beside), _in_hub(member)):
        if (real := Path(os.path.realpath(file))) not in seen:
            seen.add(real)
            yield file


def _named() -> Iterator[Path]:
    if not (named := os.environ.get(WEIGHTS_VARIABLE)):
        return
    place = Path(named).expanduser().absolute()
    if place.is_file():
        yield place
    elif place.is_dir():
        for folder, _, _ in os.walk(place):
            yield from _weights_in(Path(folder))
    else:
        raise UsageError(f"{WEIGHTS_VARIABLE}={shown(str(place))}: no such file or folder")


def _beside(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder, and those in folders of models in it."""
    yield from _weights_in(folder)
    for configuration in sorted(folder.glob(f"*/{CONFIGURATION}")):
        yield from _weights_in(configuration.parent)


def _weights_in(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        files = [file for file in sorted(folder.iterdir()) if file.suffix in SUFFIXES and file.is_file()]
        yield from sorted(files, key=lambda file: SUFFIXES.index(file.suffix))


def _in_hub(member: MemberSpecification) -> Iterator[Path]:
    """Yield files of any repository: its cache names large files by their hash, and links to them by their names."""
    cache = hub.cache_directory()
    for blob in cache.glob(f"models--*/blobs/{member.weights_sha256}"):
        links = blob.parents[1].glob("snapshots/*/**/*")
        yield from (link for link in links if os.path.realpath(link) == os.path.realpath(blob))
    if member.weights.startswith("local:"):
        for configuration in cache.glob(f"models--*/snapshots/*/{CONFIGURATION}"):
            if _width(configuration) == member.width:
                yield from _weights_in(configuration.parent)


def _width(configuration: Path) -> object:
    try:
        return json.loads(read_bounded(configuration, MAX_NOTE_BYTES))["model_cfg"]["embed_dim"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _digests(file: Path) -> tuple[str, str]:
    """Return the hash of a file, and that of it and the configuration in its folder; empty without one."""
    configuration = file.parent / CONFIGURATION
    described = configuration.is_file()
    return file_sha256(file), file_sha256(file, read_bounded(configuration, MAX_NOTE_BYTES)) if described else ""
