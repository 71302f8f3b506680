"""What raises which trait: the verb ``effects``. Its statistics are in `prescreen.ranking.effects`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen import shortlisting
from prescreen.atomic import write_files_atomic
from prescreen.calibration import score_to_z
from prescreen.embeddings import EmbeddingCache
from prescreen.encoders import IDENTITY_BLOCK, Encoder, Wording
from prescreen.errors import UsageError
from prescreen.hypotheses import FOLDER, Tags, by_folder, by_tags, by_text, read_tags
from prescreen.narrator import Narrator, Silence
from prescreen.opening import open_scores
from prescreen.places import check_places
from prescreen.predictor import Predictor
from prescreen.ranking.duplicates import near_duplicates
from prescreen.ranking.effects import FEWEST, Effect, Hypothesis, find_effects
from prescreen.ranking.gate_names import GATES
from prescreen.ranking.gates import NEAR_COPY, Compared, hold_back
from prescreen.scored_files import find_candidates, scored_vectors
from prescreen.scoring import OK
from prescreen.tables import table_bytes, table_format

LEVEL: Final = 0.05
"""Chance of any false claim in a whole table."""

USUAL_GATES: Final = frozenset({"faces", "person"})
"""Gates whose pictures are left out: they say nothing about pictures of the person."""

RAISES: Final = "raises"
LOWERS: Final = "lowers"
PREDICTED_ONLY: Final = "predicted only"
NOT_SHOWN: Final = "no difference shown"
TOO_FEW: Final = "too few pictures"

Vectors = Mapping[str, NDArray[np.float16]]


@dataclass(frozen=True)
class Found:
    """What `effects` found.

    Parameters
    ----------
    table : DataFrame
        One row for each hypothesis and trait; columns in docs/effects.md.
    pictures, distinct, left_out : int
        Pictures compared, those of them that are no near-copies, and pictures that gates left out.
    """

    table: pd.DataFrame
    pictures: int
    distinct: int
    left_out: int


def effects(
    scores: Path,
    *,
    by: Sequence[str] = (),
    tags: Path | None = None,
    separator: str = ";",
    texts: Sequence[str] = (),
    gates: Collection[str] = USUAL_GATES,
    output: Path | None = None,
    predictor: str | None = None,
    images: Sequence[str | Path] = (),
    narrator: Narrator | None = None,
) -> Found:
    """Test what goes with higher and lower scores: folders, tags, likeness to texts.

    Parameters
    ----------
    scores : Path
        A table that `score` wrote.
    by : sequence of str
        ``folder`` and columns of the tags; by default the folders, where there are several, and all columns.
    tags : Path, optional
        Table that says of pictures how they were made; see `prescreen.hypotheses.read_tags`.
    separator : str
        Between several tags in one cell.
    texts : sequence of str
        What pictures may show; needs a predictor with a CLIP encoder.
    gates : collection of str
        Gates whose pictures are left out, all but those that need a present picture.
    output : Path, optional
        ``.csv``, ``.parquet`` or ``.jsonl``.
    predictor : str, optional
        Directory or MLflow model URI, where the note beside the scores does not name it or it has moved.
    images : sequence of str or Path
        Where the scored pictures are, as in `prescreen.candidates.rank`.
    narrator : Narrator, optional
        Hears how the work goes on.

    Raises
    ------
    UsageError
        If there is nothing to compare by.
    EncoderError
        For a text where the encoder has no text tower.
    """
    narrator = narrator or Silence()
    if output is not None:
        table_format(output)
        check_places({"--output": output}, {"SCORES": scores, "--tags": tags})
    note, table, loaded = open_scores(scores, predictor, narrator)
    encoder = Encoder(loaded.manifest.encoder)
    wording = Wording(loaded.manifest.encoder) if texts else None
    table = table[table["status"] == OK].reset_index(drop=True)
    names = table["image"].tolist()
    read = None if tags is None else read_tags(tags, names)
    with EmbeddingCache() as cache:
        files = find_candidates(note, table, images, cache, narrator)
        with narrator.steps("comparing", len(table)) as advance:
            vectors = scored_vectors(table, files, encoder, cache, advance)
    faces = shortlisting.face_descriptors(vectors, encoder)
    kept = _keep(table, faces, gates)
    left_out = len(table) - len(kept)
    names = kept["image"].tolist()
    hypotheses = _hypotheses(names, by, read, separator)
    if read is not None:
        untagged = len(set(names) - set(read.frame.index))
        if read.unknown or untagged:
            narrator.say(
                f"tags       {untagged} pictures are not in it; {read.unknown} of its rows are of no scored picture"
            )
    if wording is not None:
        rows = [vectors.get(name) for name in names]
        hypotheses += [
            by_text(text, likeness) for text, likeness in zip(texts, wording.likeness(texts, rows), strict=True)
        ]
    if not hypotheses:
        raise UsageError(
            f"nothing to compare by: no two folders or tags with at least {FEWEST} pictures each; "
            "name a table with --tags, or a --text"
        )
    clusters = _near_copies(names, faces)
    if missing := sum(name not in vectors for name in names):
        narrator.say(f"{missing} of {len(names)} pictures cannot be found: near-copies and errors in common not seen")
    if left_out:
        narrator.say(
            f"left out   {left_out} pictures by the gates {', '.join(sorted(gates))}; --gates none takes them in"
        )
    found = _test(kept, loaded, hypotheses, clusters, vectors)
    result = _table(found, hypotheses, loaded.traits)
    narrator.say(
        f"compared   {len(kept)} pictures, {len(np.unique(clusters))} of them no near-copies; "
        f"{int(result['p'].notna().sum())} effects tested together: p is adjusted for that"
    )
    narrator.say(
        "           predicted: what the predictor sees; raters: what people would say, as far as it can be trusted"
    )
    if output is not None:
        write_files_atomic({output: table_bytes(result, output)})
    return Found(result, len(kept), len(np.unique(clusters)), left_out)


def compare_folders(table: pd.DataFrame, predictor: Predictor, vectors: Vectors) -> pd.DataFrame:
    """Compare the folders that pictures lie in.

    Parameters
    ----------
    table : DataFrame
        Scores, index from 0.
    predictor : Predictor
        What made them.
    vectors : mapping of str to ndarray
        Vectors by name.

    Returns
    -------
    DataFrame
        As in `Found`; empty where there are no two folders of enough pictures.
    """
    names = table["image"].tolist()
    hypotheses = by_folder(names)
    if not hypotheses:
        return pd.DataFrame()
    block = predictor.manifest.encoder.blocks[IDENTITY_BLOCK]
    faces = {name: vector[block].astype(np.float32) for name, vector in vectors.items()}
    clusters = _near_copies(names, faces)
    return _table(_test(table, predictor, hypotheses, clusters, vectors), hypotheses, predictor.traits)


def _hypotheses(names: Sequence[str], by: Sequence[str], tags: Tags | None, separator: str) -> list[Hypothesis]:
    columns = [column for column in by if column != FOLDER]
    if columns and tags is None:
        raise UsageError(f"--by {columns[0]}: a column of which table? name it with --tags")
    found = by_folder(names) if not by or FOLDER in by else []
    if tags is not None and (columns or not by):
        found += by_tags(tags, names, columns or None, separator)
    return found


def _keep(table: pd.DataFrame, faces: Mapping[str, NDArray[np.float32]], gates: Collection[str]) -> pd.DataFrame:
    """Leave out pictures that say nothing about the person's; the other candidates stand in for the person."""
    missing = np.full(128, np.nan)
    descriptors = np.array([faces.get(name, missing) for name in table["image"]], dtype=np.float64).reshape(-1, 128)
    held = hold_back(table, descriptors, Compared(), off=[gate for gate in GATES if gate not in gates])
    free = np.ones(len(table), dtype=bool)
    for reasons in held.values():
        free &= (reasons == "").to_numpy()
    return table[free].reset_index(drop=True)


