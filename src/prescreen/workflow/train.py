"""The verb ``train``: ratings and pictures to a predictor."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from prescreen.encoders import Encoder, make_encoder
from prescreen.evaluation.report import Evaluation
from prescreen.predictor import reproducibility
from prescreen.predictor.files import announce_overwrite, check_place
from prescreen.predictor.predictor import Predictor, TrainingPortraits
from prescreen.progress import NullReporter, ProgressReporter
from prescreen.ratings import Ratings, read_ratings, with_auxiliary
from prescreen.ratings.scale import Scale
from prescreen.regressors.novelty import NoveltyDetector
from prescreen.regressors.stacking import fit_final
from prescreen.training import steps
from prescreen.training.dataset import join
from prescreen.training.error_model import calibrate
from prescreen.training.steps import measure_learning_curve
from prescreen.workflow.inputs import embed_inputs, rated_images, report_ratings
from prescreen.workflow.trait_names import check_names

if TYPE_CHECKING:
    from prescreen.tracking import TrackedRun


# --- train ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """What `train` made: the predictor's directory, its cross-validated evaluation, and the MLflow run."""

    output: Path
    evaluation: Evaluation
    run: "TrackedRun"


def train(
    ratings: Path,
    *,
    images: Path | None = None,
    traits: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    scale: Scale | None = None,
    encoder: str = "clip",
    precision: str = "f32",
    device: str | None = None,
    output: Path | None = None,
    experiment: str | None = None,
    seed: int = 0,
    simulated: bool = False,
    learning_curve: bool = False,
    auxiliary: bool = True,
    forget_portraits: bool = False,
    reporter: ProgressReporter | None = None,
) -> Training:
    """Train a predictor on ratings, evaluate it by nested cross-validation, save it and log it to MLflow.

    Parameters
    ----------
    ratings : Path
        Votes or ratings in one of the formats of `prescreen.ratings`.
    images : Path, optional
        Folder of the rated pictures.
    traits : mapping of str to str, optional
        {name of the trait: its name in the ratings}; by default all traits of the ratings.
    columns : mapping of str to str, optional
        {meaning, or name of a trait: column of the file}, where the names of the columns do not tell; see
        `prescreen.ratings.meanings`.
    scale : Scale, optional
        Scale of the votes, where the file does not tell.
    encoder : str
        Name of an encoder, see `prescreen.encoders.make_encoder`.
    precision : str
        Arithmetic of its networks, ``f32`` or ``bf16``.
    device : str, optional
        What they run on, see `prescreen.encoders.devices`.
    output : Path, optional
        Directory of the predictor; by default ``models/`` and the name of the ratings.
    experiment : str, optional
        MLflow experiment; by default what ``MLFLOW_EXPERIMENT_NAME`` says, or ``prescreen``.
    seed : int
        Seed of folds and regressors.
    simulated : bool
        Whether the votes are simulated.
    learning_curve : bool
        Whether to measure what more pictures and more votes would give, which takes about three times as long.
    auxiliary : bool
        Whether to learn from the other traits of the ratings too; see `prescreen.ratings.with_auxiliary`.
    forget_portraits : bool
        Whether the predictor shall hold nothing of any single portrait: no vector, face descriptor or hash. It then
        does without the regressors that need vectors, and with them without auxiliary traits; it knows neither how
        unlike the training portraits a picture is, nor which pictures it was trained on.
    reporter : ProgressReporter, optional
        Hears how the work goes on.
    """
    from prescreen import tracking

    reporter = reporter or NullReporter()
    output = output or Path("models") / ratings.resolve().stem
    announce_overwrite(output, reporter)
    rated = read_ratings(ratings, traits, scale, images, columns=columns)
    check_names(rated.traits, traits)
    report_ratings(rated, reporter)
    if traits and auxiliary and not forget_portraits:
        rated = with_auxiliary(rated, traits)
        reporter.info(f"auxiliary  {', '.join(rated.auxiliary.columns) or 'no other traits to learn from'}")
    tracking.check_store(experiment)
    check_place(output)  # a new store may lie there, where the output is the working directory
    network = make_encoder(encoder, precision, device)
    with tracking.watched_run(experiment, output.absolute().name) as run_id:
        return _train(
            rated,
            network,
            traits,
            output,
            experiment,
            seed,
            simulated,
            learning_curve,
            forget_portraits,
            run_id,
            reporter,
        )


def _train(
    rated: Ratings,
    network: Encoder,
    traits: Mapping[str, str] | None,
    output: Path,
    experiment: str | None,
    seed: int,
    simulated: bool,
    learning_curve: bool,
    forget_portraits: bool,
    run_id: str,
    reporter: ProgressReporter,
) -> Training:
    """Do the part of `train` that MLflow watches; the arguments are those of `train`."""
    from prescreen import tracking
    from prescreen.tracking.training_record import record_training

    files = rated_images(rated)
    embedded = list(embed_inputs(files, network, reporter, title="embedding"))
    dataset = join(rated, embedded, network.specification)
    reporter.info(f"groups     {dataset.grouping}")
    with reporter.progress("cross-validating", steps.FOLDS) as advance:
        validation = steps.cross_validate_dataset(dataset, seed, advance, hold_rows=not forget_portraits)
    names = traits or {trait: trait for trait in rated.traits}
    evaluation = steps.evaluate_out_of_fold(dataset, validation, rated, seed, names)
    curve = measure_learning_curve(dataset, rated, seed, reporter) if learning_curve else None
    regressors = fit_final(
        dataset.features,
        dataset.ratings,
        dataset.groups,
        dataset.blocks,
        sample_weight=dataset.weights,
        auxiliary=dataset.auxiliary,
        seed=seed,
        hold_rows=not forget_portraits,
    )
    manifest = steps.build_manifest(
        output.absolute().name,
        network.specification,
        rated,
        dataset,
        rated.told(names),
        seed,
        simulated,
        forgets=forget_portraits,
    )
    predictor = Predictor(
        manifest=manifest,
        regressors=regressors,
        calibration=calibrate(dataset, validation, rated),
        portraits=TrainingPortraits.none(len(rated.traits))
        if forget_portraits
        else steps.training_index(dataset, validation),
        evaluation=replace(evaluation, simulated=simulated, learning_curve=curve),
        novelty_detector=None if forget_portraits else NoveltyDetector.fit(dataset.features, dataset.groups),
    )
    predictor = reproducibility.with_canaries(predictor, network)
    example = steps.draw_example(network)
    with tempfile.TemporaryDirectory(prefix="prescreen-", ignore_cleanup_errors=True) as folder:
        logged = Path(folder) / manifest.name
        predictor.save(logged)
        record = record_training(predictor, logged, rated, dataset, validation, example, experiment)
        # The directory is the last to change: whatever fails before leaves the predictor there, if any, as it was.
        run = tracking.track_training(record, run_id, finish=lambda: predictor.save(output))
    return Training(output, predictor.evaluation, run)
