"""``prescreen train``: from ratings to a predictor."""

from typing import TYPE_CHECKING, Any

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.options import (
    COLUMNS_HELP,
    ENCODERS_HELP,
    device_option,
    learning_curve_option,
    mirror_option,
    parsed,
    precision_option,
    views_option,
    weights_option,
)
from prescreen.cli.output import accuracy_lines
from prescreen.cli.paths import LocalPath

if TYPE_CHECKING:
    from prescreen.evaluation.report import Evaluation
    from prescreen.evaluation.usability import Usability
    from prescreen.predictor.manifest import Manifest

FEW = 60  # pictures, below which cross-validation says clearly less than unseen pictures do
EXAMPLES = """\b
Examples:
  prescreen train --ratings votes.csv --images rated/ --encoder bundled --output models/mine
  prescreen train --ratings data/omi --traits competence=smart,likeability=outgoing,influence=electable \\
      --encoder bundled --output models/omi
  prescreen train --ratings few.csv --images rated/ --base models/omi --output models/mine
  prescreen train --ratings few.csv --images rated/ --ratings others.csv --images other-rated/ --encoder bundled
  prescreen train --ratings batch.csv --images rated/ --encoder bundled \\
      --columns image=Input.image_url,rater=WorkerId,competence=Answer.competence
"""


@click.command(cls=Verb, short_help="Train a predictor on crowd ratings.", epilog=EXAMPLES)
@click.option(
    "--ratings",
    type=LocalPath(),
    required=True,
    multiple=True,
    help="Votes or ratings: a file or a folder. The traits of the first one are predicted; more of them, of other "
    "traits, raters or pictures, help. The next four options may be given as often, in the same order.",
)
@click.option(
    "--images",
    type=LocalPath(),
    multiple=True,
    help="Folder of the rated pictures; once for all files, or once for each. [next to the ratings]",
)
@click.option(
    "--traits",
    multiple=True,
    help='Which traits, and under which names: competence=smart,likeability="warm, kind"; once for the first file, or '
    "once for each. [all]",
)
@click.option("--columns", multiple=True, help=f"{COLUMNS_HELP} Once for all files, or once for each. [by their names]")
@click.option(
    "--scale",
    multiple=True,
    help="Scale of the votes, LOW:HIGH, where the file does not tell; once for all files, or once for each.",
)
@click.option(
    "--base",
    "bases",
    multiple=True,
    metavar="PREDICTOR",
    help="Learn from what this predictor says of the rated pictures, too: a directory or a models:/ URI, for other "
    "traits or from other raters. It becomes part of the new one. May be given several times.",
)
@click.option("--encoder", help=f"{ENCODERS_HELP} [that of the first --base with its views, or clip]")
@views_option
@mirror_option
@precision_option
@device_option
@click.option("--output", type=LocalPath(), help="Where to save the predictor. [models/NAME_OF_RATINGS]")
@click.option("--experiment", help="MLflow experiment. [MLFLOW_EXPERIMENT_NAME, or prescreen]")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Seed of folds and regressors."
)
@click.option("--simulated", is_flag=True, help="The votes are simulated: say so wherever their predictions show.")
@learning_curve_option
@click.option(
    "--auxiliary/--no-auxiliary",
    default=True,
    show_default=True,
    help="Learn from the traits of the ratings that --traits leaves out, too; they are not predicted.",
)
@click.option(
    "--leave-out-raters",
    is_flag=True,
    help="Train without the votes of raters that tell nothing or the opposite; without it they are only named.",
)
@click.option(
    "--forget-portraits",
    is_flag=True,
    help="Keep no vector, face descriptor or hash of any portrait in the predictor; see MODEL_CARD.md for the price.",
)
@click.option(
    "--trees", is_flag=True, help="Stack boosted trees, too: a little better from 400 pictures, and far slower."
)
@weights_option
@verb
def train(terminal: Terminal, **given: Any) -> None:
    """Train a predictor on crowd ratings and log it to MLflow."""
    options = parsed(given)  # before the libraries load
    from prescreen.evaluation.usability import usability
    from prescreen.workflow import train
    from prescreen.workflow.rating_files import in_step

    files = in_step(**{name: options.pop(name) for name in ("ratings", "images", "traits", "columns", "scale")})
    done = train.train(train.TrainingOptions.of_files(files, **options), terminal)
    run = done.run
    for line in accuracy_lines(done.evaluation, everything=terminal.verbose):
        click.echo(line)
    terminal.say_notes()
    if told := few_pictures(done.evaluation, done.manifest):
        terminal.info(told)
    terminal.info(f"predictor  {done.output}; every figure is in its evaluation.json, or with --verbose")
    terminal.info(f"MLflow     run {run.run_id} in {run.store}, model prescreen version {run.version}")
    for line in run.page.splitlines():
        terminal.info(f"           {line}")
    for line in _standing(run.version, run.champion, run.comparison, usability(done.evaluation)):
        terminal.info(f"           {line}")


def few_pictures(evaluation: "Evaluation", manifest: "Manifest") -> str:
    """Say how far r is to be trusted where there are few pictures; `benchmarks/base.py` measures it.

    Nothing is said where that was not measured: of predictors that cannot be used, and of those with a base that has
    seen, or may have seen, the persons, and of several rating files.
    """
    from prescreen.evaluation.usability import usability

    seen = manifest.data.get("known_to_bases", 0) or manifest.forgetful
    if evaluation.n >= FEW or not usability(evaluation).usable or seen or manifest.other_ratings:
        return ""
    more = "with a base 0.06 higher with 30, 0.03 with 60" if manifest.bases else "0.13 higher with 30, 0.05 with 60"
    return (
        f"mean r {evaluation.overall.pearson.text()} of only {evaluation.n} pictures: cross-validation is pessimistic "
        f"there (on unseen faces of One Million Impressions r was {more})"
    )


def _standing(version: str, champion: bool, comparison: str, found: "Usability") -> list[str]:
    """Say whether a new version is the champion, why, and what changes that."""
    if not found.usable:
        return [f"version {version} is saved and logged, but not the champion: it is not usable"]
    return [
        f"version {version} is now the champion: {comparison}"
        if champion
        else f"version {version} is not the champion: {comparison}; prescreen models promote {version} --force "
        "changes that"
    ]
