"""What `prescreen doctor` finds out: versions, weights, places."""

import importlib.util
import os
import platform
from importlib import metadata

from prescreen import tracking
from prescreen.encoders import hub
from prescreen.encoders.backends import precisions
from prescreen.encoders.clip import DEFAULT, NAMES, cached_weights, look_up
from prescreen.encoders.devices import DEVICE_VARIABLE, chosen_device, resolve
from prescreen.encoders.hub_requests import RemoteFile
from prescreen.encoders.specification import split_name
from prescreen.encoders.text_tokenizer import EXTRA, has_extra
from prescreen.errors import PrescreenError, UsageError
from prescreen.images.model_files import (
    DLIB_DETECTOR,
    DLIB_FACE_NETWORK,
    DLIB_LANDMARKS,
    EFFICIENTNET_LITE2,
    PackagedFile,
)
from prescreen.predictor import reproducibility
from prescreen.predictor.predictor import Predictor
from prescreen.settings import CACHE_VARIABLE, cache_directory, processors, unusable_cache
from prescreen.storage import provenance


def examine(encoder: str | None = None) -> dict[str, dict[str, str]]:
    """Return findings by section and name; nothing is fetched, loaded into memory or changed.

    Parameters
    ----------
    encoder : str, optional
        Name of an encoder. Whether its weights are on this machine is found out, and if not, the hub is asked for their
        size. Without it, the hub is not asked.

    Raises
    ------
    UsageError
        If there is no such encoder.
    """
    return {
        "versions": provenance.versions(),
        "machine": {
            "system": platform.platform(),
            "processors": f"{processors()}, networks compute in {' and '.join(precisions())}",
            "device": _device(),
        },
        "encoders": {
            **(
                {"bundled": _state(EFFICIENTNET_LITE2), f"clip:{DEFAULT}": _clip()}
                if encoder is None
                else {part: _weights(part) for part in split_name(encoder)}
            ),
            "face network": _state(DLIB_FACE_NETWORK),
            "face detector": _state(DLIB_DETECTOR),
            "landmarks": _state(DLIB_LANDMARKS),
            "texts": _texts(),
        },
        "places": {
            "cache": _cache(),
            "weights of CLIP": _hub_cache(),
            "MLflow store": f"{tracking.store_name()} (MLFLOW_TRACKING_URI moves it)",
        },
    }


def examine_predictor(predictor: Predictor) -> dict[str, str]:
    """Return what a predictor is, and how it scores its canaries here and now.

    Raises
    ------
    PredictorMismatch
        If this version of prescreen has another preprocessing than its encoder.
    """
    manifest = predictor.manifest
    votes = " (simulated votes)" if manifest.simulated else ""
    result = reproducibility.check_reproducibility(predictor, predictor.make_encoder(), force=True)
    return {
        "name": f"{manifest.name} ({predictor.fingerprint[:12]}…)",
        "traits": f"{', '.join(manifest.traits)} on {manifest.scale}{votes}",
        "encoder": f"{manifest.encoder.choice}, {manifest.encoder.precision}",
        "canaries": result.warning or result.text,
    }


def _cache() -> str:
    try:
        folder = cache_directory()
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    except PrescreenError as error:
        return str(error)
    except OSError as error:
        return str(unusable_cache(folder, error))
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.exists(place))
    closed = "" if os.access(nearest, os.W_OK | os.X_OK) else "it cannot be written; "
    return f"{folder} ({size / 1e6:.0f} MB; {closed}{CACHE_VARIABLE} moves it)"


def _state(weights: PackagedFile) -> str:
    try:
        return f"ready: {weights.locate().name}"
    except PrescreenError as error:
        return str(error)


def _texts() -> str:
    if has_extra():
        return f"ready for all CLIP models: transformers {metadata.version('transformers')}"
    return f"ready for most CLIP models; SigLIP, CLIPA and others with a tokenizer of the hub need: {EXTRA}"


def _device() -> str:
    try:
        return f"{resolve(chosen_device())} ({DEVICE_VARIABLE} or --device chooses)"
    except PrescreenError as error:
        return str(error)


def _clip() -> str:
    if importlib.util.find_spec("open_clip") is None:
        return "open_clip is not installed"
    path = cached_weights(DEFAULT)
    return f"ready: {path}" if path else "weights not on this machine; fetched from the Hugging Face hub on first use"


def _weights(part: str) -> str:
    """Say whether the weights of an encoder are here, or what is to be fetched."""
    kind, _, choice = part.partition(":")
    if part == "bundled":
        return _state(EFFICIENTNET_LITE2)
    if kind != "clip":
        raise UsageError(f"encoder {part}: expected clip, clip:MODEL/PRETRAINED, clip:MODEL@PATH or bundled")
    try:
        found = look_up(NAMES.get(choice, choice))
    except UsageError:
        raise
    except PrescreenError as error:
        return f"not on this machine: {error}"
    if not isinstance(found, RemoteFile):
        return f"ready: {found} ({hub.size_in_words(found.stat().st_size)})"
    here = hub.bytes_here(found)
    onward = f", {hub.size_in_words(here)} of it are here already" if here else ""
    return f"fetched on first use: {hub.size_in_words(found.size)} from {found.host} ({found.repository}){onward}"


def _hub_cache() -> str:
    place = hub.cache_directory()
    return f"{place} ({hub.size_in_words(hub.free_bytes(place))} free; {hub.MOVES})"
