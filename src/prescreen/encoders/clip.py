"""Image towers of open_clip: weights from the Hugging Face hub, a file or a folder.

A choice is written ``MODEL/PRETRAINED`` (a pair that open_clip knows, fetched from the hub on first use) or
``MODEL@PATH`` (a weights file, or a folder with ``open_clip_config.json`` and weights in it).
"""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.encoders import clip_models, hub
from prescreen.encoders.devices import Network
from prescreen.encoders.specification import MemberSpecification
from prescreen.errors import EncoderError, UsageError, WeightsNotFound
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, open_plain, read_bounded

if TYPE_CHECKING:
    from torch import nn

DEFAULT: Final = "ViT-L-14/datacomp_xl_s13b_b90k"
VIEWS: Final = ("whole", "face", "eyes", "mouth")
PREFIX: Final = "open_clip:"
REMEDY: Final = (
    "connect once to fetch them, name a file with --encoder clip:MODEL@PATH, or, but not for --zero-shot, "
    "use --encoder bundled"
)
CODE_VERSION: Final = 1
"""To be raised when the same weights give other features; names the converted networks in the cache."""


def describe(choice: str, views: tuple[str, ...] = VIEWS) -> MemberSpecification:
    """Find the weights of a choice, fetching them if needed, and describe the network.

    Parameters
    ----------
    choice : str
        ``MODEL/PRETRAINED`` or ``MODEL@PATH``.
    views : tuple of str
        Views that the network sees.

    Raises
    ------
    UsageError
        If there is no such model.
    WeightsNotFound
        If the weights are not on this machine and cannot be fetched.
    """
    model, at, path = choice.partition("@")
    if at:
        weights = f"local:{Path(path).expanduser().resolve()}"
    else:
        model, slash, tag = choice.partition("/")
        if not (model and slash and tag):
            raise UsageError(f"encoder clip:{choice}: expected clip:MODEL/PRETRAINED or clip:MODEL@PATH")
        weights = f"hub:{tag}"
    file = _weights_file(model, weights)
    network = clip_models.create(model, weights, file)
    side, width = clip_models.side_and_width(network)
    return MemberSpecification(
        network=PREFIX + model,
        weights=weights + (f"@{revision}" if not at and (revision := hub.revision_of(file)) else ""),
        weights_sha256=_sha256(file, weights),
        views=views,
        side=side,
        width=width,
        configuration=clip_models.architecture_hash(network),
    )


def cached_weights(choice: str) -> Path | None:
    """Return the weights file of ``MODEL/PRETRAINED`` if it is on this machine; nothing is fetched."""
    model, _, tag = choice.partition("/")
    return hub.cached(*hub.place_of(clip_models.tag_configuration(model, tag)))


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
        return partial(self._build, checked_file(self.specification))

    def _build(self, file: Path) -> "nn.Module":
        import open_clip

        from prescreen.encoders.networks import ImageTower

        network = checked_model(self.specification, file)
        preprocessing = open_clip.get_model_preprocess_cfg(network)
        return ImageTower(network, preprocessing["mean"], preprocessing["std"])


def checked_file(member: MemberSpecification) -> Path:
    """Find the weights file of a specification.

    Raises
    ------
    WeightsNotFound
        If it is not on this machine and cannot be fetched.
    EncoderError
        If it is another file.
    """
    model, weights = member.network.removeprefix(PREFIX), member.weights
    file = _weights_file(model, weights, member.weights_sha256)
    actual = _sha256(file, weights)
    if actual != member.weights_sha256:
        raise EncoderError(
            f"clip:{model} ({weights}): the weights hash to {actual[:12]}…, expected "
            f"{member.weights_sha256[:12]}…; get the file that was trained with, or train again"
        )
    return file


def checked_model(member: MemberSpecification, file: Path) -> Any:
    """Build the whole model of a specification, both towers.

    Raises
    ------
    EncoderError
        If it cannot be built, or this version of open_clip builds another one.
    """
    model, weights = member.network.removeprefix(PREFIX), member.weights
    network = clip_models.create(model, weights, file)
    if clip_models.architecture_hash(network) != member.configuration:
        raise EncoderError(
            f"clip:{model} ({weights}): this version of open_clip builds another network from these weights; "
            "install the version that was trained with, or train again"
        )
    return network


def _weights_file(model: str, weights: str, sha256: str = "") -> Path:
    """Return the file, fetched if needed; with its hash, a copy in another revision spares the download."""
    kind, _, place = weights.partition(":")
    if kind == "local":
        path = Path(place)
        if path.is_dir():
            path = _checkpoint_in(path)
        if not path.is_file():
            raise WeightsNotFound(f"encoder clip:{model}@{place}: no such file or folder; {REMEDY}")
        return path
    place, _, revision = place.partition("@")
    configuration = clip_models.tag_configuration(model, place)
    if not configuration:
        from open_clip import pretrained

        tags = pretrained.list_pretrained_tags_by_model(model)
        known = f"known for this model: {', '.join(tags)}" if tags else "open_clip knows no weights for that model"
        raise UsageError(f"encoder clip:{model}/{place}: unknown; {known}")
    repository, names = hub.place_of(configuration)
    try:
        if pinned := hub.cached(repository, names, revision):
            return pinned
        latest = hub.cached(repository, names) if revision else None
        if latest and latest.resolve().name == sha256:  # the hub's cache names large files by their hash
            return latest
        return hub.fetch(repository, names, revision)
    except Exception as error:  # the hub's client raises errors of many libraries
        raise WeightsNotFound(
            f"encoder clip:{model}/{place}: its weights are not on this machine and cannot be fetched "
            f"({type(error).__name__}); {REMEDY}"
        ) from error


def _checkpoint_in(folder: Path) -> Path:
    files = [file for suffix in ("safetensors", "bin", "pt", "pth") for file in sorted(folder.glob(f"*.{suffix}"))]
    if not (folder / clip_models.CONFIGURATION).is_file() or not files:
        raise WeightsNotFound(
            f"{folder}: expected {clip_models.CONFIGURATION} and a weights file (*.safetensors) in it; {REMEDY}"
        )
    return files[0]


def _sha256(file: Path, weights: str) -> str:
    """Hash a weights file; in a folder, together with the configuration that says how to use it."""
    try:
        with open_plain(file) as content:
            digest = hashlib.file_digest(content, "sha256")
        if clip_models.is_folder(weights):
            digest.update(read_bounded(file.parent / clip_models.CONFIGURATION, MAX_NOTE_BYTES))
    except OSError as error:
        raise EncoderError(
            f"{error.filename}: cannot be read ({error.strerror}); expected weights of a model"
        ) from error
    return digest.hexdigest()
