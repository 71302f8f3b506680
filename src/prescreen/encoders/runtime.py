"""Running a torch module on OpenVINO, which on processors is several times as fast as torch itself.

The converted network is kept in the cache folder, so that only the first run needs torch for it.
"""

import contextlib
import hashlib
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.encoders.batches import full_batches
from prescreen.errors import EncoderError
from prescreen.settings import cache_directory, make_cache_directory, make_private, processors, unusable_cache

if TYPE_CHECKING:
    from torch import nn

BATCH: Final = 4
"""Pictures in one call. Always full, so that a picture's features do not depend on its company."""

_MODEL: Final = "network.xml"
_WEIGHTS: Final = "network.bin"
_DIGEST: Final = "sha256"
_TELEMETRY: Final = "openvino_telemetry"
_CONVERTING = threading.Lock()
"""Torch's tracer works for one thread at a time."""


class CompiledNetwork:
    """A network from pixels to features, compiled for this machine's processor. Safe in threads.

    Parameters
    ----------
    build : callable
        Makes the torch module; called only if no converted network is in the cache.
    key : str
        Names the network, its weights and the version of its code.
    side : int
        Width and height of the pictures in pixels.
    width : int
        Features that come out.
    precision : str
        ``f32`` or ``bf16``.

    Raises
    ------
    EncoderError
        If this processor cannot compute in that precision: others' vectors would be mixed with its own.
    """

    def __init__(self, build: "Callable[[], nn.Module]", *, key: str, side: int, width: int, precision: str) -> None:
        openvino = silent_openvino()
        core = openvino.Core()
        if precision not in precisions():
            raise EncoderError(
                f"precision {precision}: this processor has {', '.join(precisions())}; train with one of these, "
                "or score on a processor that has it"
            )
        with _CONVERTING:
            model = core.read_model(_converted(build, key, side))
        if list(model.output(0).shape) != [BATCH, width]:
            raise EncoderError(f"network {key}: features of shape {model.output(0).shape}, expected [{BATCH}, {width}]")
        streams = processors()
        options = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams,
        }
        self._queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", options), streams)
        self._width = width
        self._lock = threading.Lock()

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn (n, side, side, 3) bytes into (n, width) features."""
        features = np.empty((len(pixels), self._width), np.float32)

        def keep(request: Any, place: slice) -> None:
            features[place] = request.get_output_tensor().data[: place.stop - place.start]

        with self._lock:  # the queue has one callback for all its requests
            self._queue.set_callback(keep)
            for place, batch in full_batches(pixels, BATCH):
                self._queue.start_async({0: batch}, place)
            self._queue.wait_all()
        return features


def silent_openvino() -> Any:
    """Import OpenVINO without its telemetry, which reports imports and conversions to a service for statistics.

    OpenVINO has a stub for the case that the package ``openvino_telemetry`` is missing, and that is what it finds here.
    Afterwards a program that prescreen works in can import the package again.
    """
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    try:
        import openvino
    finally:
        if sys.modules.get(_TELEMETRY, sys) is None:
            sys.modules.pop(_TELEMETRY, None)
    return openvino


@contextlib.contextmanager
def _unreported() -> Iterator[None]:
    """Keep a conversion from being reported in a program that has imported OpenVINO before prescreen did."""
    from openvino.tools.ovc import telemetry_stub

    telemetry = sys.modules.get(_TELEMETRY)
    loaded = [module for name, module in sys.modules.items() if name.startswith("openvino.")]
    reporting = [module for module in loaded if telemetry is not None and getattr(module, "tm", None) is telemetry]
    for module in reporting:
        vars(module)["tm"] = telemetry_stub
    try:
        yield
    finally:
        for module in reporting:
            vars(module)["tm"] = telemetry


def precisions() -> tuple[str, ...]:
    """Return the precisions that this machine's processor computes in, of ``f32`` and ``bf16``."""
    capabilities = silent_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("f32", "bf16") if "BF16" in capabilities else ("f32",)


def is_converted(key: str) -> bool:
    """Tell whether a network's converted form is in the cache, intact or not."""
    return _place(key).is_dir()


def _place(key: str) -> Path:
    return cache_directory() / "networks" / f"{key}-openvino-{metadata.version('openvino')}"


def _converted(build: "Callable[[], nn.Module]", key: str, side: int) -> Path:
    """Return the path of the converted network, converting it first where that is new or damaged."""
    target = _place(key)
    if not _is_intact(target):
        import torch

        openvino = silent_openvino()
        shutil.rmtree(target, ignore_errors=True)
        make_cache_directory(target.parent.name)
        with warnings.catch_warnings(), _traceable(), _unreported():
            warnings.simplefilter("ignore")  # torch announces the end of the tracer that OpenVINO still uses
            example = torch.zeros(BATCH, side, side, 3, dtype=torch.uint8)
            model = openvino.convert_model(build(), example_input=example, input=[list(example.shape)])
        try:
            _keep(model, target)
        except OSError as error:
            raise unusable_cache(target.parent, error) from error
    return target / _MODEL


def _keep(model: Any, target: Path) -> None:
    """Put a converted network into the cache in one step."""
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        half = Path(temporary) / "network"
        silent_openvino().save_model(model, half / _MODEL, compress_to_fp16=False)
        (half / _DIGEST).write_bytes(_digest(half))
        make_private(half)
        try:
            half.rename(target)
        except OSError:  # somebody else was faster with the same network
            if not target.is_dir():
                raise


@contextlib.contextmanager
def _traceable() -> Iterator[None]:
    """Keep torch from its own fused attention, which its tracer cannot follow."""
    import torch

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _is_intact(folder: Path) -> bool:
    try:
        return (folder / _DIGEST).read_bytes() == _digest(folder)
    except OSError:
        return False


def _digest(folder: Path) -> bytes:
    content = hashlib.sha256()
    for name in (_MODEL, _WEIGHTS):
        with (folder / name).open("rb") as file:
            while part := file.read(1 << 20):  # a large network need not be in memory twice
                content.update(part)
    return content.hexdigest().encode()
