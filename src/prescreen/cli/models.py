"""``prescreen models``: the registered predictors, and which of them is the champion."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.output import aligned

if TYPE_CHECKING:
    from prescreen.evaluation.metrics import Estimate
    from prescreen.tracking.registry import ModelVersion

EXAMPLES = """\b
Examples:
  prescreen models list
  prescreen models compare                    # challenger against champion
  prescreen models compare 4 3
  prescreen models promote challenger
  prescreen score portraits/ --predictor models:/prescreen@champion --output scores.csv
"""


@click.group(short_help="List, compare and promote registered predictors.", epilog=EXAMPLES)
def models() -> None:
    """List, compare and promote the predictors in the MLflow registry.

    The champion is the version to use. The challenger is the other version of the last comparison: the one that the
    champion replaced, or one that did not beat it.
    """


@models.command("list", cls=Verb, short_help="All versions, the newest first.", epilog=EXAMPLES)
@verb
def list_(terminal: Terminal) -> None:
    """Show all registered versions, the newest first."""
    from prescreen import tracking
    from prescreen.evaluation.metrics import Estimate
    from prescreen.text import quoted

    rows = [
        [
            version.version,
            ", ".join(version.aliases) or ("not usable" if version.unusable else "-"),
            version.run_name,
            Estimate(version.metrics.get("mean/pearson")).text(),
            ", ".join(map(quoted, version.traits)),
            version.parameters.get("encoder", "-"),
            "simulated" if version.simulated else "real",
            f"{datetime.fromtimestamp(version.created / 1000, UTC):%Y-%m-%d %H:%M}",
        ]
        for version in tracking.list_versions()
    ]
    head = ["version", "aliases", "name", "mean r", "traits", "encoder", "votes", "registered (UTC)"]
    for line in aligned([head, *rows]):
        click.echo(line)
    if not rows:
        terminal.info(f"none in {tracking.store_name()}: prescreen train adds one; another store: MLFLOW_TRACKING_URI")


@models.command(cls=Verb, short_help="Compare two versions.", epilog=EXAMPLES)
@click.argument("new", default="challenger")
@click.argument("old", default="champion")
@verb
def compare(new: str, old: str, terminal: Terminal) -> None:
    """Show the cross-validated accuracy of two versions, NEW and OLD: numbers or aliases."""
    from prescreen import tracking

    one, two = tracking.find_version(new), tracking.find_version(old)
    rows = [["", f"version {one.version}", f"version {two.version}", "difference"]]
    rows.append(["aliases", *(", ".join(version.aliases) or "-" for version in (one, two)), ""])
    rows.append(["encoder", *(version.parameters.get("encoder", "-") for version in (one, two)), ""])
    rows.append(["ratings", *(version.data[:12] or "-" for version in (one, two)), ""])
    if one.raters_left_out or two.raters_left_out:
        rows.append(["raters left out", *(str(version.raters_left_out) for version in (one, two)), ""])
    wanted = [f"{trait}/{figure}" for trait in sorted({*one.traits, *two.traits}) for figure in ("pearson", "rmse")]
    ends = tuple(_intervals(version) for version in (one, two))
    for name in ["mean/pearson", *wanted]:
        a, b = (version.metrics.get(tracking.safe_name(name)) for version in (one, two))
        gap = "unknown" if a is None or b is None else f"{a - b:+.3f}"
        rows.append([name, *(_figure(value, end.get(name)) for value, end in zip((a, b), ends, strict=True)), gap])
    for line in aligned(rows):
        click.echo(line)
    decision = tracking.judge(one, two, "mean/pearson")
    terminal.info(f"version {one.version} is {'better' if decision.better else 'not better'}: {decision.reason}")


@models.command(cls=Verb, short_help="Make a version the champion.", epilog=EXAMPLES)
@click.argument("version", default="challenger")
@click.option("--force", is_flag=True, help="Also where it is not better than the current champion.")
@verb
def promote(version: str, force: bool, terminal: Terminal) -> None:
    """Make VERSION, a number or an alias, the champion if it is better; the old champion becomes the challenger."""
    from prescreen import tracking

    promoted, reason = tracking.promote(version, force=force)
    terminal.info(f"version {promoted.version} is the champion: {reason}")


def _intervals(version: "ModelVersion") -> dict[str, "Estimate"]:
    """Return the figures of the evaluation of a version that have an interval, by their names as metrics."""
    from prescreen import tracking

    evaluation = tracking.evaluation_of(version)
    return {
        f"{trait.trait}/{figure}": getattr(trait, figure)
        for trait in (evaluation.traits if evaluation else ())
        for figure in ("pearson", "rmse")
    }


def _figure(value: float | None, estimate: "Estimate | None") -> str:
    from prescreen.evaluation.metrics import Estimate

    return Estimate(value, *((estimate.low, estimate.high) if estimate else ())).text()
