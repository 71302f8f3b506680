"""Weights on the Hugging Face hub, and in its cache on this machine."""

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

HUB_TIMEOUT: Final = 5.0
"""Seconds that the hub has to answer; its client would try for many minutes."""


def place_of(configuration: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the repository of a tag, and the names that its weights may have there, the preferred one first."""
    repository, _, name = configuration.get("hf_hub", "").rpartition("/")
    if name:
        return repository, (Path(name).with_suffix(".safetensors").name, name)
    return repository, ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def revision_of(file: Path) -> str:
    """Return the commit of the repository that a file of the hub's cache comes from."""
    return file.parent.name if re.fullmatch("[0-9a-f]{40}", file.parent.name) else ""


def cached(repository: str, names: tuple[str, ...], revision: str = "") -> Path | None:
    """Return the weights file that the hub's cache on this machine has, in a revision or the latest; or None."""
    import huggingface_hub

    for name in names if repository else ():
        found = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def fetch(repository: str, names: tuple[str, ...], revision: str = "") -> Path:
    """Fetch a weights file, after asking once whether the hub is there and has it."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    for name in names if repository else ():
        with contextlib.suppress(EntryNotFoundError):
            address = huggingface_hub.hf_hub_url(repository, name, revision=revision or None)
            huggingface_hub.get_hf_file_metadata(address, timeout=HUB_TIMEOUT)
            return Path(huggingface_hub.hf_hub_download(repository, name, revision=revision or None))
    raise FileNotFoundError(f"no weights in {repository!r}")
