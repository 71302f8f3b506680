"""The ranked table: every candidate in one order, with its chances and with its reason in words."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.errors import UsageError
from prescreen.ranking.checks import Excluded
from prescreen.ranking.comparison import Chances
from prescreen.ranking.goals import Goals
from prescreen.ranking.probability import Floats
from prescreen.ratings.vote_noise import score_to_z, z_to_score
from prescreen.text import FAILED, OK, describe_list, percent, refuse_twice

FEW = 0.05  # score points that one decimal place does not show


def ranked_columns(traits: Sequence[str]) -> list[str]:
    """Return the names of the columns of `ranked_table` in their order; some tables lack ``votes``, or the chances."""
    return [
        "rank",
        "image",
        "p_better",
        "p_better_low",
        "p_better_high",
        "selected",
        "votes",
        *(f"{trait}{end}" for trait in traits for end in ("", "_low", "_high")),
        *(f"p_{trait}" for trait in traits),
        "pareto",
        "status",
        "gates",
        "demoted",
        "duplicate_of",
        "reason",
        "why",
    ]


def best_first(images: Sequence[str], joint: Floats) -> NDArray[np.intp]:
    """Return the rows of candidates that have a chance, by falling chance; equal ones in the order of their names."""
    rows = np.flatnonzero(np.isfinite(joint)).tolist()
    return np.array(sorted(rows, key=lambda i: (-joint[i], images[i])), dtype=np.intp)


def ranked_table(
    scores: pd.DataFrame,
    traits: Sequence[str],
    *,
    goals: Goals,
    merit: Floats,
    chance: Chances | None,
    levels: Floats,
    excluded: Excluded,
    chosen: NDArray[np.intp],
    votes: Sequence[int] | None = None,
) -> pd.DataFrame:
    """Return every candidate in one order, with its chances and with its reason in words.

    The first rows are the shortlist. Behind it stand all other candidates by falling chance, those that were excluded
    among them; equal chances stand in the order of the names. Pictures without a prediction come last.

    Parameters
    ----------
    scores : DataFrame
        One row a picture, as `check_scored` wants it. Columns that it does not name are ignored.
    traits : sequence of str
        The t predicted traits.
    goals : Goals
        What to improve and what to keep.
    merit : ndarray (n,)
        By which candidates are ranked: the chance that all goals are met, or the mean predicted score; NaN without a
        prediction.
    chance : Chances or None
        Of all candidates; None without a baseline, and then the columns of chances are left out.
    levels : ndarray (t,)
        The baseline's scores (0-10); NaN where not known.
    excluded : Excluded
        Why some are excluded.
    chosen : ndarray of int
        Rows of the shortlist.
    votes : sequence of int, optional
        Votes planned for each picture of the shortlist, in the order of ``chosen``; the others get 0. None where no
        votes are planned.

    Returns
    -------
    DataFrame
        ``rank`` (1 is best), ``image``, ``p_better`` (0-1, NaN for failed ones) with the ends of its range
        ``p_better_low`` and ``p_better_high``, ``selected`` (on the shortlist),
        ``votes`` where they are planned (0 off the shortlist), for each trait ``T``, ``T_low``, ``T_high`` and ``p_T``
        (chance of its goal by itself; for a trait without a goal that it is above the baseline), ``pareto`` (not
        excluded, and no candidate that is not excluded is predicted at least as high on every trait and higher on
        one), ``status``, ``gates`` (names of the checks that exclude it, separated by commas), ``demoted`` (why
        excluded, or empty), ``duplicate_of`` (of which better candidate it is a near-copy, or empty), ``reason`` (why
        failed) and ``why``.
    """
    images = scores["image"].tolist()
    usable = np.isfinite(merit)
    predicted = np.where(usable[:, None], numeric_columns(scores, traits), np.nan)
    ranked = best_first(images, merit)
    failed = sorted(np.flatnonzero(~usable).tolist(), key=lambda i: images[i])
    first = [i for i in ranked if i in set(chosen.tolist())]
    order = np.array([*first, *(i for i in ranked if i not in set(first)), *failed], dtype=np.intp)

    reasons = _failure_reasons(scores, usable)
    expected = predicted if chance is None else z_to_score(score_to_z(levels) + chance.difference)
    because, checks = excluded.because, excluded.checks
    whys = []
    for i in range(len(scores)):
        if not usable[i]:
            whys.append(f"failed: {reasons[i]}")
        else:
            gains = (
                "predicted " + ", ".join(f"{name} {expected[i, traits.index(name)]:.1f}" for name in goals.traits)
                if chance is None
                else explain(traits, expected[i], levels, chance.per_trait[i], goals)
            )
            whys.append("; ".join(part for part in (because[i], gains) if part))

    columns: dict[str, pd.Series | NDArray[np.generic]] = {
        "rank": np.arange(1, len(scores) + 1),
        "image": _text([images[i] for i in order]),
        "selected": np.isin(order, chosen),
    }
    if chance is not None:
        columns["p_better"] = chance.joint[order].round(6)
        columns["p_better_low"] = chance.low[order].round(6)
        columns["p_better_high"] = chance.high[order].round(6)
        columns |= {f"p_{name}": chance.per_trait[order, t].round(6) for t, name in enumerate(traits)}
    if votes is not None:
        planned = np.zeros(len(scores), dtype=np.int64)
        planned[: len(votes)] = votes
        columns["votes"] = planned
    for t, name in enumerate(traits):
        columns[name] = predicted[order, t].round(3)
        for end in ("low", "high"):
            bound = np.where(usable, numeric_columns(scores, [f"{name}_{end}"])[:, 0], np.nan)
            columns[f"{name}_{end}"] = bound[order].round(3)
    free = usable & np.array([not text for text in because], dtype=bool)
    columns["pareto"] = pareto_front(np.where(free[:, None], predicted, np.nan))[order]
    columns["status"] = _text([OK if usable[i] else FAILED for i in order])
    columns["gates"] = _text([checks[i] for i in order])
    columns["demoted"] = _text([because[i] for i in order])
    columns["duplicate_of"] = _text([excluded.copy_of[i] for i in order])
    columns["reason"] = _text([reasons[i] for i in order])
    columns["why"] = _text([whys[i] for i in order])
    return pd.DataFrame(columns)[[name for name in ranked_columns(traits) if name in columns]]


def explain(traits: Sequence[str], expected: Floats, baseline: Floats, chances: Floats, goals: Goals) -> str:
    """Say in one line what a candidate gains over your current photo and what it risks.

    Parameters
    ----------
    traits : sequence of str
        Names of the t traits.
    expected, baseline, chances : ndarray (t,)
        What is expected of the candidate, the baseline's scores (0-10), and the chance of each trait's goal.
    goals : Goals
        What to improve and what to keep.
    """
    gains: list[tuple[float, str]] = []
    risks: list[str] = []
    for name in goals.traits:
        t = traits.index(name)
        step = float(expected[t] - baseline[t])
        moved = f"{name} {step:+.1f}" if abs(step) >= FEW else f"{name} level"
        if name in goals.improve and step >= FEW:
            gains.append((-step, moved))
        else:
            aim = "beat" if name in goals.improve else "keep"
            risks.append(f"{moved} ({percent(float(chances[t]))} to {aim} it)")
    gained = ", ".join(text for _, text in sorted(gains))
    parts = [f"{gained} over your current photo" if gained else "no gain expected", ", ".join(risks)]
    return "; ".join(part for part in parts if part)


def pareto_front(values: Floats) -> NDArray[np.bool_]:
    """Mark the rows (n, t) that no other row beats: as high in every column and higher in one. NaN rows never are."""
    front = np.zeros(len(values), dtype=bool)
    left = np.flatnonzero(np.isfinite(values).all(axis=1))
    left = left[np.argsort(-values[left].sum(axis=1), kind="stable")]
    while len(left):  # the highest sum among the unbeaten cannot be beaten
        best = values[left[0]]
        equal = (values[left] == best).all(axis=1)
        front[left[equal]] = True
        left = left[(values[left] > best).any(axis=1)]
    return front


def check_scored(scores: pd.DataFrame, traits: Sequence[str]) -> None:
    """Refuse a table that cannot be ranked.

    It needs one row a picture with ``image``, ``status`` (``ok`` or ``failed``), ``reason``, and for each trait T the
    numbers ``T``, ``T_low`` and ``T_high`` (score 0-10 and its interval).

    Raises
    ------
    UsageError
        If a column is missing or no number, a picture stands in two rows, or a name would stand for two columns.
    """
    numbers = [name + end for name in traits for end in ("", "_low", "_high")]
    missing = [name for name in ("image", "status", "reason", *numbers) if name not in scores.columns]
    if missing:
        raise UsageError(
            f"scores: no column {describe_list([repr(name) for name in missing])}; "
            "expected a table that `prescreen score` wrote with these traits"
        )
    numeric_columns(scores, numbers)
    refuse_twice(ranked_columns(traits), "columns of the shortlist")
    repeated = scores["image"].duplicated()
    if repeated.any():
        raise UsageError(
            f"scores: {scores['image'][repeated].iloc[0]!r} stands in two rows; expected each picture once"
        )


def numeric_columns(scores: pd.DataFrame, names: Sequence[str]) -> Floats:
    """Return columns of a table of scores, (n, number of columns), NaN where empty; UsageError if one is no number."""
    columns = []
    for name in names:
        try:
            columns.append(scores[name].to_numpy(dtype=np.float64, na_value=np.nan))
        except ValueError:
            raise UsageError(f"scores: column {name!r} is not all numbers; score the pictures again") from None
    return np.column_stack(columns) if columns else np.empty((len(scores), 0))


def _failure_reasons(scores: pd.DataFrame, usable: NDArray[np.bool_]) -> list[str]:
    given = [text if isinstance(text, str) else "" for text in scores["reason"].tolist()]
    return ["" if fine else text or "no prediction" for text, fine in zip(given, usable, strict=True)]


def _text(values: list[str]) -> pd.Series:
    """Return text as a column; names that are not UTF-8 fit into no column of dtype str."""
    try:
        return pd.Series(values, dtype=str)
    except UnicodeEncodeError:
        return pd.Series(values, dtype=object)
