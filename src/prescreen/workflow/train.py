"""The verb ``train``: ratings and pictures to a predictor."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from prescreen.encoders import EncoderSpecification
from prescreen.evaluation.report import Evaluation
from prescreen.predictor import reproducibility
from prescreen.predictor.files import announce_overwrite, check_place
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import TrainingPortraits
from prescreen.progress import NullReporter, ProgressReporter, reported
from prescreen.ratings.columns import counted
from prescreen.ratings.other_columns import with_auxiliary
from prescreen.ratings.reading import Ratings, read_ratings
from prescreen.ratings.scale import Scale
from prescreen.regressors.novelty import NoveltyDetector
from prescreen.regressors.stacking import CrossValidation, steps_of_fold
from prescreen.text import shown
from prescreen.training import steps
from prescreen.training.dataset import Dataset, fit_dataset, join, with_bases
from prescreen.training.error_model import calibrate
from prescreen.workflow.bases import (
    OpenedBase,
    check_ratings,
    describe_encoder,
    known_persons,
    make_training_encoder,
    open_bases,
    report_bases,
)
from prescreen.workflow.inputs import embed_inputs, rated_images, report_ratings, titled
from prescreen.workflow.rating_files import RatingsFile, check_others, describe_other, join_others, read_others
from prescreen.workflow.trait_names import check_names

if TYPE_CHECKING:
    from prescreen.tracking import TrackedRun


@dataclass(frozen=True)
class TrainingOptions:
    """What to train on, and how.

    Parameters
    ----------
    ratings : Path
        Votes or ratings in one of the formats of `prescreen.ratings`: those that are predicted.
    images : Path, optional
        Folder of the rated pictures; by default beside the ratings.
    traits : mapping of str to str, optional
        {name of the trait: its name in the ratings}; by default all traits of the ratings.
    columns : mapping of str to str, optional
        {meaning, or name of a trait: column of the file}, where the names of the columns do not tell; see
        `prescreen.ratings.meanings`. For instance ``{"image": "photo", "rater": "WorkerId", "competence": "Q1"}``.
    scale : Scale, optional
        Scale of the votes, where the file does not tell.
    others : sequence of RatingsFile
        More rating files, of other traits or of other raters, whose pictures may be others. They are not predicted;
        what they say of pictures is learned from, as far as it helps.
    bases : sequence of str
        Predictors, directories or MLflow model URIs, whose predictions on the rated pictures are learned from. Each
        becomes a part of the new predictor as far as it helps.
    encoder : str, optional
        ``clip``, ``clip:large``, ``clip:MODEL/PRETRAINED``, ``clip:MODEL@PATH`` or ``bundled``; by default that of the
        first base with its views, or ``clip``. It must be that of every base.
    views, mirror : sequence of str, bool, optional
        What its networks see, as in `prescreen.encoders.make_encoder`.
    precision : str
        Arithmetic of its networks, as in `prescreen.encoders.make_encoder`; ``auto`` is ``f32`` where a base has that.
    device : str, optional
        Where they run: ``auto``, ``cpu``, ``cuda`` or ``mps``; by default what ``PRESCREEN_DEVICE`` says, or ``auto``.
    output : Path, optional
        Directory of the predictor; by default ``models/`` and the name of the ratings.
    experiment : str, optional
        MLflow experiment; by default what ``MLFLOW_EXPERIMENT_NAME`` says, or ``prescreen``.
    seed : int, 0 to 2**32 - 1
        Seed of folds and regressors.
    simulated : bool
        Whether the votes, or those of one of the files, are simulated.
    learning_curve : bool
        Whether to measure what more pictures and more votes would give, which takes about three times as long.
    auxiliary : bool
        Whether to learn from the traits of the ratings that ``traits`` leaves out, too; see
        `prescreen.ratings.other_columns.with_auxiliary`.
    leave_out_raters : bool
        Whether votes that tell nothing, or the opposite of what others say, are left out; see
        `prescreen.ratings.rater_checks`.
    forget_portraits : bool
        Whether the predictor holds no vector, face descriptor or hash of any portrait. It then does without the
        regressors that need vectors, and so without auxiliary traits. It knows neither how unlike the training
        portraits a picture is, nor which pictures it was trained on.
    trees : bool
        Whether boosted trees are among the stacked regressors. They add about 0.001 to R² from 400 pictures on, and
        take several times as long; with ``forget_portraits`` they are always among them.
    """

    ratings: Path
    images: Path | None = None
    traits: Mapping[str, str] | None = None
    columns: Mapping[str, str] | None = None
    scale: Scale | None = None
    others: Sequence[RatingsFile] = ()
    bases: Sequence[str] = ()
    encoder: str | None = None
    views: Sequence[str] | None = None
    mirror: bool | None = None
    precision: str = "auto"
    device: str | None = None
    output: Path | None = None
    experiment: str | None = None
    seed: int = 0
    simulated: bool = False
    learning_curve: bool = False
    auxiliary: bool = True
    leave_out_raters: bool = False
    forget_portraits: bool = False
    trees: bool = False

    @classmethod
    def of_files(cls, files: Sequence[RatingsFile], **options: Any) -> Self:
        """Return the options of a training on rating files, of which the first is predicted."""
        first, *others = files
        return cls(**vars(first), others=tuple(others), **options)


@dataclass(frozen=True)
class Training:
    """What `train` made: the predictor's directory, cross-validated evaluation and manifest, and the MLflow run."""

    output: Path
    evaluation: Evaluation
    manifest: Manifest
    run: "TrackedRun"


