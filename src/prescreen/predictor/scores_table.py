"""From embedded pictures to the table of scores: one row a picture, failures included."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.embeddings.pipeline import Embedded, Quality
from prescreen.errors import PredictorError, PrescreenError
from prescreen.predictor.predictor import Predictor
from prescreen.text import FAILED, OK, shown

DECIMALS: Final = 4
"""Of scores and raw predictions in the table; far below what any interval is wide."""

_CHUNK: Final = 256
PARTS: Final = {
    "": "score",
    "_low": "score_low",
    "_high": "score_high",
    "_raw": "raw",
    "_raw_low": "raw_low",
    "_raw_high": "raw_high",
}
"""Endings of a trait's columns in their order, each with the field of `Predictions` it holds."""
_TEXTS: Final = ("image", "status", "reason", "content")
_MEASURED: Final = ("width", "height", "faces", "face_share")  # what no version has been without
_SHA256: Final = re.compile("[0-9a-f]{64}")


def score_columns(traits: Sequence[str]) -> list[str]:
    """Return the names of the columns of `score_pictures` in their order."""
    quality = [field.name for field in fields(Quality)]
    return [
        "image",
        "status",
        "reason",
        *(f"{trait}{part}" for trait in traits for part in PARTS),
        *quality,
        "novelty",
        "content",
    ]


def score_pictures(pictures: Iterable[Embedded], predictor: Predictor) -> pd.DataFrame:
    """Score pictures.

    Parameters
    ----------
    pictures : iterable of Embedded
        Pictures with vectors of the predictor's encoder; read in chunks, so that vectors need not be in memory at once.
    predictor : Predictor
        What scores them.

    Returns
    -------
    DataFrame
        In the order given, with the columns of `score_columns`: ``image``, ``status`` (``ok`` or ``failed``),
        ``reason``; for each trait T ``T``, ``T_low``, ``T_high`` (score, 0-10, and its 90 % interval) and ``T_raw``,
        ``T_raw_low``, ``T_raw_high`` (on the scale of the training ratings); then the fields of
        `prescreen.embeddings.pipeline.Quality`; ``novelty``, how unlike the training portraits the picture is (above
        1 as hardly any of those); and ``content``, the SHA-256 of the file. Numbers of a failed picture are NaN. A
        picture that was trained on has its cross-validated prediction.

    Raises
    ------
    PredictorError
        If the predictor gives a number that is not finite.
    """
    return _frame((row for chunk in _chunks(pictures) for row in _score_chunk(chunk, predictor)), predictor)


def score_parts(pictures: Iterable[Embedded], predictor: Predictor) -> Iterator[pd.DataFrame]:
    """Score as `score_pictures` does; yields the table in parts of a few hundred rows."""
    for chunk in _chunks(pictures):
        yield _frame(_score_chunk(chunk, predictor), predictor)


def _frame(rows: Iterable[Mapping[str, Any]], predictor: Predictor) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=score_columns(predictor.traits), dtype=object)  # names may not be UTF-8
    texts = ("image", "status", "reason", "face_detector", "content")
    numbers = [column for column in frame.columns if column not in texts]
    return frame.astype(dict.fromkeys(numbers, "float64")).fillna({"face_detector": ""})


def _score_chunk(chunk: list[Embedded], predictor: Predictor) -> Iterator[dict[str, Any]]:
    vectors = [picture.vector for picture in chunk if picture.vector is not None]
    values: Iterator[list[float]] = iter(())
    novelty: Iterator[float] = iter(())
    if vectors:
        contents = [picture.content for picture in chunk if picture.vector is not None]
        predictions = predictor.predict(np.stack(vectors), contents)
        # One row of (traits × parts) a picture, in the order of the columns.
        parts = [getattr(predictions, field) for field in PARTS.values()]
        table = np.stack(parts, axis=2).reshape(len(vectors), -1)
        if not np.isfinite(table).all():
            raise PredictorError(f"predictor {predictor.manifest.name}: a prediction is not a number; train it again")
        values = iter(table.round(DECIMALS).tolist())
        novelty = iter(predictor.novelty(np.stack(vectors)).round(DECIMALS).tolist())
    names = [f"{trait}{part}" for trait in predictor.traits for part in PARTS]
    for picture in chunk:
        if picture.quality is None:
            yield {
                "image": picture.name,
                "status": FAILED,
                "reason": picture.reason,
                "content": picture.content,
            }
        else:
            numbers: dict[str, Any] = dict(zip(names, next(values), strict=True))
            head = {"image": picture.name, "status": OK, "reason": ""}
            tail = {"novelty": next(novelty), "content": picture.content}
            yield head | numbers | asdict(picture.quality) | tail


