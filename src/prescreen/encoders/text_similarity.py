"""Compares pictures with texts: the text tower of a CLIP model, and vectors of its image tower."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.encoders.clip import PREFIX, checked_file, checked_model
from prescreen.encoders.clip_settings import CONFIGURATION
from prescreen.encoders.specification import EncoderSpecification, MemberSpecification
from prescreen.errors import EncoderError, UsageError, WeightsNotFound
from prescreen.text import first_line, shown

_TOKENIZER_OPTIONS: Final = ("additional_special_tokens", "clean", "language", "reduction_mask", "strip_sep_token")
"""Options of its tokenizer that a folder may set; others name files, servers, or code to run."""

VIEW: Final = "whole"
"""The view that is compared with texts: a text is about the whole picture."""

_TINY: Final = 1e-12


class TextSimilarity:
    """Cosines between vectors of an encoder and texts, in the encoder's CLIP model.

    Parameters
    ----------
    specification : EncoderSpecification
        The encoder.

    Raises
    ------
    UsageError
        If it has no CLIP model that sees whole pictures.
    """

    def __init__(self, specification: EncoderSpecification) -> None:
        self._member = _member(specification)
        self._columns = specification.blocks[f"{self._member.network}/{VIEW}"]

    def cosines(self, texts: Sequence[str], vectors: Sequence[NDArray[np.floating] | None]) -> NDArray[np.float64]:
        """Return the cosines between m texts and n pictures.

        Parameters
        ----------
        texts : sequence of str
            Each as one would caption such a picture.
        vectors : sequence of ndarray (d,) or None
            Vectors of the encoder.

        Returns
        -------
        ndarray (m, n)
            NaN where there is no vector.

        Raises
        ------
        UsageError
            If a text is blank.
        WeightsNotFound, EncoderError
            If the model's weights or its tokenizer are not here, or are not those of the encoder.
        """
        embedded = embed_texts(self._member, texts)
        cosines = np.full((len(texts), len(vectors)), np.nan)
        for column, vector in enumerate(vectors):
            if vector is not None:
                picture = vector[self._columns].astype(np.float64)
                cosines[:, column] = embedded @ picture / max(float(np.linalg.norm(picture)), _TINY)
        return cosines


def embed_texts(member: MemberSpecification, texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the embeddings (m, width) of texts, each of length 1; errors as from `TextSimilarity.cosines`."""
    if not all(text.strip() for text in texts):
        raise UsageError("a text is blank; say what pictures may show, for instance 'a portrait in a formal suit'")
    file = checked_file(member)
    network = checked_model(member, file)
    import torch

    tokens = _tokenizer(member)(list(texts))
    with torch.inference_mode():
        features = network.encode_text(tokens, normalize=True)
    return np.asarray(features.double().numpy())


def _member(specification: EncoderSpecification) -> MemberSpecification:
    for member in specification.members:
        if member.network.startswith(PREFIX) and VIEW in member.views:
            return member
    raise UsageError(
        f"encoder {specification.name}: its networks learned from pictures alone and cannot compare them with words; "
        "that needs an encoder with CLIP: --encoder clip, or clip:MODEL@PATH with a weights file"
    )


def _tokenizer(member: MemberSpecification) -> Any:
    """Return the tokenizer of a model, which usually comes with open_clip. No code of a model is run."""
    import open_clip

    model, place = member.network.removeprefix(PREFIX), member.weights.partition(":")[2]
    folder = Path(place) if member.weights.startswith("local:") and Path(place).is_dir() else None
    try:
        described = json.loads((folder / CONFIGURATION).read_bytes())["model_cfg"] if folder else None
        texts = (described or open_clip.get_model_config(model) or {}).get("text_cfg", {})
        options = dict(texts.get("tokenizer_kwargs") or {})
        by_transformers = bool(texts.get("hf_tokenizer_name"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise EncoderError(
            f"encoder clip:{model}: its configuration cannot be read ({type(error).__name__})"
        ) from error
    odd = sorted(set(options) - set(_TOKENIZER_OPTIONS))
    if folder and odd:
        raise EncoderError(
            f"{shown(folder / CONFIGURATION)}: tokenizer_kwargs has {', '.join(map(shown, odd))}; "
            f"prescreen passes on {', '.join(_TOKENIZER_OPTIONS)} alone: take the rest out"
        )
    never = {"trust_remote_code": False} if by_transformers else {}  # without it one is asked on the terminal
    try:
        return open_clip.get_tokenizer(f"local-dir:{folder}" if folder else model, **never)
    except Exception as error:  # tokenizers of other libraries raise whatever they like
        message = f"encoder clip:{model}: its tokenizer is not available: {first_line(error)[:160]}"
        raise WeightsNotFound(message) from error
