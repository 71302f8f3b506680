"""``prescreen embed``: vectors only."""

from pathlib import Path

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.encoder_options import device_option, encoder_option, links_option, precision_option
from prescreen.cli.hints import Verb
from prescreen.cli.paths import LocalPath, Place

EXAMPLES = """\b
Examples:
  prescreen embed portraits/ --encoder bundled
"""


@click.command(cls=Verb, short_help="Turn pictures into vectors and cache them.", epilog=EXAMPLES)
@click.argument("inputs", nargs=-1, required=True, type=Place())
@encoder_option
@precision_option
@device_option
@click.option("--output", type=LocalPath(), help="Also write the vectors to this .parquet file.")
@links_option
@verb
def embed(
    inputs: tuple[str, ...],
    encoder: str,
    precision: str,
    device: str | None,
    output: Path | None,
    follow_links: bool,
    terminal: Terminal,
) -> None:
    """Turn pictures into vectors and keep them in the cache, so that train and score find them there.

    INPUTS are folders or image files, or one URL such as s3://bucket/folder.
    """
    from prescreen.workflow import embed

    counts = embed.embed(
        inputs,
        encoder=encoder,
        precision=precision,
        device=device,
        output=output,
        follow_links=follow_links,
        reporter=terminal,
    )
    terminal.info(f"{counts.decoded} embedded, {counts.cached} from the cache, {counts.describe_failures()}")
