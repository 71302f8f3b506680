"""Image towers of open_clip: weights from the Hugging Face hub, a file or a folder.

A choice is written ``MODEL/PRETRAINED`` (a pair that open_clip knows, fetched from the hub on first use) or
``MODEL@PATH`` (a weights file, or a folder with ``open_clip_config.json`` and weights in it).
"""

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.encoders.devices import Network
from prescreen.encoders.specification import MemberSpecification
from prescreen.errors import EncoderError, UsageError, WeightsNotFound
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, open_plain, read_bounded
from prescreen.text import first_line, shown

if TYPE_CHECKING:
    from torch import nn

DEFAULT: Final = "ViT-L-14/datacomp_xl_s13b_b90k"
VIEWS: Final = ("whole", "face", "eyes", "mouth")
PREFIX: Final = "open_clip:"
REMEDY: Final = (
    "connect once to fetch them, name a file with --encoder clip:MODEL@PATH, or, but not for --zero-shot, "
    "use --encoder bundled"
)
HUB_TIMEOUT: Final = 5.0
"""Seconds that the hub has to answer; its client would try for many minutes."""

CODE_VERSION: Final = 1
"""To be raised when the same weights give other features; names the converted networks in the cache."""

CONFIGURATION: Final = "open_clip_config.json"
_TEXT_TOWER: Final = "hf_model_name"


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
    network = _create(model, weights, file)
    side, width = _side_and_width(network)
    return MemberSpecification(
        network=PREFIX + model,
        weights=weights + (f"@{revision}" if not at and (revision := _revision(file)) else ""),
        weights_sha256=_sha256(file, weights),
        views=views,
        side=side,
        width=width,
        configuration=_configuration(network),
    )


def cached_weights(choice: str) -> Path | None:
    """Return the weights file of ``MODEL/PRETRAINED`` if it is on this machine; nothing is fetched."""
    model, _, tag = choice.partition("/")
    return _in_cache(*_on_the_hub(_tag(model, tag)))


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
    network = _create(model, weights, file)
    if _configuration(network) != member.configuration:
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
    configuration = _tag(model, place)
    if not configuration:
        from open_clip import pretrained

        tags = pretrained.list_pretrained_tags_by_model(model)
        known = f"known for this model: {', '.join(tags)}" if tags else "open_clip knows no weights for that model"
        raise UsageError(f"encoder clip:{model}/{place}: unknown; {known}")
    repository, names = _on_the_hub(configuration)
    try:
        if pinned := _in_cache(repository, names, revision):
            return pinned
        latest = _in_cache(repository, names) if revision else None
        if latest and latest.resolve().name == sha256:  # the hub's cache names large files by their hash
            return latest
        return _fetched(repository, names, revision)
    except Exception as error:  # the hub's client raises errors of many libraries
        raise WeightsNotFound(
            f"encoder clip:{model}/{place}: its weights are not on this machine and cannot be fetched "
            f"({type(error).__name__}); {REMEDY}"
        ) from error


