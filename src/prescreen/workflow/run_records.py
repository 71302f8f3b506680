"""Builds what MLflow keeps of a training, an evaluation and a round of human tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prescreen.embeddings.pipeline import Embedded
from prescreen.evaluation.headline_metrics import ALL_TRAITS, MEAN_PEARSON, flat_metrics
from prescreen.evaluation.metrics import correlation
from prescreen.evaluation.report import Evaluation
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.scores_table import score_pictures
from prescreen.ranking.goals import Goals
from prescreen.ratings.reading import Ratings
from prescreen.ratings.results import TypedResults
from prescreen.regressors.stacking import CrossValidation
from prescreen.reports.model_card import model_card, summary
from prescreen.storage.commits import git_commit
from prescreen.text import names_as_text, quoted
from prescreen.tracking import RunRecord, TrainingRecord
from prescreen.training.dataset import Dataset
from prescreen.workflow.bases import OpenedBase
from prescreen.workflow.candidates import ComparedCandidates

Array = NDArray[np.float64]


def record_training(
    predictor: Predictor,
    directory: Path,
    rated: Ratings,
    dataset: Dataset,
    validation: CrossValidation,
    example: tuple[Embedded, str],
    experiment: str | None,
    bases: Sequence[OpenedBase] = (),
    others: Sequence[Ratings] = (),
) -> TrainingRecord:
    """Collect what MLflow keeps of a training run.

    The predictor lies in the directory; it was trained and cross-validated on the ratings and the dataset. The example
    is that of `prescreen.training.steps.draw_example`. The bases, and the other ratings, are those that are part of it.
    """
    from prescreen.reports.figures import evaluation_figures, training_figures  # matplotlib takes long to load

    manifest, evaluation, fitted = predictor.manifest, predictor.evaluation, predictor.regressors
    parameters = {
        "encoder": manifest.encoder.name,
        "traits": ",".join(map(quoted, manifest.traits)),
        "ratings": rated.source,
        "ratings_format": rated.format,
        "scale": manifest.scale,
        "images": len(dataset.images),
        "groups": manifest.data["groups"],
        "dimension": manifest.encoder.dimension,
        "folds": validation.n_splits,
        "seed": manifest.seed,
        "simulated": manifest.simulated,
    } | {f"regressor/{trait}": choice for trait, choice in zip(predictor.traits, fitted.choices, strict=True)}
    if manifest.base_predictors:
        parameters["base"] = ",".join(quoted(base["name"]) for base in manifest.base_predictors)
    if others:
        parameters["other_ratings"] = ",".join(quoted(str(other.source)) for other in others)
    tags = {
        "prescreen.version": manifest.versions["prescreen"],
        "prescreen.data_sha256": rated.fingerprint,
        "prescreen.encoder_sha256": manifest.encoder.fingerprint,
        "prescreen.predictor_sha256": predictor.fingerprint,
        "prescreen.simulated": str(manifest.simulated).lower(),
        "prescreen.traits": names_as_text(manifest.traits),
    } | ({"mlflow.source.git.commit": commit} if (commit := git_commit()) else {})
    if left_out := manifest.data.get("raters_left_out"):
        tags["prescreen.raters_left_out"] = left_out
    if manifest.base_predictors:
        tags["prescreen.base_sha256"] = ",".join(base["fingerprint"] for base in manifest.base_predictors)
    if manifest.other_ratings:
        tags["prescreen.other_data_sha256"] = ",".join(other["sha256"] for other in manifest.other_ratings)
    if manifest.bases:
        tags["prescreen.licences"] = ", ".join(manifest.licences) or "not known"
    if not predictor.usability.usable:  # it does not become champion
        tags["prescreen.unusable"] = predictor.usability.describe()
    embedded, picture = example
    description = summary(manifest, evaluation)
    return TrainingRecord(
        experiment=experiment,
        name=manifest.name,
        parameters={name: str(value) for name, value in parameters.items()},
        tags={name: str(value) for name, value in tags.items()},
        metrics=flat_metrics(evaluation) | _mean_pearson(evaluation),
        compared_on=MEAN_PEARSON,
        data=rated.table,
        data_source=str(rated.source),
        figures=training_figures(dataset.ratings, validation.predictions, dataset.traits, manifest.simulated)
        | evaluation_figures(evaluation),
        predictor=directory,
        output=score_pictures([embedded], predictor).drop(columns="image"),
        example=picture,
        documents={"evaluation.json": evaluation.to_json()},
        description=description,
        model_card=model_card(manifest, description, predictor.holdings),
        other_data=[(str(other.source), other.table) for other in others],
        bases={base.place: base.describe() for base in bases},
        nested=[
            *candidate_runs(
                fitted.inner_errors, dict(zip(fitted.regressors, fitted.weights, strict=True)), dataset.traits
            ),
            *fold_runs(dataset.ratings, validation.predictions, validation.folds, validation.choices, dataset.traits),
        ],
    )


def fold_runs(
    truth: Array,
    predictions: Array,
    folds: NDArray[np.intp],
    choices: Sequence[Sequence[str]],
    traits: Sequence[str],
) -> list[RunRecord]:
    """Describe each outer fold of the cross-validation.

    Parameters
    ----------
    truth, predictions : ndarray of shape (n, t)
        Ratings, NaN where there is none, and out-of-fold predictions.
    folds : ndarray of int, shape (n,)
        Fold in which the row was tested.
    choices : sequence of sequence of str
        ``choices[fold][trait]``: the regressor chosen on the training part.
    traits : sequence of str
        Names of the t columns.

    Returns
    -------
    list of RunRecord
        With ``all_traits/pictures``, ``TRAIT/pearson`` and ``TRAIT/rmse`` where they are defined, and ``mean/pearson``.

    Examples
    --------
    >>> truth = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> fold, _ = fold_runs(truth, truth + 0.5, np.array([0, 0, 1, 1]), [["ridge"], ["trees"]], ["warm"])
    >>> fold.name, fold.metrics["warm/rmse"]
    ('fold 01 of 2', 0.5)
    """
    runs = []
    for fold, chosen in enumerate(choices):
        tested = folds == fold
        measured: dict[str, float] = {f"{ALL_TRAITS}/pictures": float(tested.sum())}
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
            measured[MEAN_PEARSON] = float(np.mean(correlations))
        parameters = {"fold": str(fold)} | {f"regressor/{t}": c for t, c in zip(traits, chosen, strict=True)}
        runs.append(_part("fold", f"fold {fold + 1:02d} of {len(choices)}", parameters, measured))
    return runs


def candidate_runs(
    inner_errors: Mapping[str, Array], shares: Mapping[str, Array], traits: Sequence[str]
) -> list[RunRecord]:
    """Describe each candidate regressor of the final fit, and the stack.

    Parameters
    ----------
    inner_errors : mapping of str to ndarray, shape (t,)
        Mean squared error on left-out groups, for each candidate and the stack.
    shares : mapping of str to ndarray, shape (t,)
        Share of each candidate in the prediction of each trait; a missing candidate has none.
    traits : sequence of str
        Names of the t columns.

    Returns
    -------
    list of RunRecord
        With ``TRAIT/inner_rmse`` and, except for the stack, ``TRAIT/share``.
    """
    runs = []
    for name, errors in inner_errors.items():
        measured = {f"{trait}/inner_rmse": float(np.sqrt(error)) for trait, error in zip(traits, errors, strict=True)}
        if name != "stack":
            share = shares.get(name, np.zeros(len(traits)))
            measured |= {f"{trait}/share": float(part) for trait, part in zip(traits, share, strict=True)}
        runs.append(_part("candidate", f"candidate {name}", {"regressor": name}, measured))
    return runs


def _part(kind: str, name: str, parameters: Mapping[str, str], metrics: Mapping[str, float]) -> RunRecord:
    return RunRecord(name=name, parameters=parameters, tags={"prescreen.kind": kind}, metrics=metrics)


def record_evaluation(predictor: Predictor, rated: Ratings, evaluation: Evaluation, experiment: str) -> RunRecord:
    """Collect what MLflow keeps of an evaluation."""
    from prescreen.reports.figures import evaluation_figures  # matplotlib takes long to load

    return RunRecord(
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
            "prescreen.kind": "evaluation",
            "prescreen.data_sha256": rated.fingerprint,
            "prescreen.predictor_sha256": predictor.fingerprint,
            "prescreen.simulated": str(predictor.manifest.simulated).lower(),
        },
        metrics=flat_metrics(evaluation) | _mean_pearson(evaluation),
        data=rated.table,
        data_source=str(rated.source),
        data_context="evaluation",
        measured=predictor.fingerprint,
        figures=evaluation_figures(evaluation),
        documents={"evaluation.json": evaluation.to_json()},
    )


def _mean_pearson(evaluation: Evaluation) -> dict[str, float]:
    """Return the mean by which versions are compared; a trait without a defined r counts as 0."""
    return {MEAN_PEARSON: float(np.mean([trait.pearson.value or 0.0 for trait in evaluation.traits]))}


def record_shortlist(
    done: ComparedCandidates, *, scores: Path, output: Path, report: Path | None, experiment: str
) -> RunRecord:
    """Collect what MLflow keeps of a ranking: the table, the page, and the predictor that it came from."""
    table, predictor = done.shortlist.table, done.predictor
    chances = table["p_better"].to_numpy(np.float64)
    return RunRecord(
        experiment=experiment,
        name=f"{output.stem} of {scores.name}",
        parameters={
            "predictor": predictor.manifest.name,
            "goals": done.goals.describe(),
            "candidates": str(len(table)),
            "proposed": str(int(table["selected"].sum())),
        },
        tags={
            "prescreen.kind": "shortlist",
            "prescreen.ranked_by": predictor.fingerprint,
            "prescreen.simulated": str(predictor.manifest.simulated).lower(),
        },
        metrics={f"{ALL_TRAITS}/best_chance": float(np.nanmax(chances))} if np.isfinite(chances).any() else {},
        measured=predictor.fingerprint,
        files=[output] if report is None else [output, report],
        description=done.shortlist.advice.describe(),
    )


def record_round(
    content: Mapping[str, Any],
    *,
    before: Predictor,
    after: Predictor,
    typed: TypedResults,
    goals: Goals,
    output: Path,
    shortlist: Path | None,
    example: tuple[Embedded, str],
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
    output, shortlist : Path
        Directory of the predictor that has learned, and the new ranking if any.
    example : (Embedded, str)
        As from `prescreen.training.steps.draw_example`.
    experiment : str, optional
        Name of the experiment.
    answer : str
        What to do now, in words.
    """
    votes = typed.votes.to_numpy(np.float64)
    embedded, picture = example
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
        output=score_pictures([embedded], after).drop(columns="image"),
        example=picture,
        measured=before.fingerprint,
        description=answer,
        model_card=model_card(after.manifest, summary(after.manifest, after.evaluation), after.holdings),
    )


def _metrics(content: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a round by their names in MLflow: of a trait, or of all."""
    names = {"pictures": "pictures", "pearson": "pearson", "offset": "offset", "inside": "coverage_share"}
    found = {
        f"{part['trait']}/{name}": float(part[key])
        for part in content["agreement"]
        for key, name in names.items()
        if part[key] is not None
    }
    found |= {f"{part['trait']}/person_offset": part["points"] for part in content["offset"]}
    if content["decision"] is not None and content["decision"]["p"] is not None:
        found[f"{ALL_TRAITS}/best_chance"] = content["decision"]["p"]
    if content["p_any_better"] is not None:
        found[f"{ALL_TRAITS}/p_any_better"] = content["p_any_better"]
    return found
