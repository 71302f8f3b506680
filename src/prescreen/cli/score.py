"""``prescreen score``: a folder of portraits in, a table of scores out."""

from pathlib import Path

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.encoder_options import device_option

EXAMPLES = """\b
Examples:
  prescreen score portraits/ --predictor models/mine --output scores.csv
  prescreen score a.jpg b.jpg --predictor models:/prescreen@champion --output scores.parquet
"""


@click.command(short_help="Score a folder of pictures with a predictor.", epilog=EXAMPLES)
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--predictor", required=True, help="A predictor directory, models:/NAME@ALIAS or runs:/ID/predictor.")
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="Table to write: .csv, .parquet or .jsonl."
)
@click.option("--tolerant", is_flag=True, help="Score truncated pictures as far as they go instead of failing them.")
@device_option
@verb
def score(
    inputs: tuple[Path, ...], predictor: str, output: Path, tolerant: bool, device: str | None, terminal: Terminal
) -> None:
    """Score pictures with a predictor; INPUTS are folders or image files."""
    from prescreen import workflow

    done = workflow.score(
        inputs, predictor=predictor, output=output, tolerant=tolerant, device=device, narrator=terminal
    )
    counts = done.counts
    terminal.say(
        f"{done.scored} scored, {done.failed} failed ({counts.decoded} decoded, {counts.cached} from the cache)"
    )
    terminal.say(f"scores     {done.output}")
