"""``prescreen rank``: from scores to the few pictures worth sending."""

from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.options import weights_option
from prescreen.cli.output import plan_lines, shortlist_lines, zero_shot_lines
from prescreen.cli.paths import LocalPath
from prescreen.cli.ranking_options import keep_metadata_option, make_options, ranking_options

EXAMPLES = """\b
Examples:
  prescreen rank scores.csv --baseline now.jpg --output shortlist.csv --report report.html
  prescreen rank scores.csv --output best.csv
  prescreen rank scores.csv --baseline now.jpg --reference me/ --no-gates blurred,novelty --output shortlist.csv
  prescreen rank scores.csv --baseline now.jpg --votes 120 --output shortlist.csv
  prescreen rank scores.csv --baseline now.jpg --votes 300 --wanted 10 --output shortlist.csv
  prescreen rank scores.csv --baseline now.jpg --decisions scores.decisions.csv --output shortlist.csv
  prescreen rank portraits/ --zero-shot --output order.csv --report order.html
  prescreen rank scores.csv --baseline now.jpg --baseline-scores competence=8.2,likeability=9.0,influence=7.1 \\
      --baseline-votes 40 --output shortlist.csv
"""


@click.command(cls=Verb, short_help="Rank scored pictures; pick the few to send.", epilog=EXAMPLES)
@click.argument("scores", type=LocalPath())
@ranking_options
@click.option(
    "--zero-shot",
    is_flag=True,
    help="No ratings at all: SCORES is a folder of pictures, ranked by texts. Uncalibrated; needs a CLIP encoder.",
)
@click.option(
    "--encoder",
    help="With --zero-shot: clip, clip:large, clip:MODEL/PRETRAINED or clip:MODEL[/PRETRAINED]@PATH. [clip]",
)
@click.option("--output", type=LocalPath(), required=True, help="Table to write: .csv, .parquet or .jsonl.")
@click.option(
    "--decisions",
    type=LocalPath(exists=True, dir_okay=False),
    help="What prescreen review or its page saved: what was rejected is excluded, what was kept is proposed. Or the "
    "list that the page exported, to propose exactly that.",
)
@click.option("--report", type=LocalPath(), help="Also write a page with the pictures, one .html file.")
@keep_metadata_option
@click.option("--experiment", help="Also log the table and the page, with its pictures, to this MLflow experiment.")
@weights_option
@verb
def rank(
    scores: Path,
    baseline: str | None,
    zero_shot: bool,
    encoder: str | None,
    predictor: str | None,
    images: tuple[str, ...],
    output: Path,
    report: Path | None,
    decisions: Path | None,
    keep_metadata: bool,
    experiment: str | None,
    terminal: Terminal,
    **comparison: Any,
) -> None:
    """Rank scored pictures by their chance to beat your current photo; SCORES is what prescreen score wrote."""
    from prescreen.workflow import rank
    from prescreen.workflow.zero_shot import rank_zero_shot

    options = make_options(terminal, **comparison)
    if zero_shot:
        _refuse_for_zero_shot()
        ranked = rank_zero_shot(
            [scores],
            encoder=encoder or "clip",
            baseline=baseline,
            options=options,
            output=output,
            report=report,
            reporter=terminal,
        )
        for line in zero_shot_lines(ranked.shortlist):
            click.echo(line)
        terminal.say_notes()
        _written(terminal, output, report)
        return
    if encoder is not None:
        raise click.UsageError("--encoder: goes with --zero-shot; a predictor has its own")
    done = rank.rank(
        scores,
        baseline=baseline,
        options=options,
        predictor=predictor,
        decisions=decisions,
        images=images,
        output=output,
        report=report,
        keep_metadata=keep_metadata,
        experiment=experiment,
        reporter=terminal,
    )
    click.echo(done.advice.describe())
    for line in shortlist_lines(done.shortlist):
        click.echo(line)
    for line in plan_lines(done.plans):
        click.echo(line)
    terminal.say_notes()
    _written(terminal, output, report)


_MEANINGLESS: Final = {
    "experiment": "--zero-shot, which has no predictor",
    "decisions": "--zero-shot",
    "predictor": "--zero-shot, which ranks by texts",
    "images": "--zero-shot; SCORES is the folder of the pictures",
    "weights": "--zero-shot; name the file with --encoder clip:MODEL@PATH",
}


def _refuse_for_zero_shot() -> None:
    asked = click.get_current_context().get_parameter_source
    for option, why in _MEANINGLESS.items():
        if asked(option) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{option}: has no meaning with {why}")


def _written(terminal: Terminal, output: Path, report: Path | None) -> None:
    terminal.info(f"shortlist  {output}")
    if report is not None:
        terminal.info(f"report     {report}")
