"""The job, top to bottom: ratings to predictor, folder to scores, scores to shortlist.

Each public function is a verb of the command line, in the order of ``__all__``. Their steps live in the modules named
after them; ``rank`` and ``review`` are told in `prescreen.candidates`, ``effects`` in
`prescreen.effects`, ``export`` in `prescreen.exporting`, and ``learn``, which comes after, in `prescreen.rounds`.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from prescreen import distributed, drift, provenance, staging, training
from prescreen import learning_curve as curves
from prescreen.candidates import Ranked, rank, review
from prescreen.dataset import Dataset, join
from prescreen.effects import effects
from prescreen.embeddings import Embedded, EmbeddingCache, EmbeddingCounts, describe_faults, embed_images
from prescreen.encoders import CONVERSION, Encoder, make_encoder
from prescreen.errors import NothingScored, PredictorMismatch, RatingsError, UsageError
from prescreen.evaluation.curves import LearningCurve
from prescreen.evaluation.report import Evaluation
from prescreen.evaluation.report import evaluate as evaluate_predictions
from prescreen.exporting import export
from prescreen.grouping import resembles
from prescreen.images import ImageFile, ImageFiles, find_images
from prescreen.narrator import Narrator, Silence
from prescreen.opening import lasting_name, open_predictor
from prescreen.places import check_places
from prescreen.predictor import Predictor, TrainingPortraits
from prescreen.predictor_files import announce_place, check_place
from prescreen.provenance import ScoresNote
from prescreen.ratings import Ratings, UnknownTrait, read_ratings, with_auxiliary
from prescreen.regressors.familiarity import Familiarity
from prescreen.regressors.fit import fit_final
from prescreen.remote import is_url
from prescreen.scoring import score_parts, score_pictures
from prescreen.tables import table_format
from prescreen.trait_names import check_names
from prescreen.traits import Scale, unknown_name
from prescreen.vectors import write_vectors
from prescreen.zero_shot import rank_zero_shot

if TYPE_CHECKING:
    from prescreen.tracking import TrackedRun

__all__ = [
    "train",
    "evaluate",
    "embed",
    "score",
    "score_table",
    "rank",
    "rank_zero_shot",
    "review",
    "effects",
    "export",
    "demo",
    "Training",
    "Scoring",
    "Ranked",
    "Demo",
]

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
    narrator: Narrator | None = None,
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
    narrator : Narrator, optional
        Hears how the work goes on.
    """
    from prescreen import tracking

    narrator = narrator or Silence()
    output = output or Path("models") / ratings.resolve().stem
    announce_place(output, narrator)
    rated = read_ratings(ratings, traits, scale, images, columns=columns)
    check_names(rated.traits, traits)
    _tell(rated, narrator)
    if traits and auxiliary and not forget_portraits:
        rated = with_auxiliary(rated, traits)
        narrator.say(f"auxiliary  {', '.join(rated.auxiliary.columns) or 'no other traits to learn from'}")
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
            narrator,
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
    narrator: Narrator,
) -> Training:
    """Do the part of `train` that MLflow watches; the arguments are those of `train`."""
    from prescreen import tracking

    files = _rated_files(rated)
    embedded = list(_embed(files, network, narrator, title="embedding"))
    dataset = join(rated, embedded, network.specification)
    narrator.say(f"groups     {dataset.grouping}")
    with narrator.steps("cross-validating", training.FOLDS) as advance:
        validation = training.validate(dataset, seed, advance, hold_rows=not forget_portraits)
    names = traits or {trait: trait for trait in rated.traits}
    evaluation = training.judge(dataset, validation, rated, seed, names)
    curve = _learning_curve(dataset, rated, seed, narrator) if learning_curve else None
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
    manifest = training.describe(
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
        calibration=training.calibrate(dataset, validation, rated),
        portraits=TrainingPortraits.none(len(rated.traits))
        if forget_portraits
        else training.remember(dataset, validation),
        evaluation=replace(evaluation, simulated=simulated, learning_curve=curve),
        familiarity=None if forget_portraits else Familiarity.fit(dataset.features, dataset.groups),
    )
    predictor = drift.with_canaries(predictor, network)
    example = training.draw_example(network)
    with tempfile.TemporaryDirectory(prefix="prescreen-", ignore_cleanup_errors=True) as folder:
        logged = Path(folder) / manifest.name
        predictor.save(logged)
        record = training.record(predictor, logged, rated, dataset, validation, example, experiment)
        # The directory is the last to change: whatever fails before leaves the predictor there, if any, as it was.
        run = tracking.track_training(record, run_id, finish=lambda: predictor.save(output))
    return Training(output, predictor.evaluation, run)


