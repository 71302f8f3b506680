"""``prescreen demo``: the whole job on the sample."""

from pathlib import Path

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.paths import LocalPath

EXAMPLES = """\b
Examples:
  prescreen demo --output demo
"""


@click.command(cls=Verb, short_help="Do all of it on the sample portraits.", epilog=EXAMPLES)
@click.option("--output", type=LocalPath(), default=Path("demo"), show_default=True, help="Folder to fill.")
@click.option("--sample", type=LocalPath(), help="Folder of the sample. [the one that comes with prescreen]")
@verb
def demo(output: Path, sample: Path | None, terminal: Terminal) -> None:
    """Train, score and rank on the sample portraits, whose votes are simulated."""
    from prescreen.cli.output import accuracy_lines, shortlist_lines
    from prescreen.workflow import demo

    done = demo.demo(output, sample=sample, reporter=terminal)
    click.echo("Cross-validated on the sample:")
    for line in accuracy_lines(done.training.evaluation, everything=terminal.verbose):
        click.echo(line)
    click.echo("\nWorth sending to raters (simulated votes):")
    for line in shortlist_lines(done.ranking.shortlist):
        click.echo(f"  {line}")
    page = done.training.run.page.replace("\n", "\n           ")
    click.echo(
        f"\nreport     {done.report}\nshortlist  {done.shortlist}\nscores     {done.scores}"
        f"\npredictor  {done.training.output}"
        f"\nMLflow     {page}"
        "\n\nYour own pictures, with ratings of your own crowd:"
        "\n  prescreen train --ratings votes.csv --images rated/ --encoder bundled --output models/mine"
        "\n  prescreen score portraits/ --predictor models/mine --output scores.csv"
        "\n  prescreen rank scores.csv --baseline now.jpg --output shortlist.csv --report report.html"
    )
