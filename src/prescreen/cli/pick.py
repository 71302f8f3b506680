"""``prescreen pick``: from a folder to the pictures to send, in one command."""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.options import parsed, weights_option
from prescreen.cli.output import shortlist_lines
from prescreen.cli.paths import LocalPath, Place
from prescreen.cli.ranking_options import make_options
from prescreen.errors import UsageError
from prescreen.ranking.checks import SWITCHABLE
from prescreen.text import describe_list, quoted, shown

if TYPE_CHECKING:
    from prescreen.workflow.pick import Picked

EXAMPLES = """\b
Examples:
  prescreen pick portraits/ --current now.jpg
  prescreen pick portraits/ --current now.jpg --current-scores competence=8.2,likeability=9.0,influence=7.1
  prescreen pick portraits/ --current now.jpg --improve influence --keep competence,likeability --budget 5
  prescreen pick portraits/ --current now.jpg --ratings votes.csv --images rated/
  prescreen pick portraits/ --predictor models/mine --no-open
"""


@click.command(cls=Verb, short_help="From a folder to the few pictures to send, in one go.", epilog=EXAMPLES)
@click.argument("inputs", metavar="FOLDER...", nargs=-1, required=True, type=Place())
@click.option("--current", type=Place("picture"), help="Your current photo. [pictures are ranked by predicted scores]")
@click.option(
    "--current-scores",
    metavar="SCORES",
    help="Its scores from people: competence=8.2,likeability=9.0, or a results file with it.",
)
@click.option(
    "--current-votes", type=click.IntRange(min=1), metavar="N", help="How many votes each of them comes from. [20]"
)
@click.option(
    "--same-raters",
    is_flag=True,
    help="Its scores come from the raters that the predictor learned from. [another service]",
)
@click.option("--improve", help="Traits that should rise: influence,competence. [all others]")
@click.option(
    "--keep",
    help="Traits that must not fall, '' for none. [all others; likeability, where --improve is not given either]",
)
@click.option("--budget", type=click.IntRange(min=1), help="How many to send. [3]")
@click.option(
    "--reference",
    "references",
    type=LocalPath(exists=True),
    multiple=True,
    metavar="PATH",
    help="A picture, or a folder of pictures, that surely show the person; may be repeated.",
)
@click.option(
    "--no-gates",
    default="",
    metavar="NAMES",
    help=f"Which checks exclude nothing: {', '.join(SWITCHABLE)}, or all.",
)
@click.option(
    "--predictor", type=Place("predictor"), help="A directory or models:/ URI. [the champion, or public ratings]"
)
@click.option("--ratings", type=LocalPath(), help="Train on these instead, once: a file or a folder.")
@click.option("--images", type=LocalPath(), help="With --ratings: the rated pictures. [next to the ratings]")
@click.option("--traits", help="With --ratings: which traits, and under which names. [all]")
@click.option("--simulated", is_flag=True, help="With --ratings: the votes are simulated; say so wherever they show.")
@click.option(
    "--accept-licence",
    is_flag=True,
    help="You accept CC BY-NC-SA 4.0, no commercial use, for the public ratings, also as the base of --ratings; means "
    "nothing with --predictor. [asked, on a terminal]",
)
@click.option("--source", type=Place(), help="ZIP archive of the public ratings: a file or a URL. [their repository]")
@click.option("--output", type=LocalPath(), help="Folder to write. [FOLDER-shortlist]")
@click.option("--open/--no-open", "opens", default=True, help="Open the page. [on a terminal with a display]")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Seed of a training.")
@click.option(
    "--keep-metadata",
    is_flag=True,
    help="Copies, and what the page exports, keep GPS positions, names and serial numbers. [without]",
)
@weights_option
@verb
def pick(
    inputs: tuple[str, ...],
    current: str | None,
    current_scores: str | None,
    current_votes: int | None,
    same_raters: bool,
    improve: str | None,
    keep: str | None,
    budget: int | None,
    references: tuple[Path, ...],
    no_gates: str,
    opens: bool,
    terminal: Terminal,
    **given: Any,
) -> None:
    """Find the few pictures of FOLDER that are worth sending to human raters, and copy them into FOLDER-shortlist.

    Without a predictor or ratings of your own it learns from public ratings of other faces, once. Nothing is written
    into FOLDER. A run that was interrupted goes on where it was; a second one takes everything from the cache.
    """
    from prescreen.workflow.pick import PickOptions, pick

    beside = [place for place in inputs if os.path.isfile(place)]
    if current is None and len(beside) == 1 < len(inputs):
        again = shown(f"--current {shlex.quote(beside[0])}")
        terminal.warn(f"{shown(beside[0])}: taken for a candidate; if it is your current photo, give {again}")
    try:
        options = make_options(
            terminal,
            improve=improve,
            keep=keep,
            gates="all",
            no_gates=no_gates,
            budget=budget,
            references=references,
            baseline_scores=current_scores,
            baseline_votes=current_votes,
            same_raters=same_raters,
        )
        by = PickOptions(**parsed(given))
        reporter = _OwnNames(terminal.quiet, terminal.verbose)
        done = pick(inputs, current=current, options=options, by=by, ask=_asker(), reporter=reporter)
    except UsageError as error:
        raise UsageError(_own_names(str(error))) from error
    _print(done, reporter)
    if opens and _has_display():
        click.launch(str(done.report))


