"""From pictures to vectors: pretrained networks, what they look at, and how that is written down."""

from prescreen.encoders.encoder import IDENTITY_BLOCK, Encoder, make_encoder
from prescreen.encoders.specification import (
    PREPROCESSING_VERSION,
    EncoderSpecification,
    LayoutSpecification,
    MemberSpecification,
)

__all__ = [
    "IDENTITY_BLOCK",
    "PREPROCESSING_VERSION",
    "Encoder",
    "EncoderSpecification",
    "LayoutSpecification",
    "MemberSpecification",
    "make_encoder",
]
