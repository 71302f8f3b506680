"""``prescreen evaluate``: how good a predictor is on given ratings."""

import json
from pathlib import Path
from typing import Any

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.options import (
    columns_option,
    learning_curve_option,
    parsed,
    rated_images_option,
    ratings_option,
    scale_option,
    weights_option,
)
from prescreen.cli.output import accuracy_lines
from prescreen.cli.paths import LocalPath, Place

EXAMPLES = """\b
Examples:
  prescreen evaluate --predictor models/mine --ratings new_votes.csv --json evaluation.json
"""


@click.command(cls=Verb, short_help="Measure a predictor against ratings.", epilog=EXAMPLES)
@click.option(
    "--predictor",
    required=True,
    type=Place("predictor"),
    help="A predictor directory, models:/NAME@ALIAS or runs:/ID/predictor.",
)
@ratings_option
@rated_images_option
@click.option("--traits", help="The predictor's traits in the ratings: competence=smart,... [the same names]")
@columns_option
@scale_option
@click.option("--json", "json_file", type=LocalPath(), help="Write all figures to this file.")
@click.option("--metrics", type=LocalPath(), help="Write the headline figures to this .json file.")
@learning_curve_option
@click.option("--experiment", help="Also log the figures to this MLflow experiment.")
@weights_option
@verb
def evaluate(json_file: Path | None, metrics: Path | None, terminal: Terminal, **given: Any) -> None:
    """Measure a predictor against ratings.

    Pictures that the predictor was trained on are left out; on its own training ratings the cross-validated figures
    are shown.
    """
    from prescreen.evaluation.headline_metrics import headline
    from prescreen.storage.atomic import write_text_atomic
    from prescreen.storage.overwrite_checks import check_output_paths
    from prescreen.workflow import evaluate

    check_output_paths({"--json": json_file, "--metrics": metrics}, {"--ratings": given["ratings"]})
    report = evaluate.evaluate(evaluate.EvaluationOptions(**parsed(given)), terminal)
    for path, figures in ((json_file, report.to_json()), (metrics, headline(report))):
        if path is not None:
            write_text_atomic(path, json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    for line in accuracy_lines(report, everything=terminal.verbose):
        click.echo(line)
