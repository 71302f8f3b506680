"""Everything that the ranking report says, as values: computed here, shown by :mod:`prescreen.reports.render`."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from prescreen.evaluation.report import TraitEvaluation
from prescreen.ranking.checks import BY_USER, CHECKS, REJECTED
from prescreen.ranking.goals import Goals
from prescreen.ranking.stopping import Advice
from prescreen.reports.advice_text import Proposed, headline, kind_of, texts, title, verdict
from prescreen.reports.ratings_origin import RatingsOrigin
from prescreen.shortlist.contenders import Contenders
from prescreen.text import OK, percent

HISTOGRAM_BINS = 40


@dataclass(frozen=True)
class TraitValue:
    """A score (0-10) with its 90 % interval; None where there is none (scores given by hand)."""

    score: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class BaselinePicture:
    """What the candidates have to beat.

    Attributes
    ----------
    name : str
        Name of the picture, or a phrase for it where only its scores are known.
    source : str
        Where its scores come from, continuing "scores ...": ``predicted from the picture``, ``given by raters``.
    values : mapping of str to TraitValue
        One for each trait that has a goal, and for others where known.
    """

    name: str
    source: str
    values: Mapping[str, TraitValue]


@dataclass(frozen=True)
class TraitReading:
    """One trait of one candidate.

    Attributes
    ----------
    role : str
        ``improve``, ``keep`` or the empty text.
    change : float or None
        Score points above the baseline; None where the baseline is not known.
    chance : float or None
        Of the trait's goal by itself; for a trait without a goal that it is above the baseline.
    """

    trait: str
    role: str
    value: TraitValue
    change: float | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Card:
    """One candidate with a prediction.

    Attributes
    ----------
    rank : int
        1 is best.
    p_better : float or None, 0 to 1
        Chance to meet all goals; None where there is no current photo to beat.
    mean : float, 0 to 10
        Mean predicted score on the traits that have a goal.
    selected, pareto : bool
        Whether it is on the proposed shortlist; whether no other candidate is predicted as high on every trait and
        higher on one.
    excluded_because, why : str
        Why a check excludes it, or empty; what it gains and risks. That the user rejected it is a decision, which the
        page shows by itself.
    checks : tuple of str
        What the checks that exclude it are for.
    duplicate_of : str
        The better candidate that it nearly copies, or empty.
    """

    rank: int
    image: str
    p_better: float | None
    mean: float
    selected: bool
    pareto: bool
    excluded_because: str
    why: str
    traits: tuple[TraitReading, ...]
    checks: tuple[str, ...]
    duplicate_of: str


@dataclass(frozen=True)
class Failure:
    """One picture without a prediction."""

    image: str
    reason: str


@dataclass(frozen=True)
class TraitField:
    """How all candidates lie on one trait.

    Attributes
    ----------
    counts : tuple of int
        Candidates in each of ``HISTOGRAM_BINS`` equal parts of the scale.
    baseline : float or None
        The baseline's score.
    above : int
        Candidates predicted above the baseline; 0 without one.
    shortlist : tuple of float
        Scores of the shortlist.
    """

    trait: str
    role: str
    counts: tuple[int, ...]
    baseline: float | None
    above: int
    shortlist: tuple[float, ...]


@dataclass(frozen=True)
class Counts:
    """Pictures given, scored, failed, excluded, and more likely than not to meet all goals."""

    given: int
    scored: int
    failed: int
    excluded: int
    likely: int


@dataclass(frozen=True)
class FolderEffect:
    """Predictions for the pictures of one folder, compared with those of all others, ``against``.

    Each trait has the difference in score points that raters would see, with its 95 % interval, and the verdict.
    """

    folder: str
    against: str
    pictures: int
    traits: tuple[tuple[TraitValue, str], ...]


@dataclass(frozen=True)
class RankingSummary:
    """All that the ranking report says. ``candidates`` starts with the shortlist and is in the order of the table."""

    headline: str
    title: str
    verdict: str
    advice: Advice
    texts: Mapping[str, Any]
    goals: str
    simulated: bool
    ratings: str
    traits: tuple[str, ...]
    counts: Counts
    baseline: BaselinePicture | None
    baseline_readings: tuple[TraitReading, ...]
    shortlist: tuple[Card, ...]
    candidates: tuple[Card, ...]
    failures: tuple[Failure, ...]
    field: tuple[TraitField, ...]
    accuracy: tuple[TraitEvaluation, ...]
    origin: Mapping[str, str]
    warning: str = ""
    plan: str = ""
    folders: tuple[FolderEffect, ...] = ()
    unusable: tuple[tuple[str, str], ...] = ()
    contenders: Contenders | None = None
    decided: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        """What is advised, in one word."""
        return kind_of(self.advice)

    @property
    def joint_range(self) -> str:
        """The range of the chance that at least one is better; empty where it says nothing more."""
        ends = [percent(end) for end in (self.advice.low, self.advice.high)]
        return "" if {*ends} == {percent(self.advice.chance)} else " to ".join(ends)


def summarize_ranking(
    table: pd.DataFrame,
    traits: Sequence[str],
    goals: Goals,
    baseline: BaselinePicture | None,
    origin: Mapping[str, str],
    *,
    advice: Advice,
    accuracy: Sequence[TraitEvaluation] = (),
    unusable: Mapping[str, str] | None = None,
    ratings: RatingsOrigin | None = None,
    plan: str = "",
    folders: pd.DataFrame | None = None,
    contenders: Contenders | None = None,
    decided: Mapping[str, str] | None = None,
) -> RankingSummary:
    """Compute the ranking report from a ranked table.

    Parameters
    ----------
    table : DataFrame
        What :func:`prescreen.ranking.ranked_table.ranked_table` returned.
    traits : sequence of str
        The predicted traits in the order to show them.
    goals : Goals
        The goals of that ranking.
    baseline : BaselinePicture or None
        What the candidates were compared with, if with anything.
    origin : mapping of str to str
        What made the scores, label to text.
    advice : Advice
        What to do with the selected pictures.
    accuracy : sequence of TraitEvaluation
        Accuracy on training pictures that were left out in cross-validation.
    unusable : mapping of str to str
        Traits that the predictor cannot be used for, with the reasons.
    ratings : RatingsOrigin, optional
        What the predictor learned from.
    plan : str
        How the votes are spent, where they are planned: a sentence or two.
    folders : DataFrame, optional
        Effects of the folders that candidates lie in; columns in docs/effects.md.
    contenders : Contenders, optional
        Among which candidates the page chooses again when some are rejected.
    decided : mapping of str to str
        ``keep`` or ``reject`` by picture, as the page shows it where its user has not decided anything yet.
    """
    rows = table.to_dict("records")
    values = {} if baseline is None else baseline.values
    cards = tuple(_card(row, traits, goals, values) for row in rows if row["status"] == OK)
    failures = tuple(Failure(str(row["image"]), str(row["reason"])) for row in rows if row["status"] != OK)
    shortlist = tuple(card for card in cards if card.selected)
    chances = [card.p_better for card in shortlist if card.p_better is not None]
    left = [card for card in cards if not card.selected and not card.excluded_because]
    better_left = any((card.p_better or 0) > min(chances, default=1) for card in left)
    proposed = Proposed([card.image for card in shortlist], chances, better_left)
    counts = Counts(
        given=len(table),
        scored=len(cards),
        failed=len(failures),
        excluded=sum(bool(card.excluded_because) for card in cards),
        likely=sum((card.p_better or 0) > 0.5 and not card.excluded_because for card in cards),
    )
    return RankingSummary(
        headline=headline(advice, proposed),
        title=title(advice, proposed),
        verdict=verdict(advice, proposed, goals),
        advice=advice,
        texts=texts(goals, advice),
        goals=goals.describe(),
        simulated=ratings is not None and ratings.simulated,
        ratings="" if ratings is None else ratings.describe(accuracy),
        traits=tuple(traits),
        counts=counts,
        baseline=baseline,
        baseline_readings=tuple(
            TraitReading(name, _role(name, goals), values[name]) for name in traits if name in values
        ),
        shortlist=shortlist,
        candidates=cards,
        failures=failures,
        field=tuple(_field(name, cards, goals, values) for name in traits),
        accuracy=tuple(accuracy),
        origin=origin,
        warning=_warning(counts),
        plan=plan,
        folders=_folders(folders, traits) if folders is not None and len(folders) else (),
        unusable=tuple((unusable or {}).items()),
        contenders=contenders,
        decided=tuple((decided or {}).items()),
    )


def _folders(table: pd.DataFrame, traits: Sequence[str]) -> tuple[FolderEffect, ...]:
    found = []
    for folder, rows in table.groupby("value", sort=False):
        effects = rows.set_index("trait").loc[list(traits)].to_dict("records")
        readings = tuple(
            (TraitValue(row["raters"], _number(row["raters_low"]), _number(row["raters_high"])), str(row["verdict"]))
            for row in effects
        )
        found.append(FolderEffect(str(folder), str(effects[0]["against"]), int(effects[0]["pictures"]), readings))
    return tuple(found)


def _card(row: Mapping[Hashable, Any], traits: Sequence[str], goals: Goals, baseline: Mapping[str, TraitValue]) -> Card:
    readings = []
    for name in traits:
        value = TraitValue(_number(row[name]) or 0.0, _number(row[f"{name}_low"]), _number(row[f"{name}_high"]))
        change = value.score - baseline[name].score if name in baseline else None
        readings.append(TraitReading(name, _role(name, goals), value, change, _number(row.get(f"p_{name}"))))
    checks = str(row.get("gates", "")).split(",")
    return Card(
        rank=int(str(row["rank"])),
        image=str(row["image"]),
        p_better=_number(row.get("p_better")),
        mean=float(np.mean([reading.value.score for reading in readings if reading.role])),
        selected=bool(row["selected"]),
        pareto=bool(row["pareto"]),
        excluded_because="; ".join(part for part in str(row["demoted"]).split("; ") if part != BY_USER),
        why=str(row["why"]).replace(f"{BY_USER}; ", ""),
        traits=tuple(readings),
        checks=tuple(CHECKS[name].excludes for name in checks if name in CHECKS and name != REJECTED),
        duplicate_of=str(row["duplicate_of"]),
    )


def _number(value: object) -> float | None:
    number = float(value) if isinstance(value, int | float) else np.nan
    return None if np.isnan(number) else number


def _role(name: str, goals: Goals) -> str:
    return "improve" if name in goals.improve else "keep" if name in goals.keep else ""


def _field(name: str, cards: Sequence[Card], goals: Goals, baseline: Mapping[str, TraitValue]) -> TraitField:
    readings = [next(reading for reading in card.traits if reading.trait == name) for card in cards]
    scores = [reading.value.score for reading in readings]
    counts, _ = np.histogram(scores, bins=HISTOGRAM_BINS, range=(0, 10))
    level = baseline[name].score if name in baseline else None
    return TraitField(
        trait=name,
        role=_role(name, goals),
        counts=tuple(counts.tolist()),
        baseline=level,
        above=0 if level is None else sum(score > level for score in scores),
        shortlist=tuple(score for score, card in zip(scores, cards, strict=True) if card.selected),
    )


def _warning(counts: Counts) -> str:
    if counts.failed <= 0.1 * counts.given:
        return ""
    return f"{counts.failed} of {counts.given} pictures could not be scored; the reasons are listed below."