# --- evaluate ---------------------------------------------------------------------------------------------------------


def evaluate(
    predictor: str | Predictor,
    ratings: Path,
    *,
    images: Path | None = None,
    traits: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    scale: Scale | None = None,
    learning_curve: bool = False,
    experiment: str | None = None,
    narrator: Narrator | None = None,
) -> Evaluation:
    """Measure a predictor against ratings of pictures that it was not trained on.

    Parameters
    ----------
    predictor : str or Predictor
        Directory or MLflow model URI, or one that is loaded.
    ratings, images, columns, scale
        As in `train`.
    traits : mapping of str to str, optional
        {trait of the predictor: its name in the ratings}; by default the predictor's own names, or else the names that
        the traits had in its training ratings.
    learning_curve : bool
        Whether to measure with new models, trained on parts of these ratings, what more pictures and votes would give.
    experiment : str, optional
        MLflow experiment to log the evaluation to.
    narrator : Narrator, optional
        Hears how the work goes on.

    Returns
    -------
    Evaluation
        For the very ratings that the predictor was trained on it is the cross-validated one; from other ratings,
        pictures that were trained on, and near-copies of them, are left out.

    Raises
    ------
    RatingsError
        If fewer than ten pictures are left.
    """
    narrator = narrator or Silence()
    loaded = open_predictor(predictor) if isinstance(predictor, str) else predictor
    rated, names = _read_again(loaded, ratings, traits, columns, scale, images)
    _tell(rated, narrator)
    from prescreen import tracking

    if experiment is not None:
        tracking.check_store(experiment)
    with tracking.without_autologging():
        measured = _measure(loaded, rated, names, learning_curve, narrator)
    if experiment is None:
        return measured
    run_id = tracking.track_evaluation(training.record_evaluation(loaded, rated, measured, experiment))
    narrator.say(f"MLflow     run {run_id} in {tracking.store_name()}")
    return measured


def _measure(
    loaded: Predictor, rated: Ratings, names: Mapping[str, str], learning_curve: bool, narrator: Narrator
) -> Evaluation:
    """Do what `evaluate` says, with its arguments read."""
    known = rated.fingerprint == loaded.manifest.data["sha256"] and rated.told(names) == loaded.manifest.data["columns"]
    if known:
        narrator.say("these are the ratings it was trained on: the cross-validated figures follow")
        if not learning_curve:
            return loaded.evaluation
    if str(rated.scale) != loaded.manifest.scale:
        raise PredictorMismatch(
            f"{rated.source}: votes on the scale {rated.scale}, the predictor was trained on {loaded.manifest.scale}; "
            f"if that is theirs too, say so: --scale {loaded.manifest.scale}"
        )
    encoder = Encoder(loaded.manifest.encoder)
    drift.watch(loaded, encoder, narrator)
    embedded = list(_embed(_rated_files(rated), encoder, narrator, title="embedding"))
    dataset = join(rated, embedded, encoder.specification)
    curve = _learning_curve(dataset, rated, loaded.manifest.seed, narrator) if learning_curve else None
    if known:
        return replace(loaded.evaluation, learning_curve=curve)
    if loaded.manifest.forgets:
        narrator.say("the predictor was told to forget its training portraits: those among these pictures count, too")
    unseen = ~resembles(dataset.faces, loaded.portraits.faces.astype(np.float32))
    unseen &= loaded.portraits.places(dataset.contents) < 0
    if not unseen.all():
        narrator.say(f"{(~unseen).sum()} of {len(unseen)} pictures, or near-copies of them, were trained on: left out")
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
        noise={trait: votes[unseen] for trait, votes in training.vote_noise(dataset, rated).items()},
        groups=dataset.groups[unseen],
        persons=dataset.known_persons[unseen],
        labels=training.slice_labels(dataset, rated, names)[unseen],
        seed=loaded.manifest.seed,
    )
    return replace(measured, simulated=loaded.manifest.simulated, learning_curve=curve)


