"""The ranked table: every candidate in one order, with its chances and with its reason in words."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.errors import UsageError
from prescreen.ranking.goals import Goals
from prescreen.ranking.probability import Floats, difference_covariance, p_better_by
from prescreen.ratings.vote_noise import score_to_z
from prescreen.text import describe_list, percent, refuse_twice

FEW = 0.05  # score points that one decimal place does not show


def ranked_columns(traits: Sequence[str]) -> list[str]:
    """Return the names of the columns of `rank_candidates` in their order."""
    return [
        "rank",
        "image",
        "p_better",
        "selected",
        *(f"{trait}{end}" for trait in traits for end in ("", "_low", "_high")),
        *(f"p_{trait}" for trait in traits),
        "pareto",
        "status",
        "demoted",
        "duplicate_of",
        "reason",
        "why",
    ]


def rank_candidates(
    scores: pd.DataFrame,
    traits: Sequence[str],
    *,
    baseline: Mapping[str, float],
    goals: Goals,
    budget: int,
    covariance: Floats | None = None,
    baseline_covariance: Floats | None = None,
    shared: float = 0.0,
    difference: tuple[Floats, Floats] | None = None,
    choose: Callable[[NDArray[np.intp]], NDArray[np.intp]] | None = None,
    duplicate_of: pd.Series | None = None,
    demotions: Sequence[pd.Series] = (),
) -> pd.DataFrame:
    """Rank candidates by their chance to meet all goals at once; every row of ``scores`` stays in the table.

    The first rows are the shortlist: those that ``choose`` takes, otherwise the first ``budget`` that nothing speaks
    against. Behind it stand all other candidates, those that were excluded among them, by falling chance; equal
    chances stand in the order of the names. Pictures without a prediction come last.

    Parameters
    ----------
    scores : DataFrame
        One row a picture: ``image``, ``status`` (``ok`` or ``failed``), ``reason``, and for each trait T the columns
        ``T``, ``T_low`` and ``T_high`` (score 0-10 and its interval). Other columns are ignored.
    traits : sequence of str
        The t predicted traits.
    baseline : mapping of str to float
        The baseline's score (0-10) for each trait that has a goal, and for others where it is known.
    goals : Goals
        What to improve and what to keep.
    covariance, baseline_covariance : ndarray (t, t)
        Errors in z in the order of ``traits``, as in :func:`prescreen.ranking.probability.p_better`.
    budget : int
        How many candidates can be sent to human raters, at least 1.
    shared : float, 0 to 1
        As in :func:`prescreen.ranking.probability.p_better`.
    difference : (ndarray (n, t), ndarray (n, t, t)), optional
        Candidate minus baseline in z and its covariance, where more is known than ``covariance`` says.
    choose : callable, optional
        From the rows that may be sent, the most likely first, to those that are sent.
    duplicate_of : Series of str, index of ``scores``, optional
        For a near-copy of a better candidate that one's name, otherwise the empty text.
    demotions : sequence of Series of str, index of ``scores``
        More reasons to exclude a candidate, otherwise the empty text; the most important first.

    Returns
    -------
    DataFrame
        ``rank`` (1 is best), ``image``, ``p_better`` (0-1, NaN for failed ones), ``selected`` (on the shortlist), for
        each trait ``T``, ``T_low``, ``T_high`` and ``p_T`` (chance of its goal by itself; for a trait without a goal
        that it is above the baseline), ``pareto`` (not excluded, and no candidate that is not excluded is
        predicted at least as high on every trait and higher on one), ``status``, ``demoted`` (why excluded, or empty),
        ``duplicate_of`` (of which better candidate it is a near-copy, or empty), ``reason`` (why failed) and ``why``.

    Raises
    ------
    UsageError
        If columns or baseline scores are missing, a name would stand for two columns, or the budget is below 1.
    """
    goals.check(traits)
    if budget < 1:
        raise UsageError(f"budget {budget}: expected at least 1 picture to send")
    _check_columns(scores, traits)
    levels = _levels(baseline, traits, goals)

    predicted = _numbers(scores, traits)
    usable = (scores["status"].to_numpy() == "ok") & np.isfinite(predicted).all(axis=1)
    predicted[~usable] = np.nan
    if difference is None:
        if covariance is None:
            raise ValueError("expected the covariance of the errors, or the differences with theirs")
        spread = difference_covariance(covariance, baseline_covariance, shared, len(traits))
        difference = score_to_z(predicted) - score_to_z(levels), spread
    means = np.where(usable[:, None], difference[0], np.nan)
    chance = p_better_by(means, difference[1], score_to_z(levels), traits, goals)
    demoted = _why_excluded(scores, duplicate_of, demotions)
    images = scores["image"].tolist()
    order, chosen = _order(images, chance.joint, usable, demoted, choose or (lambda rows: rows[:budget]))

    reasons = _failure_reasons(scores, usable)
    whys = []
    for i in range(len(scores)):
        if not usable[i]:
            whys.append(f"failed: {reasons[i]}")
        else:
            gains = explain(traits, predicted[i], levels, chance.per_trait[i], goals)
            whys.append("; ".join(part for part in (demoted[i], gains) if part))

    columns: dict[str, pd.Series | NDArray[np.generic]] = {
        "rank": np.arange(1, len(scores) + 1),
        "image": _text([images[i] for i in order]),
        "p_better": chance.joint[order].round(6),
        "selected": np.isin(order, chosen),
    }
    for t, name in enumerate(traits):
        columns[name] = predicted[order, t].round(3)
        for end in ("low", "high"):
            bound = np.where(usable, _numbers(scores, [f"{name}_{end}"])[:, 0], np.nan)
            columns[f"{name}_{end}"] = bound[order].round(3)
    for t, name in enumerate(traits):
        columns[f"p_{name}"] = chance.per_trait[order, t].round(6)
    free = usable & np.array([not text for text in demoted], dtype=bool)
    columns["pareto"] = pareto_front(np.where(free[:, None], predicted, np.nan))[order]
    columns["status"] = _text(["ok" if usable[i] else "failed" for i in order])
    columns["demoted"] = _text([demoted[i] for i in order])
    copies = _aligned(duplicate_of, scores)
    columns["duplicate_of"] = _text([copies[i] for i in order])
    columns["reason"] = _text([reasons[i] for i in order])
    columns["why"] = _text([whys[i] for i in order])
    return pd.DataFrame(columns)[ranked_columns(traits)]


def explain(traits: Sequence[str], predicted: Floats, baseline: Floats, chances: Floats, goals: Goals) -> str:
    """Say in one line what a candidate gains over the baseline and what it risks.

    Parameters
    ----------
    traits : sequence of str
        Names of the t traits.
    predicted, baseline, chances : ndarray (t,)
        The candidate's scores, the baseline's scores (0-10), and the chance of each trait's goal.
    goals : Goals
        What to improve and what to keep.
    """
    gains: list[tuple[float, str]] = []
    risks: list[str] = []
    for name in goals.traits:
        t = traits.index(name)
        step = float(predicted[t] - baseline[t])
        moved = f"{name} {step:+.1f}" if abs(step) >= FEW else f"{name} level"
        if name in goals.improve and step >= FEW:
            gains.append((-step, moved))
        else:
            aim = "beat" if name in goals.improve else "keep"
            risks.append(f"{moved} ({percent(float(chances[t]))} to {aim} it)")
    gained = ", ".join(text for _, text in sorted(gains))
    parts = [f"{gained} over the baseline" if gained else "no gain expected", ", ".join(risks)]
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


def _check_columns(scores: pd.DataFrame, traits: Sequence[str]) -> None:
    needed = ["image", "status", "reason", *(name + end for name in traits for end in ("", "_low", "_high"))]
    missing = [name for name in needed if name not in scores.columns]
    if missing:
        raise UsageError(
            f"scores: no column {describe_list([repr(name) for name in missing])}; "
            "expected a table that `prescreen score` wrote with these traits"
        )
    refuse_twice(ranked_columns(traits), "columns of the shortlist")
    repeated = scores["image"].duplicated()
    if repeated.any():
        raise UsageError(
            f"scores: {scores['image'][repeated].iloc[0]!r} stands in two rows; expected each picture once"
        )


def _levels(baseline: Mapping[str, float], traits: Sequence[str], goals: Goals) -> Floats:
    missing = [name for name in goals.traits if not 0 <= baseline.get(name, np.nan) <= 10]
    if missing:
        raise UsageError(
            f"baseline: no score from 0 to 10 for {describe_list(missing)}; give one, or leave it out of the goals"
        )
    return np.array([baseline.get(name, np.nan) for name in traits], dtype=np.float64)


def _numbers(scores: pd.DataFrame, names: Sequence[str]) -> Floats:
    columns = []
    for name in names:
        try:
            columns.append(scores[name].to_numpy(dtype=np.float64, na_value=np.nan))
        except ValueError:
            raise UsageError(f"scores: column {name!r} is not all numbers; score the pictures again") from None
    return np.column_stack(columns) if columns else np.empty((len(scores), 0))


def _why_excluded(scores: pd.DataFrame, duplicate_of: pd.Series | None, demotions: Sequence[pd.Series]) -> list[str]:
    series = [[f"near-copy of {name}" if name else "" for name in _aligned(duplicate_of, scores)]]
    series += [_aligned(demotion, scores) for demotion in demotions]
    return ["; ".join(filter(None, reasons)) for reasons in zip(*series, strict=True)]


def _aligned(texts: pd.Series | None, scores: pd.DataFrame) -> list[str]:
    if texts is None:
        return [""] * len(scores)
    if not texts.index.equals(scores.index):
        raise ValueError("reasons and scores: expected the same index")
    return [text if isinstance(text, str) else "" for text in texts.tolist()]


def _order(
    images: list[str],
    joint: Floats,
    usable: NDArray[np.bool_],
    demoted: list[str],
    choose: Callable[[NDArray[np.intp]], NDArray[np.intp]],
) -> tuple[NDArray[np.intp], list[int]]:
    """Return all row numbers in their order, and those of the shortlist."""
    ranked = sorted(range(len(images)), key=lambda i: (not usable[i], -joint[i] if usable[i] else 0.0, images[i]))
    free = [i for i in ranked if usable[i] and not demoted[i]]
    first = set(choose(np.array(free, dtype=np.intp)).tolist())
    chosen = [i for i in free if i in first]
    return np.array(chosen + [i for i in ranked if i not in first], dtype=np.intp), chosen


def _failure_reasons(scores: pd.DataFrame, usable: NDArray[np.bool_]) -> list[str]:
    given = [text if isinstance(text, str) else "" for text in scores["reason"].tolist()]
    return ["" if fine else text or "no prediction" for text, fine in zip(given, usable, strict=True)]


def _text(values: list[str]) -> pd.Series:
    """Return text as a column; names that are not UTF-8 fit into no column of dtype str."""
    try:
        return pd.Series(values, dtype=str)
    except UnicodeEncodeError:
        return pd.Series(values, dtype=object)
