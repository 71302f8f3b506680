"""The verb ``pick``: from a folder to the pictures to send, in one step."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pandas as pd

from prescreen.embeddings.pipeline import EmbeddingCache, describe_faults
from prescreen.errors import UsageError
from prescreen.images.files import ImageFile
from prescreen.images.in_memory import Picture, check_pictures, is_picture, save_pictures
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.predictor import Predictor
from prescreen.progress import NullReporter, ProgressReporter, reported
from prescreen.ranking.options import DEFAULT_OPTIONS, RankingOptions
from prescreen.ranking.stopping import Advice
from prescreen.reports.ratings_origin import RatingsOrigin
from prescreen.shortlist.baseline import announce_comparison, read_baseline
from prescreen.shortlist.shortlist import Shortlist
from prescreen.storage.atomic import stage_folder
from prescreen.storage.remote import is_url
from prescreen.text import is_file, shown
from prescreen.workflow import session
from prescreen.workflow.copies import copy_pictures, current_copy, original_files, upload_names
from prescreen.workflow.inputs import find_inputs, load_predictor, resolve_model_uri, warn_of_simulation
from prescreen.workflow.last_rank import LastRank
from prescreen.workflow.rank import rank
from prescreen.workflow.score import Scoring, score
from prescreen.workflow.session import DRAWN, PICTURES, REPORT, SCORES, SHORTLIST, Session
from prescreen.workflow.train import TrainingOptions
from prescreen.workflow.trained_once import train_on_own, train_on_public


@dataclass(frozen=True)
class PickOptions:
    """By what the pictures are predicted, and where the shortlist goes.

    Parameters
    ----------
    predictor : str, optional
        Directory or MLflow model URI. Without it the ratings are trained on; without those the champion is taken, and
        where there is none, the predictor of the public ratings.
    ratings : Path, optional
        Ratings to train on, once; see `prescreen.workflow.trained_once.train_on_own`.
    images : Path, optional
        Folder of the rated pictures; by default beside the ratings.
    traits : mapping of str to str, optional
        {name of the trait: its name in the ratings}; by default all traits of the ratings.
    simulated : bool
        Whether the votes of the ratings are simulated.
    accept_licence : bool
        Whether the licence of the public ratings is accepted; with ``ratings`` they then are the base, once fetched.
        Means nothing with ``predictor``, so that a script may always give it.
    source : str, optional
        File or URL of the public ratings' archive; by default the public repository.
    output : Path, optional
        Folder to write; by default the name of the first folder with ``-shortlist``, in the working directory, or
        beside the folder where that is within it.
    seed : int
        Seed of a training.
    keep_metadata : bool
        Whether the copies keep what they tell about places, people and devices.
    """

    predictor: str | None = None
    ratings: Path | None = None
    images: Path | None = None
    traits: Mapping[str, str] | None = None
    simulated: bool = False
    accept_licence: bool = False
    source: str | None = None
    output: Path | None = None
    seed: int = 0
    keep_metadata: bool = False

    def __post_init__(self) -> None:
        if self.predictor is not None and self.ratings is not None:
            raise UsageError("--predictor and --ratings: give one of them; a predictor has its ratings already")
        if self.predictor is not None and self.seed:
            raise UsageError("--seed: says something of a training; leave it out with --predictor")
        if self.source is not None and (self.predictor or self.ratings) is not None:
            raise UsageError("--source: says where the public ratings are; leave it out with --predictor and --ratings")
        needs_ratings = {"--images": self.images, "--traits": self.traits, "--simulated": self.simulated or None}
        for option, value in needs_ratings.items():
            if value is not None and self.ratings is None:
                raise UsageError(f"{option}: says something of ratings to train on; give them with --ratings")


DEFAULT_PICK: Final = PickOptions()
"""By the champion, or else the public ratings once their licence is accepted."""


@dataclass(frozen=True)
class Picked:
    """What `pick` made.

    Attributes
    ----------
    folder : Path
        The folder that was written: the copies, ``shortlist.csv``, ``scores.csv`` and ``report.html``.
    table : DataFrame
        All candidates, the best first; columns as in ``docs/tables.md``.
    advice : Advice
        Whether to send the pictures to people, and the chance that at least one beats the current photo.
    copies : mapping of str to str
        {name of a copy: name of the candidate}, in the order to upload.
    current_copy : str
        Name of the current photo's copy; the empty text where there is none.
    not_copied : mapping of str to str
        {name of a copy that could not be written, as its metadata cannot be removed: where the original is}.
    manifest : Manifest
        What the predictor is and where it comes from.
    scoring : Scoring
        How many pictures were scored and failed, and how many came from the cache.
    """

    folder: Path
    table: pd.DataFrame
    advice: Advice
    copies: Mapping[str, str]
    current_copy: str
    not_copied: Mapping[str, str]
    manifest: Manifest
    scoring: Scoring

    @property
    def shortlist(self) -> pd.DataFrame:
        """Rows of the pictures to send."""
        return self.table[self.table["selected"]]

    @property
    def report(self) -> Path:
        """The page with all pictures."""
        return self.folder / REPORT

    def describe_excluded(self) -> str:
        """Say how many pictures were excluded or could not be scored, and why; the empty text if none."""
        excluded = Shortlist(self.table, self.advice).describe_excluded()
        counts = self.scoring.counts
        failed = f"{counts.failed} could not be scored: {describe_faults(counts.faults)}" if counts.failed else ""
        return "; ".join(part for part in (excluded, failed) if part)

    def describe_origin(self) -> str:
        """Say where the predictions come from, and how far they are from what is asked."""
        return RatingsOrigin.of(self.manifest).describe()

    def _repr_html_(self) -> str:
        """Show the page in a notebook."""
        from prescreen.reports.notebook import as_frame

        return as_frame(self.report)


@reported
def pick(
    inputs: Sequence[Path | str | Picture],
    *,
    current: Path | str | Picture | None = None,
    options: RankingOptions = DEFAULT_OPTIONS,
    by: PickOptions = DEFAULT_PICK,
    ask: Callable[[str], bool] | None = None,
    reporter: ProgressReporter | None = None,
) -> Picked:
    """Score pictures, rank them, and write a folder with those to send, the tables and the page.

    The folder appears when all of it is written, in the place of what an earlier ``pick`` wrote. Vectors are kept in
    the cache as they are made, so that an interrupted run goes on where it was.

    Parameters
    ----------
    inputs : sequence of Path, str or Picture
        Folders, image files, one URL; or pictures in memory. Nothing is written into the folders.
    current : Path, str or Picture, optional
        The current photo. Without it, and without ``options.baseline_scores``, pictures are ranked by their predicted
        scores.
    options : RankingOptions
        What should improve, what must stay, how many pictures can be sent and which checks exclude pictures.
    by : PickOptions
        By what the pictures are predicted, and where the shortlist goes.
    ask : callable, optional
        Asks a question and returns whether the answer was yes: for the licence of the public ratings.
    reporter : ProgressReporter, optional
        Receives progress messages.

    Raises
    ------
    NothingScored
        If there is no picture, or none could be scored; nothing is written.
    UsageError
        If the output holds other things or lies in one of the folders, or no predictor can be chosen.
    """
    reporter = reporter or NullReporter()
    drawn = [given for given in inputs if is_picture(given)]
    places = [given for given in inputs if isinstance(given, str | Path)]
    output = by.output or default_output(places)
    origin = tuple(sorted(str(place) if is_url(place) else os.path.realpath(place) for place in places))
    if len(places) < len(inputs):
        origin = (check_pictures(inputs),)
        output = by.output or _free_output(output, origin)
    if is_picture(current):
        check_pictures([current])
    session.check_replaceable(output, origin)
    _check_outside(output, current, places)
    if current is not None and not is_picture(current) and not is_file(str(current)):
        raise UsageError(f"--current {shown(str(current))}: no such picture; its scores go to --current-scores")
    if not drawn:
        find_inputs(places, follow_links=False)  # none at all is known before a training
    place = choose_predictor(by, ask, reporter)
    with stage_folder(output, lambda older: session.is_replaceable(older, origin)) as (folder, commit):
        if drawn:
            save_pictures(inputs, folder / DRAWN)
            places = [folder / DRAWN]
        if is_picture(current):
            current = save_pictures([current], folder / PICTURES / "current")[0]
        photo = None if current is None else str(current)
        predictor = load_predictor(place)
        _check_current(photo, options, predictor, reporter)
        scoring = score(places, predictor=place, output=folder / SCORES, reporter=reporter)
        counts = scoring.counts
        reporter.info(f"pictures   {scoring.scored} scored: {counts.cached} from the cache, {counts.decoded} new")
        ranked = rank(
            folder / SCORES,
            baseline=photo,
            options=options,
            output=folder / SHORTLIST,
            report=folder / REPORT,
            predictor=place,
            images=places,
            keep_metadata=by.keep_metadata,
            reporter=_Steps(reporter),
        )
        files = find_inputs(places, follow_links=False)
        proposed = upload_names(ranked.shortlist["image"].tolist(), files.names)
        here = {name: files[row] for row, name in enumerate(files.names) if name in proposed.values()}
        originals = original_files(here, proposed)
        first = current_copy(photo, files.names) if photo is not None else ""
        if photo is not None and proposed:
            originals = {first: ImageFile(Path(photo), Path(photo).name), **originals}
        left = copy_pictures(originals, folder, reporter, keep_metadata=by.keep_metadata)
        _note(folder, output, photo, Session(place, "", options, proposed, {}, origin, first, by.keep_metadata))
        commit()
    return Picked(
        output,
        ranked.table,
        ranked.advice,
        {copy: name for copy, name in proposed.items() if copy not in left},
        first if first in originals and first not in left else "",
        left,
        predictor.manifest,
        scoring,
    )


def choose_predictor(by: PickOptions, ask: Callable[[str], bool] | None, reporter: ProgressReporter) -> str:
    """Return the directory or URI of the predictor that was named, or else is there, or else can be trained.

    Raises
    ------
    UsageError
        If there is none and the licence of the public ratings is not accepted.
    """
    if by.predictor is not None:
        return resolve_model_uri(by.predictor)
    if by.ratings is not None:
        training = TrainingOptions(by.ratings, images=by.images, traits=by.traits, seed=by.seed, simulated=by.simulated)
        return str(train_on_own(training, by.accept_licence, ask, reporter))
    from prescreen import tracking

    if (champion := tracking.find_champion()) is not None:
        reporter.info(f"predictor  the champion, version {champion.version} in {tracking.store_name()}")
        return champion.uri
    return str(train_on_public(by.accept_licence, ask, reporter, source=by.source, seed=by.seed))


def default_output(places: Sequence[Path | str]) -> Path:
    """Return the folder to write where none was named; it never lies in a folder that is searched."""
    if not places:
        return Path("pictures-shortlist")
    if is_url(first := places[0]):
        return Path(f"{str(first).rstrip('/').rpartition('/')[2] or 'pictures'}-shortlist")
    folder = Path(os.path.abspath(first))
    folder = folder if folder.is_dir() else folder.parent
    output = Path(f"{folder.name or 'pictures'}-shortlist")
    return folder.parent / output if Path.cwd().is_relative_to(folder) and Path(first).is_dir() else output


def _free_output(output: Path, origin: tuple[str, ...]) -> Path:
    """Return the first of NAME, NAME-2, NAME-3 ... that is free, or holds what was picked from the same pictures."""
    number = 1
    place = output
    while not session.is_replaceable(place, origin):
        number += 1
        place = output.with_name(f"{output.name}-{number}")
    return place


def _check_outside(output: Path, current: object, places: Sequence[Path | str]) -> None:
    """Refuse an output in a folder that is searched, and one that replaces what is read."""
    target = Path(os.path.realpath(output))
    here = [Path(os.path.realpath(place)) for place in places if not is_url(place)]
    for place in here:
        if place.is_dir() and target.is_relative_to(place):
            raise UsageError(
                f"--output {shown(output)}: lies in {shown(place)}, which is searched; name a folder outside"
            )
    read = [*here, *([] if current is None or is_picture(current) else [Path(os.path.realpath(str(current)))])]
    for place in read:
        if place.is_relative_to(target):
            raise UsageError(f"--output {shown(output)}: {shown(place)} lies in it and would be replaced; name another")


def _check_current(
    photo: str | None, options: RankingOptions, predictor: Predictor, reporter: ProgressReporter
) -> None:
    """Say what candidates are compared with; options that do not fit stop here, before a candidate is read."""
    encoder = predictor.make_encoder()
    reporter.info(f"encoder    {predictor.manifest.encoder.choice}, that of the predictor")
    warn_of_simulation(predictor, reporter)
    goals = options.goals(predictor.traits)
    with EmbeddingCache() as cache:
        announce_comparison(goals, read_baseline(photo, options, predictor, encoder, cache), predictor, reporter)


def _note(folder: Path, output: Path, photo: str | None, note: Session) -> None:
    """Write the note by which `learn` goes on; pictures given in memory are in the folder that is about to be named."""
    session.note_pictures(folder, output)
    _note_last_rank(folder, Path(os.path.realpath(output)))
    current = "" if photo is None else os.path.abspath(photo)
    if Path(current).is_relative_to(folder):
        current = str(Path(current).relative_to(folder))
    options = note.options
    human = options.baseline_scores
    replace(
        note,
        current=current,
        options=replace(
            options,
            references=[Path(os.path.abspath(place)) for place in options.references],
            baseline_scores=os.path.abspath(human) if human and is_file(human) else human,
        ),
        files=session.written_files(folder),
    ).write(folder)


def _note_last_rank(folder: Path, target: Path) -> None:
    """Let the note by which `review` goes on name files where they will be, not in the folder that is being filled."""
    if (last := LastRank.read(folder / SCORES)) is None:
        return

    def renamed(place: str) -> str:
        return str(target / Path(place).relative_to(folder)) if Path(place).is_relative_to(folder) else place

    current = None if last.baseline is None else renamed(last.baseline)
    replace(last, baseline=current, images=tuple(map(renamed, last.images))).write(folder / SCORES)


class _Steps:
    """Passes on progress and warnings; what `rank` says between is said at the end."""

    def __init__(self, reporter: ProgressReporter) -> None:
        self.progress, self.warn = reporter.progress, reporter.warn

    def info(self, message: str) -> None:
        """Say nothing."""

    note = detail = info
