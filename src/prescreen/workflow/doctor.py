"""What `prescreen doctor` finds out: versions, weights, places."""

import importlib.util
import os
import platform

from prescreen import tracking
from prescreen.encoders import Encoder
from prescreen.encoders.backends import precisions
from prescreen.encoders.clip import DEFAULT, cached_weights
from prescreen.encoders.devices import DEVICE_VARIABLE, chosen_device, resolve
from prescreen.errors import PrescreenError
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


def examine() -> dict[str, dict[str, str]]:
    """Return findings by section and name; nothing is fetched, loaded into memory or changed."""
    return {
        "versions": provenance.versions(),
        "machine": {
            "system": platform.platform(),
            "processors": f"{processors()}, networks compute in {' and '.join(precisions())}",
            "device": _device(),
        },
        "encoders": {
            "bundled": _state(EFFICIENTNET_LITE2),
            "face network": _state(DLIB_FACE_NETWORK),
            "face detector": _state(DLIB_DETECTOR),
            "landmarks": _state(DLIB_LANDMARKS),
            f"clip:{DEFAULT}": _clip(),
        },
        "places": {
            "cache": _cache(),
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
    result = reproducibility.check_reproducibility(predictor, Encoder(manifest.encoder), force=True)
    return {
        "name": f"{manifest.name} ({predictor.fingerprint[:12]}…)",
        "traits": f"{', '.join(manifest.traits)} on {manifest.scale}{votes}",
        "encoder": f"{manifest.encoder.name}, {manifest.encoder.precision}",
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
