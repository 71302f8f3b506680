"""The options that ``prescreen rank``, ``prescreen review`` and ``prescreen learn`` share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import click

from prescreen.cli.paths import LocalPath, Place
from prescreen.ranking.gate_names import GATES, gates_off
from prescreen.text import parse_names

if TYPE_CHECKING:
    from prescreen.ranking.options import Wishes


class Comparing(TypedDict):
    """What says how candidates are compared with the present picture, as it was given."""

    baseline_votes: int | None
    improve: str | None
    keep: str | None
    any_of: bool
    improve_margin: float
    keep_margin: float
    budget: int | None
    references: tuple[Path, ...]
    gates: str
    no_gates: str


images_option = click.option(
    "--images",
    type=Place("place"),
    multiple=True,
    help="Folder, file or URL of the scored pictures; may be repeated. [where they were scored, on this machine]",
)
_COMPARING = [
    click.option(
        "--baseline-votes",
        type=click.IntRange(min=1),
        metavar="N",
        help="How many votes the scores in --baseline come from; without it they count as exact.",
    ),
    click.option("--improve", help="Traits that should rise: influence,competence. [all others]"),
    click.option(
        "--keep",
        help="Traits that must not fall, '' for none. [all others; likeability, where --improve is not given either]",
    ),
    click.option("--any-of", is_flag=True, help="One of the traits to improve is enough. [all of them must rise]"),
    click.option("--improve-margin", default=0.0, help="Score points by which the traits to improve must rise. [0]"),
    click.option("--keep-margin", default=0.0, help="Score points that the traits to keep may lose. [0]"),
    click.option("--budget", type=click.IntRange(min=1), help="How many to send. [3, or as many as --votes pay for]"),
    click.option(
        "--reference",
        "references",
        type=LocalPath(exists=True),
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
]
_BASELINE = "The present picture: a file, or scores competence=8.2,likeability=9.0."
_RANKING = [
    *_COMPARING,
    click.option(
        "--votes",
        type=click.IntRange(min=1),
        metavar="N",
        help="Votes that you can get in all: says how many pictures to send, with how many votes each.",
    ),
    click.option(
        "--predictor", type=Place("predictor"), help="The predictor, where the scores' .meta.json does not name it."
    ),
    images_option,
]

Command = Callable[..., Any]

keep_metadata_option = click.option(
    "--keep-metadata",
    is_flag=True,
    help="Pictures that the page exports keep GPS positions, names and serial numbers. [without; orientation stays]",
)


def comparing_options(function: Command) -> Command:
    """Give a command the options that say what to improve, what holds pictures back and how many to send."""
    for option in reversed(_COMPARING):
        function = option(function)
    return function


def ranking_options(function: Command) -> Command:
    """Give a command those options, and what to compare with by which predictor."""
    return click.option("--baseline", required=True, type=Place("picture"), help=_BASELINE)(_with_ranking(function))


def ranking_options_baseline_later(function: Command) -> Command:
    """Do the same for a command that can also do without a present picture."""
    return click.option("--baseline", type=Place("picture"), help=_BASELINE)(_with_ranking(function))


def _with_ranking(function: Command) -> Command:
    for option in reversed(_RANKING):
        function = option(function)
    return function


def wishes(given: Comparing, votes: int | None = None) -> "Wishes":
    """Return the options as `prescreen.workflow.rank.rank` and `prescreen.workflow.learn.learn` take them.

    Parameters
    ----------
    given : Comparing
        The options.
    votes : int, optional
        Votes that can be had in all.

    Raises
    ------
    UsageError
        If a list of names or gates cannot be understood.
    """
    from prescreen.ranking.options import Wishes

    improve, keep = given["improve"], given["keep"]
    return Wishes(
        improve=None if improve is None else parse_names(improve),
        keep=None if keep is None else parse_names(keep) if keep else (),
        improve_margin=given["improve_margin"],
        keep_margin=given["keep_margin"],
        any_of=given["any_of"],
        budget=given["budget"],
        votes=votes,
        baseline_votes=given["baseline_votes"],
        references=given["references"],
        gates_off=gates_off(given["gates"], given["no_gates"]),
    )
