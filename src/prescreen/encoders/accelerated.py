"""Running a torch module on a graphics card."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.encoders.batches import full_batches
from prescreen.errors import EncoderError

if TYPE_CHECKING:
    from torch import nn

BATCH: Final = 32
"""Pictures in one call. Always full, so that a picture's features do not depend on its company."""


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
        If the device cannot compute in that precision, or has too little memory.
    """

    def __init__(self, build: "Callable[[], nn.Module]", *, side: int, width: int, precision: str, device: str) -> None:
        import torch

        if precision == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise EncoderError("precision bf16: this graphics card has none; train with f32, or use --device cpu")
        self._device = torch.device(device)
        self._precision = precision
        self._width = width
        self._lock = threading.Lock()
        with self._describe_memory():
            self._module = build().to(self._device).to(memory_format=torch.channels_last)
        if (found := self._features(np.zeros((BATCH, side, side, 3), np.uint8)).shape) != (BATCH, width):
            raise EncoderError(f"network on {device}: features of shape {found}, expected {(BATCH, width)}")

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn (n, side, side, 3) bytes into (n, width) features."""
        features = np.empty((len(pixels), self._width), np.float32)
        with self._lock:
            for place, batch in full_batches(pixels, BATCH):
                features[place] = self._features(batch)[: place.stop - place.start]
        return features

    def _features(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        mixed = torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bf16")
        with self._describe_memory(), torch.inference_mode(), _whole_products(), mixed:
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


@contextlib.contextmanager
def _whole_products() -> Iterator[None]:
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
