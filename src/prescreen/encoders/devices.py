"""Networks and the devices they run on: the processor, through OpenVINO, or a graphics card, through torch.

The device is not part of an encoder's specification: in ``f32`` devices differ by less than the rounding to half
precision that all vectors get. The precision is: ``auto`` is resolved when an encoder is made.
"""

import os
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from prescreen.encoders.backends import AcceleratedNetwork, CompiledNetwork, is_converted, precisions
from prescreen.encoders.specification import PRECISIONS, MemberSpecification
from prescreen.errors import EncoderError, UsageError
from prescreen.progress import receiver
from prescreen.text import shown, unknown_name

if TYPE_CHECKING:
    from torch import nn

Device = Literal["cpu", "cuda", "mps"]

DEVICES: Final = ("auto", "cpu", "cuda", "mps")
DEVICE_VARIABLE: Final = "PRESCREEN_DEVICE"
CHOICES: Final = ("auto", *PRECISIONS)


class Network(ABC):
    """One network of an encoder, loaded at its first call.

    Parameters
    ----------
    specification : MemberSpecification
        What the network is and what it sees.
    precision : str
        ``f32`` or ``bf16``.
    device : str
        One of `DEVICES`.
    beside : sequence of Path
        Folders where weights may be that are not in their place, see `prescreen.encoders.weights_search`.
    """

    def __init__(
        self, specification: MemberSpecification, precision: str, device: str = "cpu", beside: Sequence[Path] = ()
    ) -> None:
        self.specification = specification
        self.beside = beside
        self.precision = precision
        self.device = device
        self._run: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None = None

    def load(self) -> None:
        """Check the weights and make the network ready on its device.

        Raises
        ------
        WeightsNotFound
            If the weights are not on this machine and cannot be fetched.
        EncoderError
            If they are not those of the specification, or the device is missing.
        """
        if self._run is not None:
            return
        build = self._check_weights()
        device, side, width = resolve(self.device), self.specification.side, self.specification.output_width
        if device == "cpu":
            if not is_converted(self._key):
                name = shown(self.specification.network)
                receiver().info(f"network    {name} is converted for this machine, once: up to a minute")
            self._run = CompiledNetwork(build, key=self._key, side=side, width=width, precision=self.precision)
        else:
            self._run = AcceleratedNetwork(build, side=side, width=width, precision=self.precision, device=device)

    @property
    def must_convert(self) -> bool:
        """Whether loading converts it for this machine first, which takes up to a minute; only processors need that."""
        may_be_card = self.device not in ("auto", "cpu") or (self.device == "auto" and _may_have_card())
        return self._run is None and not may_be_card and not is_converted(self._key)

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn (n, side, side, 3) bytes into (n, output_width) features."""
        self.load()
        assert self._run is not None
        return self._run(pixels)

    @property
    @abstractmethod
    def _key(self) -> str:
        """Name of the converted network: everything that decides what it computes."""

    @abstractmethod
    def _check_weights(self) -> "Callable[[], nn.Module]":
        """Find and check the weights; return what builds the torch module."""


def chosen_device() -> str:
    """Return the device that the environment names, ``auto`` without one."""
    return os.environ.get(DEVICE_VARIABLE) or "auto"


def check_name(device: str) -> None:
    """Raise a UsageError, with a suggestion, for a name that is none of `DEVICES`."""
    if device not in DEVICES:
        raise UsageError(unknown_name(device, DEVICES, "device"))


def resolve(device: str) -> Device:
    """Return the device of a name on this machine: ``auto`` is an NVIDIA or AMD card if torch can use it, else the CPU.

    Raises
    ------
    UsageError
        If the name is none of `DEVICES`.
    EncoderError
        If this machine has no such device.
    """
    check_name(device)
    if device == "auto":
        return "cuda" if _may_have_card() and _is_there("cuda") else "cpu"
    if device != "cpu" and not _is_there(device):
        raise EncoderError(f"device {device}: torch finds none on this machine; use --device cpu, or auto")
    return cast(Device, device)


def choose_precision(precision: str, device: str) -> str:
    """Return the precision of a name on a device: ``auto`` is ``bf16`` where the device computes it fast, else ``f32``.

    Raises
    ------
    UsageError
        If a name is none of `CHOICES` or `DEVICES`.
    EncoderError
        If this machine has no such device, or the device lacks the precision.
    """
    if precision not in CHOICES:
        raise UsageError(unknown_name(precision, CHOICES, "precision"))
    if precision == "f32":
        return precision
    found = resolve(device)
    here = precisions(found)
    if precision == "auto":
        return here[-1]
    if precision not in here:
        what = "processor" if found == "cpu" else "graphics card"
        raise EncoderError(f"precision {precision}: this {what} does not compute it fast; use --precision f32, or auto")
    return precision


def computable(precision: str, device: str) -> str:
    """Return the precision in which vectors for a predictor are made: its own, or ``f32`` where the device lacks it.

    A device that is not here computes nothing: it is refused when networks are loaded.
    """
    try:
        return precision if precision == "f32" or precision in precisions(resolve(device)) else "f32"
    except EncoderError:
        return precision


def _may_have_card() -> bool:
    """Tell whether there are signs of a graphics card; asking torch takes seconds."""
    if sys.platform == "darwin":
        return False
    return any(map(os.path.exists, ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))) or bool(shutil.which("nvidia-smi"))


def _is_there(device: str) -> bool:
    import torch

    return torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
