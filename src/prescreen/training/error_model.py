"""The calibration of a predictor: intervals, and how its errors go together."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from prescreen.predictor.calibration import Calibration, sorted_columns
from prescreen.ranking.error_correlation import fit_error_correlation
from prescreen.ranking.within_person import fit_within_person
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
    rated_z, predicted_z = scale.z(dataset.ratings), scale.z(validation.predictions)
    noise = dataset.sampling_variance * scale.slope(dataset.ratings) ** 2
    covariance = residual_covariance(rated_z - predicted_z, noise)
    with blas_threads(len(noise)):
        squared = BlockDesign.fit(dataset.features, dataset.blocks).distances
    spread = np.nanvar(rated_z - predicted_z, axis=0)
    noise_share = 1 - np.diag(covariance) / np.maximum(spread, np.finfo(float).tiny)
    noise_share = np.clip(noise_share, 0.0, 1.0)
    alike = fit_error_correlation(rated_z - predicted_z, squared, validation.folds, noise_share)
    return replace(
        scale,
        error_covariance=covariance,
        within_person=fit_within_person(rated_z, predicted_z, covariance, noise_share * spread, dataset.persons),
        similar_share=alike.similar,
        similar_gamma=alike.gamma,
        vote_noise=noise_of_one_vote(noise, dataset, rated),
    )


def noise_of_one_vote(noise: NDArray[np.float64], dataset: Dataset, rated: Ratings) -> NDArray[np.float64]:
    """Return the noise variance of one vote, (t,), from that of the ratings, (n, t); NaN where it is not known."""
    votes = rated.votes().loc[list(dataset.images), list(dataset.traits)].to_numpy(np.float64)
    single = noise * votes
    known = np.isfinite(single)
    mean = np.where(known, single, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known.any(axis=0), mean, np.nan)
