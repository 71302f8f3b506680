"""Compares pictures with texts: the text tower of a CLIP model, and vectors of its image tower."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from prescreen.encoders.clip import PREFIX, checked_file, checked_model
from prescreen.encoders.specification import EncoderSpecification, MemberSpecification
from prescreen.encoders.text_tokenizer import load_tokenizer
from prescreen.errors import EncoderError, UsageError

VIEW: Final = "whole"
"""The view that is compared with texts: a text is about the whole picture."""

_TINY: Final = 1e-12


class TextSimilarity:
    """Cosines between vectors of an encoder and texts, in the encoder's CLIP model.

    The texts are embedded at once, so that anything missing is known before a picture is read.

    Parameters
    ----------
    specification : EncoderSpecification
        The encoder.
    texts : sequence of str
        Each as one would caption such a picture.
    beside : sequence of Path
        Folders where weights may be, as for `prescreen.encoders.Encoder`.

    Raises
    ------
    UsageError
        If it has no CLIP model that sees whole pictures, or a text is blank.
    WeightsNotFound, EncoderError
        If the model's weights or its tokenizer are not here, or are not those of the encoder.
    """

    def __init__(self, specification: EncoderSpecification, texts: Sequence[str], beside: Sequence[Path] = ()) -> None:
        member = _member(specification)
        self._columns = specification.blocks[f"{member.network}/{VIEW}"]
        self._embedded = embed_texts(member, texts, beside)

    def cosines(self, vectors: Sequence[NDArray[np.floating] | None]) -> NDArray[np.float64]:
        """Return the cosines between the m texts and n pictures.

        A scale and a bias, which SigLIP applies to them, would change no order and no standardised contrast.

        Parameters
        ----------
        vectors : sequence of ndarray (d,) or None
            Vectors of the encoder.

        Returns
        -------
        ndarray (m, n)
            NaN where there is no vector.
        """
        cosines = np.full((len(self._embedded), len(vectors)), np.nan)
        for column, vector in enumerate(vectors):
            if vector is not None:
                picture = vector[self._columns].astype(np.float64)
                cosines[:, column] = self._embedded @ picture / max(float(np.linalg.norm(picture)), _TINY)
        return cosines


def embed_texts(member: MemberSpecification, texts: Sequence[str], beside: Sequence[Path] = ()) -> NDArray[np.float64]:
    """Return the embeddings (m, width) of texts, each of length 1; errors as from `TextSimilarity`."""
    if not all(text.strip() for text in texts):
        raise UsageError("a text is blank; say what pictures may show, for instance 'a portrait in a formal suit'")
    member, file = checked_file(member, beside)
    tokens = load_tokenizer(member)(list(texts))  # before the model is built, which takes longer
    network = checked_model(member, file)
    known = getattr(network, "vocab_size", None) or network.text.vocab_size
    if (largest := int(tokens.max())) >= known:
        raise EncoderError(
            f"encoder clip:{member.network.removeprefix(PREFIX)}: its tokenizer has a token {largest}, the model knows "
            f"{known}: it is another model's; put the right one in its place"
        )
    import torch

    with torch.inference_mode():
        features = network.encode_text(tokens, normalize=True)
    return np.asarray(features.double().numpy())


def _member(specification: EncoderSpecification) -> MemberSpecification:
    for member in specification.members:
        if member.network.startswith(PREFIX) and VIEW in member.views:
            return member
    if any(member.network.startswith(PREFIX) for member in specification.members):
        raise UsageError(
            f"encoder {specification.choice}: words are compared with the view {VIEW}, which it does not see; name it "
            f"among the views, as in --views {VIEW},face"
        )
    raise UsageError(
        f"encoder {specification.name}: its networks learned from pictures alone and cannot compare them with words; "
        "that needs an encoder with CLIP: --encoder clip, or clip:MODEL@PATH with a weights file"
    )
