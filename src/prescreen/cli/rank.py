"""``prescreen rank``: from scores to the few pictures worth sending."""

from pathlib import Path

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.tables import shortlist_lines
from prescreen.ranking.gate_names import GATES, gates_off
from prescreen.traits import parse_names

EXAMPLES = """\b
Examples:
  prescreen rank scores.csv --baseline now.jpg --output shortlist.csv --report report.html
  prescreen rank scores.csv --baseline now.jpg --reference me/ --no-gates blurred,unfamiliar --output shortlist.csv
  prescreen rank scores.csv --baseline competence=8.2,likeability=9.0,influence=7.1 --output shortlist.csv
"""


@click.command(short_help="Rank scored pictures; pick the few to send.", epilog=EXAMPLES)
@click.argument("scores", type=click.Path(path_type=Path))
@click.option(
    "--baseline", required=True, help="The present picture: a file, or scores competence=8.2,likeability=9.0."
)
@click.option(
    "--baseline-votes",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many votes the scores in --baseline come from; without it they count as exact.",
)
@click.option("--improve", help="Traits that should rise: influence,competence. [all that are not kept]")
@click.option("--keep", help="Traits that must not fall, '' for none. [likeability, where it is predicted]")
@click.option("--any-of", is_flag=True, help="One of the traits to improve is enough. [all of them must rise]")
@click.option("--improve-margin", default=0.0, help="Score points by which the traits to improve must rise. [0]")
@click.option("--keep-margin", default=0.0, help="Score points that the traits to keep may lose. [0]")
@click.option("--budget", default=3, show_default=True, type=click.IntRange(min=1), help="How many to send to raters.")
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
    "--output", type=click.Path(path_type=Path), required=True, help="Table to write: .csv, .parquet or .jsonl."
)
@click.option("--report", type=click.Path(path_type=Path), help="Also write a page with the pictures, one .html file.")
@click.option("--predictor", help="The predictor, where the scores' .meta.json does not name it.")
@verb
def rank(
    scores: Path,
    baseline: str,
    baseline_votes: int | None,
    improve: str | None,
    keep: str | None,
    any_of: bool,
    improve_margin: float,
    keep_margin: float,
    budget: int,
    references: tuple[Path, ...],
    gates: str,
    no_gates: str,
    output: Path,
    report: Path | None,
    predictor: str | None,
    terminal: Terminal,
) -> None:
    """Rank scored pictures by their chance to beat the present one; SCORES is what prescreen score wrote."""
    from prescreen import workflow

    done = workflow.rank(
        scores,
        baseline=baseline,
        baseline_votes=baseline_votes,
        improve=None if improve is None else parse_names(improve),
        keep=None if keep is None else parse_names(keep) if keep else (),
        any_of=any_of,
        improve_margin=improve_margin,
        keep_margin=keep_margin,
        budget=budget,
        references=references,
        gates_off=gates_off(gates, no_gates),
        output=output,
        report=report,
        predictor=predictor,
        narrator=terminal,
    )
    for line in shortlist_lines(done.shortlist):
        click.echo(line)
    terminal.say(f"shortlist  {output}")
    if report is not None:
        terminal.say(f"report     {report}")
