"""The verb ``review``: the report served to this machine, with keep and reject saved."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from prescreen.errors import UsageError
from prescreen.progress import NullReporter, ProgressReporter, reported
from prescreen.ranking.options import DEFAULT_OPTIONS, RankingOptions
from prescreen.reports import thumbnails
from prescreen.reports.decisions import NOTHING_DECIDED, Decided, Decisions, decisions_beside, read_decided
from prescreen.storage.overwrite_checks import check_output_paths
from prescreen.storage.tables import table_format
from prescreen.text import shown
from prescreen.workflow.candidates import compare_candidates
from prescreen.workflow.inputs import warn_of_unusable
from prescreen.workflow.last_rank import LastRank


@reported
def review(
    scores: Path,
    *,
    baseline: str | None = None,
    options: RankingOptions | None = None,
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
        As in `rank`. Without ``baseline`` and ``options`` they are those of the last `rank` of these scores, by the
        note beside them.
    decisions : Path, optional
        Table of decisions, read if it is there; by default beside the scores.
    port : int
        Port of the loopback address; 0 takes any that is free.
    ready : callable
        Called with an address that opens the page once, before the first request is answered.
    """
    from prescreen.reports import local_server, review_server

    reporter = reporter or NullReporter()
    if baseline is None and options is None and (last := LastRank.read(scores)) is not None:
        baseline, options = last.baseline, last.options
        options = options if options.wanted is None else replace(options, votes=None)
        predictor, images = predictor or last.predictor, images or last.images
        reporter.info(f"options    of the last prescreen rank, says {LastRank.beside(scores).name}")
    options = options or DEFAULT_OPTIONS
    if options.votes is not None and options.wanted is not None:
        raise UsageError("--wanted: prescreen rank plans the votes for a list; leave out --votes here")
    place = decisions or decisions_beside(scores)
    table_format(place)
    check_output_paths(
        {"--decisions": place},
        {"SCORES": scores, "--baseline": None if baseline is None else Path(baseline), **options.files_read()},
    )
    before = read_decided(place) if place.exists() else NOTHING_DECIDED
    if before.exported:
        raise UsageError(f"--decisions {shown(place)}: a list that the page exported; save decisions in another file")
    token, code = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    with local_server.listen(port) as listener:
        done = compare_candidates(scores, baseline, options, predictor, images, reporter, Decided(kept=before.kept))
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