class _OwnNames(Terminal):
    """Names options as they are called here in what the verbs say that this one runs."""

    def info(self, message: str) -> None:
        super().info(_own_names(message))  # notes and details pass here, too

    def warn(self, message: str) -> None:
        super().warn(_own_names(message))


def _own_names(message: str) -> str:
    """Name the options of `rank` as here; what is quoted, or part of a path, stays."""
    return re.sub(
        r"(?<!\w)'[^']*'|(?<![\w/.-])--baseline(?=-scores\b|-votes\b|[ :;,)]|\.?$)|^baseline:",
        lambda found: {"--baseline": "--current", "baseline:": "--current-scores:"}.get(found[0], found[0]),
        message,
    )


def _asker() -> Any:
    """Return what asks a question; None where nobody would see it."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
        return None
    return lambda question: click.confirm(question, default=False, err=True)


def _has_display() -> bool:
    """Tell whether somebody sits before a terminal of a machine with a display."""
    shows = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return shows and sys.stdout is not None and sys.stdout.isatty()


def _print(done: "Picked", terminal: Terminal) -> None:
    click.echo(done.advice.describe())
    for line in shortlist_lines(done.shortlist):
        click.echo(line)
    if excluded := done.describe_excluded():
        click.echo(f"excluded   {excluded}")
    click.echo(done.describe_origin())
    for licence in done.manifest.licences:
        click.echo(f"licence    {licence}{': no commercial use' * ('-NC' in licence)}")
    if done.copies:
        along = f", and {shown(done.current_copy)}, your current photo" if done.current_copy else ""
        click.echo(f"pictures   {shown(done.folder)}: {', '.join(map(shown, done.copies))}{along}")
    click.echo(f"page       {shown(done.report)}")
    for copy, original in done.not_copied.items():
        click.echo(f"pictures   {shown(copy)} was not copied: send the original yourself: {shown(original)}")
    terminal.say_notes()
    for line in _next_step(done):
        click.echo(line)


def _next_step(done: "Picked") -> Iterator[str]:
    """Say what to do with the pictures, and how their scores come back."""
    from prescreen.workflow.session import learn_command

    if not (done.copies or done.not_copied):
        return
    traits = ",".join(map(quoted, done.manifest.traits))
    originals = [Path(place).name for place in done.not_copied.values()]
    names = [name for name in (done.current_copy, *done.copies, *originals) if name]
    all_the_same = "to test them all the same, " if done.advice.verdict == "keep" else ""
    listed = describe_list([shown(name) for name in names])
    yield f"next       {all_the_same}have people rate {listed}, and type their scores into results.csv:"
    yield f"             image,{traits},votes"
    yield f"             {quoted(shown(names[-1]))},{'8.1,' * len(done.manifest.traits)}40"
    yield f"           then: {learn_command(Path('results.csv'), done.folder)}"
    ballot = f"prescreen ballot {shlex.quote(str(done.folder))} --traits {shlex.quote(traits)}"
    yield f"           without a service: {shown(ballot)}"
