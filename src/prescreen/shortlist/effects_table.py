"""The table of ``effects``: what goes with higher predictions."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.errors import UsageError
from prescreen.predictor.predictor import Predictor
from prescreen.ranking.checks import CHECKS, COPIES, NEAR_COPY, Candidates, find_reasons
from prescreen.ranking.effect_tests import Effect, Hypothesis, find_effects
from prescreen.ranking.near_duplicates import near_duplicates
from prescreen.ratings.vote_noise import score_to_z
from prescreen.shortlist.effect_groups import FOLDER, Tags, by_folder, by_tags
from prescreen.shortlist.shortlist import face_descriptors, stack_faces

LEVEL: Final = 0.05
"""Chance of any false claim in a whole table."""

DEFAULT_CHECKS: Final = frozenset({"faces", "person"})
"""Checks whose pictures are left out: they say nothing about pictures of the person."""

RAISES: Final = "raises"
LOWERS: Final = "lowers"
PREDICTED_ONLY: Final = "predicted only"
NOT_SHOWN: Final = "no difference shown"
TOO_FEW: Final = "too few pictures"

Vectors = Mapping[str, NDArray[np.float16]]


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
    clusters = pair_near_copies(names, face_descriptors(vectors, predictor.manifest.encoder))
    return effects_table(measure_effects(table, predictor, hypotheses, clusters, vectors), hypotheses, predictor.traits)


def list_hypotheses(names: Sequence[str], by: Sequence[str], tags: Tags | None, separator: str) -> list[Hypothesis]:
    """List the groups of pictures that are compared: folders, tags and texts."""
    columns = [column for column in by if column != FOLDER]
    if columns and tags is None:
        raise UsageError(f"--by {columns[0]}: a column of which table? name it with --tags")
    found = by_folder(names) if not by or FOLDER in by else []
    if tags is not None and (columns or not by):
        found += by_tags(tags, names, columns or None, separator)
    return found


def keep_comparable(
    table: pd.DataFrame, faces: Mapping[str, NDArray[np.float32]], checks: Collection[str]
) -> pd.DataFrame:
    """Keep the scored pictures that no chosen check excludes; the person is taken from the candidates themselves."""
    candidates = Candidates(table, stack_faces(table["image"].tolist(), faces))
    reasons = find_reasons(candidates, [name for name in CHECKS if name not in checks or name == COPIES])
    free = [not any(texts) for texts in zip(*reasons.values(), strict=True)] if reasons else [True] * len(table)
    return table[free].reset_index(drop=True)


def pair_near_copies(names: Sequence[str], faces: Mapping[str, NDArray[np.float32]]) -> NDArray[np.intp]:
    """Give near-copies of each other the same number."""
    own = np.arange(len(names), dtype=np.intp)
    copy_of = near_duplicates(stack_faces(names, faces), own, NEAR_COPY)
    return np.where(copy_of >= 0, copy_of, own)


def measure_effects(
    table: pd.DataFrame,
    predictor: Predictor,
    hypotheses: Sequence[Hypothesis],
    clusters: NDArray[np.intp],
    vectors: Vectors,
) -> list[Effect]:
    """Measure what each group has above the others, on each trait."""
    names, contents = table["image"].tolist(), table["content"].tolist()
    scores = table[list(predictor.traits)].to_numpy(np.float64)
    raw = table[[f"{trait}_raw" for trait in predictor.traits]].to_numpy(np.float64)

    def features(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        stacked = np.stack([vectors[names[row]] for row in rows])
        return predictor.featurize(stacked, [contents[row] for row in rows], raw[rows]).features

    return find_effects(
        scores,
        score_to_z(scores),
        hypotheses,
        clusters,
        np.diag(predictor.calibration.error_covariance),
        predictor.errors().error_correlation,
        np.array([name in vectors for name in names], dtype=bool),
        features,
    )


def effects_table(found: Sequence[Effect], hypotheses: Sequence[Hypothesis], traits: Sequence[str]) -> pd.DataFrame:
    """Return the effects as a table, a row for each group and trait."""
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
