"""The inner steps of training: cross-validate, judge, calibrate, describe."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.embeddings.pipeline import (
    Embedded,
    embed_bytes,
)
from prescreen.encoders import Encoder, EncoderSpecification
from prescreen.evaluation.curves import LearningCurve
from prescreen.evaluation.noise_ceiling import VoteNoise
from prescreen.evaluation.report import Evaluation, evaluate
from prescreen.evaluation.slices import label_slices
from prescreen.predictor.canaries import draw_canaries
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.training_portraits import TrainingPortraits, content_keys
from prescreen.progress import ProgressReporter
from prescreen.ratings.other_columns import rated_attributes
from prescreen.ratings.reading import Ratings
from prescreen.regressors.intervals import (
    cross_conformal_intervals,
)
from prescreen.regressors.stacking import CrossValidation, cross_validate
from prescreen.settings import processors
from prescreen.storage import provenance
from prescreen.training import learning_curve as curves
from prescreen.training.dataset import Dataset
from prescreen.training.other_ratings import prior_within

FOLDS: Final = 10
MANY: Final = 5000
"""Pictures up to which there are 10 folds; with more, half as many tell as much."""


def usual_folds(groups: NDArray[Any]) -> int:
    """Return the number of outer folds for pictures of these groups, shape (n,); no more than there are groups."""
    return min(FOLDS if len(groups) <= MANY else FOLDS // 2, len(np.unique(groups)))


def cross_validate_dataset(
    dataset: Dataset,
    seed: int,
    advance: Callable[[], object] = lambda: None,
    *,
    folds: int | None = None,
    hold_rows: bool = True,
    trees: bool = False,
) -> CrossValidation:
    """Predict every picture from the others, the choice of the regressor nested inside."""
    return cross_validate(
        dataset.features,
        dataset.ratings,
        dataset.groups,
        dataset.blocks,
        sample_weight=dataset.weights,
        auxiliary=dataset.auxiliary,
        prior=partial(prior_within, dataset) if dataset.others else dataset.prior,
        prior_blocks=dataset.prior_blocks,
        n_splits=folds or usual_folds(dataset.groups),
        seed=seed,
        hold_rows=hold_rows,
        trees=trees,
        threads=processors(),
        step=advance,
    )


def evaluate_out_of_fold(
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


def training_index(dataset: Dataset, validation: CrossValidation) -> TrainingPortraits:
    """Keep what is needed to know the training pictures again."""
    return TrainingPortraits(
        keys=content_keys(dataset.contents),
        faces=dataset.faces.astype(np.float16),
        predictions=validation.predictions,
    )


def build_manifest(
    name: str,
    encoder: EncoderSpecification,
    rated: Ratings,
    dataset: Dataset,
    columns: Mapping[str, str],
    seed: int,
    simulated: bool,
    *,
    forgets: bool = False,
    bases: Sequence[Mapping[str, Any]] = (),
    known_to_bases: int = 0,
) -> Manifest:
    """Write down what the predictor is and where it comes from; ``bases`` as from `Manifest.as_base`."""
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
            "forgotten": forgets,
            "bases": list(bases),
        }
        | ({"raters_left_out": rated.crowd.raters_left_out} if rated.crowd.raters_left_out else {})
        | ({"known_to_bases": known_to_bases} if known_to_bases else {}),
        reliability={trait: asdict(rated.reliability[trait]) for trait in dataset.traits},
        seed=seed,
        simulated=simulated,
        versions=provenance.versions(),
    )


def draw_example(encoder: Encoder) -> tuple[Embedded, str]:
    """Draw the picture that shows how a served model is asked: a face that is nobody's.

    Returns
    -------
    (Embedded, str)
        The picture after embedding, and in base64 as a client would send it.
    """
    picture = draw_canaries()[0]
    (embedded,) = embed_bytes([("example", picture)], encoder)
    return embedded, base64.b64encode(picture).decode()


def measure_learning_curve(
    dataset: Dataset, rated: Ratings, seed: int, reporter: ProgressReporter, *, hold_rows: bool, trees: bool
) -> LearningCurve:
    """Measure what more pictures and more votes would give, with models trained on parts of these ratings."""
    noise = vote_noise(dataset, rated)
    with reporter.progress("learning curve", len(curves.thinnings(dataset, noise))) as advance:
        return curves.learning_curve(dataset, noise, seed, advance, hold_rows=hold_rows, trees=trees)