def _near_copies(names: Sequence[str], faces: Mapping[str, NDArray[np.float32]]) -> NDArray[np.intp]:
    """Give near-copies of each other the same number."""
    missing = np.full(128, np.nan, np.float32)
    descriptors = np.array([faces.get(name, missing) for name in names], dtype=np.float32).reshape(-1, 128)
    own = np.arange(len(names), dtype=np.intp)
    copy_of = near_duplicates(descriptors, own, NEAR_COPY)
    return np.where(copy_of >= 0, copy_of, own)


def _test(
    table: pd.DataFrame,
    predictor: Predictor,
    hypotheses: Sequence[Hypothesis],
    clusters: NDArray[np.intp],
    vectors: Vectors,
) -> list[Effect]:
    names, contents = table["image"].tolist(), table["content"].tolist()
    scores = table[list(predictor.traits)].to_numpy(np.float64)
    raw = table[[f"{trait}_raw" for trait in predictor.traits]].to_numpy(np.float64)

    def features(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        stacked = np.stack([vectors[names[row]] for row in rows])
        return predictor.see(stacked, [contents[row] for row in rows], raw[rows]).features

    return find_effects(
        scores,
        score_to_z(scores),
        hypotheses,
        clusters,
        np.diag(predictor.calibration.error_covariance),
        predictor.errors().likeness,
        np.array([name in vectors for name in names], dtype=bool),
        features,
    )


def _table(found: Sequence[Effect], hypotheses: Sequence[Hypothesis], traits: Sequence[str]) -> pd.DataFrame:
    rows = []
    for effect in found:
        hypothesis = hypotheses[effect.hypothesis]
        predicted, raters = effect.predicted, effect.raters
        rows.append(
            {
                "by": hypothesis.by,
                "value": hypothesis.value,
                "against": hypothesis.against,
                "trait": traits[effect.trait],
                "pictures": effect.pictures,
                "others": effect.others,
                "distinct": effect.distinct,
                "effect": predicted.value,
                "low": predicted.low,
                "high": predicted.high,
                "p": predicted.p,
                "p_adjusted": effect.p_predicted,
                "raters": raters.value,
                "raters_low": raters.low,
                "raters_high": raters.high,
                "raters_p": raters.p,
                "raters_p_adjusted": effect.p_raters,
                "verdict": _verdict(effect),
            }
        )
    return pd.DataFrame(rows).round(dict.fromkeys(("effect", "low", "high", "raters", "raters_low", "raters_high"), 3))


def _verdict(effect: Effect) -> str:
    if not np.isfinite(effect.p_predicted):
        return TOO_FEW
    if effect.p_raters <= LEVEL:
        return RAISES if effect.raters.value > 0 else LOWERS
    return PREDICTED_ONLY if effect.p_predicted <= LEVEL else NOT_SHOWN
