"""Image towers of open_clip: weights from the Hugging Face hub, a file or a folder.

A choice is written ``MODEL/PRETRAINED`` (a pair that open_clip knows, fetched from the hub on first use),
``MODEL@PATH`` (a weights file, or a folder with ``open_clip_config.json`` and weights in it) or
``MODEL/PRETRAINED@PATH`` (a file with such weights, or with weights trained from them).
"""

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.encoders import clip_models, clip_settings, hub
from prescreen.encoders.clip_settings import CONFIGURATION, Settings, folder_of
from prescreen.encoders.clip_tables import (
    Choice,
    named_by_transformers,
    read_choice,
    tables,
    tag_configuration,
    unknown_tag,
)
from prescreen.encoders.devices import Network
from prescreen.encoders.hub_requests import RemoteFile
from prescreen.encoders.notes import file_sha256, remembered
from prescreen.encoders.specification import MemberSpecification
from prescreen.encoders.text_tokenizer import check_extra
from prescreen.encoders.weights_search import SUFFIXES, find_weights
from prescreen.errors import EncoderError, UsageError, WeightsNotFound
from prescreen.settings import WEIGHTS_VARIABLE
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, read_bounded
from prescreen.text import shown

if TYPE_CHECKING:
    from torch import nn

DEFAULT: Final = "ViT-B-32-256/datacomp_s34b_b86k"
LARGE: Final = "ViT-L-14/datacomp_xl_s13b_b90k"
NAMES: Final = {"": DEFAULT, "large": LARGE}
"""What ``clip`` and ``clip:large`` stand for."""
VIEWS: Final = ("whole", "face")
PREFIX: Final = "open_clip:"
_OF_TRANSFORMERS: Final = "config.json"

_DECIDING: Final = ("open_clip_torch", "timm", "torch")
"""Packages that decide what network a model is."""

CODE_VERSION: Final = 1
"""To be raised when the same weights give other features; names the converted networks in the cache."""


def describe(choice: str, views: tuple[str, ...] = VIEWS, *, texts: bool = False) -> MemberSpecification:
    """Find the weights of a choice, fetching them if needed, and describe the network.

    Parameters
    ----------
    choice : str
        ``MODEL/PRETRAINED``, ``MODEL@PATH`` or ``MODEL/PRETRAINED@PATH``.
    views : tuple of str
        Views that the network sees.
    texts : bool
        Whether it will be given texts, too.

    Raises
    ------
    UsageError
        If there is no such model, or its published weights differ in their settings and the file's are not named.
    EncoderError
        If the file does not have weights of that model, or texts need a package that is missing.
    WeightsNotFound
        If the weights are not on this machine and cannot be fetched; the remedy is up to the caller.
    """
    chosen = read_choice(choice)
    model, weights = chosen.model, f"local:{chosen.path}" if chosen.path else f"hub:{chosen.tag}"
    if texts:
        check_extra(model, weights)
    file = _weights_file(model, weights)
    settings = _settings(chosen)
    sha256 = _sha256(file, weights)
    looks = remembered(
        "clip",
        [model, tables().models.get(model), sha256, dataclasses.asdict(settings), *map(metadata.version, _DECIDING)],
        partial(_look, model, weights, settings, file),
    )
    return MemberSpecification(
        network=PREFIX + model,
        weights=weights + (f"@{revision}" if not chosen.path and (revision := hub.revision_of(file)) else ""),
        weights_sha256=sha256,
        views=views,
        interpolation=clip_settings.checked_interpolation(settings, f"clip:{choice}"),
        **looks,
    )


def _settings(chosen: Choice) -> Settings:
    """Return how the weights of a choice were trained."""
    if chosen.path is None or chosen.tag:
        return clip_settings.of_tag(chosen.model, chosen.tag)
    if os.path.isdir(chosen.path):
        return clip_settings.of_folder(chosen.model, chosen.path)
    return clip_settings.of_file(chosen.model, chosen.path)


