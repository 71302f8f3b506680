"""``prescreen train``: from ratings to a predictor."""

from pathlib import Path

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.encoder_options import device_option, encoder_option, precision_option
from prescreen.cli.hints import Verb
from prescreen.cli.output import accuracy_table
from prescreen.cli.paths import LocalPath
from prescreen.cli.ratings_options import columns_option
from prescreen.ratings.scale import Scale
from prescreen.text import parse_columns, parse_traits

EXAMPLES = """\b
Examples:
  prescreen train --ratings votes.csv --images rated/ --encoder bundled --output models/mine
  prescreen train --ratings data/omi --traits competence=smart,likeability=outgoing,influence=electable \\
      --encoder bundled --output models/omi
  prescreen train --ratings batch.csv --images rated/ \\
      --columns image=Input.image_url,rater=WorkerId,competence=Answer.competence
"""


@click.command(cls=Verb, short_help="Train a predictor on crowd ratings.", epilog=EXAMPLES)
@click.option("--ratings", type=LocalPath(), required=True, help="Votes or ratings: a file or a folder.")
@click.option("--images", type=LocalPath(), help="Folder of the rated pictures. [beside the ratings]")
@click.option("--traits", help='Which traits, and under which names: competence=smart,likeability="warm, kind". [all]')
@columns_option
@click.option("--scale", help="Scale of the votes, LOW:HIGH, where the file does not tell.")
@encoder_option
@precision_option
@device_option
@click.option("--output", type=LocalPath(), help="Where to save the predictor. [models/NAME_OF_RATINGS]")
@click.option("--experiment", help="MLflow experiment. [MLFLOW_EXPERIMENT_NAME, or prescreen]")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Seed of folds and regressors."
)
@click.option("--simulated", is_flag=True, help="The votes are simulated: say so wherever their predictions show.")
@click.option("--learning-curve", is_flag=True, help="Measure what more pictures and votes would give; takes longer.")
@click.option(
    "--auxiliary/--no-auxiliary",
    default=True,
    show_default=True,
    help="Learn from the traits of the ratings that --traits leaves out, too; they are not predicted.",
)
@click.option(
    "--forget-portraits",
    is_flag=True,
    help="Keep no vector, face descriptor or hash of any portrait in the predictor; see MODEL_CARD.md for the price.",
)
@verb
def train(
    ratings: Path,
    images: Path | None,
    traits: str | None,
    columns: str | None,
    scale: str | None,
    encoder: str,
    precision: str,
    device: str | None,
    output: Path | None,
    experiment: str | None,
    seed: int,
    simulated: bool,
    learning_curve: bool,
    auxiliary: bool,
    forget_portraits: bool,
    terminal: Terminal,
) -> None:
    """Train a predictor on crowd ratings and log it to MLflow."""
    chosen, told = (parse_traits(traits) if traits else None), (Scale.parse(scale) if scale else None)
    meant = parse_columns(columns) if columns else None
    from prescreen.workflow import train

    done = train.train(
        ratings,
        images=images,
        traits=chosen,
        columns=meant,
        scale=told,
        encoder=encoder,
        precision=precision,
        device=device,
        output=output,
        experiment=experiment,
        seed=seed,
        simulated=simulated,
        learning_curve=learning_curve,
        auxiliary=auxiliary,
        forget_portraits=forget_portraits,
        reporter=terminal,
    )
    click.echo(accuracy_table(done.evaluation))
    terminal.info(f"predictor  {done.output}")
    terminal.info(f"MLflow     run {done.run.run_id} in {done.run.store}, model prescreen version {done.run.version}")
    terminal.info(f"           {_standing(done.run.version, done.run.champion, done.run.comparison)}")


def _standing(version: str, champion: bool, comparison: str) -> str:
    """Say whether a new version is the champion, why, and what changes that."""
    if champion:
        return f"version {version} is now the champion: {comparison}"
    return (
        f"version {version} is not the champion: {comparison}; prescreen models promote {version} --force changes that"
    )
