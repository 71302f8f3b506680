"""Models as open_clip builds them, with the weights of a file: the image tower alone, or both towers."""

import contextlib
import copy
import hashlib
import json
import logging
import pickle
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from prescreen.encoders import hub
from prescreen.encoders.clip_settings import CONFIGURATION, Settings, folder_of, in_one_line
from prescreen.encoders.clip_tables import tables
from prescreen.errors import EncoderError
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, read_bounded
from prescreen.text import shown

if TYPE_CHECKING:
    from torch import nn

TEXT_TOWER: Final = "hf_model_name"
_OF_TOWER: Final = ("config.json",)
_VISUAL: Final = "visual."


def image_tower(model: str, weights: str, settings: Settings) -> "nn.Module":
    """Build the image tower of a model without weights: it takes no memory, and cannot compute yet.

    Raises
    ------
    EncoderError
        If open_clip cannot build it.
    """
    import torch

    with in_one_line(model, weights), _quiet(), torch.device("meta"):
        return _build_tower(configuration_of(model, weights), settings)


def filled_tower(model: str, weights: str, settings: Settings, file: Path, *, resize: bool = False) -> "nn.Module":
    """Build the image tower of a model with the weights of a file, in single precision; only tensors are unpickled.

    Parameters
    ----------
    model, weights : str
        As in a specification.
    settings : Settings
        How the weights were trained.
    file : Path
        The weights. Those of safetensors stay on the disk until they are used.
    resize : bool
        Whether positions of a file for another size of pictures are made to fit, as predictors of older versions have
        them; otherwise such a file is refused.

    Raises
    ------
    EncoderError
        If open_clip cannot build it, or the file has other weights.
    """
    tower = image_tower(model, weights, settings)
    with in_one_line(model, weights), _quiet():
        state = _read(tower, file)
        if resize:
            from open_clip.model import resize_pos_embed

            resize_pos_embed(state, SimpleNamespace(visual=tower))
        found = {key.removeprefix(_VISUAL): value for key, value in state.items() if key.startswith(_VISUAL)}
        try:
            tower.load_state_dict(found, strict=True, assign=True)
        except RuntimeError as error:
            raise _misfit(model, weights, image_tower(model, weights, settings), found) from error
        computed = {name for name, _ in tower.named_buffers()} - set(tower.state_dict())
        if computed:  # not in any file
            real = _build_tower(configuration_of(model, weights), settings)
            for name in computed:
                module, _, buffer = name.rpartition(".")
                setattr(tower.get_submodule(module), buffer, real.get_buffer(name))
        return tower.requires_grad_(False).eval()


def _misfit(model: str, weights: str, tower: "nn.Module", found: Mapping[str, Any]) -> EncoderError:
    """Return the error for a file with weights of another tower, with the model that it fits."""
    given, expected = _shapes(found), _shapes(tower.state_dict())
    odd = next((name for name in given if name not in expected), "")
    wrong = next((name for name in expected if given.get(name) != expected[name]), odd)
    sizes = [" × ".join(map(str, shapes[wrong])) if wrong in shapes else "missing" for shapes in (given, expected)]
    named = weights.startswith("local:") and not folder_of(weights)
    fitting = _fitting(model, given) if named else None
    hint = (
        "" if fitting in (None, model) else f"; it has weights of {fitting}: clip:{fitting}@{weights.partition(':')[2]}"
    )
    return EncoderError(
        f"encoder clip:{model} ({weights}): open_clip cannot load it: {shown(wrong)} is {sizes[0]}, "
        f"expected {'none' if wrong == odd else sizes[1]}{hint}"
    )


