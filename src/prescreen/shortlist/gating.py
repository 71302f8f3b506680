"""Candidates ranked: checked, compared with the baseline, and without near-copies of better ones."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.encoders import IDENTITY_BLOCK, EncoderSpecification
from prescreen.predictor.predictor import Predictor
from prescreen.ranking.gates import NEAR_COPY, References, reasons_to_exclude
from prescreen.ranking.goals import Goals
from prescreen.ranking.near_duplicates import near_duplicates
from prescreen.ranking.ranked_table import rank_candidates, ranked_columns
from prescreen.shortlist.baseline import NO_FACE, Baseline
from prescreen.shortlist.comparison import Chooser
from prescreen.text import refuse_twice

Rows = NDArray[np.intp]


def face_descriptors(
    vectors: Mapping[str, NDArray[np.float16]], specification: EncoderSpecification
) -> dict[str, NDArray[np.float32]]:
    """Return the face descriptor, shape (128,), in each vector."""
    block = specification.blocks[IDENTITY_BLOCK]
    return {name: vector[block].astype(np.float32) for name, vector in vectors.items()}


def stack_descriptors(names: Sequence[str], descriptors: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return the descriptors of n pictures as rows, shape (n, 128); NaN where a picture has none."""
    rows = [descriptors.get(name, NO_FACE) for name in names]
    return np.array(rows, dtype=np.float64).reshape(len(names), NO_FACE.size)


def shortlist_columns(traits: Sequence[str]) -> list[str]:
    """Return the names of the columns of `rank_with_gates` in their order, with those that only some lists have."""
    columns = ranked_columns(traits)
    columns.insert(columns.index("selected") + 1, "votes")
    columns.insert(columns.index("demoted"), "gates")
    return columns


def rank_with_gates(
    table: pd.DataFrame,
    predictor: Predictor,
    baseline: Baseline,
    goals: Goals,
    budget: int,
    descriptors: Mapping[str, NDArray[np.float32]],
    references: References,
    off: Collection[str] = (),
    choose: Chooser | None = None,
    rejected: Collection[str] = (),
) -> pd.DataFrame:
    """Rank the candidates; doubtful ones and near-copies of better ones are excluded, with the reason in their row.

    Parameters
    ----------
    table : DataFrame
        The scores.
    predictor, baseline, goals, budget
        As in `prescreen.workflow.rank.rank`.
    descriptors : mapping of str to ndarray of float32, shape (128,)
        Face descriptors by name.
    references : References
        What the candidates are compared with.
    off : collection of str
        Gates that exclude nothing.
    choose : Chooser, optional
        Has the candidates against the current photo by all that is known, and chooses those of the shortlist
        together; without it every picture counts by its scores alone.
    rejected : collection of str
        Names of pictures that the user does not want.

    Returns
    -------
    DataFrame
        As from `prescreen.ranking.ranked_table.rank_candidates`, with the column ``gates``: the names of the gates that
        exclude a candidate, separated by commas; and where votes are planned, the column ``votes``: how many each
        picture of the shortlist gets, 0 for all others.
    """
    columns = shortlist_columns(predictor.traits)
    refuse_twice(columns, "columns of the shortlist")
    names = table["image"].tolist()
    faces = stack_descriptors(names, descriptors)
    gates = reasons_to_exclude(table, faces, references, off)
    if "tested" not in off and "content" in table:
        gates["tested"] = _tested(table, predictor)
    if "rejected" not in off:
        unwanted = table["image"].isin(list(rejected))
        gates["rejected"] = pd.Series(np.where(unwanted, "rejected by you", ""), index=table.index, dtype=object)
    calibration = predictor.calibration
    given = np.zeros_like(calibration.error_covariance) if baseline.covariance is None else baseline.covariance

    comparison = None if choose is None else choose.comparison

    def ranked(duplicate_of: pd.Series | None, choose: Callable[[Rows], Rows] | None) -> pd.DataFrame:
        return rank_candidates(
            table,
            predictor.traits,
            baseline=baseline.levels,
            goals=goals,
            covariance=calibration.error_covariance,
            # A predicted baseline errs like a candidate, partly in the same way since both show one person.
            baseline_covariance=None if baseline.file else given,
            shared=calibration.person_share if baseline.file else 0.0,
            difference=None if comparison is None else (comparison.difference, comparison.covariance),
            choose=choose,
            budget=budget,
            duplicate_of=duplicate_of,
            demotions=list(gates.values()),
        )

    place = {name: row for row, name in enumerate(names)}
    copies = None
    if "copies" not in off:
        # Of two copies the one that nothing else speaks against stays; among those, the better one.
        doubtful = {name for reasons in gates.values() for name, text in zip(names, reasons, strict=True) if text}
        best_first = [name for name in ranked(None, lambda rows: rows[:0])["image"] if name in descriptors]
        order = [place[name] for name in sorted(best_first, key=lambda name: name in doubtful)]
        copy_of = near_duplicates(faces, np.array(order, dtype=np.intp), NEAR_COPY)
        better = [names[row] if row >= 0 else "" for row in copy_of]
        copies = pd.Series(better, index=table.index, dtype=object)  # names may not be UTF-8
    held = dict.fromkeys(names, "")
    for gate, reasons in (gates | ({} if copies is None else {"copies": copies})).items():
        for name, text in zip(names, reasons, strict=True):
            if text:
                held[name] = f"{held[name]},{gate}" if held[name] else gate
    result = ranked(copies, choose)
    result["gates"] = [held[name] for name in result["image"]]
    if choose is not None and choose.plan is not None:
        votes = np.zeros(len(result), dtype=np.int64)
        votes[result["selected"].to_numpy()] = choose.plan.votes_each
        result["votes"] = votes
    return result[[column for column in columns if column in result]]


def _tested(table: pd.DataFrame, predictor: Predictor) -> pd.Series:
    """Exclude what people have scored: its answer is known."""
    tested = predictor.was_tested(table["content"].tolist())
    return pd.Series(np.where(tested, "people have scored it already", ""), index=table.index, dtype=object)


def describe_excluded(ranked: pd.DataFrame) -> str:
    """Count what checks exclude, the most frequent gate first: ``12 of 39 pictures: copies 9, person 4``."""
    held = ranked.loc[ranked["gates"] != "", "gates"]
    counts = held.str.split(",").explode().value_counts()
    listed = ", ".join(f"{gate} {count}" for gate, count in counts.items())
    return f"{len(held)} of {len(ranked)} pictures: {listed}" if len(held) else ""