def _learning_curve(dataset: Dataset, rated: Ratings, seed: int, narrator: Narrator) -> LearningCurve:
    """Measure what more pictures and more votes would give, with models trained on parts of these ratings."""
    noise = training.vote_noise(dataset, rated)
    with narrator.steps("learning curve", len(curves.thinnings(dataset, noise))) as advance:
        return curves.learning_curve(dataset, noise, seed, advance)


# --- embed and score --------------------------------------------------------------------------------------------------

LOCAL: Final = "local"
RAY: Final = "ray"
ENGINES: Final = (LOCAL, RAY)


def embed(
    inputs: Sequence[Path | str],
    *,
    encoder: str = "clip",
    precision: str = "f32",
    device: str | None = None,
    output: Path | None = None,
    follow_links: bool = False,
    narrator: Narrator | None = None,
) -> EmbeddingCounts:
    """Turn pictures into vectors, keep them in the cache and, if asked to, write them to a Parquet file.

    The columns of the file are those of `prescreen.vectors.write_vectors`.
    """
    narrator = narrator or Silence()
    if output is not None and table_format(output) != "parquet":
        raise UsageError(f"{output}: vectors are written as .parquet")
    files = _found(inputs, follow_links)  # before any weights are fetched
    check_places({"--output": output}, _places_of(inputs))
    network = make_encoder(encoder, precision, device)
    counts = EmbeddingCounts()
    rows = _embed(files, network, narrator, title="embedding", counts=counts)
    if output is not None:
        write_vectors(rows, network.specification.dimension, output)
    for _ in rows:  # where nothing is written, the cache is what is wanted
        pass
    if counts.failed == len(files):
        raise NothingScored(
            f"none of the {len(files)} pictures could be used: {describe_faults(counts.faults)}; "
            f"the first: {counts.reason}"
        )
    return counts


@dataclass(frozen=True)
class Scoring:
    """What `score` did: the table's path, pictures scored and failed, and where the vectors came from."""

    output: Path | str
    scored: int
    failed: int
    counts: EmbeddingCounts


