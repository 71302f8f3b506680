"""A predictor as an MLflow pyfunc model: pictures in base64 in, scores out.

MLflow calls `_load_pyfunc`, which `prescreen.serving` offers under the name in the ``MLmodel`` file; nothing is
unpickled. Paths and URLs are never followed: a client sends the picture itself. Pictures are decoded by
`prescreen.embeddings.workers`, and a request that is too large is refused before any picture is decoded.
"""

import base64
import binascii
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pandas as pd

from prescreen.embeddings.pipeline import Embedded, embed_bytes
from prescreen.embeddings.workers import shared_workers
from prescreen.errors import PictureError, UsageError
from prescreen.predictor import reproducibility
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.scores_table import score_pictures
from prescreen.progress import NullReporter

INPUT_COLUMN: Final = "image"

_NOT_BASE64: Final = "not base64: expected the bytes of an image file in base64"
_FROM_URL_SAFE: Final = str.maketrans("-_", "+/")


@dataclass(frozen=True)
class RequestLimits:
    """Limits of one request.

    Parameters
    ----------
    rows : int
        Pictures.
    megabytes : int
        Text in base64, in millions of bytes.
    megapixels : int
        Pixels of all pictures together, in millions.

    Examples
    --------
    >>> RequestLimits(rows=2).check(rows=2)
    >>> RequestLimits(rows=2).check(rows=3)
    Traceback (most recent call last):
    ...
    prescreen.errors.UsageError: request of 3 rows: at most 2 are scored at once; send fewer pictures, or raise \
PRESCREEN_REQUEST_ROWS where the model is served
    """

    rows: int = 1000
    megabytes: int = 256
    megapixels: int = 2000

    @classmethod
    def from_environment(cls) -> Self:
        """Read ``PRESCREEN_REQUEST_ROWS``, ``_MEGABYTES`` and ``_MEGAPIXELS`` where they are set.

        Raises
        ------
        UsageError
            If one of them is not a whole number above 0.
        """
        return cls(*(_from_environment(name, value) for name, value in vars(cls()).items()))

    def check(self, **found: int) -> None:
        """Raise UsageError where a number is above its limit."""
        for name, number in found.items():
            most = getattr(self, name)
            if number > most:
                raise UsageError(
                    f"request of {number} {name}: at most {most} are scored at once; send fewer pictures, "
                    f"or raise {_variable(name)} where the model is served"
                )


def _variable(name: str) -> str:
    return f"PRESCREEN_REQUEST_{name.upper()}"


def _from_environment(name: str, usual: int) -> int:
    text = os.environ.get(_variable(name)) or str(usual)
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text)):
        raise UsageError(f"{_variable(name)} '{text}': expected a whole number above 0, such as {usual}")
    return int(text)


class PortraitModel:
    """What ``mlflow models serve`` runs.

    Parameters
    ----------
    predictor : Predictor
        The predictor to serve; its encoder is loaded at once.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.limits = RequestLimits.from_environment()
        self.encoder = predictor.make_encoder()
        self.encoder.load()
        reproducibility.check_reproducibility(predictor, self.encoder, NullReporter())

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Score pictures.

        Parameters
        ----------
        model_input : DataFrame
            Column ``image``: an image file (JPEG, PNG, WebP) in base64, in the usual or the URL-safe alphabet; a
            ``data:`` prefix and line breaks are allowed.
        params : mapping, optional
            Not used.

        Returns
        -------
        DataFrame
            The columns of `prescreen.predictor.scores_table.score_columns` but ``image``, a row a picture, with the
            index that was given; a picture that cannot be scored has ``status`` ``failed`` and its ``reason``. Missing
            numbers are None, which is ``null`` in JSON.

        Raises
        ------
        UsageError
            If the request is larger than the limits.
        """
        texts = list(model_input[INPUT_COLUMN])
        letters = sum(len(text) for text in texts if isinstance(text, str))
        self.limits.check(rows=len(texts), megabytes=-(-letters // 1_000_000))
        pictures = [_decoded(text) for text in texts]
        self.limits.check(megapixels=-(-_pixels(pictures) // 1_000_000))
        scores = score_pictures(self._embed(pictures), self.predictor).drop(columns="image")
        scores.index = model_input.index
        for column in scores.columns[scores.isna().any()]:
            scores[column] = scores[column].astype(object).where(scores[column].notna(), None)
        return scores

    def _embed(self, pictures: Sequence[bytes | None]) -> Iterator[Embedded]:
        for number, data in enumerate(pictures):
            if data is None:
                yield Embedded(str(number), reason=_NOT_BASE64)
            else:
                yield from embed_bytes([(str(number), data)], self.encoder)


def _decoded(text: object) -> bytes | None:
    """Decode base64; None where it is none."""
    if not isinstance(text, str):
        return None
    letters = "".join(text.rpartition(",")[2].split())
    usual = letters.translate(_FROM_URL_SAFE)
    if usual != letters:
        usual += "=" * (-len(usual) % 4)  # the URL-safe alphabet often comes without padding
    try:
        return base64.b64decode(usual, validate=True)
    except (binascii.Error, ValueError):
        return None


def _pixels(pictures: Sequence[bytes | None]) -> int:
    """Count the pixels of all pictures that can be decoded."""
    total = 0
    for data in pictures:
        try:
            width, height = shared_workers().read_size(data or b"")
        except PictureError:
            continue
        total += width * height
    return total


def _load_pyfunc(path: str) -> PortraitModel:
    return PortraitModel(Predictor.load(Path(path)))
