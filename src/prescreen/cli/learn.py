"""``prescreen learn``: human scores that came back."""

from pathlib import Path

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.tables import round_lines, shortlist_lines
from prescreen.ranking.gate_names import GATES, gates_off
from prescreen.traits import parse_names

EXAMPLES = """\b
Examples:
  prescreen learn results.csv --predictor models/mine --output models/me --images tested/
  prescreen learn results.csv --predictor models/mine --output models/me --scores scores.csv --baseline now.jpg
  prescreen learn round2.csv --predictor models/me --output models/me2 --scores scores.csv --baseline now.jpg \
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
@click.option("--raw", is_flag=True, help="The scores are on the scale of the training ratings, not from 0 to 10.")
@click.option(
    "--votes",
    default=20,
    show_default=True,
    type=click.IntRange(min=1),
    help="Votes behind a score, if not in RESULTS.",
)
@click.option("--baseline", help="The present picture, as for rank; with --scores the candidates are ranked again.")
@click.option("--baseline-votes", type=click.IntRange(min=1), metavar="N", help="Votes behind scores in --baseline.")
@click.option("--improve", help="Traits that should rise: influence,competence. [all that are not kept]")
@click.option("--keep", help="Traits that must not fall, '' for none. [likeability, where it is predicted]")
@click.option("--any-of", is_flag=True, help="One of the traits to improve is enough. [all of them must rise]")
@click.option("--improve-margin", default=0.0, help="Score points by which the traits to improve must rise. [0]")
@click.option("--keep-margin", default=0.0, help="Score points that the traits to keep may lose. [0]")
@click.option("--budget", default=3, show_default=True, type=click.IntRange(min=1), help="How many to send next.")
@click.option(
    "--reference",
    "references",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    metavar="PATH",
    help="A picture, or a folder of pictures, that surely show the person; may be repeated.",
)
@click.option(
    "--gates",
    default="all",
    show_default=True,
    metavar="NAMES",
    help=f"Which gates hold pictures back: all, none, or of {', '.join(GATES)}.",
)
@click.option("--no-gates", default="", metavar="NAMES", help="Which of these gates are off all the same: nose,eyes.")
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
    raw: bool,
    votes: int,
    baseline: str | None,
    baseline_votes: int | None,
    improve: str | None,
    keep: str | None,
    improve_margin: float,
    keep_margin: float,
    any_of: bool,
    budget: int,
    references: tuple[Path, ...],
    gates: str,
    no_gates: str,
    shortlist: Path | None,
    experiment: str,
    terminal: Terminal,
) -> None:
    """Learn from human scores that came back; RESULTS is a CSV image,TRAIT,TRAIT...,votes as somebody typed it."""
    from prescreen import rounds

    done = rounds.learn(
        results,
        predictor=predictor,
        output=output,
        scores=scores,
        images=images,
        tested_traits=None if traits is None else parse_names(traits),
        raw=raw,
        votes=votes,
        baseline=baseline,
        baseline_votes=baseline_votes,
        improve=None if improve is None else parse_names(improve),
        keep=None if keep is None else parse_names(keep) if keep else (),
        improve_margin=improve_margin,
        keep_margin=keep_margin,
        any_of=any_of,
        budget=budget,
        references=references,
        gates_off=gates_off(gates, no_gates),
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
