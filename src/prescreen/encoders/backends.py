"""Runs a torch module on OpenVINO (on processors, several times as fast as torch) or on a graphics card.

Batches always have the same size, so that the features of a picture do not depend on the other pictures in its batch.
"""

import contextlib
import gc
import hashlib
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.errors import EncoderError
from prescreen.settings import cache_directory, make_cache_directory, make_private, processors, unusable_cache

if TYPE_CHECKING:
    from torch import nn

CPU_BATCH: Final = 4
CARD_BATCH: Final = 32

_PROCESSORS: Final = Path("/proc/cpuinfo")
_BF16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16"})
_MODEL: Final = "network.xml"
_WEIGHTS: Final = "network.bin"
_DIGEST: Final = "sha256"
_TELEMETRY: Final = "openvino_telemetry"
_CONVERTING = threading.Lock()
"""Torch's tracer works for one thread at a time."""


class CompiledNetwork:
    """A network from pixels to features, compiled for this machine's processor. Safe in threads.

    The converted network is kept in the cache folder: only the first run needs torch.

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
        One of its `precisions`.

    Raises
    ------
    EncoderError
        If the network has another number of features.
    """

    def __init__(self, build: "Callable[[], nn.Module]", *, key: str, side: int, width: int, precision: str) -> None:
        openvino = silent_openvino()
        core = openvino.Core()
        with _CONVERTING:
            model = core.read_model(_converted(build, key, side))
        if list(model.output(0).shape) != [CPU_BATCH, width]:
            raise EncoderError(
                f"network {key}: features of shape {model.output(0).shape}, expected [{CPU_BATCH}, {width}]"
            )
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
            for place, batch in _full_batches(pixels, CPU_BATCH):
                self._queue.start_async({0: batch}, place)
            self._queue.wait_all()
        return features


class AcceleratedNetwork:
    """A network from pixels to features on a device of torch. Safe in threads.

    Parameters
    ----------
    build : callable
        Makes the torch module.
    side : int
        Width and height of the pictures in pixels.
    width : int
        Features that come out.
    precision : str
        ``f32`` (without the shortened TF32 products) or ``bf16`` (torch's automatic mixed precision).
    device : str
        ``cuda``, ``mps`` or ``cpu``.

    Raises
    ------
    EncoderError
        If the device has too little memory.
    """

    def __init__(self, build: "Callable[[], nn.Module]", *, side: int, width: int, precision: str, device: str) -> None:
        import torch

        self._device = torch.device(device)
        self._precision = precision
        self._width = width
        self._lock = threading.Lock()
        with self._describe_memory():
            self._module = build().to(self._device).to(memory_format=torch.channels_last)
        if (found := self._features(np.zeros((CARD_BATCH, side, side, 3), np.uint8)).shape) != (CARD_BATCH, width):
            raise EncoderError(f"network on {device}: features of shape {found}, expected {(CARD_BATCH, width)}")

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn (n, side, side, 3) bytes into (n, width) features."""
        features = np.empty((len(pixels), self._width), np.float32)
        with self._lock:
            for place, batch in _full_batches(pixels, CARD_BATCH):
                features[place] = self._features(batch)[: place.stop - place.start]
        return features

    def _features(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        mixed = torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bf16")
        with self._describe_memory(), torch.inference_mode(), _full_precision(), mixed:
            pixels = torch.tensor(np.ascontiguousarray(batch), device=self._device)
            return np.asarray(self._module(pixels).float().cpu().numpy())

    @contextlib.contextmanager
    def _describe_memory(self) -> Iterator[None]:
        import torch

        try:
            yield
        except torch.OutOfMemoryError as error:
            raise EncoderError(
                f"device {self._device.type}: out of memory; end other work there, or use --device cpu"
            ) from error


def silent_openvino() -> Any:
    """Import OpenVINO without its telemetry, which reports imports and conversions to a service for statistics.

    OpenVINO has a stub for a missing package ``openvino_telemetry`` and uses it here. The host program can import the
    package afterwards.
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
    """Keep a conversion from being reported in a program that imported OpenVINO before prescreen did."""
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


def precisions(device: str) -> tuple[str, ...]:
    """Return those of ``f32`` and ``bf16`` that a device computes fast: ``bf16`` only if it multiplies it in hardware.

    OpenVINO lists bf16 for every processor with AVX-512, also where it emulates it and is slower than in f32. It was
    never measured on Apple's cards.
    """
    if device == "cuda":
        import torch

        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device == "cpu" and _multiplies_bf16() and "BF16" in _capabilities()
    return ("f32", "bf16") if native else ("f32",)


def _capabilities() -> Sequence[str]:
    found: Sequence[str] = silent_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return found


def _multiplies_bf16() -> bool:
    """Tell whether Linux lists the instructions of x86 for it; macOS runs on no processor that has them."""
    with contextlib.suppress(OSError), _PROCESSORS.open() as lines:
        for line in lines:
            if line.startswith("flags"):
                return not _BF16_FLAGS.isdisjoint(line.split())
    return False


def is_converted(key: str) -> bool:
    """Tell whether a network's converted form is in the cache, intact or not."""
    return _place(key).is_dir()


def _place(key: str) -> Path:
    return cache_directory() / "networks" / f"{key}-openvino-{metadata.version('openvino')}"


def _converted(build: "Callable[[], nn.Module]", key: str, side: int) -> Path:
    """Return the path of the converted network; converts it if it is missing or damaged."""
    target = _place(key)
    if not _is_intact(target):
        import torch

        openvino = silent_openvino()
        shutil.rmtree(target, ignore_errors=True)
        make_cache_directory(target.parent.name)
        with warnings.catch_warnings(), _traceable(), _unreported():
            warnings.simplefilter("ignore")  # torch announces the end of the tracer that OpenVINO still uses
            example = torch.zeros(CPU_BATCH, side, side, 3, dtype=torch.uint8)
            model = openvino.convert_model(_traced(build(), example), input=[list(example.shape)])
        try:
            _keep(model, target)
        except OSError as error:
            raise unusable_cache(target.parent, error) from error
        del model
        gc.collect()  # the trace and the tensors refer to each other; compiling needs their memory
    return target / _MODEL


def _traced(module: "nn.Module", example: Any) -> Any:
    """Trace a module as OpenVINO does, without the gradients and the check of the trace, which double the memory."""
    import torch
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with torch.inference_mode():
        return TorchScriptPythonDecoder(module, example_input=example, trace_kwargs={"check_trace": False})


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


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """Keep torch from rounding the factors of ``f32`` products to 10 bits, which NVIDIA cards do by default."""
    import torch

    cudnn: Any = torch.backends.cudnn
    settings: tuple[Any, ...] = (cudnn.conv, torch.backends.cuda.matmul)
    before = [setting.fp32_precision for setting in settings]
    for setting in settings:
        setting.fp32_precision = "ieee"
    try:
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value


def _full_batches(pixels: NDArray[np.uint8], size: int) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Divide n pictures into batches of ``size``, the last one filled up with black; yields which, and the batch."""
    for start in range(0, len(pixels), size):
        batch = pixels[start : start + size]
        missing = size - len(batch)
        if missing:
            batch = np.concatenate([batch, np.zeros((missing, *pixels.shape[1:]), np.uint8)])
        yield slice(start, start + size - missing), batch
