"""The options that ``prescreen rank``, ``prescreen review`` and ``prescreen learn`` share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from prescreen.cli.console import Terminal
from prescreen.cli.paths import LocalPath, Place
from prescreen.errors import UsageError
from prescreen.ranking.checks import REJECTED, RENAMED, SWITCHABLE, parse_checks
from prescreen.text import parse_names

if TYPE_CHECKING:
    from prescreen.ranking.options import RankingOptions

Command = Callable[..., Any]

images_option = click.option(
    "--images",
    type=Place("place"),
    multiple=True,
    help="Folder, file or URL of the scored pictures; may be repeated. [where they were scored, on this machine]",
)
keep_metadata_option = click.option(
    "--keep-metadata",
    is_flag=True,
    help="Pictures that the page exports keep GPS positions, names and serial numbers. [without; orientation stays]",
)
BASELINE_HELP = "Your current photo: a file, or, without it, its scores competence=8.2,likeability=9.0."
_COMPARISON = (
    click.option(
        "--baseline-scores",
        metavar="SCORES",
        help="Human scores of your current photo: competence=8.2,likeability=9.0, or a results file with it.",
    ),
    click.option(
        "--baseline-votes",
        type=click.IntRange(min=1),
        metavar="N",
        help="How many votes each of these scores comes from. [20]",
    ),
    click.option(
        "--same-raters",
        is_flag=True,
        help="These scores come from the raters, or the service, that the predictor learned from. [another service]",
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
        help=f"Which checks exclude pictures: all, none, or of {', '.join(SWITCHABLE)}.",
    ),
    click.option("--no-gates", default="", metavar="NAMES", help="Which of these checks exclude nothing: nose,eyes."),
)
_RANKING = (
    *_COMPARISON,
    click.option(
        "--votes",
        type=click.IntRange(min=1),
        metavar="N",
        help="Votes that you can get in all: says how many pictures to send, with how many votes each.",
    ),
    click.option(
        "--wanted",
        type=click.IntRange(min=2, max=100),
        metavar="K",
        help="A list of K good pictures is wanted, not one: proposes those with the best chances, at most --budget; "
        "with --votes in two rounds.",
    ),
    click.option(
        "--predictor", type=Place("predictor"), help="The predictor, where the scores' .meta.json does not name it."
    ),
    images_option,
)


def comparison_options(function: Command) -> Command:
    """Give a command the options that say what to improve, which checks exclude pictures and how many to send."""
    for option in reversed(_COMPARISON):
        function = option(function)
    return function


def ranking_options(function: Command) -> Command:
    """Give a command those options, and what to compare with by which predictor."""
    for option in reversed(_RANKING):
        function = option(function)
    without = " Without either, pictures are ranked by their predicted scores."
    return click.option("--baseline", type=Place("picture"), help=BASELINE_HELP + without)(function)


def warn_of_renamed(terminal: Terminal, *lists: str) -> None:
    """Warn of old names of checks in lists of them; they still work."""
    given = {name.strip() for names in lists for name in names.split(",")}
    for old, new in RENAMED.items():
        if old in given:
            terminal.warn(f"the check {old} is called {new} now")


def make_options(
    terminal: Terminal, *, improve: str | None, keep: str | None, gates: str, no_gates: str, **others: Any
) -> "RankingOptions":
    """Return the options as the verbs take them, from what the command line gives.

    Raises
    ------
    UsageError
        If a list of names cannot be understood.
    """
    from prescreen.ranking.options import RankingOptions

    warn_of_renamed(terminal, gates, no_gates)
    on, without = parse_checks(gates), parse_checks(no_gates or "none")
    if REJECTED in without:
        raise UsageError(f"--no-gates {REJECTED}: what you rejected stays out; leave out --decisions, or take it back")
    return RankingOptions(
        improve=None if improve is None else parse_names(improve),
        keep=None if keep is None else parse_names(keep) if keep else (),
        gates_off=[name for name in SWITCHABLE if name not in on or name in without],
        **others,
    )