def score(
    inputs: Sequence[Path | str],
    *,
    predictor: str,
    output: Path | str,
    tolerant: bool = False,
    follow_links: bool = False,
    engine: str = LOCAL,
    ray_address: str | None = None,
    device: str | None = None,
    narrator: Narrator | None = None,
) -> Scoring:
    """Score pictures and write the table, with ``OUTPUT.meta.json`` beside it.

    Parameters
    ----------
    inputs : sequence of Path or str
        Folders or image files, or one URL that fsspec knows.
    predictor : str
        Directory or MLflow model URI.
    output : Path or str
        ``.csv``, ``.parquet`` or ``.jsonl``, or a folder of Parquet parts (no suffix, or ``/`` at the end), here or at
        a URL; columns as in `prescreen.scoring.score_pictures`.
    tolerant : bool
        Score truncated pictures as far as they go instead of failing them.
    follow_links : bool
        Follow links that lead out of the folders; otherwise they are failed rows, see `prescreen.images.find_images`.
    engine : str
        ``local``, or ``ray`` for actors on this machine or a cluster; see `prescreen.distributed`.
    ray_address : str, optional
        Address of a Ray cluster.
    device : str, optional
        As in `train`.
    narrator : Narrator, optional
        Hears how the work goes on.

    Raises
    ------
    NothingScored
        If there is no picture, or every picture failed; the table is written in the second case.
    """
    narrator = narrator or Silence()
    if engine not in ENGINES:
        raise UsageError(unknown_name(engine, ENGINES, "engine"))
    staging.is_folder(str(output))  # a wrong ending is known before the work is done
    if engine == RAY:
        distributed.check_installed()
    loaded = open_predictor(predictor)
    encoder = Encoder(loaded.manifest.encoder, device)
    files = _found(inputs, follow_links)
    if not is_url(output):
        check_places({"--output": Path(output)}, _places_of(inputs))
    canaries = drift.watch(loaded, encoder, narrator)
    counts = EmbeddingCounts()
    with staging.stage_table(str(output)) as table:
        if engine == RAY:
            with narrator.steps("scoring", len(files)) as advance:
                table.write(
                    distributed.score_distributed(
                        files,
                        loaded,
                        tolerant=tolerant,
                        device=encoder.device,
                        counts=counts,
                        address=ray_address,
                        advance=advance,
                    )
                )
        else:
            rows = _embed(files, encoder, narrator, title="scoring", counts=counts, tolerant=tolerant)
            table.write(score_parts(rows, loaded))
        scored = counts.decoded + counts.cached
        note = _scores_note(inputs, predictor, loaded, table.sha256, counts, tolerant, canaries.text)
        note.write(table.place, table.take_place)
    if not scored:
        raise NothingScored(
            f"none of the {counts.failed} pictures could be scored: {describe_faults(counts.faults)}; "
            f"the first: {counts.reason}"
        )
    return Scoring(output, scored, counts.failed, counts)


def _scores_note(
    inputs: Sequence[Path | str],
    predictor: str,
    loaded: Predictor,
    sha256: str,
    counts: EmbeddingCounts,
    tolerant: bool,
    canaries: str,
) -> ScoresNote:
    return ScoresNote(
        table_sha256=sha256,
        predictor=lasting_name(predictor),
        predictor_name=loaded.manifest.name,
        predictor_sha256=loaded.fingerprint,
        encoder=loaded.manifest.encoder.name,
        encoder_sha256=loaded.manifest.encoder.fingerprint,
        traits=loaded.traits,
        inputs=tuple(str(place if is_url(place) else Path(place).resolve()) for place in inputs),
        scored=counts.decoded + counts.cached,
        failed=counts.failed,
        faults=counts.faults,
        tolerant=tolerant,
        simulated=loaded.manifest.simulated,
        versions=provenance.versions(),
        canaries=canaries,
    )


def score_table(
    inputs: Sequence[Path | str],
    predictor: Predictor,
    *,
    tolerant: bool = False,
    follow_links: bool = False,
    narrator: Narrator | None = None,
) -> pd.DataFrame:
    """Score pictures and return the table, with the columns of `prescreen.scoring.score_pictures`."""
    narrator = narrator or Silence()
    files, encoder = _found(inputs, follow_links), Encoder(predictor.manifest.encoder)
    drift.watch(predictor, encoder, narrator)
    rows = _embed(files, encoder, narrator, title="scoring", tolerant=tolerant)
    return score_pictures(rows, predictor)


# --- demo -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Demo:
    """What `demo` made and where."""

    training: Training
    ranking: Ranked
    scores: Path
    shortlist: Path
    report: Path


