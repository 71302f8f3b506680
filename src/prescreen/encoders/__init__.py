"""From pictures to vectors: pretrained networks, what they look at, and how that is written down."""

from prescreen.encoders.encoder import CONVERSION, IDENTITY_BLOCK, Encoder, make_encoder
from prescreen.encoders.specification import (
    PREPROCESSING_VERSION,
    EncoderSpecification,
    LayoutSpecification,
    MemberSpecification,
)
from prescreen.encoders.text_similarity import Wording

__all__ = [
    "CONVERSION",
    "IDENTITY_BLOCK",
    "PREPROCESSING_VERSION",
    "Encoder",
    "EncoderSpecification",
    "LayoutSpecification",
    "MemberSpecification",
    "Wording",
    "make_encoder",
]
