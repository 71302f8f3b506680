"""Checks that a predictor still scores as it did at training, by scoring its canaries again.

The cache folder keeps what was measured with one predictor, versions of libraries and processor. The check takes a few
seconds where one of these has changed, and no time otherwise.
"""

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import features

from prescreen.embeddings.workers import shared_workers
from prescreen.encoders import Encoder
from prescreen.encoders.devices import resolve
from prescreen.errors import EncoderError, PictureError, PrescreenError
from prescreen.predictor.canaries import Canaries, draw_canaries
from prescreen.predictor.predictor import Predictor
from prescreen.progress import ProgressReporter
from prescreen.settings import cache_directory, make_cache_directory, make_private
from prescreen.storage import provenance
from prescreen.storage.atomic import write_text_atomic

TOLERANCE: Final = 0.02
"""Score points at the middle of the scale: well above rounding, which differs between processors, and below the effect
of other preprocessing (docs/decisions/0060)."""
TOLERANCE_BF16: Final = 0.1
"""The same for predictors of ``bf16``, which devices round at other places: OpenVINO and torch differed by 0.03."""
TOLERANCE_STAND_IN: Final = 0.25
"""The same where ``f32`` stands in for ``bf16``, which moved canaries by 0.09 (docs/decisions/0124)."""

STANDS_IN: Final = (
    "networks compute in f32, and the predictor was trained in bf16: scores differ by a few hundredths of a point, by "
    "0.4 at most in what was measured"
)

_POINTS_PER_Z: Final = 10 / np.sqrt(2 * np.pi)
_CODECS: Final = ("libjpeg_turbo", "zlib", "zlib_ng", "webp", "avif", "littlecms2")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CheckResult:
    """How canaries are scored now, compared with training.

    Parameters
    ----------
    difference : float or None
        The largest one, in score points at the middle of the scale. Infinite if a canary cannot be scored any more,
        None if there was nothing to compare.
    text : str
        The result in one line.
    tolerance : float
        The difference from which on it is worth a warning.
    """

    difference: float | None
    text: str
    tolerance: float = TOLERANCE

    @property
    def differs(self) -> bool:
        """Whether the predictor scores differently now."""
        return self.difference is not None and self.difference > self.tolerance

    @property
    def warning(self) -> str:
        """Warning for the user; empty if nothing differs."""
        if not self.differs:
            return ""
        return (
            f"this predictor now scores its canaries differently: {self.text}; portraits may move further than these: "
            "install the versions that it was trained with, or train again; then run: prescreen cache clear"
        )


def with_canaries(predictor: Predictor, encoder: Encoder) -> Predictor:
    """Give a predictor canaries, with its predictions for them.

    Raises
    ------
    EncoderError
        If the encoder cannot work here.
    """
    pictures = draw_canaries()
    canaries = Canaries(pictures, _measure(predictor, pictures, encoder))
    _remember(_record(predictor, canaries, encoder), canaries.raw)
    return replace(predictor, canaries=canaries)


def check_reproducibility(
    predictor: Predictor, encoder: Encoder, reporter: ProgressReporter | None = None, *, force: bool = False
) -> CheckResult:
    """Score the canaries of a predictor, unless that was done here before, and compare with training.

    Parameters
    ----------
    predictor : Predictor
        The predictor.
    encoder : Encoder
        Its encoder, loaded only if needed.
    reporter : ProgressReporter, optional
        Hears where ``f32`` stands in for ``bf16``, and is warned if the predictor scores differently now.
    force : bool
        Whether to score them in any case.
    """
    if reporter and _stands_in(predictor, encoder):
        reporter.info(f"precision  {STANDS_IN}")
    result = _check(predictor, encoder, force)
    if reporter and result.differs:
        reporter.warn(result.warning)
    return result


def _check(predictor: Predictor, encoder: Encoder, force: bool) -> CheckResult:
    canaries = predictor.canaries
    if canaries is None:
        return CheckResult(None, "it has no canaries: an older version of prescreen made it")
    try:
        record = _record(predictor, canaries, encoder)
        now = None if force else _remembered(record, canaries.raw.shape)
        if now is None:
            now = _measure(predictor, canaries.pictures, encoder)
            _remember(record, now)
    except EncoderError as error:  # vectors in the cache can be scored all the same
        return CheckResult(None, f"canaries not scored ({error})")
    return _compare(predictor, encoder, canaries.raw, now)


