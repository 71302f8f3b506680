"""What `prescreen doctor` finds out: versions, weights, places."""

import importlib.util
import os
import platform
from importlib import metadata
from typing import Final

from prescreen import tracking
from prescreen.embeddings.estimate import estimate
from prescreen.encoders import hub, make_encoder
from prescreen.encoders.clip import DEFAULT, NAMES, cached_weights, look_up
from prescreen.encoders.devices import DEVICE_VARIABLE, choose_precision, chosen_device, resolve
from prescreen.encoders.encoder import KNOWN
from prescreen.encoders.hub_requests import RemoteFile
from prescreen.encoders.specification import split_name
from prescreen.encoders.text_tokenizer import EXTRA, has_extra
from prescreen.errors import PrescreenError, UsageError
from prescreen.images.files import find_images
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
from prescreen.text import describe_size, unknown_name

_READY: Final = "ready: "
_MANY: Final = 900


def examine(encoder: str | None = None) -> dict[str, dict[str, str]]:
    """Return findings by section and name; nothing is fetched.

    Parameters
    ----------
    encoder : str, optional
        Name of an encoder. If its weights are on this machine, its networks are loaded and timed, and converted first
        where that was not done yet; if not, the hub is asked for their size. Without it, neither is done.

    Raises
    ------
    UsageError
        If there is no such encoder.
    """
    if encoder is None:
        encoders = {"bundled": _state(EFFICIENTNET_LITE2), f"clip:{DEFAULT}": _clip()}
    else:
        encoders = dict(map(_weights, split_name(encoder)))
        if all(finding.startswith(_READY) for finding in encoders.values()):
            encoders["time"] = _time(encoder)
    return {
        "versions": provenance.versions(),
        "machine": {
            "system": platform.platform(),
            "processors": str(processors()),
            "device": _device(),
            "precision": _precision(),
        },
        "encoders": {
            **encoders,
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
    return f"{folder} ({describe_size(size)}; {closed}{CACHE_VARIABLE} moves it)"


def _state(weights: PackagedFile) -> str:
    try:
        return f"{_READY}{weights.locate().name}"
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


def _precision() -> str:
    try:
        return f"auto is {choose_precision('auto', chosen_device())} here (--precision chooses)"
    except PrescreenError as error:
        return str(error)


def _clip() -> str:
    if importlib.util.find_spec("open_clip") is None:
        return "open_clip is not installed"
    path = cached_weights(DEFAULT)
    return f"{_READY}{path}" if path else "weights not on this machine; fetched from the Hugging Face hub on first use"


def _weights(part: str) -> tuple[str, str]:
    """Return the full name of an encoder, and whether its weights are here, or what is to be fetched."""
    kind, _, choice = part.partition(":")
    if part == "bundled":
        return part, _state(EFFICIENTNET_LITE2)
    if kind != "clip":
        raise UsageError(unknown_name(part, KNOWN, "encoder"))
    name = f"clip:{NAMES.get(choice, choice)}"
    try:
        found = look_up(NAMES.get(choice, choice))
    except UsageError:
        raise
    except PrescreenError as error:
        return name, f"not on this machine: {error}"
    if not isinstance(found, RemoteFile):
        return name, f"{_READY}{found} ({describe_size(found.stat().st_size)})"
    here = hub.bytes_here(found)
    onward = f", {describe_size(here)} of it are here already" if here else ""
    return name, f"fetched on first use: {describe_size(found.size)} from {found.host} ({found.repository}){onward}"


def _time(encoder: str) -> str:
    """Say how long it takes for many portraits, measured on those of the sample."""
    from prescreen.workflow.demo import find_sample  # which imports training

    found = estimate(make_encoder(encoder), _MANY, find_images([find_sample() / "candidates"]))
    return f"about {found.text()} for {_MANY} portraits here"


def _hub_cache() -> str:
    place = hub.cache_directory()
    return f"{place} ({describe_size(hub.free_bytes(place))} free; {hub.MOVES})"
