"""From pictures to vectors: pretrained networks, what they look at, and how that is written down."""

from prescreen.encoders.encoder import IDENTITY_BLOCK, Encoder, make_encoder
from prescreen.encoders.specification import PREPROCESSING_VERSION, EncoderSpecification, MemberSpecification

__all__ = [
    "IDENTITY_BLOCK",
    "PREPROCESSING_VERSION",
    "Encoder",
    "EncoderSpecification",
    "MemberSpecification",
    "make_encoder",
]
