"""What MLflow keeps of a run, gathered from what the run made."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from prescreen.embeddings.pipeline import (
    Embedded,
)
from prescreen.evaluation.headline_metrics import MEAN_PEARSON, flat_metrics
from prescreen.evaluation.metrics import correlation
from prescreen.evaluation.report import Evaluation
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.scores_table import score_pictures
from prescreen.ranking.goals import Goals
from prescreen.ratings import Ratings
from prescreen.ratings.results import TypedResults
from prescreen.regressors.stacking import CrossValidation
from prescreen.reports.model_card import model_card, summary
from prescreen.storage.commits import git_commit
from prescreen.text import names_as_text, quoted
from prescreen.tracking import EvaluationRecord, RoundRecord, TrainingRecord
from prescreen.tracking.records import NestedRun
from prescreen.training.dataset import Dataset

if TYPE_CHECKING:
    pass

Array = NDArray[np.float64]


def round_metrics(content: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of `to_json` by name, for MLflow."""
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
    if content["hope"] is not None:
        found["hope"] = content["hope"]
    return found


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
) -> RoundRecord:
    """Gather what the run of a round leaves in MLflow."""
    votes = typed.votes.to_numpy(np.float64)
    documents = [typed.source, *([] if shortlist is None else [shortlist])]
    return RoundRecord(
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
        metrics=round_metrics(content),
        content=content,
        files=tuple(documents),
        predictor=output,
        description=answer,
        model_card=model_card(after.manifest, summary(after.manifest, after.evaluation), after.holdings),
    )


def fold_runs(
    truth: Array,
    predictions: Array,
    folds: NDArray[np.intp],
    choices: Sequence[Sequence[str]],
    traits: Sequence[str],
) -> list[NestedRun]:
    """Describe each outer fold of the cross-validation.

    Parameters
    ----------
    truth, predictions : ndarray of shape (n, t)
        Ratings, NaN where there is none, and out-of-fold predictions.
    folds : ndarray of int, shape (n,)
        Fold in which the row was tested.
    choices : sequence of sequence of str
        ``choices[fold][trait]``: what the training part chose.
    traits : sequence of str
        Names of the t columns.

    Returns
    -------
    list of NestedRun
        With ``n``, ``TRAIT/pearson``, ``TRAIT/rmse`` where they are defined, and ``mean/pearson``.
    """
    runs = []
    for fold, chosen in enumerate(choices):
        tested = folds == fold
        measured: dict[str, float] = {"n": float(tested.sum())}
        correlations = []
        for column, trait in enumerate(traits):
            rows = tested & np.isfinite(truth[:, column])
            y, p = truth[rows, column], predictions[rows, column]
            if (r := correlation(y, p)) is not None:
                correlations.append(r)
                measured[f"{trait}/pearson"] = r
            if len(y):
                measured[f"{trait}/rmse"] = float(np.sqrt(((y - p) ** 2).mean()))
        if correlations:
            measured["mean/pearson"] = float(np.mean(correlations))
        parameters = {"fold": str(fold)} | {f"regressor/{t}": c for t, c in zip(traits, chosen, strict=True)}
        runs.append(NestedRun("fold", f"fold {fold + 1:02d} of {len(choices)}", parameters, measured))
    return runs


def candidate_runs(
    inner_errors: Mapping[str, Array],
    shares: Mapping[str, Array],
    traits: Sequence[str],
) -> list[NestedRun]:
    """Describe each candidate regressor of the final fit, and the stack.

    Parameters
    ----------
    inner_errors : mapping of str to ndarray, shape (t,)
        Mean squared error on left-out groups, for each candidate and the stack.
    shares : mapping of str to ndarray, shape (t,)
        Share of each candidate in the prediction of each trait; a candidate that is missing has none.
    traits : sequence of str
        Names of the t columns.

    Returns
    -------
    list of NestedRun
        With ``TRAIT/inner_rmse`` and, but for the stack, ``TRAIT/share``.
    """
    runs = []
    for name, errors in inner_errors.items():
        measured = {f"{trait}/inner_rmse": float(np.sqrt(error)) for trait, error in zip(traits, errors, strict=True)}
        if name != "stack":
            share = shares.get(name, np.zeros(len(traits)))
            measured |= {f"{trait}/share": float(part) for trait, part in zip(traits, share, strict=True)}
        runs.append(NestedRun("candidate", f"candidate {name}", {"regressor": name}, measured))
    return runs