def _chunks(pictures: Iterable[Embedded]) -> Iterator[list[Embedded]]:
    iterator = iter(pictures)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def check_scores(table: pd.DataFrame, traits: Sequence[str], source: Path) -> None:
    """Refuse a table that `score_pictures` cannot have made, for instance one edited by hand.

    Columns that older versions did not write may be missing.

    Parameters
    ----------
    table : DataFrame
        As `prescreen.storage.tables.read_table` returned it.
    traits : sequence of str
        Traits that it must have scores on.
    source : Path
        Where it was read, for messages.

    Raises
    ------
    PrescreenError
        Naming file, row and value.
    """
    lacking = [column for column in _needed(traits) if column not in table]
    if lacking:
        columns = ", ".join(shown(str(column)) for column in table.columns[:8])
        raise PrescreenError(
            f"{shown(source)}: no column {lacking[0]} (its columns: {columns}, ...); "
            f"expected a table that prescreen score wrote, with scores on {', '.join(traits)}"
        )
    if table.empty:
        raise PrescreenError(f"{shown(source)}: it has a header but no rows; score the folder again")
    for column, faulty, expected in _checks(table, traits):
        if faulty.any():
            row = int(np.flatnonzero(faulty)[0])
            number = row + (2 if source.suffix.lower() == ".csv" else 1)  # as a spreadsheet counts
            raise PrescreenError(
                f"{shown(source)}: row {number}: {column} '{shown(str(table[column].iloc[row]))[:60]}', "
                f"expected {expected}; correct it, or score the folder again"
            )


def _needed(traits: Sequence[str]) -> list[str]:
    return [*_TEXTS, *(f"{trait}{part}" for trait in traits for part in PARTS), *_MEASURED]


def _checks(table: pd.DataFrame, traits: Sequence[str]) -> Iterator[tuple[str, NDArray[np.bool_], str]]:
    """Yield a column, its faulty rows and what was expected, check by check."""
    for column in _TEXTS:
        yield column, np.array([not isinstance(value, str) for value in table[column]], dtype=bool), "text"
    scored = (table["status"] == OK).to_numpy()
    yield "status", ~scored & (table["status"] != FAILED).to_numpy(), f"{OK} or {FAILED}"
    yield "image", table.duplicated("image").to_numpy(), "every picture once"
    yield "content", ~table["content"].map(_is_sha256).to_numpy(dtype=bool) & scored, "the SHA-256 of its file"
    scores = {f"{trait}{part}" for trait in traits for part in ("", "_low", "_high")}
    needed = _needed(traits)
    for column in score_columns(traits):
        if column in _TEXTS or column == "face_detector" or column not in table:
            continue
        cells = table[column]
        values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        blank = cells.isna().to_numpy() | (cells == "").to_numpy()
        numeric = pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells)
        yield column, (np.isnan(values) & ~blank) | np.isinf(values), "a number"
        yield column, np.full(len(table), not numeric), "numbers in this column"
        if column in needed:
            yield column, np.isnan(values) & scored, "a number for a picture that was scored"
        if column in scores:
            yield column, (values < 0) | (values > 10), "a score from 0 to 10"
        if column in ("width", "height"):
            yield column, values < 1, "pixels"
    for low in (f"{trait}{part}_low" for trait in traits for part in ("", "_raw")):
        above = table[low].to_numpy(np.float64) > table[f"{low.removesuffix('_low')}_high"].to_numpy(np.float64)
        yield low, above, "the lower end of the interval"


def _is_sha256(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None