@reported
def train(options: TrainingOptions, reporter: ProgressReporter | None = None) -> Training:
    """Train a predictor on ratings, evaluate it by nested cross-validation, save it and log it to MLflow.

    Parameters
    ----------
    options : TrainingOptions
        What to train on, and how.
    reporter : ProgressReporter, optional
        Receives progress messages.

    Raises
    ------
    PrescreenError
        If ratings, pictures, the output or the MLflow store cannot be used. The directory of the predictor is written
        last, so a training that fails leaves an older predictor there as it was.
    """
    from prescreen import tracking
    from prescreen.workflow.run_records import record_training

    reporter = reporter or NullReporter()
    output = options.output or Path("models") / options.ratings.resolve().stem
    name = output.absolute().name
    announce_overwrite(output, reporter)
    check_others(options)
    bases = open_bases(options)
    rated = _read(options, reporter)
    others = read_others(options, rated, reporter)
    check_ratings(rated, bases)
    tracking.check_store(options.experiment)
    check_place(output)  # a new store may lie there, where the output is the working directory
    encoder = make_training_encoder(options, bases)
    reporter.info(f"encoder    {describe_encoder(options, bases, encoder)}")
    with tracking.watched_run(options.experiment, name) as run_id:
        pictures = rated_images(rated)
        embedded = list(embed_inputs(pictures, encoder, reporter, title="embedding", may_choose=not bases))
        joined = join(rated, embedded, encoder.specification)
        dataset = with_bases(joined, [base.predictor.as_base() for base in bases])
        dataset = join_others(dataset, rated, others, encoder, options.seed, reporter)
        reporter.detail(f"groups     {dataset.grouping}")
        report_bases(dataset, bases, encoder, reporter)
        stack = {"hold_rows": not options.forget_portraits, "trees": options.trees}
        total = steps.usual_folds(dataset.groups) * steps_of_fold(**stack)
        with reporter.progress("cross-validating", total, "step") as advance:
            validation = steps.cross_validate_dataset(dataset, options.seed, advance, **stack)
        fitted = _fit(name, encoder.specification, rated, others, dataset, validation, options, bases, reporter)
        predictor = reproducibility.with_canaries(fitted, encoder)
        example = steps.draw_example(encoder)
        with tempfile.TemporaryDirectory(prefix="prescreen-", ignore_cleanup_errors=True) as folder:
            copy = Path(folder) / name
            predictor.save(copy)
            used, helpers = (bases, others) if predictor.bases else ((), ())
            record = record_training(
                predictor, copy, rated, dataset, validation, example, options.experiment, used, helpers
            )
            run = tracking.track_training(record, run_id, finish=lambda: predictor.save(output))
    for line in rated.crowd.describe():
        reporter.note(line)
    for other in others:
        for line in other.crowd.describe():
            reporter.note(titled(f"helped by  {shown(other.source)}: ", line))
    return Training(output, predictor.evaluation, predictor.manifest, run)


