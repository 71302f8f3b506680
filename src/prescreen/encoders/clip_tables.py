"""open_clip's tables of models and of their published weights, and the names that people write for them.

The tables are read from a note: importing open_clip takes seconds, and most runs need nothing else of it.
"""

import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from prescreen.encoders.notes import remembered
from prescreen.errors import UsageError
from prescreen.text import describe_list, shown

FORMS: Final = ("clip:MODEL/PRETRAINED", "clip:MODEL@PATH", "clip:MODEL/PRETRAINED@PATH")

_HUB: Final = "hf-hub:"
_OF_SIZE: Final = "ViT-L/14@336px"
"""OpenAI's name of ViT-L-14-336."""


@dataclass(frozen=True)
class Tables:
    """What open_clip knows.

    Parameters
    ----------
    models : mapping
        Configurations of architectures by name.
    tags : mapping
        For each model its published weights by name: repository and preprocessing.
    """

    models: Mapping[str, Mapping[str, Any]]
    tags: Mapping[str, Mapping[str, Mapping[str, Any]]]


def tables() -> Tables:
    """Return the tables of the installed version, with what this program has added to them."""
    if "open_clip" in sys.modules:
        return Tables(**_read())
    return Tables(**remembered("open-clip", metadata.version("open_clip_torch"), _read))


def _read() -> dict[str, Any]:
    import open_clip

    tags: dict[str, dict[str, Any]] = {}
    for model, tag in open_clip.list_pretrained():
        tags.setdefault(model, {})[tag] = open_clip.get_pretrained_cfg(model, tag)
    return {"models": {model: open_clip.get_model_config(model) for model in open_clip.list_models()}, "tags": tags}


def tag_configuration(model: str, tag: str) -> dict[str, Any]:
    """Return what open_clip knows of a pair of model and published weights; empty without such a pair."""
    return dict(tables().tags.get(model, {}).get(tag.lower().replace("-", "_"), {}))


@dataclass(frozen=True)
class Choice:
    """What ``clip:`` is followed by, in open_clip's names.

    Parameters
    ----------
    model : str
        Architecture, or any name for a folder that describes its own.
    tag : str
        Name of published weights; empty for a file of unknown ones and for a folder.
    path : Path, optional
        File or folder with the weights.
    """

    model: str
    tag: str
    path: Path | None


def read_choice(choice: str) -> Choice:
    """Read ``MODEL/PRETRAINED``, ``MODEL@PATH`` or ``MODEL/PRETRAINED@PATH``.

    OpenAI's spelling of models (``ViT-B/32``) and the hub's (``hf-hub:ORGANISATION/NAME``) are understood.

    Raises
    ------
    UsageError
        If there is no such model, or no such weights of it; names those that there are.
    """
    left, at, path = choice.replace(_OF_SIZE, "ViT-L-14-336", choice.startswith(_OF_SIZE)).partition("@")
    # Links stay: in the hub's cache they have the suffix that says how to read a file, and their targets have none.
    place = Path(os.path.abspath(Path(path).expanduser())) if at else None
    if place and place.is_dir():
        return Choice(left, "", place)
    known = tables()
    if left.startswith(_HUB):
        return Choice(*_of_repository(left.removeprefix(_HUB).strip("/"), known), place)
    model, tag = left.replace("/", "-"), ""
    if model not in known.models and "/" in left:
        model, _, tag = left.rpartition("/")
        model = model.replace("/", "-")
    tags = known.tags.get(model, {})
    if model and tag and not tag_configuration(model, tag):
        raise unknown_tag(model, tag)
    if place is None and not (model and tag):
        names = f", for instance clip:{model}/{next(iter(tags))}" if tags else ""
        raise UsageError(f"encoder clip:{choice}: expected clip:large, {FORMS[0]} or {FORMS[1]}{names}")
    if place and place.is_file() and model not in known.models:
        close = difflib.get_close_matches(model, known.models, n=3, cutoff=0.5)
        names = f"; did you mean {describe_list(close, 'or')}?" if close else ""
        raise UsageError(f"encoder clip:{choice}: open_clip has no model {shown(model)}{names}")
    return Choice(model, tag, place)


def unknown_tag(model: str, tag: str) -> UsageError:
    """Return the error for published weights that open_clip does not know."""
    tags = tables().tags.get(model, {})
    names = f"known for this model: {', '.join(tags)}" if tags else "open_clip knows no weights for that model"
    return UsageError(f"encoder clip:{shown(model)}/{shown(tag)}: unknown; {names}")


def named_by_transformers(content: Mapping[str, Any]) -> str | None:
    """Return the encoder with the network of a CLIPModel, from its ``config.json`` as transformers writes it."""
    vision = {"hidden_size": 768, "num_hidden_layers": 12, "patch_size": 32, "image_size": 224} | {
        key: value for key, value in dict(content.get("vision_config") or {}).items() if value is not None
    }
    quick_gelu = vision.get("hidden_act", "quick_gelu") == "quick_gelu"
    wanted = [vision[key] for key in ("hidden_size", "num_hidden_layers", "patch_size", "image_size")]
    known = tables()
    for model, configuration in known.models.items():
        for tag, published in known.tags.get(model, {}).items():
            looks = [configuration["vision_cfg"].get(key) for key in ("width", "layers", "patch_size", "image_size")]
            if looks == wanted and bool(published.get("quick_gelu")) == quick_gelu and model.startswith("ViT-"):
                return f"clip:{model}/{tag}"
    return None


def _of_repository(repository: str, known: Tables) -> tuple[str, str]:
    """Return model and tag of a repository on the hub."""
    for model, tags in known.tags.items():
        for tag, configuration in tags.items():
            if repository and configuration["hf_hub"].rpartition("/")[0] == repository:
                return model, tag
    raise UsageError(
        f"encoder clip:{_HUB}{shown(repository)}: not in open_clip's table of weights; "
        "download the repository and name its folder with clip:NAME@FOLDER, where NAME is yours to choose"
    )
