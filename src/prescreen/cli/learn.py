"""``prescreen learn``: human scores that came back."""

from pathlib import Path
from typing import Unpack

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.ranking_options import Comparing, comparing_options, wishes
from prescreen.cli.ratings_options import columns_option
from prescreen.cli.tables import round_lines, shortlist_lines
from prescreen.traits import parse_columns, parse_names

EXAMPLES = """\b
Examples:
  prescreen learn results.csv --predictor models/mine --output models/me --images tested/
  prescreen learn results.csv --predictor models/mine --output models/me --scores scores.csv --baseline now.jpg
  prescreen learn round2.csv --predictor models/me --output models/me2 --scores scores.csv --baseline now.jpg \\
      --shortlist round3.csv
"""


@click.command(short_help="Learn from human scores; propose the next round.", epilog=EXAMPLES)
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--predictor", required=True, help="Directory, or MLflow model URI; after a round, what that made.")
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="Directory of the predictor that has learned."
)
@click.option("--scores", type=click.Path(path_type=Path), help="Scores of all candidates: what prescreen score wrote.")
@click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True),
    help="Folder of the tested pictures, where there are no scores. [the folder of RESULTS]",
)
@click.option("--traits", help="The traits that people scored, if not all: competence,influence.")
@columns_option
@click.option("--raw", is_flag=True, help="The scores are on the scale of the training ratings, not from 0 to 10.")
@click.option(
    "--votes",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Votes behind a score, if not in RESULTS.",
)
@click.option("--baseline", help="The present picture, as for rank; with --scores the candidates are ranked again.")
@comparing_options
@click.option(
    "--shortlist", type=click.Path(path_type=Path), help="Table of the new ranking: .csv, .parquet or .jsonl."
)
@click.option("--experiment", default="prescreen", show_default=True, help="MLflow experiment of the round.")
@verb
def learn(
    results: Path,
    predictor: str,
    output: Path,
    scores: Path | None,
    images: Path | None,
    traits: str | None,
    columns: str | None,
    raw: bool,
    votes: int,
    baseline: str | None,
    shortlist: Path | None,
    experiment: str,
    terminal: Terminal,
    **comparing: Unpack[Comparing],
) -> None:
    """Learn from human scores that came back; RESULTS is a table image,TRAIT,TRAIT...,votes as somebody typed it."""
    from prescreen import rounds

    done = rounds.learn(
        results,
        predictor=predictor,
        output=output,
        scores=scores,
        images=images,
        tested_traits=None if traits is None else parse_names(traits),
        columns=None if columns is None else parse_columns(columns),
        raw=raw,
        votes=votes,
        baseline=baseline,
        wishes=wishes(comparing),
        shortlist=shortlist,
        experiment=experiment,
        narrator=terminal,
    )
    for line in round_lines(done.content):
        click.echo(line)
    if done.answer:
        click.echo(done.answer)
    if done.proposal is not None:
        for line in shortlist_lines(done.proposal):
            click.echo(line)
    terminal.say(f"predictor  {output}")
    if shortlist is not None:
        terminal.say(f"shortlist  {shortlist}")
    terminal.say(f"run        {done.run_id}")
