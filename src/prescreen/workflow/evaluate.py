"""The verb ``evaluate``: a predictor against ratings of pictures that it was not trained on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from prescreen.errors import PredictorMismatch, RatingsError, UsageError
from prescreen.evaluation.report import Evaluation
from prescreen.evaluation.report import evaluate as evaluate_predictions
from prescreen.predictor import reproducibility
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import content_keys
from prescreen.progress import NullReporter, ProgressReporter, reported
from prescreen.ratings.reading import Ratings, read_ratings
from prescreen.ratings.rows import UnknownTrait
from prescreen.ratings.scale import Scale
from prescreen.text import shown
from prescreen.training import steps
from prescreen.training.dataset import join, with_bases
from prescreen.workflow.inputs import embed_inputs, load_predictor, rated_images, report_ratings


@dataclass(frozen=True)
class EvaluationOptions:
    """What to evaluate on which ratings.

    Parameters
    ----------
    predictor : str or Predictor
        Directory or MLflow model URI, or one that is loaded.
    ratings, images, columns, scale
        As in `prescreen.workflow.train.TrainingOptions`.
    traits : mapping of str to str, optional
        {trait of the predictor: its name in the ratings}; by default the predictor's own names, or else the names that
        the traits had in its training ratings.
    learning_curve : bool
        Whether to measure with new models, trained on parts of these ratings, what more pictures and votes would give.
    experiment : str, optional
        MLflow experiment to log the evaluation to; by default it is not logged.
    """

    predictor: str | Predictor
    ratings: Path
    images: Path | None = None
    traits: Mapping[str, str] | None = None
    columns: Mapping[str, str] | None = None
    scale: Scale | None = None
    learning_curve: bool = False
    experiment: str | None = None


@reported
def evaluate(options: EvaluationOptions, reporter: ProgressReporter | None = None) -> Evaluation:
    """Measure a predictor against ratings of pictures that it was not trained on.

    Returns
    -------
    Evaluation
        The cross-validated one for the ratings that the predictor was trained on. From other ratings, pictures that
        were trained on and near-copies of them are left out.

    Raises
    ------
    RatingsError
        If fewer than ten pictures are left.
    PredictorMismatch
        If the votes are on another scale than those of the training.
    UsageError
        If the learning curve is asked for of a predictor that learned from other rating files.
    """
    from prescreen import tracking

    reporter = reporter or NullReporter()
    given = options.predictor
    predictor = load_predictor(given) if isinstance(given, str) else given
    if options.learning_curve:
        _check_curve(predictor)
    rated, names = _read(predictor, options)
    report_ratings(rated, reporter)
    if options.experiment is not None:
        tracking.check_store(options.experiment)
    with tracking.without_autologging():
        measured = _measure(predictor, rated, names, options.learning_curve, reporter)
    if options.experiment is not None:
        from prescreen.workflow.run_records import record_evaluation

        run_id = tracking.track(record_evaluation(predictor, rated, measured, options.experiment))
        reporter.info(f"MLflow     run {run_id} in {tracking.store_name()}")
    return measured


def _check_curve(predictor: Predictor) -> None:
    """Refuse it where other files were learned from: what they say may have seen the persons that are tested."""
    if others := predictor.manifest.other_ratings:
        files = ", ".join(shown(other["source"]) for other in others)
        raise UsageError(
            f"--learning-curve: {shown(predictor.manifest.name)} learned from {files}, too, and the curve needs these "
            "ratings; train with --learning-curve"
        )


def _measure(
    loaded: Predictor, rated: Ratings, names: Mapping[str, str], learning_curve: bool, reporter: ProgressReporter
) -> Evaluation:
    """Evaluate on ratings that have been read."""
    known = _trained_on(loaded, rated, names)
    if known:
        reporter.note("these are the ratings it was trained on: the figures are cross-validated")
        if not learning_curve:
            return loaded.evaluation
    if str(rated.scale) != loaded.manifest.scale:
        raise PredictorMismatch(
            f"{rated.source}: votes on the scale {rated.scale}, the predictor was trained on {loaded.manifest.scale}; "
            f"if that is theirs too, say so: --scale {loaded.manifest.scale}"
        )
    encoder = loaded.make_encoder()
    reproducibility.check_reproducibility(loaded, encoder, reporter)
    embedded = list(embed_inputs(rated_images(rated), encoder, reporter, title="embedding"))
    dataset = with_bases(join(rated, embedded, encoder.specification), loaded.bases)
    curve = None
    if learning_curve:
        trees = "lightgbm" in loaded.regressors.inner_errors
        curve = steps.measure_learning_curve(
            dataset, rated, loaded.manifest.seed, reporter, hold_rows=not loaded.manifest.forgets, trees=trees
        )
    if known:
        return replace(loaded.evaluation, learning_curve=curve)
    if loaded.manifest.forgets:
        reporter.note("the predictor was told to forget its training portraits: those among these pictures count, too")
    keys = content_keys(dataset.contents)
    unseen = np.all([part.portraits.find(keys, dataset.faces) < 0 for part in loaded.as_base().parts()], axis=0)
    if not unseen.all():
        reporter.note(f"{(~unseen).sum()} of {len(unseen)} pictures, or near-copies of them, were trained on: left out")
    if unseen.sum() < 10:
        raise RatingsError(f"{rated.source}: {unseen.sum()} unseen pictures, at least 10 are needed")
    predictions = loaded.predict(dataset.features[unseen])
    center = np.nanmean(loaded.calibration.distribution, axis=0)
    measured = evaluate_predictions(
        dataset.ratings[unseen],
        predictions.raw,
        dataset.traits,
        naive=np.broadcast_to(center, predictions.raw.shape),
        lower=predictions.raw_low,
        upper=predictions.raw_high,
        noise={trait: votes[unseen] for trait, votes in steps.vote_noise(dataset, rated).items()},
        groups=dataset.groups[unseen],
        persons=dataset.known_persons[unseen],
        labels=steps.slice_labels(dataset, rated, names)[unseen],
        seed=loaded.manifest.seed,
    )
    return replace(measured, simulated=loaded.manifest.simulated, learning_curve=curve, scale_width=rated.scale.width)


def _trained_on(predictor: Predictor, rated: Ratings, names: Mapping[str, str]) -> bool:
    """Whether these are the predictor's own training ratings."""
    data = predictor.manifest.data
    return bool(rated.fingerprint == data["sha256"] and rated.told(names) == data["columns"])


def _read(predictor: Predictor, options: EvaluationOptions) -> tuple[Ratings, dict[str, str]]:
    """Read the ratings of a predictor's traits, and return the names that the traits have there."""
    traits = options.traits
    if traits and set(traits) != set(predictor.traits):
        known = ", ".join(predictor.traits)
        raise UsageError(f"the predictor's traits are {known}; --traits names {', '.join(traits)}")

    def read(names: dict[str, str]) -> tuple[Ratings, dict[str, str]]:
        ratings = partial(
            read_ratings,
            options.ratings,
            names,
            options.scale,
            options.images,
            columns=options.columns,
            expected_scale=Scale.parse(predictor.manifest.scale),
        )
        rated = ratings()
        if predictor.manifest.data.get("raters_left_out") and _trained_on(predictor, rated, names):
            rated = ratings(leave_out_raters=True)  # as in the training
        return rated, names

    own = {trait: traits[trait] if traits else trait for trait in predictor.traits}
    try:
        return read(own)
    except UnknownTrait:
        trained = dict(predictor.manifest.data["columns"])
        if traits or trained == own:
            raise
        return read(trained)
