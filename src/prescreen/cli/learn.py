"""``prescreen learn``: human scores that came back."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.options import columns_option, weights_option
from prescreen.cli.output import round_lines, shortlist_lines
from prescreen.cli.paths import LocalPath, Place
from prescreen.cli.ranking_options import BASELINE_HELP, comparison_options, make_options
from prescreen.errors import UsageError
from prescreen.text import parse_columns, parse_names, quoted, shown

if TYPE_CHECKING:
    from prescreen.workflow.learn_pick import LearnedPick

EXAMPLES = """\b
Examples:
  prescreen learn results.csv
  prescreen learn results.csv --session portraits-shortlist
  prescreen learn results.csv --predictor models/mine --output models/me --images tested/
  prescreen learn results.csv --predictor models/mine --output models/me --scores scores.csv --baseline now.jpg
  prescreen learn round2.csv --predictor models/me --output models/me2 --scores scores.csv --baseline now.jpg \\
      --shortlist round3.csv
  prescreen learn round1.csv --predictor models/mine --output models/me --scores scores.csv --baseline now.jpg \\
      --plan shortlist.csv --shortlist second.csv
"""


@click.command(cls=Verb, short_help="Learn from human scores; propose the next round.", epilog=EXAMPLES)
@click.argument("results", type=LocalPath())
@click.option(
    "--session",
    type=LocalPath(),
    help="What prescreen pick wrote: it knows predictor, scores and current photo. [that beside RESULTS, or here]",
)
@click.option(
    "--predictor",
    type=Place("predictor"),
    help="Directory, or MLflow model URI; after a round, what that made. [that of the session]",
)
@click.option("--output", type=LocalPath(), help="Directory of the predictor that has learned. [in the session]")
@click.option("--scores", type=LocalPath(), help="Scores of all candidates: what prescreen score wrote.")
@click.option(
    "--images",
    type=LocalPath(exists=True),
    help="Folder of the tested pictures, where there are no scores. [the folder of RESULTS]",
)
@click.option("--traits", help="The traits that people scored, if not all: competence,influence.")
@columns_option
@click.option(
    "--raw",
    is_flag=True,
    help="The scores are on the scale of the training ratings, as votes always are, not from 0 to 10.",
)
@click.option(
    "--votes",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Votes behind a score, if not in RESULTS.",
)
@click.option(
    "--baseline",
    type=Place("picture"),
    help=f"{BASELINE_HELP} With --scores the candidates are ranked again.",
)
@comparison_options
@click.option("--shortlist", type=LocalPath(), help="Table of the new ranking: .csv, .parquet or .jsonl.")
@click.option(
    "--plan",
    type=LocalPath(),
    help="The shortlist that was tested, where rank planned two rounds for a list: proposes the second, then the list.",
)
@click.option(
    "--decisions",
    type=LocalPath(exists=True, dir_okay=False),
    help="What prescreen review saved: pictures rejected there are not proposed.",
)
@click.option("--experiment", help="MLflow experiment of the round. [MLFLOW_EXPERIMENT_NAME, or prescreen]")
@weights_option
@verb
def learn(
    results: Path,
    session: Path | None,
    predictor: str | None,
    output: Path | None,
    scores: Path | None,
    images: Path | None,
    traits: str | None,
    columns: str | None,
    raw: bool,
    votes: int,
    baseline: str | None,
    shortlist: Path | None,
    plan: Path | None,
    decisions: Path | None,
    experiment: str | None,
    terminal: Terminal,
    **comparison: Any,
) -> None:
    """Learn from human scores that came back; RESULTS is a table image,TRAIT,TRAIT...,votes as somebody typed it."""
    from prescreen.workflow import learn
    from prescreen.workflow.learn_pick import learn_pick

    given: dict[str, Any] = {
        "images": images,
        "tested_traits": None if traits is None else parse_names(traits),
        "columns": None if columns is None else parse_columns(columns),
        "raw": raw,
        "votes": votes,
        "baseline": baseline,
        "options": make_options(terminal, **comparison),
        "shortlist": shortlist,
        "plan": plan,
        "decisions": decisions,
        "experiment": experiment,
        "reporter": terminal,
    }
    folder = _session_of(results, session, predictor, output, scores)
    picked = None
    if folder is not None:
        picked = learn_pick(results, folder, predictor=predictor, output=output, **given)
        done, shortlist = picked.learned, picked.shortlist
    else:
        done = learn.learn(results, predictor=str(predictor), output=Path(output or ""), scores=scores, **given)
    if done.answer:
        click.echo(done.answer)
    if done.proposal is not None:
        for line in shortlist_lines(done.proposal):
            click.echo(line)
    for line in round_lines(done.content):
        click.echo(line)
    terminal.say_notes()
    terminal.info(f"predictor  {done.output}")
    if shortlist is not None:
        terminal.info(f"shortlist  {shortlist}")
    terminal.info(f"run        {done.run_id}")
    if picked is not None and folder is not None:
        for line in _next_step(results, folder, picked):
            click.echo(line)


def _next_step(results: Path, folder: Path, picked: "LearnedPick") -> Iterator[str]:
    """Say which pictures to send now, and how their scores come back."""
    from prescreen.workflow.session import learn_command

    if picked.shortlist is None:
        yield "next       to have the next pictures proposed, give your current photo:"
        yield f"             {learn_command(results, folder)} --baseline PHOTO"
    if picked.copies:
        along = f", and {shown(picked.current_copy)}, your current photo" if picked.current_copy else ""
        yield f"pictures   {shown(picked.folder)}: {', '.join(map(shown, picked.copies))}{along}"
    for copy, original in picked.not_copied.items():
        yield f"pictures   {shown(copy)} was not copied: send the original yourself: {shown(original)}"
    if picked.copies or picked.not_copied:
        again = results.with_stem(f"{results.stem.rstrip('0123456789')}{picked.round}")
        ballot = ["prescreen", "ballot", str(picked.folder), "--traits", ",".join(map(quoted, picked.learned.traits))]
        yield f"next       have people rate them, type their scores into {shown(shlex.quote(str(again)))}"
        yield f"           then: {learn_command(again, folder)}"
        yield f"           without a service: {shown(shlex.join(ballot))}"


def _session_of(
    results: Path, session: Path | None, predictor: str | None, output: Path | None, scores: Path | None
) -> Path | None:
    """Return the folder of `pick` that results belong to; None where all is given that it would tell."""
    from prescreen.workflow.session import find_session

    if not results.exists():
        raise UsageError(f"{shown(results)}: no such file; give the scores that came back from people")
    if scores is not None and session is not None:
        raise UsageError("--scores: the session has its own; leave out one of --session and --scores")
    if session is not None or (predictor is not None and output is not None):
        return session
    if scores is None and (found := find_session(results)) is not None:
        return found
    missing = "--predictor" if predictor is None else "--output"
    raise UsageError(
        f"{missing} is missing, and no folder that prescreen pick wrote is beside {shown(results)} or here; give "
        f"{missing}, or the folder with --session"
    )
