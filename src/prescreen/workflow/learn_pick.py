"""The verb ``learn`` after ``pick``: what was tested, and against what, is in the folder that ``pick`` wrote."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prescreen.embeddings.pipeline import EmbeddingCache
from prescreen.predictor.scored_files import find_candidates
from prescreen.progress import NullReporter, ProgressReporter
from prescreen.ranking.options import DEFAULT_OPTIONS, RankingOptions
from prescreen.storage.provenance import ScoresMetadata
from prescreen.storage.tables import read_table
from prescreen.text import shown
from prescreen.workflow import session
from prescreen.workflow.learn import Learned, learn
from prescreen.workflow.session import SCORES, SHORTLIST, Session


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
    shortlist : Path or None
        The new ranking.
    round : int
        The number of the next round.
    """

    learned: Learned
    folder: Path
    copies: Mapping[str, str]
    current_copy: str
    shortlist: Path | None
    round: int


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
    reporter.info(f"session    {shown(folder)}: its predictor, scores and current photo")
    session.note_pictures(folder, folder)
    place = folder / f"round-{note.round + 1}"
    photo = baseline or note.place(folder, note.current) or None
    options = note.options_with(options)
    ranks = photo is not None or options.baseline_scores is not None
    if shortlist is None and ranks:
        shortlist = place / SHORTLIST
    done = learn(
        results,
        predictor=predictor or note.place(folder, note.predictor),
        output=output or place / "learned",
        scores=folder / SCORES,
        baseline=photo,
        options=options,
        shortlist=shortlist,
        copies=note.uploaded,
        reporter=reporter,
        **others,
    )
    proposed: dict[str, str] = {}
    first: dict[str, str] = {}
    if done.content["proposed"]:
        with EmbeddingCache() as cache:
            files = {
                file.name: file
                for file in find_candidates(
                    ScoresMetadata.read(folder / SCORES), read_table(folder / SCORES), (), cache, NullReporter()
                )
            }
        proposed = session.upload_names(done.content["proposed"], files, note.uploaded)
        first = session.current_copy(photo, files) if photo is not None else {}
        originals = session.current_file(photo, first) | session.original_files(files, proposed)
        session.copy_pictures(originals, place, reporter)
    learned = done.output.resolve()
    inside = learned.relative_to(folder.resolve()) if learned.is_relative_to(folder.resolve()) else learned
    note.next_round(str(inside), {**first, **proposed}).write(folder)
    return LearnedPick(done, place, proposed, next(iter(first), ""), shortlist, note.round + 1)
