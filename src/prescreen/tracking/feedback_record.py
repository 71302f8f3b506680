"""Builds the record of a round of human tests, with the predictor that has learned."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prescreen.predictor.predictor import Predictor
from prescreen.ranking.goals import Goals
from prescreen.ratings.results import TypedResults
from prescreen.reports.model_card import model_card, summary
from prescreen.tracking.records import RunRecord


def record_round(
    content: Mapping[str, Any],
    before: Predictor,
    after: Predictor,
    typed: TypedResults,
    goals: Goals,
    output: Path,
    shortlist: Path | None,
    experiment: str | None,
    answer: str,
) -> RunRecord:
    """Collect what MLflow keeps of a round.

    Parameters
    ----------
    content : mapping
        The round as JSON, see `prescreen.shortlist.feedback.to_json`.
    before, after : Predictor
        The predictor before and after it has learned.
    typed : TypedResults
        The human scores.
    goals : Goals
        What the candidates were ranked by.
    output : Path
        Directory of the predictor that has learned.
    shortlist : Path, optional
        The new ranking.
    experiment : str, optional
        Name of the experiment.
    answer : str
        What to do now, in words.
    """
    votes = typed.votes.to_numpy(np.float64)
    return RunRecord(
        experiment=experiment,
        name=f"{output.name} round {content['round']}",
        parameters={
            "round": str(content["round"]),
            "pictures": str(len(typed.images)),
            "votes": f"{np.nansum(votes):g}" if np.isfinite(votes).any() else "not said",
            "goals": goals.describe(),
            "predictor": before.manifest.name,
        },
        tags={
            "prescreen.kind": "round",
            "prescreen.before": before.fingerprint,
            "prescreen.after": after.fingerprint,
            "prescreen.results": typed.fingerprint,
            "prescreen.simulated": str(after.manifest.simulated).lower(),
        },
        metrics=_metrics(content),
        documents={"round.json": content},
        files=[typed.source] if shortlist is None else [typed.source, shortlist],
        predictor=output,
        description=answer,
        model_card=model_card(after.manifest, summary(after.manifest, after.evaluation), after.holdings),
    )


def _metrics(content: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a round by their names in MLflow."""
    found: dict[str, float] = {}
    for part in content["agreement"]:
        found |= {
            f"{key}/{part['trait']}": float(part[key])
            for key in ("pictures", "pearson", "offset", "inside")
            if part[key] is not None
        }
    found |= {f"person_offset/{part['trait']}": part["points"] for part in content["offset"]}
    if content["decision"] is not None:
        found["best_chance"] = content["decision"]["p"]
    if content["p_any_better"] is not None:
        found["p_any_better"] = content["p_any_better"]
    return found
