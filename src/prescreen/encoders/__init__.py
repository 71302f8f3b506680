"""From pictures to vectors: pretrained networks, the views that they see, and their specification."""

from prescreen.encoders.encoder import (
    IDENTITY_BLOCK,
    IDENTITY_WIDTH,
    VIEWS,
    Encoder,
    make_encoder,
)
from prescreen.encoders.specification import (
    PREPROCESSING_VERSION,
    EncoderSpecification,
    LayoutSpecification,
    MemberSpecification,
)
from prescreen.encoders.text_similarity import TextSimilarity

__all__ = [
    "IDENTITY_BLOCK",
    "IDENTITY_WIDTH",
    "PREPROCESSING_VERSION",
    "VIEWS",
    "Encoder",
    "EncoderSpecification",
    "LayoutSpecification",
    "MemberSpecification",
    "TextSimilarity",
    "make_encoder",
]
