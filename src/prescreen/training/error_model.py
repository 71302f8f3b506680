"""The calibration of a predictor: intervals, and how its errors go together."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from prescreen.predictor.calibration import Calibration, sorted_columns
from prescreen.ranking.error_correlation import PERSON_SHARE, ErrorCorrelation, fit_error_correlation
from prescreen.ratings.reading import Ratings
from prescreen.regressors.blocks import BlockDesign, blas_threads
from prescreen.regressors.intervals import ErrorSize, conformal_half_widths, residual_covariance
from prescreen.regressors.stacking import CrossValidation
from prescreen.training.dataset import Dataset


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
    return replace(
        scale,
        error_covariance=covariance,
        person_share=person,
        similar_share=likeness.similar,
        similar_gamma=likeness.gamma,
    )


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
        From 0 to 0.9; `prescreen.ranking.error_correlation.PERSON_SHARE`, a guess, where no person has two pictures.
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
