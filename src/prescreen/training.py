"""The inner steps of training: cross-validate, judge, calibrate, describe."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen import provenance
from prescreen.calibration import Calibration, sorted_columns
from prescreen.commits import git_commit
from prescreen.dataset import Dataset
from prescreen.embeddings import Embedded
from prescreen.encoders import EncoderSpecification
from prescreen.evaluation.ceiling import VoteNoise
from prescreen.evaluation.flat import MEAN_PEARSON, flat_metrics
from prescreen.evaluation.report import Evaluation, evaluate
from prescreen.evaluation.slices import label_slices
from prescreen.manifest import Manifest
from prescreen.predictor import Predictor, TrainingPortraits, content_key
from prescreen.ranking.correlation import PERSON_SHARE, ErrorCorrelation, fit_error_correlation
from prescreen.ratings import Ratings, rated_attributes
from prescreen.regressors.blocks import BlockDesign
from prescreen.regressors.fit import CrossValidation, cross_validate
from prescreen.regressors.intervals import (
    ErrorSize,
    conformal_half_widths,
    cross_conformal_intervals,
    residual_covariance,
)
from prescreen.regressors.threads import blas_threads
from prescreen.reports.card import model_card, summary
from prescreen.scoring import score_pictures
from prescreen.tracking import EvaluationRecord, TrainingRecord
from prescreen.tracking.nested import candidate_runs, fold_runs
from prescreen.traits import names_as_text, quoted

FOLDS: Final = 10
COMPARED_ON: Final = MEAN_PEARSON
"""The cross-validated metric that decides which registered predictor is the champion."""


def validate(dataset: Dataset, seed: int, advance: Callable[[], object]) -> CrossValidation:
    """Predict every picture from the others, the choice of the regressor nested inside."""

    def progress(done: int, total: int) -> None:
        advance()

    return cross_validate(
        dataset.features,
        dataset.ratings,
        dataset.groups,
        dataset.blocks,
        sample_weight=dataset.weights,
        auxiliary=dataset.auxiliary,
        n_splits=FOLDS,
        seed=seed,
        progress=progress,
    )


def judge(
    dataset: Dataset, validation: CrossValidation, rated: Ratings, seed: int, columns: Mapping[str, str] | None = None
) -> Evaluation:
    """Evaluate the out-of-fold predictions; the interval of each picture comes from the other folds' errors.

    ``columns`` are the names of the traits in the file of the ratings, where they differ.
    """
    lower, upper = cross_conformal_intervals(validation.predictions, dataset.ratings, validation.folds)
    return evaluate(
        dataset.ratings,
        validation.predictions,
        dataset.traits,
        naive=validation.naive,
        lower=lower,
        upper=upper,
        noise=vote_noise(dataset, rated),
        groups=dataset.groups,
        persons=dataset.known_persons,
        labels=slice_labels(dataset, rated, columns),
        seed=seed,
    )


def vote_noise(dataset: Dataset, rated: Ratings) -> dict[str, VoteNoise]:
    """Return what is known of the votes behind each rating of each trait."""
    images = list(dataset.images)
    spreads, votes = (table.loc[images] for table in (rated.spreads(), rated.votes()))
    return {
        trait: VoteNoise(spreads[trait].to_numpy(np.float64), votes[trait].to_numpy(np.float64))
        for trait in dataset.traits
    }


def slice_labels(dataset: Dataset, rated: Ratings, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Divide the pictures by everything that the file of the ratings says of them."""
    middle = (rated.scale.low + rated.scale.high) / 2
    return label_slices(rated_attributes(rated, columns).loc[list(dataset.images)], middle)


def calibrate(dataset: Dataset, validation: CrossValidation, rated: Ratings) -> Calibration:
    """Learn intervals and joint errors from the out-of-fold predictions."""
    errors = dataset.ratings - validation.predictions
    size = ErrorSize.fit(validation.predictions, errors)
    scale = Calibration(
        distribution=sorted_columns(dataset.ratings),
        half_widths=conformal_half_widths(errors / size(validation.predictions)),
        error_covariance=np.eye(len(dataset.traits)),
        is_score=rated.is_score,
        error_size=size,
    )
    residuals = scale.z(dataset.ratings) - scale.z(validation.predictions)
    noise = dataset.sampling_variance * scale.slope(dataset.ratings) ** 2
    covariance = residual_covariance(residuals, noise)
    person = person_share(residuals, np.diag(covariance), dataset.persons)
    with blas_threads(len(residuals)):
        squared = BlockDesign.fit(dataset.features, dataset.blocks).distances
    noise_share = 1 - np.diag(covariance) / np.maximum(np.nanvar(residuals, axis=0), np.finfo(float).tiny)
    likeness = fit_error_correlation(
        residuals, squared, validation.folds, np.clip(noise_share, 0.0, 1.0), person=person
    )
    person = person_alone(person, likeness, squared, dataset.persons)
    return scale.with_errors(covariance, person, likeness.similar, likeness.gamma)


