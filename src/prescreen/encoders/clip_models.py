"""Models as open_clip builds them: their names, configurations and weights."""

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from prescreen.errors import EncoderError
from prescreen.text import first_line, shown

CONFIGURATION: Final = "open_clip_config.json"
_TEXT_TOWER: Final = "hf_model_name"


def create(model: str, weights: str, file: Path) -> Any:
    """Build the model with the weights of a file; only tensors are unpickled."""
    import open_clip

    kind, _, place = weights.partition(":")
    tag = tag_configuration(model, place.partition("@")[0]) if kind == "hub" else {}
    try:
        if is_folder(weights):
            _check_parts(open_clip.get_model_config(f"local-dir:{place}"))
        elif model not in open_clip.list_models():
            raise ValueError(f"no model of that name ({shown(model)})")
        with _quiet():
            network = open_clip.create_model(
                f"local-dir:{place}" if is_folder(weights) else model,
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


def is_folder(weights: str) -> bool:
    """Tell whether weights of a specification are a folder on this machine."""
    kind, _, place = weights.partition(":")
    return kind == "local" and Path(place).is_dir()


def tag_configuration(model: str, tag: str) -> dict[str, Any]:
    """Return what open_clip knows of a pair of model and weights; empty without such a pair."""
    from open_clip import pretrained

    configuration: dict[str, Any] = pretrained.get_pretrained_cfg(model, tag)
    return configuration


def architecture_hash(network: Any) -> str:
    """Hash the architecture as built, activations included, and the normalisation of pixels."""
    import open_clip

    preprocessing = open_clip.get_model_preprocess_cfg(network)
    content = [str(network.visual), *(list(preprocessing[name]) for name in ("mean", "std"))]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def side_and_width(network: Any) -> tuple[int, int]:
    """Return the pixels of a side, and the number of features."""
    import torch

    size = network.visual.image_size
    side = int(size[0] if isinstance(size, tuple | list) else size)
    with torch.inference_mode():
        return side, int(network.encode_image(torch.zeros(1, 3, side, side)).shape[1])


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
