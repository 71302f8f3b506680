"""``prescreen evaluate``: how good a predictor is on given ratings."""

import json
from pathlib import Path

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.output import accuracy_table
from prescreen.cli.paths import LocalPath, Place
from prescreen.cli.ratings_options import columns_option
from prescreen.ratings.scale import Scale

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
@click.option("--ratings", type=LocalPath(), required=True, help="Votes or ratings: a file or a folder.")
@click.option("--images", type=LocalPath(), help="Folder of the rated pictures. [beside the ratings]")
@click.option("--traits", help="The predictor's traits in the ratings: competence=smart,... [the same names]")
@columns_option
@click.option("--scale", help="Scale of the votes, LOW:HIGH, where the file does not tell.")
@click.option("--json", "json_file", type=LocalPath(), help="Write all figures to this file.")
@click.option("--metrics", type=LocalPath(), help="Write the headline figures to this .json file.")
@click.option("--learning-curve", is_flag=True, help="Measure what more pictures and votes would give; takes longer.")
@click.option("--experiment", help="Also log the figures to this MLflow experiment.")
@verb
def evaluate(
    predictor: str,
    ratings: Path,
    images: Path | None,
    traits: str | None,
    columns: str | None,
    scale: str | None,
    json_file: Path | None,
    metrics: Path | None,
    learning_curve: bool,
    experiment: str | None,
    terminal: Terminal,
) -> None:
    """Measure a predictor against ratings.

    Pictures that the predictor was trained on are left out; on its own training ratings the cross-validated figures
    are shown.
    """
    from prescreen.reports.headline import headline
    from prescreen.storage.atomic import write_text_atomic
    from prescreen.storage.overwrite_checks import check_output_paths
    from prescreen.text import parse_columns, parse_traits
    from prescreen.workflow import evaluate

    check_output_paths({"--json": json_file, "--metrics": metrics}, {"--ratings": ratings})
    report = evaluate.evaluate(
        predictor,
        ratings,
        images=images,
        traits=parse_traits(traits) if traits else None,
        columns=parse_columns(columns) if columns else None,
        scale=Scale.parse(scale) if scale else None,
        learning_curve=learning_curve,
        experiment=experiment,
        reporter=terminal,
    )
    if json_file is not None:
        write_text_atomic(json_file, json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n")
    if metrics is not None:
        write_text_atomic(metrics, json.dumps(headline(report), indent=2, ensure_ascii=False) + "\n")
    click.echo(accuracy_table(report))
