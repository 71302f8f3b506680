"""The verb ``learn`` after ``pick``: what was tested, and against what, is in the folder that ``pick`` wrote."""

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from prescreen.embeddings.pipeline import EmbeddingCache
from prescreen.errors import PredictorError, PredictorNotFound, UsageError
from prescreen.images.files import ImageFile
from prescreen.predictor.scored_files import find_candidates
from prescreen.progress import NullReporter, ProgressReporter, reported
from prescreen.ranking.options import DEFAULT_OPTIONS, RankingOptions
from prescreen.ratings.results import read_results
from prescreen.ratings.scale import Scale
from prescreen.reports.decisions import decisions_beside
from prescreen.storage.provenance import ScoresMetadata
from prescreen.storage.tables import read_table
from prescreen.text import shown
from prescreen.workflow import session
from prescreen.workflow.copies import copy_pictures, current_copy, original_files, upload_names
from prescreen.workflow.inputs import load_predictor
from prescreen.workflow.learn import Learned, learn
from prescreen.workflow.session import SCORES, SHORTLIST, Round, Session


@dataclass(frozen=True)
class LearnedPick:
    """What `learn_pick` made.

    Parameters
    ----------
    learned : Learned
        As from `learn`.
    folder : Path
        The round's folder: the predictor that has learned, the new ranking, and copies of the pictures to send next.
    copies : mapping of str to str
        {name of a copy: name of the candidate}, in the order to upload; none where nothing is to be sent.
    current_copy : str
        Name of the current photo's copy; the empty text where there is none, or nothing is to be sent.
    not_copied : mapping of str to str
        {name of a copy that could not be written, as its metadata cannot be removed: where the original is}.
    shortlist : Path or None
        The new ranking.
    round : int
        The number of the next round.
    """

    learned: Learned
    folder: Path
    copies: Mapping[str, str]
    current_copy: str
    not_copied: Mapping[str, str]
    shortlist: Path | None
    round: int


@reported
def learn_pick(
    results: Path,
    folder: Path,
    *,
    predictor: str | None = None,
    output: Path | None = None,
    baseline: str | None = None,
    options: RankingOptions = DEFAULT_OPTIONS,
    shortlist: Path | None = None,
    reporter: ProgressReporter | None = None,
    **others: Any,
) -> LearnedPick:
    """Learn from the scores of pictures that ``pick`` proposed, and copy the pictures to send next.

    Parameters
    ----------
    results : Path
        Typed scores; the names are those of the copies or of their originals.
    folder : Path
        What ``pick`` wrote. Each round adds a folder to it, and the next one goes on from there.
    predictor, output, baseline, shortlist
        As in `learn`; without them what the folder knows, and places in it.
    options : RankingOptions
        Those that are not as usual replace those of ``pick``.
    reporter : ProgressReporter, optional
        Receives progress messages.
    **others
        As in `learn`.

    Raises
    ------
    UsageError
        If ``pick`` did not write the folder.
    """
    reporter = reporter or NullReporter()
    note = Session.read(folder)
    session.note_pictures(folder, folder)
    photo = baseline or note.place(folder, note.current) or None
    reporter.info(f"session    {shown(folder)}: its predictor, scores{' and current photo' * (photo is not None)}")
    table = read_table(folder / SCORES, text={"image"})
    candidates = set(table["image"])
    copies, first = dict(note.uploaded), ""
    if photo is not None:
        first = note.current_copy if baseline is None else current_copy(photo, candidates)
        if (plain := Path(photo).name) not in candidates:
            copies[plain] = first
    sent = note.uploaded
    if note.rounds:
        note = _before_these(note, folder, results, copies, candidates, first, predictor, reporter, others)
    place = folder / f"round-{note.round + 1}"
    options = note.options_with(options)
    if shortlist is None and (photo is not None or options.baseline_scores is not None):
        shortlist = place / SHORTLIST
    others["decisions"] = others.get("decisions") or _reviewed(folder, reporter)
    try:
        done = learn(
            results,
            predictor=predictor or note.place(folder, note.predictor),
            output=output or place / "learned",
            scores=folder / SCORES,
            baseline=photo,
            options=options,
            shortlist=shortlist,
            copies=copies,
            baseline_name=first or None,
            reporter=reporter,
            **others,
        )
    except PredictorNotFound as error:
        if predictor is not None:
            raise
        raise _gone(folder, note) from error
    proposed: dict[str, str] = {}
    left: dict[str, str] = {}
    if done.content["proposed"]:
        current = {} if photo is None else {first: ImageFile(Path(photo), Path(photo).name)}
        proposed, left = _copy(done.content["proposed"], current, note, folder, place, table, reporter)
    for name in sent.keys() - note.uploaded.keys() - proposed.keys():  # of this round, when it was learned from before
        (place / name).unlink(missing_ok=True)
    learned = done.output.resolve()
    inside = learned.relative_to(folder.resolve()) if learned.is_relative_to(folder.resolve()) else learned
    tested = tuple(name for name in done.tested if name != first)
    this = Round(os.path.abspath(results), session.sha256_of(results), tested, note.predictor, proposed)
    note = note.next_round(str(inside), this)
    note.write(folder)
    written = {copy: name for copy, name in proposed.items() if copy not in left}
    copied = first if proposed and first not in left else ""
    return LearnedPick(done, place, written, copied, left, shortlist, note.round)


