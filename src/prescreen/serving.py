"""A predictor as an MLflow pyfunc model: pictures in base64 in, scores out.

MLflow calls `_load_pyfunc` because the model's ``MLmodel`` file names this module as its loader; nothing is unpickled.
Paths and URLs are never followed: what a client sends is the picture itself.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from prescreen import drift
from prescreen.embeddings import Embedded, embed_bytes
from prescreen.encoders import Encoder
from prescreen.narrator import Silence
from prescreen.predictor import Predictor
from prescreen.scoring import score_pictures

INPUT_COLUMN: Final = "image"


class PortraitModel:
    """What ``mlflow models serve`` runs.

    Parameters
    ----------
    predictor : Predictor
        The predictor to serve; its encoder is loaded at once.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.encoder = Encoder(predictor.manifest.encoder)
        self.encoder.load()
        drift.watch(predictor, self.encoder, Silence())

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Score pictures.

        Parameters
        ----------
        model_input : DataFrame
            Column ``image``: an image file (JPEG, PNG, WebP) in base64; a ``data:`` prefix and line breaks are allowed.
        params : mapping, optional
            Not used.

        Returns
        -------
        DataFrame
            The columns of `prescreen.scoring.score_columns` but ``image``, a row a picture; a picture that cannot be
            scored has ``status`` ``failed`` and its ``reason``.
        """
        scores = score_pictures(self._embed(list(model_input[INPUT_COLUMN])), self.predictor)
        return scores.drop(columns="image")

    def _embed(self, texts: list[Any]) -> Iterator[Embedded]:
        for number, text in enumerate(texts):
            try:
                letters = "".join(str(text).rpartition(",")[2].split())
                data = base64.b64decode(letters, validate=True)
            except (binascii.Error, ValueError):
                yield Embedded(str(number), reason="not base64: expected the bytes of an image file in base64")
            else:
                yield from embed_bytes([(str(number), data)], self.encoder)


def _load_pyfunc(path: str) -> PortraitModel:
    return PortraitModel(Predictor.load(Path(path)))
