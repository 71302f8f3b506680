"""``prescreen doctor``: shows what is installed, which encoders have weights, and where things are stored."""

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.options import weights_option
from prescreen.cli.paths import Place

EXAMPLES = """\b
Examples:
  prescreen doctor
  prescreen doctor --encoder clip
  PRESCREEN_CACHE=/big/disk/cache prescreen doctor
"""


@click.command(cls=Verb, short_help="Show versions, weights and places.", epilog=EXAMPLES)
@click.option(
    "--encoder",
    help="Whether this encoder's weights are here, and how long 900 portraits take; if not, the hub is asked how large "
    "they are. [all]",
)
@click.option(
    "--predictor",
    type=Place("predictor"),
    help="Also a predictor, and whether it still scores its canaries as at training.",
)
@weights_option
@verb
def doctor(encoder: str | None, predictor: str | None, terminal: Terminal) -> None:
    """Show what is installed, which encoders have weights, and where things are stored."""
    from prescreen.workflow import doctor
    from prescreen.workflow.inputs import load_predictor

    found = doctor.examine(encoder)
    if predictor is not None:
        found["predictor"] = doctor.examine_predictor(load_predictor(predictor))
    for title, findings in found.items():
        click.echo(title)
        for name, finding in findings.items():
            click.echo(f"  {name:<16} {finding}")
