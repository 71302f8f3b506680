"""A round of tests with people: the scores that came back, learned from, and what to do next.

The verb ``learn``; its steps live in `prescreen.shortlist.feedback`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from prescreen.embeddings.pipeline import EmbeddingCache
from prescreen.images.files import ImageFile
from prescreen.predictor import reproducibility
from prescreen.predictor.files import announce_overwrite
from prescreen.predictor.scored_files import find_candidates, scored_vectors
from prescreen.predictor.training_portraits import content_keys
from prescreen.progress import NullReporter, ProgressReporter, reported
from prescreen.ranking.options import DEFAULT_OPTIONS, DEFAULT_VOTES, RankingOptions
from prescreen.ratings.results import read_results
from prescreen.ratings.scale import Scale
from prescreen.reports.decisions import NOTHING_DECIDED, read_decided
from prescreen.shortlist import feedback
from prescreen.shortlist.baseline import announce_comparison, read_baseline, read_references
from prescreen.shortlist.list_step import ListStep, next_of_list
from prescreen.shortlist.next_step import NextStep, decide_next
from prescreen.shortlist.pending_plan import PendingPlan
from prescreen.storage.tables import write_table
from prescreen.text import is_file, shown
from prescreen.training.steps import draw_example
from prescreen.workflow.inputs import load_predictor, warn_of_simulation, warn_of_unusable


@dataclass(frozen=True)
class Learned:
    """What `learn` made.

    Parameters
    ----------
    output : Path
        Directory of the predictor that has learned.
    content : mapping
        The round as JSON: ``round``, ``agreement``, ``offset``, ``decision``, ``proposed`` and ``p_any_better``.
    answer : str
        What to do now, in a sentence or two; empty without a current photo to compare with.
    proposal : DataFrame or None
        Rows of the table to send next; None if nothing was ranked.
    run_id : str
        The MLflow run.
    traits : tuple of str
        Those of the predictor.
    tested : tuple of str
        The pictures that people scored.
    """

    output: Path
    content: Mapping[str, Any]
    answer: str
    proposal: pd.DataFrame | None
    run_id: str
    traits: tuple[str, ...]
    tested: tuple[str, ...]


@reported
def learn(
    results: Path,
    *,
    predictor: str,
    output: Path,
    scores: Path | None = None,
    images: Path | None = None,
    tested_traits: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    raw: bool = False,
    votes: int = DEFAULT_VOTES,
    baseline: str | None = None,
    options: RankingOptions = DEFAULT_OPTIONS,
    shortlist: Path | None = None,
    plan: Path | None = None,
    decisions: Path | None = None,
    copies: Mapping[str, str] | None = None,
    baseline_name: str | None = None,
    experiment: str | None = None,
    reporter: ProgressReporter | None = None,
) -> Learned:
    """Learn from human scores that came back; rank again what is left and propose the next round, or to stop.

    Parameters
    ----------
    results : Path
        Typed scores, see `prescreen.ratings.results`.
    predictor : str
        Directory or MLflow model URI; after a first round, what that made.
    output : Path
        Directory of the predictor that has learned.
    scores : Path, optional
        What `score` wrote of all candidates, with this predictor's encoder.
    images : Path, optional
        Folder of the tested pictures where there are no scores; by default that of the results.
    tested_traits : sequence of str, optional
        Traits that people scored; by default all.
    columns : mapping of str to str, optional
        {meaning, or name of a trait: column of ``results``}, where the names of the columns do not tell.
    raw : bool
        Whether the scores are on the scale of the training ratings; otherwise from 0 to 10.
    votes : int
        Votes behind a score whose file does not say.
    baseline : str, optional
        The current photo as in `rank`; with it and ``scores`` the candidates are ranked again.
    options : RankingOptions
        As in `rank`, but its ``votes`` plan nothing here: without ``budget``, `DEFAULT_BUDGET` pictures are proposed.
    shortlist : Path, optional
        Where the new ranking goes; needs ``baseline`` and ``scores``.
    plan : Path, optional
        The shortlist that was tested, beside which `rank` (or `learn`, after it) left what comes next: the second round
        of a list, or the list. Needs ``shortlist``.
    decisions : Path, optional
        Table that `review` saved: pictures rejected there are not proposed.
    copies : mapping of str to str, optional
        {name of a copy that was tested: the picture that it was made of}.
    baseline_name : str, optional
        By which results mean the current photo, by default the name of its file; a candidate may have that too.
    experiment : str, optional
        MLflow experiment of the round; by default what ``MLFLOW_EXPERIMENT_NAME`` says, or ``prescreen``.
    reporter : ProgressReporter, optional
        Receives progress messages.
    """
    from prescreen import tracking
    from prescreen.workflow.run_records import record_round

    reporter = reporter or NullReporter()
    feedback.check_learn_paths(
        results, predictor, output, scores, baseline or options.baseline_scores, shortlist, options.files_read()
    )
    pending = feedback.read_plan(plan, shortlist)
    decided = NOTHING_DECIDED if decisions is None else read_decided(decisions)
    announce_overwrite(output, reporter)
    before = load_predictor(predictor)
    warn_of_simulation(before, reporter)
    tracking.check_store(experiment)
    goals = options.goals(before.traits)
    warn_of_unusable(before, goals.traits, reporter)
    encoder = before.make_encoder()
    note, table = feedback.read_candidates(scores, before)
    files: list[ImageFile] = []
    if table is not None:
        with EmbeddingCache() as cache:
            files = find_candidates(note, table, (), cache, reporter)
    files += feedback.find_tested(feedback.picture_folder(results, images)) if table is None or images else []
    if baseline is not None and is_file(baseline):
        files.append(ImageFile(Path(baseline), baseline_name or Path(baseline).name))  # it may have been tested too
    contents = {} if table is None else dict(zip(table["image"], table["content"], strict=True))
    typed = read_results(
        results,
        tested_traits or before.traits,
        {file.name for file in files} | contents.keys(),
        where=str(scores or images or "the folder of the results"),
        training=Scale.parse(before.manifest.scale),
        raw=raw,
        columns=columns,
        copies=copies,
    )
    for line in typed.notes:
        reporter.info(line)
    reproducibility.check_reproducibility(before, encoder, reporter)
    step: NextStep | ListStep | None = None
    with EmbeddingCache() as cache:
        pictures = feedback.find_pictures(typed.images, files, contents, encoder, cache)
        newer = feedback.human_results(typed, pictures, before, votes=votes)
        if feedback.known_already(before, newer):
            reporter.note("these scores are in the predictor already: they count once, and this round adds nothing")
        agreed = feedback.agree(before, newer, pictures)
        after = feedback.with_results(before, newer, output.name)
        if table is not None and (current := read_baseline(baseline, options, after, encoder, cache)) is not None:
            announce_comparison(goals, current, after, reporter)
            if current.vector is not None and not np.isin(content_keys([current.content]), newer.keys)[0]:
                reporter.warn(
                    f"{shown(current.name)} was not in this test: what people think of it is predicted, or comes from "
                    "another test, which makes every chance less sure; send it along next time"
                )
            references = read_references(options.references, current, encoder, cache)
            with reporter.progress("comparing", len(table)) as advance:
                vectors = scored_vectors(table, files, encoder, cache, advance)
            table = feedback.score_again(table, after, vectors)
            rejected = decided.among(contents).rejected
            compared = (table, after, current, replace(options, votes=None), vectors, references, rejected)
            step = decide_next(*compared) if pending is None else next_of_list(pending, *compared)
    after.save(output)
    if step is not None and shortlist is not None:
        write_table(step.ranked, shortlist)
        PendingPlan.note(shortlist, step.left if isinstance(step, ListStep) else None)
    content = feedback.to_json(int(newer.rounds[0]), agreed, feedback.person_offset(after), step)
    answer = "" if step is None else step.describe()
    record = record_round(
        content,
        before=before,
        after=after,
        typed=typed,
        goals=goals,
        output=output,
        shortlist=shortlist,
        example=draw_example(encoder),
        experiment=experiment,
        answer=answer,
    )
    run_id = tracking.track(record)
    proposal = None if step is None else step.proposal
    return Learned(output, content, answer, proposal, run_id, before.traits, typed.images)
