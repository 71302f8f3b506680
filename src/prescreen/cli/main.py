"""The command ``prescreen``: its verbs in their order, and what ``--help`` shows."""

from typing import Any

import click

from prescreen import __version__
from prescreen.cli.ballot import ballot
from prescreen.cli.cache import cache
from prescreen.cli.console import interrupted
from prescreen.cli.data import data
from prescreen.cli.demo import demo
from prescreen.cli.doctor import doctor
from prescreen.cli.effects import effects
from prescreen.cli.embed import embed
from prescreen.cli.evaluate import evaluate
from prescreen.cli.export import export
from prescreen.cli.learn import learn
from prescreen.cli.models import models
from prescreen.cli.pick import pick
from prescreen.cli.rank import rank
from prescreen.cli.review import review
from prescreen.cli.score import score
from prescreen.cli.train import train


class _Main(click.Group):
    """Lists commands in their order; Ctrl-C before a verb begins ends it as during the verb."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise SystemExit(interrupted()) from None


EXAMPLES = """\b
Examples:
  prescreen demo
  prescreen pick portraits/ --current now.jpg
  prescreen ballot rated/ --traits competence,likeability,influence --output ballot/
  prescreen train --ratings votes.csv --images rated/ --encoder bundled --output models/mine
  prescreen score portraits/ --predictor models/mine --output scores.csv
  prescreen rank scores.csv --baseline now.jpg --output shortlist.csv --report report.html
  prescreen review scores.csv --baseline now.jpg
  prescreen learn results.csv --predictor models/mine --output models/me --scores scores.csv --baseline now.jpg
"""


@click.group(
    cls=_Main,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="prescreen")
def main() -> None:
    """Predict how a crowd would rate portraits, and pick the few worth sending to human raters."""


for command in (
    doctor,
    pick,
    ballot,
    train,
    evaluate,
    embed,
    score,
    rank,
    review,
    effects,
    learn,
    export,
    models,
    data,
    cache,
    demo,
):
    main.add_command(command)
