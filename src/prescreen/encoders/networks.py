"""The networks as torch modules: the two small ones of the `bundled` encoder, and the image towers of open_clip.

All take pixels as unsigned bytes, shape (n, side, side, 3), and normalise them.

References
----------
EfficientNet: Tan & Le (2019), ICML. The Lite variants leave out squeeze-and-excitation and use ReLU6.
Face network: D. King, dlib's ``dnn_face_recognition_ex.cpp``; He et al. (2016) with 29 convolutions and half the
filters; trained with metric loss so that descriptors of one person lie within a Euclidean distance of about 0.6.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from prescreen.errors import EncoderError

EFFICIENTNET_TAPS: Final = (4, 7, 12, 17, 20)
EFFICIENTNET_LAYOUT_TAPS: Final = (17, 20)
FACE_LAYOUTS: Final[Mapping[int, int]] = {9: 6, 13: 3}
"""Cells on a side of the layout after a residual, counted from 0."""
FACE_MEANS: Final = (122.782, 117.001, 104.298)


class EfficientNetFeatures(nn.Module):
    """Pooled activations of EfficientNet-Lite2.

    Mean and standard deviation over space after blocks 5, 8, 13, 18 and 21, then the mean of the head, then the folded
    layouts (see :func:`layout`) after blocks 18 and 21.

    Parameters
    ----------
    weights : Path
        The state dictionary of ``efficientnet-lite2``.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite2")
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self.network = network.eval()
        self.activation = nn.ReLU6()

    def forward(self, pixels: Tensor) -> Tensor:
        """Turn (n, 260, 260, 3) bytes into (n, 2912 + 1248 + 2112) features."""
        network = self.network
        x = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        x = self.activation(network._bn0(network._conv_stem(x)))
        pooled, layouts = [], []
        for index, block in enumerate(network._blocks):
            x = block(x, drop_connect_rate=0)
            if index in EFFICIENTNET_TAPS:
                mean = x.mean((2, 3), keepdim=True)
                deviation = ((x - mean) ** 2).mean((2, 3)).sqrt()
                pooled += [mean.flatten(1), deviation]
            if index in EFFICIENTNET_LAYOUT_TAPS:
                layouts.append(layout(x, 3, folded=True))
        head = self.activation(network._bn1(network._conv_head(x)))
        return torch.cat([*pooled, head.mean((2, 3)), *layouts], dim=1)


class FaceNetwork(nn.Module):
    """dlib's face recognition network, rebuilt from its weights file to run in batches on any backend.

    Parameters
    ----------
    weights : Path
        ``dlib_face_recognition_resnet_model_v1.dat``.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        source = _DlibTensors(weights)
        self.stem = _convolution(source, 3, 32, 7, 2)
        widths = [(32, 32, 1)] * 3 + [(32, 64, 2)] + [(64, 64, 1)] * 3 + [(64, 128, 2)] + [(128, 128, 1)] * 2
        widths += [(128, 256, 2)] + [(256, 256, 1)] * 2 + [(256, 256, 2)]
        self.residuals = nn.ModuleList(_Residual(source, *width) for width in widths)
        self.projection = nn.Parameter(torch.from_numpy(source.take_projection()), requires_grad=False)
        self.means = nn.Parameter(torch.tensor(FACE_MEANS).reshape(1, 3, 1, 1), requires_grad=False)
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Turn (n, 150, 150, 3) bytes of aligned faces into (n, 128 + 2304 + 1536) features.

        The descriptor, then the layouts (see :func:`layout`) after residuals 10 and 14.
        """
        x = (pixels.permute(0, 3, 1, 2).float() - self.means) / 256
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2)
        layouts = []
        for index, residual in enumerate(self.residuals):
            x = residual(x)
            if index in FACE_LAYOUTS:
                layouts.append(layout(x, FACE_LAYOUTS[index]))
        return torch.cat([x.mean((2, 3)) @ self.projection, *layouts], dim=1)


