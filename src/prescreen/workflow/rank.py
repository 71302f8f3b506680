"""The verb ``rank``: scored candidates to a shortlist and a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from prescreen.errors import PrescreenError, UsageError
from prescreen.progress import NullReporter, ProgressReporter, reported
from prescreen.ranking.options import DEFAULT_OPTIONS, RankingOptions
from prescreen.ranking.stopping import Advice
from prescreen.ranking.vote_plan import VotePlan
from prescreen.reports.decisions import NOTHING_DECIDED, read_decided
from prescreen.shortlist.pending_plan import PendingPlan
from prescreen.storage.atomic import write_files_atomic
from prescreen.storage.overwrite_checks import check_output_paths, check_page
from prescreen.storage.tables import table_bytes, table_format
from prescreen.text import shown
from prescreen.workflow.candidates import compare_candidates
from prescreen.workflow.last_rank import LastRank


@dataclass(frozen=True)
class Ranked:
    """What `rank` made: the whole table, its first rows, the pictures to send, what to do, and how to spend votes."""

    table: pd.DataFrame
    shortlist: pd.DataFrame
    advice: Advice
    plans: Sequence[VotePlan] = ()


@reported
def rank(
    scores: Path,
    *,
    baseline: str | None = None,
    options: RankingOptions = DEFAULT_OPTIONS,
    output: Path,
    report: Path | None = None,
    predictor: str | None = None,
    decisions: Path | None = None,
    images: Sequence[str | Path] = (),
    keep_metadata: bool = False,
    experiment: str | None = None,
    reporter: ProgressReporter | None = None,
) -> Ranked:
    """Rank scored pictures by their chance to beat the current photo, and write the table and the report.

    Parameters
    ----------
    scores : Path
        A table that `score` wrote.
    baseline : str, optional
        The current photo: an image file, or scores such as ``competence=8.2,likeability=9.0``. Without it, and without
        ``options.baseline_scores``, candidates are ranked by the mean of their predicted scores.
    options : RankingOptions
        What should improve, what must stay, how many pictures can be sent and which checks exclude pictures.
    output : Path
        ``.csv``, ``.parquet`` or ``.jsonl``. Where votes are planned in two rounds, a note beside it says what comes
        after the first, for `learn`.
    report : Path, optional
        One HTML file with the pictures.
    predictor : str, optional
        Directory or MLflow model URI, where the note beside the scores does not name it or it has moved.
    decisions : Path, optional
        Table that `review` or the page saved: pictures rejected there are excluded, those kept are proposed beside the
        others. Or the list that the page exported: then its pictures are proposed.
    images : sequence of str or Path
        Where the scored pictures are: folders, files or a URL; by default where the note beside the scores says, on
        this machine only. See `prescreen.predictor.scored_files`.
    keep_metadata : bool
        Whether pictures that the report exports keep what they tell about places, people and devices.
    experiment : str, optional
        MLflow experiment to log the table and the report to, pictures included; by default they are not logged.
    reporter : ProgressReporter, optional
        Receives progress messages.
    """
    from prescreen import tracking

    reporter = reporter or NullReporter()
    table_format(output)
    check_page(report)
    check_output_paths(
        {"--output": output, "--report": report},
        {
            "SCORES": scores,
            "--baseline": None if baseline is None else Path(baseline),
            "--decisions": decisions,
            **options.files_read(),
        },
    )
    if experiment is not None:
        tracking.check_store(experiment)
    decided = NOTHING_DECIDED if decisions is None else read_decided(decisions)
    if decided.exported and options.votes is not None and options.wanted is not None:
        raise UsageError(
            "--votes with --wanted: two rounds choose among all pictures, but --decisions gives a list that the page "
            "exported; leave out --wanted, or give the decisions that the page saved"
        )
    done = compare_candidates(scores, baseline, options, predictor, images, reporter, decided)
    page = None if report is None else done.draw(reporter, keep_metadata=keep_metadata)
    ranked = done.shortlist.table
    written = {output: table_bytes(ranked, output)}
    if report is not None and page is not None:
        written[report] = page.encode()
    write_files_atomic(written)
    try:
        LastRank.of(baseline, options, predictor, images).write(scores)
    except PrescreenError as error:  # nothing but review asks for it
        reporter.info(f"options    not noted for prescreen review: {error}")
    left = None if done.shortlist.rounds is None else PendingPlan.after_first(done.shortlist.rounds)
    PendingPlan.note(output, left)
    if left is not None:
        reporter.note(
            f"plan       {PendingPlan.beside(output)}: what comes after round 1, for prescreen learn --plan "
            f"{shown(output)}"
        )
    if experiment is not None:
        from prescreen.workflow.run_records import record_shortlist

        record = record_shortlist(done, scores=scores, output=output, report=report, experiment=experiment)
        reporter.info(f"MLflow     run {tracking.track(record)} in {tracking.store_name()}")
    return Ranked(ranked, ranked[ranked["selected"]], done.shortlist.advice, done.shortlist.plans)