def _on_the_hub(configuration: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the repository of a tag, and the names that its weights may have there, the preferred one first."""
    repository, _, name = configuration.get("hf_hub", "").rpartition("/")
    if name:
        return repository, (Path(name).with_suffix(".safetensors").name, name)
    return repository, ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def _revision(file: Path) -> str:
    """Return the commit of the repository that a file of the hub's cache comes from."""
    return file.parent.name if re.fullmatch("[0-9a-f]{40}", file.parent.name) else ""


def _in_cache(repository: str, names: tuple[str, ...], revision: str = "") -> Path | None:
    import huggingface_hub

    for name in names if repository else ():
        found = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def _fetched(repository: str, names: tuple[str, ...], revision: str = "") -> Path:
    """Fetch a weights file, after asking once whether the hub is there and has it."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    for name in names if repository else ():
        with contextlib.suppress(EntryNotFoundError):
            address = huggingface_hub.hf_hub_url(repository, name, revision=revision or None)
            huggingface_hub.get_hf_file_metadata(address, timeout=HUB_TIMEOUT)
            return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision or None))
    raise FileNotFoundError(f"no weights in {repository!r}")


def _checkpoint_in(folder: Path) -> Path:
    files = [file for suffix in ("safetensors", "bin", "pt", "pth") for file in sorted(folder.glob(f"*.{suffix}"))]
    if not (folder / CONFIGURATION).is_file() or not files:
        raise WeightsNotFound(f"{folder}: expected {CONFIGURATION} and a weights file (*.safetensors) in it; {REMEDY}")
    return files[0]


def _create(model: str, weights: str, file: Path) -> Any:
    """Build the model with the weights of a file; only tensors are unpickled."""
    import open_clip

    kind, _, place = weights.partition(":")
    tag = _tag(model, place.partition("@")[0]) if kind == "hub" else {}
    try:
        if _is_folder(weights):
            _check_parts(open_clip.get_model_config(f"local-dir:{place}"))
        elif model not in open_clip.list_models():
            raise ValueError(f"no model of that name ({shown(model)})")
        with _quiet():
            network = open_clip.create_model(
                f"local-dir:{place}" if _is_folder(weights) else model,
                load_weights=False,  # open_clip would look for a file itself, and not always find this one
                pretrained_text=False,
                force_quick_gelu=bool(tag.get("quick_gelu")),
                force_preprocess_cfg={name: tag[name] for name in ("mean", "std") if name in tag},
            )
            open_clip.load_checkpoint(network, str(file), weights_only=True)
    except Exception as error:  # open_clip, torch and safetensors raise whatever damaged files lead to
        message = f"encoder clip:{model} ({weights}): open_clip cannot load it: {first_line(error)[:160]}"
        raise EncoderError(message) from error
    return network.eval()


def _check_parts(configuration: Mapping[str, Any]) -> None:
    """Raise a ValueError for towers that open_clip would fetch from the hub, except those of models that it knows.

    A stranger may have made the folder, and the predictor that names it.
    """
    import open_clip

    models = filter(None, map(open_clip.get_model_config, open_clip.list_models()))
    known = {model["text_cfg"].get(_TEXT_TOWER) for model in models}
    image = configuration.get("vision_cfg", {}).get("timm_model_name") or ""
    text = configuration.get("text_cfg", {}).get(_TEXT_TOWER)
    if ":" in image or (text and text not in known):
        raise ValueError(f"its towers are elsewhere ({shown(image or text)})")


def _is_folder(weights: str) -> bool:
    kind, _, place = weights.partition(":")
    return kind == "local" and Path(place).is_dir()


def _tag(model: str, tag: str) -> dict[str, Any]:
    from open_clip import pretrained

    configuration: dict[str, Any] = pretrained.get_pretrained_cfg(model, tag)
    return configuration


def _configuration(network: Any) -> str:
    """Hash the architecture as built, activations included, and the normalisation of pixels."""
    import open_clip

    preprocessing = open_clip.get_model_preprocess_cfg(network)
    content = [str(network.visual), *(list(preprocessing[name]) for name in ("mean", "std"))]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _side_and_width(network: Any) -> tuple[int, int]:
    """Return the pixels of a side, and the number of features."""
    import torch

    size = network.visual.image_size
    side = int(size[0] if isinstance(size, tuple | list) else size)
    with torch.inference_mode():
        return side, int(network.encode_image(torch.zeros(1, 3, side, side)).shape[1])


def _sha256(file: Path, weights: str) -> str:
    """Hash a weights file; in a folder, together with the configuration that says how to use it."""
    try:
        with open_plain(file) as content:
            digest = hashlib.file_digest(content, "sha256")
        if _is_folder(weights):
            digest.update(read_bounded(file.parent / CONFIGURATION, MAX_NOTE_BYTES))
    except OSError as error:
        raise EncoderError(
            f"{error.filename}: cannot be read ({error.strerror}); expected weights of a model"
        ) from error
    return digest.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence open_clip's messages to the root logger; it raises its errors."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.setLevel(level)