COMPARED_ON: Final = MEAN_PEARSON
"""The cross-validated metric that decides which registered predictor is the champion."""


def record_training(
    predictor: Predictor,
    directory: Path,
    rated: Ratings,
    dataset: Dataset,
    validation: CrossValidation,
    example: tuple[Embedded, str],
    experiment: str | None,
) -> TrainingRecord:
    """Gather what MLflow is to keep of a training run.

    Parameters
    ----------
    predictor, directory
        The predictor and where it is saved for MLflow to copy.
    rated, dataset, validation
        What it was trained on and how well it did.
    example : (Embedded, str)
        As `draw_example` made it.
    experiment : str, optional
        Name of the experiment, or the usual one.
    """
    from prescreen.reports.evaluation_figures import evaluation_figures  # matplotlib takes long to load
    from prescreen.reports.figures import training_figures

    manifest = predictor.manifest
    choices = dict(zip(predictor.traits, predictor.regressors.choices, strict=True))
    parameters = {
        "encoder": manifest.encoder.name,
        "traits": ",".join(map(quoted, manifest.traits)),
        "ratings": str(rated.source),
        "ratings_format": rated.format,
        "scale": manifest.scale,
        "images": len(dataset.images),
        "groups": manifest.data["groups"],
        "dimension": manifest.encoder.dimension,
        "folds": validation.n_splits,
        "seed": manifest.seed,
        "simulated": manifest.simulated,
    } | {f"regressor/{trait}": choice for trait, choice in choices.items()}
    tags = {
        "prescreen.version": manifest.versions["prescreen"],
        "prescreen.data_sha256": rated.fingerprint,
        "prescreen.encoder_sha256": manifest.encoder.fingerprint,
        "prescreen.predictor_sha256": predictor.fingerprint,
        "prescreen.simulated": manifest.simulated,
        "prescreen.traits": names_as_text(manifest.traits),
    } | ({"mlflow.source.git.commit": commit} if (commit := git_commit()) else {})
    embedded, picture = example
    fitted = predictor.regressors
    shares = dict(zip(fitted.regressors, fitted.weights, strict=True))
    description = summary(manifest, predictor.evaluation)
    return TrainingRecord(
        experiment=experiment,
        name=manifest.name,
        parameters={name: str(value) for name, value in parameters.items()},
        tags={name: str(value) for name, value in tags.items()},
        metrics=flat_metrics(predictor.evaluation) | {COMPARED_ON: _mean_pearson(predictor.evaluation)},
        compared_on=COMPARED_ON,
        data=rated.table,
        data_source=str(rated.source),
        figures=training_figures(dataset.ratings, validation.predictions, dataset.traits, manifest.simulated)
        | evaluation_figures(predictor.evaluation),
        predictor=directory,
        output=score_pictures([embedded], predictor).drop(columns="image"),
        example=picture,
        documents={"evaluation.json": predictor.evaluation.to_json()},
        description=description,
        model_card=model_card(manifest, description, predictor.holdings),
        nested=[
            *candidate_runs(fitted.inner_errors, shares, dataset.traits),
            *fold_runs(dataset.ratings, validation.predictions, validation.folds, validation.choices, dataset.traits),
        ],
    )


def record_evaluation(
    predictor: Predictor, rated: Ratings, evaluation: Evaluation, experiment: str
) -> EvaluationRecord:
    """Gather what MLflow is to keep of an evaluation of a finished predictor."""
    from prescreen.reports.evaluation_figures import evaluation_figures  # matplotlib takes long to load

    return EvaluationRecord(
        experiment=experiment,
        name=f"{predictor.manifest.name} on {rated.source.name}",
        parameters={
            "predictor": predictor.manifest.name,
            "encoder": predictor.manifest.encoder.name,
            "traits": ",".join(map(quoted, predictor.traits)),
            "ratings": str(rated.source),
            "images": str(evaluation.n),
        },
        tags={
            "prescreen.data_sha256": rated.fingerprint,
            "prescreen.predictor_sha256": predictor.fingerprint,
            "prescreen.simulated": str(predictor.manifest.simulated),
        },
        metrics=flat_metrics(evaluation),
        figures=evaluation_figures(evaluation),
        document=evaluation.to_json(),
    )


def _mean_pearson(evaluation: Evaluation) -> float:
    """Mean of Pearson's r over the traits; a trait without a defined r counts as 0."""
    return float(np.mean([trait.pearson.value or 0.0 for trait in evaluation.traits]))
