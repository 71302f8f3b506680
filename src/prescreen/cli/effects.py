"""``prescreen effects``: what goes with higher and lower predictions."""

from pathlib import Path

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.options import weights_option
from prescreen.cli.output import effect_lines
from prescreen.cli.paths import LocalPath, Place
from prescreen.cli.ranking_options import images_option, warn_of_renamed
from prescreen.ranking.checks import parse_checks
from prescreen.text import parse_names

EXAMPLES = """\b
Examples:
  prescreen effects scores.csv
  prescreen effects scores.csv --tags prompts.csv --by outfit,scene --output effects.csv
  prescreen effects scores.csv --text "a portrait in a formal suit" --text "a portrait on a stage"
"""


@click.command(cls=Verb, short_help="Find what raises which trait: folders, tags, texts.", epilog=EXAMPLES)
@click.argument("scores", type=LocalPath())
@click.option(
    "--tags",
    type=LocalPath(),
    help="Table with a column image and others that say how each picture was made: prompt, outfit, scene.",
)
@click.option("--by", metavar="NAMES", help="folder, and columns of --tags. [folders, and all columns]")
@click.option(
    "--separator", default=";", show_default=True, help="Between several tags in one cell; '' if a cell is one tag."
)
@click.option(
    "--text",
    "texts",
    multiple=True,
    metavar="TEXT",
    help="What pictures may show, as a caption; may be repeated. Needs a predictor with a CLIP encoder.",
)
@click.option(
    "--gates",
    default="faces,person",
    show_default=True,
    metavar="NAMES",
    help="Pictures that these checks exclude are left out: all, none, or names as for rank.",
)
@click.option(
    "--predictor", type=Place("predictor"), help="The predictor, where the scores' .meta.json does not name it."
)
@images_option
@click.option("--output", type=LocalPath(), help="Table of all effects: .csv, .parquet or .jsonl.")
@weights_option
@verb
def effects(
    scores: Path,
    tags: Path | None,
    by: str | None,
    separator: str,
    texts: tuple[str, ...],
    gates: str,
    predictor: str | None,
    images: tuple[str, ...],
    output: Path | None,
    terminal: Terminal,
) -> None:
    """Compare the predictions of pictures made in different ways; SCORES is what prescreen score wrote.

    The first interval is about what the predictor sees, the second about what raters would say.
    """
    from prescreen.workflow import effects

    warn_of_renamed(terminal, gates)
    done = effects.effects(
        scores,
        by=parse_names(by) if by else (),
        tags=tags,
        separator=separator,
        texts=texts,
        gates=parse_checks(gates),
        output=output,
        predictor=predictor,
        images=images,
        reporter=terminal,
    )
    for line in effect_lines(done.table):
        click.echo(line)
    if output is not None:
        terminal.info(f"effects    {output}")