def _measure(predictor: Predictor, pictures: Sequence[bytes], encoder: Encoder) -> Array:
    """Predict the canaries without human scores; NaN for those that cannot be decoded any more."""
    encoder.load()
    views, readable = [], []
    for row, data in enumerate(pictures):
        with contextlib.suppress(PictureError):
            views.append(shared_workers().inspect(data, encoder.views, False)[0])
            readable.append(row)
    raw = np.full((len(pictures), len(predictor.traits)), np.nan)
    if views:
        raw[readable] = replace(predictor, results=None).predict(encoder.encode(views)).raw
    return raw


def _stands_in(predictor: Predictor, encoder: Encoder) -> bool:
    return encoder.specification.precision != predictor.manifest.encoder.precision


def _compare(predictor: Predictor, encoder: Encoder, then: Array, now: Array) -> CheckResult:
    if not np.isfinite(now).all():
        lost = np.flatnonzero(~np.isfinite(now).all(axis=1))
        text = f"{len(lost)} of {len(now)} canaries cannot be scored any more{_changes(predictor)}"
        return CheckResult(float("inf"), text)
    calibration = predictor.calibration
    # A score hardly moves near 0 and 10, which would hide a change there.
    moved = now - then if calibration.is_score else _POINTS_PER_Z * (calibration.z(now) - calibration.z(then))
    moved = np.abs(moved)
    row, trait = np.unravel_index(np.argmax(moved), moved.shape)
    largest = float(moved[row, trait])
    tolerance = TOLERANCE if predictor.manifest.encoder.precision == "f32" else TOLERANCE_BF16
    how = ""
    if _stands_in(predictor, encoder):
        tolerance, how = TOLERANCE_STAND_IN, " in f32 instead of bf16"
    if largest <= tolerance:
        text = f"canaries scored{how} as at training (largest difference {largest:.4f} points)"
        return CheckResult(largest, text, tolerance)
    before, after = (calibration.score(raw)[row, trait] for raw in (then, now))
    size = f"largest difference {abs(after - before):.2f} points, {largest:.2f} as at the middle of the scale"
    text = f"{predictor.traits[trait]} from {before:.2f} to {after:.2f} ({size}){how}{_changes(predictor)}"
    return CheckResult(largest, text, tolerance)


def _changes(predictor: Predictor) -> str:
    """Name the versions that have changed since training."""
    then, now = predictor.manifest.versions, _libraries()
    changed = [f"{name} from {then[name]} to {now[name]}" for name in now if name in then and then[name] != now[name]]
    return f"; changed since: {', '.join(changed) or 'no version, but the machine or a build of these'}"


def _libraries() -> dict[str, str]:
    return {name: version for name, version in provenance.versions().items() if name != "mlflow"}


def _record(predictor: Predictor, canaries: Canaries, encoder: Encoder) -> Path:
    """Return the file of a measurement, named by everything that could change it."""
    deciding = [
        replace(predictor, results=None).fingerprint,
        [hashlib.sha256(picture).hexdigest() for picture in canaries.pictures],
        _libraries(),
        {name: features.version(name) for name in _CODECS},
        [platform.machine(), _processor(), os.cpu_count(), resolve(encoder.device)],
    ]
    if _stands_in(predictor, encoder):
        deciding.append(encoder.specification.precision)
    name = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:32]
    return cache_directory() / "canaries" / f"{name}.json"


def _processor() -> str:
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _remember(record: Path, raw: Array) -> None:
    content = [[value if np.isfinite(value) else None for value in row] for row in raw.tolist()]
    with contextlib.suppress(PrescreenError):  # a cache that cannot be written costs time only
        make_cache_directory(record.parent.name)
        write_text_atomic(record, json.dumps({"raw": content}))
        make_private(record)


def _remembered(record: Path, shape: tuple[int, ...]) -> Array | None:
    try:
        content: Mapping[str, Any] = json.loads(record.read_text("utf-8"))
        raw = np.array(content["raw"], dtype=np.float64)
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    return raw if raw.shape == shape else None
