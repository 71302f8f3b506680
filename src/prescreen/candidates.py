"""Candidates against the present picture: the verbs ``rank`` and ``review``.

Their steps live in `prescreen.shortlisting`, what they compute in `prescreen.comparison` and `prescreen.ranking`.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen import shortlisting
from prescreen.atomic import write_files_atomic
from prescreen.comparison import Chooser, compare
from prescreen.decisions import Decisions, decisions_beside, read_rejected
from prescreen.effects import USUAL_GATES, compare_folders
from prescreen.embeddings import EmbeddingCache, describe_faults
from prescreen.encoders import Encoder
from prescreen.images import ImageFile
from prescreen.narrator import Narrator, Silence
from prescreen.opening import open_scores
from prescreen.places import check_page, check_places
from prescreen.predictor import Predictor
from prescreen.provenance import ScoresNote
from prescreen.ranking.goals import Goals
from prescreen.ranking.rounds import SWITCH_ABOVE
from prescreen.ranking.shortlist import percent
from prescreen.ranking.votes import VotePlan, best_plan
from prescreen.scored_files import find_scored, scored_vectors
from prescreen.scoring import OK
from prescreen.tables import table_bytes, table_format
from prescreen.wishes import DEFAULT_WISHES, Wishes


@dataclass(frozen=True)
class Ranked:
    """What `rank` made: the whole table, its first rows, the pictures to send, and how the votes could be spent."""

    table: pd.DataFrame
    shortlist: pd.DataFrame
    plans: Sequence[VotePlan] = ()


def rank(
    scores: Path,
    *,
    baseline: str,
    wishes: Wishes = DEFAULT_WISHES,
    output: Path,
    report: Path | None = None,
    predictor: str | None = None,
    decisions: Path | None = None,
    keep_metadata: bool = False,
    narrator: Narrator | None = None,
) -> Ranked:
    """Rank scored pictures by their chance to beat the present one, and write the table and the report.

    Parameters
    ----------
    scores : Path
        A table that `score` wrote.
    baseline : str
        The present picture: an image file, or scores such as ``competence=8.2,likeability=9.0``.
    wishes : Wishes
        What should improve, what must stay, how many pictures can be sent and which gates hold pictures back.
    output : Path
        ``.csv``, ``.parquet`` or ``.jsonl``.
    report : Path, optional
        One HTML file with the pictures.
    predictor : str, optional
        Directory or MLflow model URI, where the note beside the scores does not name it or it has moved.
    decisions : Path, optional
        Table that `review` saved: pictures rejected there are held back.
    keep_metadata : bool
        Whether pictures that the report exports keep what they tell about places, people and devices.
    narrator : Narrator, optional
        Hears how the work goes on.
    """
    narrator = narrator or Silence()
    table_format(output)
    check_page(report)
    check_places(
        {"--output": output, "--report": report},
        {"SCORES": scores, "--baseline": Path(baseline), "--decisions": decisions},
    )
    rejected = frozenset[str]() if decisions is None else read_rejected(decisions)
    done = _compared(scores, baseline, wishes, predictor, narrator, rejected)
    page = None if report is None else done.draw(narrator, keep_metadata=keep_metadata)
    written = {output: table_bytes(done.ranked, output)}
    if report is not None and page is not None:
        written[report] = page.encode()
    write_files_atomic(written)
    return Ranked(done.ranked, done.ranked[done.ranked["selected"]], done.plans)


def review(
    scores: Path,
    *,
    baseline: str,
    wishes: Wishes = DEFAULT_WISHES,
    decisions: Path | None = None,
    port: int = 0,
    predictor: str | None = None,
    keep_metadata: bool = False,
    narrator: Narrator | None = None,
    ready: Callable[[str], object] = lambda address: None,
) -> None:
    """Serve the report to this machine's user until interrupted, and save what is kept and rejected.

    Parameters
    ----------
    scores, baseline, wishes, predictor, keep_metadata, narrator
        As in `rank`.
    decisions : Path, optional
        Table of decisions, read if it is there; by default beside the scores.
    port : int
        Port of the loopback address; 0 takes any that is free.
    ready : callable
        Called with the page's address, which holds the token, before the first request is answered.
    """
    from prescreen import reviewing

    narrator = narrator or Silence()
    place = decisions or decisions_beside(scores)
    table_format(place)
    check_places({"--decisions": place}, {"SCORES": scores, "--baseline": Path(baseline)})
    token = secrets.token_urlsafe(32)
    with reviewing.listen(port) as listener:
        done = _compared(scores, baseline, wishes, predictor, narrator)
        server = reviewing.ReviewServer(
            done.draw(narrator, token, keep_metadata=keep_metadata),
            {file.name: file for file in done.pictures},
            Decisions(place, done.ranked["image"].tolist()),
            token,
            lambda file: shortlisting.thumbnail(file, shortlisting.SERVED, 85),
            dict(zip(done.scores["image"], done.scores["content"], strict=True)),
        )
        host, bound = listener.getsockname()
        ready(f"http://{host}:{bound}/?token={token}")
        reviewing.serve(server.app(), listener)


@dataclass(frozen=True)
class _Candidates:
    """Candidates compared with the present picture, and what the page needs beside them."""

    ranked: pd.DataFrame
    predictor: Predictor
    present: shortlisting.Baseline
    goals: Goals
    pictures: Sequence[ImageFile]
    note: ScoresNote | None
    scores: pd.DataFrame
    vectors: Mapping[str, NDArray[np.float16]]
    plans: Sequence[VotePlan] = ()

    def folders(self) -> pd.DataFrame:
        """Compare the folders that candidates lie in, without pictures of nobody or of somebody else."""
        others = self.ranked["gates"].str.split(",").map(lambda gates: not USUAL_GATES.isdisjoint(gates))
        left_out = set(self.ranked.loc[others, "image"])
        kept = self.scores[(self.scores["status"] == OK) & ~self.scores["image"].isin(left_out)]
        return compare_folders(kept.reset_index(drop=True), self.predictor, self.vectors)

    def draw(self, narrator: Narrator, token: str | None = None, *, keep_metadata: bool = False) -> str:
        if missing := int((self.scores["status"] == OK).sum()) - len(self.pictures):
            where = (
                "no longer where they were scored" if self.note else "not to be found without the scores' .meta.json"
            )
            narrator.say(f"{missing} of {len(self.scores)} pictures are {where}: shown without a preview")
        with narrator.steps("drawing", len(self.pictures)) as advance:
            return shortlisting.draw_report(
                self.ranked,
                self.predictor,
                self.present,
                self.goals,
                self.pictures,
                self.note,
                advance,
                token,
                f"{_capitalised(plan_in_words(best_plan(self.plans)))}." if self.plans else "",
                self.folders(),
                keep_metadata,
            )


def _compared(
    scores: Path,
    baseline: str,
    wishes: Wishes,
    predictor: str | None,
    narrator: Narrator,
    rejected: frozenset[str] = frozenset(),
) -> _Candidates:
    note, table, loaded = open_scores(scores, predictor, narrator)
    goals = wishes.goals(loaded.traits)
    encoder = Encoder(loaded.manifest.encoder)
    with EmbeddingCache() as cache:
        present = shortlisting.read_baseline(baseline, wishes.baseline_votes, loaded, encoder, cache)
        narrator.say(f"goals      {goals.in_words()}; the present picture: {present.in_words()}")
        compared = shortlisting.read_references(wishes.references, present, encoder, cache)
        pictures = find_scored(note.inputs if note else (), table, cache)
        with narrator.steps("comparing", len(table)) as advance:
            vectors = scored_vectors(table, pictures, encoder, cache, advance)
    scored = int((table["status"] == OK).sum())
    if missing := scored - len(vectors):
        narrator.say(f"{missing} of {scored} pictures cannot be found: not checked for near-copies and other persons")
    descriptors = shortlisting.face_descriptors(vectors, encoder)
    comparison = compare(table, loaded, present.known(loaded.traits), vectors)
    choose = Chooser(comparison, loaded, goals, wishes.most, wishes.votes)
    ranked = shortlisting.rank_with_gates(
        table,
        loaded,
        present,
        goals,
        wishes.most or len(table),
        descriptors,
        compared,
        wishes.gates_off,
        choose,
        rejected,
    )
    if unscored := len(table) - scored:
        why = describe_faults(note.faults) if note else ""
        narrator.say(f"no scores  {unscored} of {len(table)} pictures failed{': ' * bool(why)}{why}")
    if unknown := len(rejected - set(table["image"])):
        narrator.say(f"{unknown} of {len(rejected)} rejected pictures are not in {scores}")
    if held := held_in_words(ranked):
        narrator.say(f"held back  {held}")
    if choose.plan is not None:
        narrator.say(f"votes      {plan_in_words(choose.plan)}")
    return _Candidates(ranked, loaded, present, goals, pictures, note, table, vectors, choose.plans)


def held_in_words(ranked: pd.DataFrame) -> str:
    """Count what gates hold back, the most frequent gate first: ``12 of 39 pictures: copies 9, person 4``."""
    held = ranked.loc[ranked["gates"] != "", "gates"]
    counts = held.str.split(",").explode().value_counts()
    listed = ", ".join(f"{gate} {count}" for gate, count in counts.items())
    return f"{len(held)} of {len(ranked)} pictures: {listed}" if len(held) else ""


def plan_in_words(plan: VotePlan) -> str:
    """Say how the votes are spent, and what to expect of it."""
    sentence = plan.in_words()
    if plan.better is None or plan.shown is None:
        return f"{sentence}; what the test can tell is not known, the pictures cannot be compared"
    return (
        f"{sentence}; the chance that at least one meets the goals is {percent(plan.better)}, "
        f"that the test shows it {percent(plan.shown)} (a picture then has a chance of {percent(SWITCH_ABOVE)} or more)"
    )


def _capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