def _read(options: TrainingOptions, reporter: ProgressReporter) -> Ratings:
    rated = read_ratings(
        options.ratings,
        options.traits,
        options.scale,
        options.images,
        columns=options.columns,
        leave_out_raters=options.leave_out_raters,
    )
    check_names(rated.traits, options.traits)
    report_ratings(rated, reporter)
    if options.traits and options.auxiliary and not options.forget_portraits:
        rated = with_auxiliary(rated, options.traits)
        reporter.detail(f"auxiliary  {', '.join(rated.auxiliary.columns) or 'no other traits to learn from'}")
        if rated.only_others and options.ratings not in [other.ratings for other in options.others]:
            option, them = f"--ratings {shown(options.ratings)}", "it" if rated.only_others == 1 else "them"
            reporter.info(
                f"auxiliary  {counted(rated.only_others, 'picture')} {'is' if rated.only_others == 1 else 'are'} rated "
                f"on other traits only; give the file twice to learn from {them}: {option} {option}"
            )
    return rated


def _fit(
    name: str,
    encoder: EncoderSpecification,
    rated: Ratings,
    others: Sequence[Ratings],
    dataset: Dataset,
    validation: CrossValidation,
    options: TrainingOptions,
    bases: Sequence[OpenedBase],
    reporter: ProgressReporter,
) -> Predictor:
    """Evaluate the cross-validation, and fit the predictor on all pictures."""
    seed, forget = options.seed, options.forget_portraits
    columns = options.traits or {trait: trait for trait in rated.traits}
    evaluation = steps.evaluate_out_of_fold(dataset, validation, rated, seed, columns)
    stack = {"hold_rows": not forget, "trees": options.trees}
    curve = steps.measure_learning_curve(dataset, rated, seed, reporter, **stack) if options.learning_curve else None
    regressors = fit_dataset(dataset, seed=seed, hold_rows=not forget, trees=options.trees)
    parts, described = [base.predictor.as_base() for base in bases], [base.describe() for base in bases]
    if regressors.needs_prior:
        parts += [other.as_base() for other in dataset.others]
        described += [
            describe_other(file, read, other.data, options.simulated)
            for file, read, other in zip(options.others, others, dataset.others, strict=True)
        ]
    elif bases or others:
        what = "base     " if bases else "helped by"
        reporter.note(f"{what}  no trait uses it: it is not part of the predictor")
        bases, parts, described = (), [], []
    return Predictor(
        manifest=steps.build_manifest(
            name,
            encoder,
            rated,
            dataset,
            rated.told(columns),
            seed,
            options.simulated,
            forgets=forget,
            bases=described,
            known_to_bases=int(known_persons(dataset, bases).sum()),
        ),
        regressors=regressors,
        calibration=calibrate(dataset, validation, rated),
        portraits=TrainingPortraits.none(len(rated.traits)) if forget else steps.training_index(dataset, validation),
        evaluation=replace(
            evaluation, simulated=options.simulated, learning_curve=curve, scale_width=rated.scale.width
        ),
        novelty_detector=None if forget else NoveltyDetector.fit(dataset.features, dataset.groups),
        bases=tuple(parts),
    )