def _look(model: str, weights: str, settings: Settings, file: Path) -> dict[str, Any]:
    """Build the network once, with its weights, to see what it looks like."""
    tower = clip_models.filled_tower(model, weights, settings, file)
    return {
        "side": clip_models.side_of(tower),
        "width": clip_models.width_of(model, weights),
        "configuration": clip_models.architecture_hash(tower, settings),
    }


def cached_weights(choice: str) -> Path | None:
    """Return the weights file of ``MODEL/PRETRAINED`` if it is on this machine; nothing is fetched."""
    model, _, tag = choice.partition("/")
    return hub.cached(*hub.place_of(tag_configuration(model, tag)))


def look_up(choice: str) -> Path | RemoteFile:
    """Return the weights file of a choice on this machine, or what the hub says of the one to fetch. None is fetched.

    Raises
    ------
    UsageError
        If there is no such model.
    WeightsNotFound
        If there is none, or the hub cannot be asked.
    """
    chosen = read_choice(choice)
    if chosen.path:
        return _weights_file(chosen.model, f"local:{chosen.path}")
    place = _place_on_hub(chosen.model, chosen.tag)
    return hub.cached(*place) or hub.find(*place)


class ClipNetwork(Network):
    """The image tower of an open_clip model that `describe` has described. Its features have length 1."""

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn (n, side, side, 3) bytes into (n, width) features of length 1."""
        features = super().__call__(pixels)
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        features /= np.maximum(lengths, np.finfo(np.float32).tiny)
        return features

    @property
    def _key(self) -> str:
        member = self.specification
        deciding = [member.network, member.weights_sha256, member.configuration, member.side, CODE_VERSION]
        return f"clip-{hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:32]}"

    def _check_weights(self) -> "Callable[[], nn.Module]":
        return partial(self._build, *checked_file(self.specification, self.beside))

    def _build(self, member: MemberSpecification, file: Path) -> "nn.Module":
        from prescreen.encoders.networks import ImageTower

        settings = checked_settings(member)
        model = member.network.removeprefix(PREFIX)
        tower = clip_models.filled_tower(model, member.weights, settings, file, resize=True)
        return ImageTower(tower, settings.mean, settings.std)


def checked_file(member: MemberSpecification, beside: Sequence[Path] = ()) -> tuple[MemberSpecification, Path]:
    """Find the weights of a specification: where they were, anywhere by their hash, or on the hub.

    Parameters
    ----------
    member : MemberSpecification
        The network.
    beside : sequence of Path
        Folders to search as well, see `find_weights`.

    Returns
    -------
    tuple of MemberSpecification and Path
        The specification, with the folder where they are now, and the weights file.

    Raises
    ------
    WeightsNotFound
        If they are not on this machine and cannot be fetched.
    EncoderError
        If other weights are in their place.
    """
    model, weights, expected = member.network.removeprefix(PREFIX), member.weights, member.weights_sha256
    problem = file = None
    try:
        file = _present_file(model, weights)
        if file is not None and _sha256(file, weights) == expected:
            return member, file
    except EncoderError as error:  # damaged, or not for this user to read
        problem = error
    if found := find_weights(member, beside):
        return found
    if problem is not None:
        raise problem
    try:
        file = file or _weights_file(model, weights)
    except WeightsNotFound as error:
        either = "or " if weights.startswith("hub:") else ""  # the hub's errors have a remedy
        raise WeightsNotFound(f"{error}; {either}{_remedy(expected)}") from error
    if (actual := _sha256(file, weights)) != expected:
        raise EncoderError(
            f"clip:{model} ({weights}): the weights hash to {actual[:12]}…, expected {expected[:12]}…; "
            f"{_remedy(expected)}"
        )
    return member, file


def checked_settings(member: MemberSpecification) -> Settings:
    """Return how the weights of a specification were trained: as its hash of the network says.

    Raises
    ------
    EncoderError
        If the network cannot be built, or this version of open_clip builds another one.
    """
    model, weights = member.network.removeprefix(PREFIX), member.weights
    for settings in clip_settings.possible(model, weights):
        tower = clip_models.image_tower(model, weights, settings)
        if clip_models.architecture_hash(tower, settings) == member.configuration:
            return settings
    raise EncoderError(
        f"clip:{model} ({weights}): this version of open_clip builds another network from these weights; "
        "install the version that was trained with, or train again"
    )


def checked_model(member: MemberSpecification, file: Path) -> Any:
    """Build the whole model of a specification, both towers.

    Raises
    ------
    EncoderError
        If it cannot be built, or this version of open_clip builds another one.
    """
    settings = checked_settings(member)
    return clip_models.both_towers(member.network.removeprefix(PREFIX), member.weights, settings, file)


def _remedy(sha256: str) -> str:
    """Say how a predictor is given its weights; whoever chooses an encoder chooses another, see `make_encoder`."""
    return (
        f"name the file with the SHA-256 {sha256}, or a folder that has it, by --weights or {WEIGHTS_VARIABLE}, or put "
        "it beside the predictor"
    )


def _present_file(model: str, weights: str) -> Path | None:
    """Return the file where the specification says it is, if it is there; nothing is fetched."""
    kind, _, place = weights.partition(":")
    if kind == "local":
        with contextlib.suppress(WeightsNotFound):
            return _weights_file(model, weights)
        return None
    tag, _, revision = place.partition("@")
    return hub.cached(*hub.place_of(tag_configuration(model, tag)), revision)


def _weights_file(model: str, weights: str) -> Path:
    """Return the file, fetched if needed."""
    kind, _, place = weights.partition(":")
    if kind == "local":
        path = Path(place)
        if os.path.isdir(path):
            path = _checkpoint_in(path)
        if not os.path.isfile(path):  # not Path.is_file, which raises where this user may not look
            raise WeightsNotFound(f"encoder clip:{model}@{place}: no such file or folder")
        return path
    place, _, revision = place.partition("@")
    repository, names = _place_on_hub(model, place)
    try:
        return hub.cached(repository, names, revision) or hub.fetch(repository, names, revision)
    except WeightsNotFound as error:
        raise WeightsNotFound(f"encoder clip:{model}/{place}: its weights cannot be fetched: {error}") from error


def _place_on_hub(model: str, tag: str) -> tuple[str, tuple[str, ...]]:
    """Return the repository of a pair of model and weights, and names that the file may have there."""
    configuration = tag_configuration(model, tag)
    if not configuration:
        raise unknown_tag(model, tag)
    return hub.place_of(configuration)


def _checkpoint_in(folder: Path) -> Path:
    files = [file for suffix in SUFFIXES for file in sorted(folder.glob(f"*{suffix}"))]
    described = os.path.isfile(folder / CONFIGURATION)
    if not described and os.path.isfile(folder / _OF_TRANSFORMERS):
        raise UsageError(_refusal_of_transformers(folder))
    if not described or not files:
        raise WeightsNotFound(f"{folder}: expected {CONFIGURATION} and a weights file (*.safetensors) in it")
    return files[0]


def _refusal_of_transformers(folder: Path) -> str:
    """Say that a folder has no model of open_clip, and which one has the same network."""
    try:
        content = json.loads(read_bounded(folder / _OF_TRANSFORMERS, MAX_NOTE_BYTES))
        kind, same = str(content.get("model_type", "")), named_by_transformers(content)
    except (OSError, ValueError, AttributeError, TypeError):
        kind, same = "", None
    names = (
        f"{same} has the network of this one"
        if same and kind == "clip"
        else "name published weights, clip:MODEL/PRETRAINED"
    )
    return (
        f"{folder}: a model as transformers writes it ({_OF_TRANSFORMERS}, {shown(kind) or 'unknown type'}), whose "
        f"weights have other names than open_clip's; {names}"
    )


def _sha256(file: Path, weights: str) -> str:
    """Hash a weights file; in a folder, together with the configuration that says how to use it."""
    try:
        hub.refuse_damaged(file, plain := file_sha256(file))
        if not folder_of(weights):
            return plain
        return file_sha256(file, read_bounded(file.parent / CONFIGURATION, MAX_NOTE_BYTES))
    except OSError as error:
        raise EncoderError(
            f"{error.filename}: cannot be read ({error.strerror}); expected weights of a model"
        ) from error
