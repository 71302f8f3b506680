"""``prescreen score``: a folder of portraits in, a table of scores out."""

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.options import device_option, links_option, weights_option
from prescreen.cli.paths import Place

EXAMPLES = """\b
Examples:
  prescreen score portraits/ --predictor models/mine --output scores.csv
  prescreen score a.jpg b.jpg --predictor models:/prescreen@champion --output scores.parquet
  prescreen score portraits/ --predictor models/mine --output - | head
  prescreen score s3://bucket/portraits --predictor models/mine --output scores/ --engine ray
"""


@click.command(cls=Verb, short_help="Score a folder of pictures with a predictor.", epilog=EXAMPLES)
@click.argument("inputs", nargs=-1, required=True, type=Place())
@click.option(
    "--predictor",
    required=True,
    type=Place("predictor"),
    help="A predictor directory, models:/NAME@ALIAS or runs:/ID/predictor.",
)
@click.option(
    "--output",
    required=True,
    type=Place(dash=True),
    help="Table to write: .csv, .parquet or .jsonl, or a folder of Parquet parts: scores/; - is standard output, CSV.",
)
@click.option("--tolerant", is_flag=True, help="Score truncated pictures as far as they go instead of failing them.")
@links_option
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where the work is done: by this process and its workers, or by Ray actors here or on a cluster.",
)
@click.option(
    "--ray-address",
    help="A running Ray cluster; by default RAY_ADDRESS, or else Ray is started on this machine for the run.",
)
@device_option
@weights_option
@verb
def score(
    inputs: tuple[str, ...], output: str, engine: str, ray_address: str | None, terminal: Terminal, **given: Any
) -> None:
    """Score pictures with a predictor.

    INPUTS are folders or image files, or one URL such as s3://bucket/folder. The output may be a URL, too.
    """
    from prescreen.storage.table_output import is_folder
    from prescreen.workflow import score

    if ray_address and engine != "ray":
        raise click.UsageError("--ray-address goes with --engine ray")
    with contextlib.ExitStack() as stack:
        place = output
        if output == "-":
            place = str(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="prescreen-"))) / "scores.csv")
            stack.callback(_to_standard_output, Path(place))  # also where none could be scored
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))  # Ray's own messages are not data
        done = score.score(inputs, output=place, engine=engine, ray_address=ray_address, reporter=terminal, **given)
    counts = done.counts
    terminal.info(f"{done.scored} scored, {counts.describe_failures()}")
    terminal.info(f"vectors    {counts.decoded} decoded, {counts.cached} from the cache")
    if output == "-":
        return
    folder = " (a folder of Parquet parts)" if is_folder(output) else ""
    terminal.info(f"scores     {done.output}{folder}")


def _to_standard_output(table: Path) -> None:
    """Copy the table, where there is one, to standard output; without its metadata it cannot be ranked."""
    if table.is_file():
        with table.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
