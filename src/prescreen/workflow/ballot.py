"""The verb ``ballot``: a page that collects votes, a server for it, and the files that come back put together."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prescreen.errors import NothingScored, UsageError
from prescreen.images.files import ImageFile
from prescreen.progress import NullReporter, ProgressReporter
from prescreen.reports.ballot_page import render_ballot, words_for
from prescreen.reports.collected_votes import CHOICES, VOTES, Collected, Kind, kind_of, read_votes, write_votes
from prescreen.storage.atomic import write_text_atomic
from prescreen.storage.overwrite_checks import check_output_paths
from prescreen.storage.tables import table_format
from prescreen.text import shown
from prescreen.workflow.ballot_pictures import draw_pictures, find_pictures
from prescreen.workflow.trait_names import check_names

PAGE_BYTES: Final = 25_000_000
"""A page above it is warned of: mail servers refuse it, and phones may not open it."""

PAIRS_EACH: Final = 40
"""Pairs that a rater is asked about: with three traits about ten minutes."""


@dataclass(frozen=True)
class BallotOptions:
    """What people are asked.

    Parameters
    ----------
    traits : mapping of str to str
        Name of each trait, as the predictor will have it, and the word that people see; where they are equal,
        ``competence``, ``likeability`` and ``influence`` become adjectives.
    each : int, optional
        How many pictures each rater is asked about, without it all; of pairs how many pairs, without it `PAIRS_EACH` or
        as many as there are pictures, if these are fewer.
    pairs : bool
        Whether they are asked which of two pictures each trait fits better.
    shortlist : Path, optional
        A table of `rank` or `learn`: its pictures to send are those of the ballot.
    baseline : Path, optional
        The current photo, which goes along.
    """

    traits: Mapping[str, str]
    each: int | None = None
    pairs: bool = False
    shortlist: Path | None = None
    baseline: Path | None = None

    def __post_init__(self) -> None:
        if not self.traits:
            raise UsageError("no traits to ask about; name them: --traits competence,likeability,influence")
        if self.pairs and self.shortlist is not None:
            raise UsageError("--pairs: a planned test needs votes on each picture; leave --pairs or --shortlist out")
        check_names(tuple(self.traits), self.traits)

    @property
    def kind(self) -> Kind:
        """What votes these are."""
        return CHOICES if self.pairs else VOTES

    def paths(self, folder: Path) -> dict[str, Path | None]:
        """Return what is read, by the name of its option."""
        return {"FOLDER": folder, "--shortlist": self.shortlist, "--baseline": self.baseline}

    def files(self, folder: Path, reporter: ProgressReporter) -> Sequence[ImageFile]:
        """Find the pictures; see `prescreen.workflow.ballot_pictures.find_pictures`."""
        return find_pictures(folder, self.shortlist, self.baseline, self.each, reporter)

    def render(self, pictures: Mapping[str, bytes], *, served: bool = False) -> str:
        """Render the page; see `prescreen.reports.ballot_page.render_ballot`.

        Raises
        ------
        NothingScored
            If pairs are wanted and there is one picture.
        """
        if not self.pairs:
            return render_ballot(pictures, self.words(), each=self.each, served=served)
        n = len(pictures)
        if n < 2:
            raise NothingScored("--pairs: there is one picture only, and a pair has two; add others")
        return render_ballot(pictures, self.words(), pairs=self.pairs_each(n), served=served)

    def pairs_each(self, n_pictures: int) -> int | None:
        """Return how many pairs each rater is asked about; None of a ballot without pairs."""
        if not self.pairs:
            return None
        return min(self.each or min(n_pictures, PAIRS_EACH), n_pictures * (n_pictures - 1) // 2)

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
    check_output_paths({"--output": output}, options.paths(folder))
    pictures = draw_pictures(options.files(folder, reporter), reporter)
    page = options.render(pictures)
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
        The votes, a ``.csv`` file: ``image,trait,vote,rater``, or of pairs ``better,worse,side,trait,rater``. Those
        that are there already stay.
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
    check_output_paths({"--output": output}, options.paths(folder))
    files = options.files(folder, reporter)
    with ballot_address(output) as address, contextlib.ExitStack() as stack:
        votes = _votes_there(output, options.kind)
        listeners = [stack.enter_context(listener) for listener in address.open(port, network=network)]
        pictures = draw_pictures(files, reporter)
        page = options.render(pictures, served=True)
        _warn_if_large(page, len(pictures), "phones", reporter)
        asked = options.pairs_each(len(pictures))
        collected = CollectedVotes(output, votes, tuple(pictures), tuple(options.traits), options.kind, asked)
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


def collect(
    files: Sequence[Path], output: Path, reporter: ProgressReporter | None = None, *, pairs: bool = False
) -> str:
    """Put the files that raters sent into one table of votes; those that are in it already stay.

    Of two votes of one rater on the same picture (or two pictures) and trait the one in the later file counts, before
    it the table's.

    Parameters
    ----------
    files : sequence of Path
        Tables of votes in any format that ratings may have, all of the same kind.
    output : Path
        The table, ``image,trait,vote,rater`` or ``better,worse,side,trait,rater``.
    reporter : ProgressReporter, optional
        Receives what was there, and what is in several files.
    pairs : bool
        Whether the files must be about pairs; otherwise the first one decides.

    Returns
    -------
    str
        How many votes, or answers about pairs, of how many raters the table has.

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
        kind = CHOICES if pairs else kind_of(read_votes(files[0], None)[0])
        votes = _votes_there(output, kind)
        if votes:
            reporter.info(f"{shown(output)}: has {kind.describe(votes)}; a file may change them")
        same = changed = 0
        for file in files:
            read, notes = read_votes(file, kind)
            for note in notes:
                reporter.info(f"{shown(file)}: {' '.join(note.split())}")
            twice = read.keys() & votes.keys()
            changed += sum(read[key] != votes[key] for key in twice)
            same += len(twice)
            votes |= read
        if same:
            what = "ratings" if kind is VOTES else kind.called
            reporter.info(f"{same} {what} are in several files, {changed} of them changed: the later file counts")
        if not votes:
            raise UsageError(f"{shown(files[0])}: no {kind.called} in it, only blank ones; collect files with some")
        write_votes(votes, output, kind)
    return kind.describe(votes)


def _votes_there(output: Path, kind: Kind) -> Collected:
    """Return the votes that a table has, none where there is no table; one that would lose columns is refused."""
    votes, notes = read_votes(output, kind) if output.exists() else ({}, ())
    if notes:
        raise UsageError(
            f"{shown(output)}: more or other columns than {kind.columns}, which would be lost; "
            "collect into another file with --output"
        )
    return votes