def _fitting(model: str, given: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return the model, most like the one named, whose image tower has these shapes."""
    models = tables().models
    vision = models[model]["vision_cfg"]
    sizes = {size for shape in given.values() for size in shape}
    by_timm = any(name.startswith("trunk.") for name in given)

    def unlike(other: str) -> tuple[int, bool, int]:
        there = models[other]["vision_cfg"]
        differing = sum(vision.get(key) != there.get(key) for key in {*vision, *there})
        return differing, TEXT_TOWER in models[other]["text_cfg"], len(other)

    for other in sorted(models, key=unlike):
        there = models[other]
        if by_timm == ("timm_model_name" in there["vision_cfg"]) and there["embed_dim"] in sizes:
            tower = image_tower(other, "", Settings())
            if all(given.get(name) == shape for name, shape in _shapes(tower.state_dict()).items() if shape):
                return other
    return None


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


def both_towers(model: str, weights: str, settings: Settings, file: Path) -> Any:
    """Build the whole model with the weights of a file.

    Raises
    ------
    EncoderError
        If open_clip cannot build it, or the file has other weights.
    """
    import open_clip

    with in_one_line(model, weights), _quiet():
        texts = configuration_of(model, weights)["text_cfg"]
        if name := texts.get(TEXT_TOWER):
            texts |= {TEXT_TOWER: str(_fetched_configuration(name)), "hf_model_pretrained": False}
        folder = folder_of(weights)
        network = open_clip.create_model(
            f"local-dir:{folder}" if folder else model,
            load_weights=False,  # open_clip would look for a file itself, and not always find this one
            pretrained_text=False,
            force_quick_gelu=settings.quick_gelu,
            force_preprocess_cfg={"mean": settings.mean, "std": settings.std},
            text_cfg=texts,
        )
        open_clip.load_checkpoint(network, str(file), weights_only=True)
        return network.eval()


def _fetched_configuration(repository: str) -> Path:
    """Return the folder with the configuration of a text tower, which transformers would fetch at its own pace."""
    return (hub.cached(repository, _OF_TOWER) or hub.fetch(repository, _OF_TOWER)).parent


def architecture_hash(tower: "nn.Module", settings: Settings) -> str:
    """Hash the architecture as built, activations included, and the normalisation of pixels."""
    content = [str(tower), list(settings.mean), list(settings.std)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def side_of(tower: "nn.Module") -> int:
    """Return the pixels of a side of what an image tower sees."""
    size: Any = tower.image_size
    return int(size[0] if isinstance(size, tuple | list) else size)


def width_of(model: str, weights: str) -> int:
    """Return the number of features of a model."""
    return int(configuration_of(model, weights)["embed_dim"])


def configuration_of(model: str, weights: str) -> dict[str, Any]:
    """Return the configuration of an architecture; towers that open_clip would fetch from the hub are a ValueError.

    A stranger may have made the folder, and the predictor that names it.
    """
    folder = folder_of(weights)
    if folder is None:
        if model not in tables().models:
            raise ValueError(f"no model of that name ({shown(model)})")
        return copy.deepcopy(dict(tables().models[model]))
    configuration: dict[str, Any] = json.loads(read_bounded(folder / CONFIGURATION, MAX_NOTE_BYTES))["model_cfg"]
    known = {model["text_cfg"].get(TEXT_TOWER) for model in tables().models.values()}
    image = configuration.get("vision_cfg", {}).get("timm_model_name") or ""
    text = configuration.get("text_cfg", {}).get(TEXT_TOWER)
    if ":" in image or (text and text not in known):
        raise ValueError(f"its towers are elsewhere ({shown(image or text)})")
    return configuration


def _build_tower(configuration: Mapping[str, Any], settings: Settings) -> "nn.Module":
    from open_clip.model import _build_vision_tower

    vision = dict(configuration["vision_cfg"])
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False
    tower: nn.Module = _build_vision_tower(configuration["embed_dim"], vision, settings.quick_gelu)
    return tower


def _read(tower: "nn.Module", file: Path) -> dict[str, Any]:
    """Return the tensors of a file under open_clip's names."""
    import torch
    from open_clip.convert import convert_state_dict
    from open_clip.factory import load_state_dict

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says at length what the error says in a line
            state: dict[str, Any] = load_state_dict(str(file), weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError("no file of weights, or one that holds more than weights") from error
    state = convert_state_dict(SimpleNamespace(visual=tower), state)
    return {key: value.float() if torch.is_floating_point(value) else value for key, value in state.items()}


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
