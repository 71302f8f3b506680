"""What the networks run on: this machine's processor, through OpenVINO, or a graphics card, through torch.

Where a vector was computed is no part of what identifies it: in ``f32`` the devices differ by less than the rounding
to half precision that all vectors get.
"""

import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from prescreen.errors import EncoderError, UsageError
from prescreen.text import unknown_name

if TYPE_CHECKING:
    from torch import nn

Device = Literal["cpu", "cuda", "mps"]

DEVICES: Final = ("auto", "cpu", "cuda", "mps")
DEVICE_VARIABLE: Final = "PRESCREEN_DEVICE"


class RunningNetwork(Protocol):
    """A network that is ready: pixels (n, side, side, 3) to features (n, width)."""

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn pixels into features."""


def make_ready(
    build: "Callable[[], nn.Module]", *, key: str, side: int, width: int, precision: str, device: str
) -> RunningNetwork:
    """Make a network ready on a device.

    Parameters
    ----------
    build, key, side, width, precision
        As in `prescreen.encoders.runtime.CompiledNetwork`.
    device : str
        One of `DEVICES`.

    Raises
    ------
    UsageError
        If there is no such device in general.
    EncoderError
        If this machine has no such device, or the device lacks the precision.
    """
    found = resolve(device)
    if found == "cpu":
        from prescreen.encoders.runtime import CompiledNetwork

        return CompiledNetwork(build, key=key, side=side, width=width, precision=precision)
    from prescreen.encoders.accelerated import AcceleratedNetwork

    return AcceleratedNetwork(build, side=side, width=width, precision=precision, device=found)


def must_convert(key: str, device: str) -> bool:
    """Tell whether `make_ready` will convert the network first; graphics cards need no conversion."""
    if device not in ("auto", "cpu") or (device == "auto" and _may_have_card()):
        return False
    from prescreen.encoders.runtime import is_converted

    return not is_converted(key)


def chosen_device() -> str:
    """Return the device that the environment names, ``auto`` without one."""
    return os.environ.get(DEVICE_VARIABLE) or "auto"


def check_name(device: str) -> None:
    """Refuse a name that is none of `DEVICES`.

    Raises
    ------
    UsageError
        With what was perhaps meant.
    """
    if device not in DEVICES:
        raise UsageError(unknown_name(device, DEVICES, "device"))


def resolve(device: str) -> Device:
    """Find out what a name means on this machine: ``auto`` is an NVIDIA or AMD card if torch can use it, else the CPU.

    Raises
    ------
    UsageError
        If the name is none of `DEVICES`.
    EncoderError
        If the device is not there.
    """
    check_name(device)
    if device == "auto":
        return "cuda" if _may_have_card() and _is_there("cuda") else "cpu"
    if device != "cpu" and not _is_there(device):
        raise EncoderError(f"device {device}: torch finds none on this machine; use --device cpu, or auto")
    return cast(Device, device)


def _may_have_card() -> bool:
    """Tell whether it is worth the seconds that loading torch takes to ask it for a graphics card."""
    if sys.platform == "darwin":
        return False
    return any(map(os.path.exists, ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))) or bool(shutil.which("nvidia-smi"))


def _is_there(device: str) -> bool:
    import torch

    return torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
