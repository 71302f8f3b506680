"""What ``rank`` and ``review`` share: candidates compared with the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.embeddings.pipeline import EmbeddingCache, describe_faults
from prescreen.images.files import ImageFile
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.scored_files import find_candidates, scored_vectors
from prescreen.progress import ProgressReporter
from prescreen.ranking.goals import Goals
from prescreen.ranking.options import RankingOptions
from prescreen.reports.decisions import NOTHING_DECIDED, Decided
from prescreen.reports.ranking_page import draw_report
from prescreen.shortlist.baseline import Baseline, announce_comparison, read_baseline, read_references
from prescreen.shortlist.effects_table import DEFAULT_CHECKS, compare_folders
from prescreen.shortlist.shortlist import Shortlist, make_shortlist
from prescreen.storage.provenance import ScoresMetadata
from prescreen.text import OK
from prescreen.workflow.inputs import open_scores


@dataclass(frozen=True)
class ComparedCandidates:
    """Candidates compared with the current photo, and what the page needs beside them."""

    shortlist: Shortlist
    predictor: Predictor
    current: Baseline | None
    goals: Goals
    pictures: Sequence[ImageFile]
    note: ScoresMetadata | None
    scores: pd.DataFrame
    vectors: Mapping[str, NDArray[np.float16]]
    decided: Decided = NOTHING_DECIDED

    def folders(self) -> pd.DataFrame:
        """Compare the folders that candidates lie in, without pictures that show no face or another person."""
        ranked = self.shortlist.table
        others = ranked["gates"].str.split(",").map(lambda checks: not DEFAULT_CHECKS.isdisjoint(checks))
        left_out = set(ranked.loc[others, "image"])
        kept = self.scores[(self.scores["status"] == OK) & ~self.scores["image"].isin(left_out)]
        return compare_folders(kept.reset_index(drop=True), self.predictor, self.vectors)

    def draw(self, reporter: ProgressReporter, token: str | None = None, *, keep_metadata: bool = False) -> str:
        """Draw the page of the ranking."""
        scored = int((self.scores["status"] == OK).sum())
        if missing := scored - len(self.pictures):
            where = "are no longer where they were scored" if self.note else "cannot be found without .meta.json"
            reporter.info(f"{missing} of {scored} pictures {where}: shown without a preview")
        with reporter.progress("drawing", len(self.pictures)) as advance:
            return draw_report(
                self.pictures,
                advance,
                shortlist=self.shortlist,
                predictor=self.predictor,
                baseline=self.current,
                goals=self.goals,
                metadata=self.note,
                folders=self.folders(),
                token=token,
                keep_metadata=keep_metadata,
                decided=self.decided.by_name(),
            )


def compare_candidates(
    scores: Path,
    baseline: str | None,
    options: RankingOptions,
    predictor: str | None,
    images: Sequence[str | Path],
    reporter: ProgressReporter,
    decided: Decided = NOTHING_DECIDED,
) -> ComparedCandidates:
    """Compare all scored pictures with the baseline, check and rank them; without one by predicted scores."""
    note, table, loaded, encoder = open_scores(scores, predictor, reporter)
    goals = options.goals(loaded.traits)
    with EmbeddingCache() as cache:
        current = read_baseline(baseline, options, loaded, encoder, cache)
        announce_comparison(goals, current, loaded, reporter)
        references = read_references(options.references, current, encoder, cache)
        pictures = find_candidates(note, table, images, cache, reporter)
        with reporter.progress("comparing", len(table)) as advance:
            vectors = scored_vectors(table, pictures, encoder, cache, advance)
    decided = decided.among(table["image"])
    scored = int((table["status"] == OK).sum())
    if missing := scored - len(vectors):
        reporter.note(f"{missing} of {scored} pictures cannot be found: not checked for near-copies and other persons")
    shortlist = make_shortlist(
        table,
        loaded,
        current,
        options,
        vectors,
        references,
        decided.rejected,
        kept=decided.kept,
        only_kept=decided.exported,
    )
    if unscored := len(table) - scored:
        why = describe_faults(note.faults) if note else ""
        reporter.note(f"no scores  {unscored} of {len(table)} pictures failed{': ' * bool(why)}{why}")
    named = decided.rejected | decided.kept
    if unknown := len(named - set(table["image"])):
        reporter.note(f"decisions  {unknown} of {len(named)} kept or rejected pictures are not in {scores}")
    if excluded := shortlist.describe_excluded():
        reporter.note(f"excluded   {excluded}")
    if plan := shortlist.describe_plan():
        reporter.note(f"votes      {plan}")
    return ComparedCandidates(shortlist, loaded, current, goals, pictures, note, table, vectors, decided)