def _reviewed(folder: Path, reporter: ProgressReporter) -> Path | None:
    """Return the table in which `review` saved decisions about the session's pictures, where there is one."""
    place = decisions_beside(folder / SCORES)
    if not place.is_file():
        return None
    reporter.info(f"decisions  of prescreen review: {shown(place)}")
    return place


def _copy(
    names: Sequence[str],
    current: Mapping[str, ImageFile],
    note: Session,
    folder: Path,
    place: Path,
    table: pd.DataFrame,
    reporter: ProgressReporter,
) -> tuple[dict[str, str], dict[str, str]]:
    """Copy what is sent next; returns names of the copies with their originals, and what could not be copied."""
    with EmbeddingCache() as cache:
        scored = find_candidates(ScoresMetadata.read(folder / SCORES), table, (), cache, NullReporter())
    files = {file.name: file for file in scored}
    proposed = upload_names(names, files, note.uploaded)
    originals = {**current, **original_files(files, proposed)}
    return proposed, copy_pictures(originals, place, reporter, keep_metadata=note.keep_metadata)


def _before_these(
    note: Session,
    folder: Path,
    results: Path,
    copies: Mapping[str, str],
    candidates: Set[str],
    current: str,
    predictor: str | None,
    reporter: ProgressReporter,
    others: Mapping[str, Any],
) -> Session:
    """Return the note as it was before these results were learned from; the note itself if they are new."""
    place = predictor or note.place(folder, note.predictor)
    try:
        before = load_predictor(place)
    except PredictorNotFound as error:
        if predictor is not None:
            raise
        raise _gone(folder, note) from error
    tested = read_results(
        results,
        others.get("tested_traits") or before.traits,
        candidates | {current} - {""},
        where=str(folder),
        training=Scale.parse(before.manifest.scale),
        raw=others.get("raw", False),
        columns=others.get("columns"),
        copies=copies,
    ).images
    tested = tuple(name for name in tested if name != current)
    again = [number for number, done in enumerate(note.rounds, 1) if done.is_again(results, tested)]
    if not again:
        return note
    number = again[-1]
    last = number == len(note.rounds)
    if not last and session.sha256_of(results) == note.rounds[number - 1].sha256:
        raise UsageError(
            f"{shown(results)}: it was learned from in round {number}, and others after it; give new scores"
        )
    later = "" if last else f"; then learn from {shown(Path(note.rounds[number].results).name)} again"
    reporter.info(f"round {number} again: {shown(results)} replaces what was learned from these pictures before{later}")
    return note.before(number)


def _gone(folder: Path, note: Session) -> PredictorError:
    """Return the error that says what to do when the predictor of the session is no longer there."""
    place = note.place(folder, note.predictor)
    return PredictorError(
        f"{shown(folder)}: its predictor, {shown(place)}, is not there any more; run the same prescreen pick again, "
        "or say with --predictor where it is"
    )
