"""The options that ``prescreen rank`` and ``prescreen review`` share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import click

from prescreen.ranking.gate_names import GATES, gates_off
from prescreen.traits import parse_names


class Ranking(TypedDict):
    """The options as they were given."""

    baseline: str
    baseline_votes: int | None
    improve: str | None
    keep: str | None
    any_of: bool
    improve_margin: float
    keep_margin: float
    budget: int
    references: tuple[Path, ...]
    gates: str
    no_gates: str
    predictor: str | None


_OPTIONS = [
    click.option(
        "--baseline", required=True, help="The present picture: a file, or scores competence=8.2,likeability=9.0."
    ),
    click.option(
        "--baseline-votes",
        type=click.IntRange(min=1),
        metavar="N",
        help="How many votes the scores in --baseline come from; without it they count as exact.",
    ),
    click.option("--improve", help="Traits that should rise: influence,competence. [all that are not kept]"),
    click.option("--keep", help="Traits that must not fall, '' for none. [likeability, where it is predicted]"),
    click.option("--any-of", is_flag=True, help="One of the traits to improve is enough. [all of them must rise]"),
    click.option("--improve-margin", default=0.0, help="Score points by which the traits to improve must rise. [0]"),
    click.option("--keep-margin", default=0.0, help="Score points that the traits to keep may lose. [0]"),
    click.option("--budget", default=3, show_default=True, type=click.IntRange(min=1), help="How many to send."),
    click.option(
        "--reference",
        "references",
        type=click.Path(path_type=Path, exists=True),
        multiple=True,
        metavar="PATH",
        help="A picture, or a folder of pictures, that surely show the person; may be repeated.",
    ),
    click.option(
        "--gates",
        default="all",
        show_default=True,
        metavar="NAMES",
        help=f"Which gates hold pictures back: all, none, or of {', '.join(GATES)}.",
    ),
    click.option("--no-gates", default="", metavar="NAMES", help="Which of these are off all the same: nose,eyes."),
    click.option("--predictor", help="The predictor, where the scores' .meta.json does not name it."),
]


def ranking_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say what to compare with, what to improve and how many to send."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def parsed(given: Ranking) -> dict[str, Any]:
    """Return the options as `prescreen.workflow.rank` takes them.

    Raises
    ------
    UsageError
        If a list of names or gates cannot be understood.
    """
    improve, keep = given["improve"], given["keep"]
    options: dict[str, Any] = {name: value for name, value in given.items() if name not in ("gates", "no_gates")}
    return options | {
        "improve": None if improve is None else parse_names(improve),
        "keep": None if keep is None else parse_names(keep) if keep else (),
        "gates_off": gates_off(given["gates"], given["no_gates"]),
    }