def person_alone(
    measured: float, likeness: ErrorCorrelation, squared_distances: NDArray[np.floating], persons: NDArray[np.str_]
) -> float:
    """Take off a person's share what their pictures have in common because they look alike.

    The share that was measured on pairs of pictures of one person holds both; to add the share of like pictures to it
    would count that twice, and make differences between one person's pictures look far more certain than they are.

    Parameters
    ----------
    measured : float
        What `person_share` found; returned as it is where no person has two pictures.
    likeness : ErrorCorrelation
        How much similar pictures err alike.
    squared_distances : ndarray of shape (n, n)
        Between the pictures.
    persons : ndarray of str, shape (n,)
        Named persons; empty where unknown.
    """
    pairs = (persons[:, None] == persons) & (persons != "")
    np.fill_diagonal(pairs, False)
    if not pairs.any():
        return measured
    alike = likeness.similar * float(np.exp(-likeness.gamma * squared_distances[pairs]).mean())
    return max(0.0, measured - alike)


def person_share(residuals: NDArray[np.float64], variances: NDArray[np.float64], persons: NDArray[np.str_]) -> float:
    """Estimate which share of the error variance pictures of one person have in common.

    The mean product of the errors of two pictures of one person is the variance of what they share; vote noise, which
    is independent between pictures, does not enter it.

    Parameters
    ----------
    residuals : ndarray of float, shape (n, t)
        Errors in z, NaN where there is no rating.
    variances : ndarray of float, shape (t,)
        Error variances without vote noise.
    persons : ndarray of str, shape (n,)
        Named persons; empty where unknown.

    Returns
    -------
    float
        From 0 to 0.9; `prescreen.ranking.correlation.PERSON_SHARE`, a guess, where no person has two pictures.
    """
    products = np.zeros(residuals.shape[1])
    pairs = np.zeros(residuals.shape[1])
    for person in np.unique(persons[persons != ""]):  # in order: a sum in another one differs in its last bit
        errors = residuals[persons == person]
        rated = ~np.isnan(errors)
        filled = np.where(rated, errors, 0.0)
        products += (filled.sum(axis=0) ** 2 - (filled**2).sum(axis=0)) / 2
        counts = rated.sum(axis=0)
        pairs += counts * (counts - 1) / 2
    if not pairs.all():
        return PERSON_SHARE
    return float(np.clip((products / pairs / np.maximum(variances, np.finfo(float).tiny)).mean(), 0.0, 0.9))


def remember(dataset: Dataset, validation: CrossValidation) -> TrainingPortraits:
    """Keep what is needed to know the training pictures again."""
    return TrainingPortraits(
        keys=np.array([content_key(content) for content in dataset.contents], dtype=np.uint64),
        faces=dataset.faces.astype(np.float16),
        predictions=validation.predictions,
    )


def describe(
    name: str,
    encoder: EncoderSpecification,
    rated: Ratings,
    dataset: Dataset,
    columns: Mapping[str, str],
    seed: int,
    simulated: bool,
) -> Manifest:
    """Write down what the predictor is and where it comes from."""
    return Manifest(
        name=name,
        encoder=encoder,
        traits=dataset.traits,
        scale=str(rated.scale),
        is_score=rated.is_score,
        data={
            "source": rated.source.name,
            "format": rated.format,
            "sha256": rated.fingerprint,
            "method": rated.method,
            "images": len(dataset.images),
            "groups": len(np.unique(dataset.groups)),
            "columns": dict(columns),
            "auxiliary": list(rated.auxiliary.columns),
        },
        reliability={trait: asdict(rated.reliability[trait]) for trait in dataset.traits},
        seed=seed,
        simulated=simulated,
        versions=provenance.versions(),
    )


def record(
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
        A picture after embedding, and in base64 as a client would send it.
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
        model_card=model_card(manifest, description),
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
