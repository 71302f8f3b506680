"""The verb ``review``: the report served to this machine, with keep and reject saved."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from prescreen.errors import UsageError
from prescreen.progress import NullReporter, ProgressReporter
from prescreen.ranking.options import DEFAULT_OPTIONS, RankingOptions
from prescreen.reports import thumbnails
from prescreen.reports.decisions import Decisions, decisions_beside
from prescreen.storage.overwrite_checks import check_output_paths
from prescreen.storage.tables import table_format
from prescreen.workflow.candidates import compare_candidates
from prescreen.workflow.inputs import warn_of_unusable


def review(
    scores: Path,
    *,
    baseline: str | None = None,
    options: RankingOptions = DEFAULT_OPTIONS,
    decisions: Path | None = None,
    port: int = 0,
    predictor: str | None = None,
    images: Sequence[str | Path] = (),
    keep_metadata: bool = False,
    reporter: ProgressReporter | None = None,
    ready: Callable[[str], object] = lambda address: None,
) -> None:
    """Serve the report to this machine's user until interrupted, and save what is kept and rejected.

    Parameters
    ----------
    scores, baseline, options, predictor, images, keep_metadata, reporter
        As in `rank`.
    decisions : Path, optional
        Table of decisions, read if it is there; by default beside the scores.
    port : int
        Port of the loopback address; 0 takes any that is free.
    ready : callable
        Called with an address that opens the page once, before the first request is answered.
    """
    from prescreen.reports import local_server, review_server

    if options.votes is not None and options.wanted is not None:
        raise UsageError("--wanted: prescreen rank plans the votes for a list; leave out --votes here")
    reporter = reporter or NullReporter()
    place = decisions or decisions_beside(scores)
    table_format(place)
    check_output_paths(
        {"--decisions": place},
        {"SCORES": scores, "--baseline": None if baseline is None else Path(baseline), **options.files_read()},
    )
    token, code = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    with local_server.listen(port) as listener:
        done = compare_candidates(scores, baseline, options, predictor, images, reporter)
        warn_of_unusable(done.predictor, done.goals.traits, reporter)
        server = review_server.ReviewServer(
            done.draw(reporter, token, keep_metadata=keep_metadata),
            {file.name: file for file in done.pictures},
            Decisions(place, done.shortlist.table["image"].tolist()),
            token,
            code,
            lambda file: thumbnails.thumbnail(file, thumbnails.SERVED, 85),
            dict(zip(done.scores["image"], done.scores["content"], strict=True)),
        )
        host, bound = listener.getsockname()
        ready(f"http://{host}:{bound}/?code={code}")
        local_server.serve(server.app(), listener)
