"""``prescreen embed``: vectors only."""

from typing import Any

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.options import (
    device_option,
    encoder_option,
    links_option,
    mirror_option,
    parsed,
    precision_option,
    views_option,
)
from prescreen.cli.paths import LocalPath, Place

EXAMPLES = """\b
Examples:
  prescreen embed portraits/ --encoder bundled
"""


@click.command(cls=Verb, short_help="Turn pictures into vectors and cache them.", epilog=EXAMPLES)
@click.argument("inputs", nargs=-1, required=True, type=Place())
@encoder_option
@views_option
@mirror_option
@precision_option
@device_option
@click.option("--output", type=LocalPath(), help="Also write the vectors to this .parquet file.")
@links_option
@verb
def embed(inputs: tuple[str, ...], terminal: Terminal, **given: Any) -> None:
    """Turn pictures into vectors and keep them in the cache, where train and score find them.

    INPUTS are folders or image files, or one URL such as s3://bucket/folder.
    """
    from prescreen.workflow import embed

    counts = embed.embed(inputs, reporter=terminal, **parsed(given))
    terminal.info(f"{counts.decoded} embedded, {counts.cached} from the cache, {counts.describe_failures()}")
