"""The verb ``ballot``: a page that collects votes, a server for it, and the files that come back put together."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prescreen.embeddings.workers import shared_workers
from prescreen.errors import NothingScored, PictureError, UsageError
from prescreen.images.files import ImageFile, ImageFiles, read_bytes
from prescreen.progress import NullReporter, ProgressReporter
from prescreen.reports.ballot_page import render_ballot, words_for
from prescreen.reports.collected_votes import Key, read_votes, write_votes
from prescreen.settings import processors
from prescreen.storage.atomic import write_text_atomic
from prescreen.storage.overwrite_checks import check_output_paths
from prescreen.storage.tables import escape, table_format
from prescreen.text import shown
from prescreen.workflow.inputs import find_inputs
from prescreen.workflow.trait_names import check_names

PICTURE_BYTES: Final = 15_000_000
"""What all pictures of a page should weigh: as a page they are a third larger, which mail and messengers still take."""

PAGE_BYTES: Final = 25_000_000
"""A page above it is warned of: mail servers refuse it, and phones may not open it."""

_SIDES: Final = ((55_000, 800), (30_000, 640), (15_000, 480), (0, 320))
"""Longer side of the pictures in pixels, from so many bytes for each of them on."""
_QUALITY: Final = 75
_NAMED: Final = 5
"""Pictures that are left out and named one by one."""


@dataclass(frozen=True)
class BallotOptions:
    """What people are asked.

    Parameters
    ----------
    traits : mapping of str to str
        Name of each trait, as the predictor will have it, and the word that people see; where they are equal,
        ``competence``, ``likeability`` and ``influence`` become adjectives.
    each : int, optional
        How many pictures each rater is asked about, without it all.
    """

    traits: Mapping[str, str]
    each: int | None = None

    def __post_init__(self) -> None:
        if not self.traits:
            raise UsageError("no traits to ask about; name them: --traits competence,likeability,influence")
        check_names(tuple(self.traits), self.traits)

    def words(self) -> dict[str, str]:
        """Return the traits with the words that people see."""
        return {trait: words_for(trait) if words == trait else words for trait, words in self.traits.items()}


def write_ballot(
    folder: Path, options: BallotOptions, output: Path, reporter: ProgressReporter | None = None
) -> tuple[int, int]:
    """Write the page that people open, vote on, and send a file from.

    Parameters
    ----------
    folder : Path
        The pictures.
    options : BallotOptions
        What people are asked.
    output : Path
        The page, an ``.html`` file.
    reporter : ProgressReporter, optional
        Receives what is left out.

    Returns
    -------
    pictures, size : int
        How many the page has, and its size in bytes.

    Raises
    ------
    NothingScored
        If there is no picture that can be shown.
    """
    reporter = reporter or NullReporter()
    check_output_paths({"--output": output}, {"FOLDER": folder})
    pictures = draw_pictures(find_inputs([folder], follow_links=False), reporter)
    page = render_ballot(pictures, options.words(), each=options.each)
    _warn_if_large(page, len(pictures), "mail and phones", reporter)
    write_text_atomic(output, page)
    return len(pictures), len(page)


def serve_ballot(
    folder: Path,
    options: BallotOptions,
    output: Path,
    *,
    network: bool = False,
    port: int = 0,
    reporter: ProgressReporter | None = None,
    ready: Callable[[list[str]], object] = lambda links: None,
) -> None:
    """Serve the page until interrupted, and save the votes in one table as they come in.

    Parameters
    ----------
    folder, options, reporter
        As in `write_ballot`.
    output : Path
        The votes, a ``.csv`` file: ``image,trait,vote,rater``. Those that are there already stay.
    network : bool
        Whether to serve the local network, too, unencrypted.
    port : int
        0 takes that of the last time for these votes if it is free, otherwise any.
    ready : callable
        Called with the links to the page before the first request is answered: that for this machine, then those for
        others.

    Raises
    ------
    NothingScored
        If there is no picture that can be shown.
    PrescreenError
        If the votes that are there are not those of a ballot, or another process serves it.
    """
    from prescreen.reports import local_server
    from prescreen.reports.ballot_address import ballot_address
    from prescreen.reports.ballot_server import BallotServer
    from prescreen.reports.collected_votes import CollectedVotes

    reporter = reporter or NullReporter()
    check_output_paths({"--output": output}, {"FOLDER": folder})
    files = find_inputs([folder], follow_links=False)
    with ballot_address(output) as address, contextlib.ExitStack() as stack:
        votes = _votes_there(output)
        listeners = [stack.enter_context(listener) for listener in address.open(port, network=network)]
        pictures = draw_pictures(files, reporter)
        page = render_ballot(pictures, options.words(), each=options.each, served=True)
        _warn_if_large(page, len(pictures), "phones", reporter)
        collected = CollectedVotes(output, votes, tuple(pictures), tuple(options.traits))
        hosts = [listener.getsockname()[0] for listener in listeners]
        ready(address.links(listeners))
        app = BallotServer(page, collected, address.token, hosts, reporter.warn).app()
        with contextlib.suppress(KeyboardInterrupt):
            local_server.serve(app, *listeners)


def _warn_if_large(page: str, pictures: int, readers: str, reporter: ProgressReporter) -> None:
    if len(page) > PAGE_BYTES:
        reporter.warn(
            f"the page has {len(page) / 1e6:.0f} MB, much for {readers}; choose fewer than {pictures} pictures "
            "(--each makes the page no smaller)"
        )


def collect(files: Sequence[Path], output: Path, reporter: ProgressReporter | None = None) -> tuple[int, int]:
    """Put the files that raters sent into one table of votes; those that are in it already stay.

    Of two votes of one rater on the same picture and trait the one in the later file counts, before it the table's.

    Parameters
    ----------
    files : sequence of Path
        Tables of votes in any format that ratings may have.
    output : Path
        The table, ``image,trait,vote,rater``.
    reporter : ProgressReporter, optional
        Receives how many votes were there twice.

    Returns
    -------
    votes, raters : int
        How many the table has.

    Raises
    ------
    PrescreenError
        If a file, or what the table has, holds no votes of a ballot, or a server collects into the table.
    """
    from prescreen.reports.ballot_address import ballot_address

    reporter = reporter or NullReporter()
    table_format(output)
    check_output_paths({"--output": output}, {shown(file): file for file in files})
    with ballot_address(output):
        votes = _votes_there(output)
        if votes:
            reporter.info(f"{shown(output)}: has {len(votes)} vote{'s' * (len(votes) != 1)}; a file may change them")
        same = changed = 0
        for file in files:
            read, notes = read_votes(file)
            for note in notes:
                reporter.info(f"{shown(file)}: {' '.join(note.split())}")
            twice = read.keys() & votes.keys()
            changed += sum(read[key] != votes[key] for key in twice)
            same += len(twice)
            votes |= read
        if same:
            reporter.info(f"{same} votes are in several files, {changed} of them changed: the later file counts")
        write_votes(votes, output)
    return len(votes), len({rater for rater, _, _ in votes})


def _votes_there(output: Path) -> dict[Key, int]:
    """Return the votes that a table has, none where there is no table; one that would lose columns is refused."""
    votes, notes = read_votes(output) if output.exists() else ({}, ())
    if notes:
        raise UsageError(
            f"{shown(output)}: more or other columns than image, trait, vote and rater, which would be lost; "
            "collect into another file with --output"
        )
    return votes


def draw_pictures(files: ImageFiles, reporter: ProgressReporter) -> dict[str, bytes]:
    """Draw the pictures for a page, without metadata; those that cannot be shown are reported and left out."""
    side = next(side for weight, side in _SIDES if PICTURE_BYTES / len(files) > weight)

    def drawn(file: ImageFile) -> bytes | PictureError:
        try:
            if not shown(file.name) == file.name == escape(file.name):
                raise PictureError("its name has something that a table of votes cannot hold; rename the file")
            return shared_workers().thumbnail(read_bytes(file), side, _QUALITY, tolerant=False)
        except PictureError as error:
            return error
        finally:
            advance()

    pictures: dict[str, bytes] = {}
    reasons: dict[str, str] = {}
    with reporter.progress("drawing", len(files)) as advance, ThreadPoolExecutor(processors()) as pool:
        for file, picture in zip(files, pool.map(drawn, files), strict=True):
            if isinstance(picture, PictureError):
                reasons[file.name] = str(picture)
            else:
                pictures[file.name] = picture
    for name, reason in list(reasons.items())[:_NAMED]:
        reporter.warn(f"{shown(name)}: left out: {reason}")
    if len(reasons) > _NAMED:
        reporter.warn(f"{len(reasons) - _NAMED} more left out")
    if not pictures:
        name, reason = next(iter(reasons.items()))
        raise NothingScored(f"none of the {len(files)} pictures can be shown; {shown(name)}: {reason}")
    return pictures