class ImageTower(nn.Module):
    """The image tower of an open_clip model, with the normalisation of its pixels.

    Parameters
    ----------
    tower : nn.Module
        From normalised pixels to features, or to a tuple that begins with them.
    mean, std : sequence of three floats
        Of red, green and blue in its training data, where white is 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, tower: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.tower = tower
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(1, 3, 1, 1) * 255)
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Turn (n, side, side, 3) bytes into (n, width) features of any length."""
        found = self.tower((pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std)
        features: Tensor = found[0] if isinstance(found, tuple) else found
        return features


def layout(x: Tensor, cells: int, *, folded: bool = False) -> Tensor:
    """Pool activations over a square grid, and keep its left half, with the middle column.

    The right half would repeat it: features are averaged over a picture and its mirror image, or the layout is folded.

    Parameters
    ----------
    x : Tensor, shape (n, channels, height, width)
    cells : int
        On a side of the grid.
    folded : bool
        Average each cell with the one across the vertical axis. That stands for a mirror image, and costs nothing.

    Returns
    -------
    Tensor, shape (n, channels * cells * ceil(cells / 2))
    """
    grid = F.adaptive_avg_pool2d(x, (cells, cells))
    if folded:
        grid = (grid + grid.flip(3)) / 2
    return grid[..., : (cells + 1) // 2].flatten(1)


class _Residual(nn.Module):
    def __init__(self, source: "_DlibTensors", inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(source, inputs, outputs, 3, stride)
        self.second = _convolution(source, outputs, outputs, 3, 1)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.first(x)))
        if self.stride > 1:
            x = F.avg_pool2d(x, self.stride, self.stride)
            # dlib adds tensors of unlike shapes as if the missing rows, columns and channels were zeros.
            x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            y = F.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
        return F.relu(x + y)


def _convolution(source: "_DlibTensors", inputs: int, outputs: int, kernel: int, stride: int) -> nn.Conv2d:
    """Make a convolution with dlib's affine layer (its frozen batch normalisation) folded into the weights."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2 if stride == 1 else 0)
    parameters = source.take(b"con_4", outputs * inputs * kernel * kernel + outputs)
    gain, shift = np.split(source.take(b"affine_", 2 * outputs), 2)
    weight = parameters[:-outputs].reshape(outputs, inputs, kernel, kernel) * gain[:, None, None, None]
    layer.weight.data = torch.from_numpy(weight)
    assert layer.bias is not None
    layer.bias.data = torch.from_numpy(parameters[-outputs:] * gain + shift)
    return layer


class _DlibTensors:
    """The parameters in a dlib weights file, layer by layer in the order in which data flows.

    dlib writes an integer as a byte with its sign and its length followed by little-endian bytes, a string as its
    length and its bytes, and a tensor as its version (2), four dimensions and little-endian floats.
    """

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.path = path
        self.position: dict[bytes, int] = {}

    def take(self, layer: bytes, size: int) -> NDArray[np.float32]:
        """Return the next ``size`` parameters of a kind of layer."""
        mark = bytes([1, len(layer)]) + layer
        start = self.data.find(mark, self.position.get(layer, 0))
        if start < 0:
            raise EncoderError(f"{self.path.name}: not dlib's face network: too few {layer.decode()!r} layers")
        return self._tensor(layer, start + len(mark), size)

    def take_projection(self) -> NDArray[np.float32]:
        """Return the last layer, (256, 128)."""
        mark = b"\x01\x04fc_2"
        at = self.data.find(mark) + len(mark)
        for expected in (128, 256):  # outputs and inputs, before the tensor
            value, at = self._integer(at)
            if value != expected:
                raise EncoderError(f"{self.path.name}: not dlib's face network: last layer of {value}, not {expected}")
        return self._tensor(b"fc_2", at, 256 * 128).reshape(256, 128)

    def _tensor(self, layer: bytes, at: int, size: int) -> NDArray[np.float32]:
        header = []
        for _ in range(5):
            value, at = self._integer(at)
            header.append(value)
        count = int(np.prod(header[1:]))
        if header[0] != 2 or count != size:
            raise EncoderError(f"{self.path.name}: not dlib's face network: {layer.decode()!r} of {count}, not {size}")
        if len(self.data) < at + 4 * count:
            raise self._ends_early()
        self.position[layer] = at + 4 * count
        return np.frombuffer(self.data, "<f4", count, at).astype(np.float32)

    def _integer(self, at: int) -> tuple[int, int]:
        if at >= len(self.data):
            raise self._ends_early()
        control = self.data[at]
        end = at + 1 + (control & 0x0F)
        value = int.from_bytes(self.data[at + 1 : end], "little")
        return (-value if control & 0x80 else value), end

    def _ends_early(self) -> EncoderError:
        return EncoderError(f"{self.path.name}: the file ends early; reinstall the package that brought it")