def demo(output: Path, *, sample: Path | None = None, narrator: Narrator | None = None) -> Demo:
    """Train, score and rank on the sample portraits, whose votes are simulated.

    Parameters
    ----------
    output : Path
        Folder to fill; it gets a predictor, an MLflow store, scores, a shortlist and a report.
    sample : Path, optional
        Folder of the sample, by default ``data/sample`` of the repository.
    narrator : Narrator, optional
        Hears how the work goes on.
    """
    from prescreen import tracking

    narrator = narrator or Silence()
    sample = sample or _sample()
    scores, shortlist, report = (output / name for name in ("scores.csv", "shortlist.csv", "report.html"))
    with tracking.store_below(output):
        trained = train(
            sample / "training" / "votes.csv",
            encoder="bundled",
            output=output / "models" / "sample",
            experiment="demo",
            simulated=True,
            narrator=narrator,
        )
    score([sample / "candidates"], predictor=str(trained.output), output=scores, narrator=narrator)
    ranked = rank(scores, baseline=str(sample / "baseline.jpg"), output=shortlist, report=report, narrator=narrator)
    return Demo(trained, ranked, scores, shortlist, report)


def _sample() -> Path:
    for root in (Path.cwd(), Path(__file__).parents[2]):
        if (root / "data" / "sample" / "baseline.jpg").is_file():
            return root / "data" / "sample"
    raise UsageError("the sample is in the repository's data/sample; clone it, or name a folder with --sample")


# --- what the verbs share ---------------------------------------------------------------------------------------------


def _read_again(
    predictor: Predictor,
    ratings: Path,
    traits: Mapping[str, str] | None,
    columns: Mapping[str, str] | None,
    scale: Scale | None,
    images: Path | None,
) -> tuple[Ratings, dict[str, str]]:
    """Read ratings in a predictor's traits, and return the names that the traits have there.

    Without ``traits`` these are the predictor's own, or else those of its training ratings.
    """
    if traits and set(traits) != set(predictor.traits):
        known = ", ".join(predictor.traits)
        raise UsageError(f"the predictor's traits are {known}; --traits names {', '.join(traits)}")
    own = {trait: traits[trait] if traits else trait for trait in predictor.traits}
    read = partial(read_ratings, columns=columns, expected_scale=Scale.parse(predictor.manifest.scale))
    try:
        return read(ratings, own, scale, images), own
    except UnknownTrait:
        trained = dict(predictor.manifest.data["columns"])
        if traits or trained == own:
            raise
        return read(ratings, trained, scale, images), trained


def _found(inputs: Sequence[Path | str], follow_links: bool) -> ImageFiles:
    files = find_images(inputs, follow_links=follow_links)
    if not files:
        raise NothingScored(f"{', '.join(map(str, inputs))}: no pictures there (JPEG, PNG, WebP)")
    return files


def _places_of(inputs: Sequence[Path | str]) -> dict[str, Path]:
    """Return the inputs on this machine by their names."""
    return {str(place): Path(place) for place in inputs if not is_url(place)}


def _rated_files(rated: Ratings) -> list[ImageFile]:
    if rated.images_dir is None:
        raise UsageError(f"{rated.source}: the folder of the pictures is not known; name it with --images")
    return [ImageFile(rated.images_dir / name, name) for name in rated.wide().index]


def _embed(
    files: Sequence[ImageFile],
    encoder: Encoder,
    narrator: Narrator,
    *,
    title: str,
    counts: EmbeddingCounts | None = None,
    tolerant: bool = False,
) -> Iterator[Embedded]:
    if encoder.must_convert:
        narrator.say(CONVERSION)
    with EmbeddingCache() as cache, narrator.steps(title, len(files)) as advance:
        yield from embed_images(files, encoder, cache, tolerant=tolerant, counts=counts, advance=advance)


def _tell(rated: Ratings, narrator: Narrator) -> None:
    """Say what was read, so that a wrong guess about the file is seen before the work is done."""
    for note in rated.notes:
        narrator.say(note)
    images = rated.table["image"].nunique()
    votes = rated.table["votes"].sum()
    counted = f", {votes:.0f} votes" if votes else ""
    narrator.say(f"ratings    {images} pictures, {', '.join(rated.traits)}{counted} on {rated.scale} ({rated.format})")
