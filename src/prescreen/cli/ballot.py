"""``prescreen ballot``: votes of people, collected without a service."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.paths import LocalPath
from prescreen.errors import UsageError
from prescreen.text import parse_traits

if TYPE_CHECKING:
    from prescreen.workflow.ballot import BallotOptions

EXAMPLES = """\b
Examples:
  prescreen ballot portraits/ --traits competence,likeability,influence --output ballot/
  prescreen ballot portraits/ --traits competence,influence --pairs --output ballot/
  prescreen ballot portraits/ --shortlist shortlist.csv --baseline now.jpg \\
      --traits competence,influence --output ballot/
  prescreen ballot --collect votes-anna.csv votes-ben.csv --output votes.csv
  prescreen ballot portraits/ --traits competence,warmth=warm --serve --network --output votes.csv
"""


@click.command(cls=Verb, short_help="Collect votes of people: a page to send, or a server.", epilog=EXAMPLES)
@click.argument("places", metavar="FOLDER", type=LocalPath(), nargs=-1, required=True)
@click.option("--traits", help="What to ask about, and in which word: competence,warmth=warm.")
@click.option("--pairs", is_flag=True, help="Ask which of two pictures each trait fits better.")
@click.option(
    "--each",
    type=click.IntRange(1),
    help="How many pictures each rater is asked about. [all; with --pairs 40 pairs, or as many as pictures]",
)
@click.option("--shortlist", type=LocalPath(), help="Table of prescreen rank: ask about its pictures to send only.")
@click.option("--baseline", type=LocalPath(), help="Your current photo, to go along.")
@click.option(
    "--output",
    type=LocalPath(),
    default=Path("ballot"),
    show_default=True,
    help="Folder for ballot.html or votes.csv, or the name of that file.",
)
@click.option("--serve", is_flag=True, help="Serve the page, and save votes as they come in; Ctrl-C ends it.")
@click.option("--network", is_flag=True, help="With --serve: also for the local network, unencrypted.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="With --serve. [that of the last time, or any]")
@click.option("--browser/--no-browser", default=True, help="With --serve: whether to open the page. [yes]")
@click.option("--collect", is_flag=True, help="Put files that raters sent, given instead of FOLDER, into one.")
@verb
def ballot(
    places: tuple[Path, ...],
    traits: str | None,
    pairs: bool,
    each: int | None,
    shortlist: Path | None,
    baseline: Path | None,
    output: Path,
    serve: bool,
    network: bool,
    port: int,
    browser: bool,
    collect: bool,
    terminal: Terminal,
) -> None:
    """Ask people how much each trait fits the pictures of FOLDER: No, Somewhat, Yes or Very.

    With --pairs, ask which of two pictures each trait fits better.

    The page is one file for any browser. Raters send back a file of votes; prescreen ballot --collect puts these into
    one, which prescreen train reads. With --serve, votes go into one file as they are given.
    """
    if serve and collect:
        raise UsageError("--serve and --collect: give one of them")
    if (network or port) and not serve:
        raise UsageError(f"{'--network' if network else '--port'}: only with --serve")
    if collect:
        given = {"--traits": traits, "--each": each, "--shortlist": shortlist, "--baseline": baseline}
        if idle := [name for name, value in given.items() if value is not None]:
            raise UsageError(f"{idle[0]}: not with --collect, which asks nothing")
        _collect(places, _file(output, "votes.csv"), pairs, terminal)
        return
    if len(places) > 1:
        raise UsageError(
            f"{places[1]}: one FOLDER at a time, lists have commas and no spaces; files that raters sent need --collect"
        )
    if traits is None:
        raise UsageError("--traits is missing; for instance --traits competence,likeability,influence")
    chosen = parse_traits(traits)
    from prescreen.workflow.ballot import BallotOptions, write_ballot

    options = BallotOptions(chosen, each, pairs, shortlist, baseline)
    if serve:
        _serve(places[0], options, _file(output, "votes.csv"), network, port, browser, terminal)
        return
    page = _file(output, "ballot.html")
    pictures, size = write_ballot(places[0], options, page, terminal)
    terminal.info(f"{pictures} picture{'s' * (pictures != 1)}, {size / 1e6:.1f} MB: send it to your raters")
    click.echo(str(page))


def _collect(files: Sequence[Path], output: Path, pairs: bool, terminal: Terminal) -> None:
    from prescreen.workflow.ballot import collect

    terminal.info(collect(files, output, terminal, pairs=pairs))
    click.echo(str(output))


def _serve(
    folder: Path, options: "BallotOptions", votes: Path, network: bool, port: int, browser: bool, terminal: Terminal
) -> None:
    from prescreen.reports.local_server import private_link
    from prescreen.workflow.ballot import serve_ballot

    with contextlib.ExitStack() as stack:

        def ready(links: Sequence[str]) -> None:
            for link in links:
                click.echo(link)
            terminal.info(f"votes      {votes}")
            if network:
                terminal.info("anyone in the local network who has the link can see the pictures and vote")
            terminal.info("the link stays the same for these votes; Ctrl-C ends it")
            if browser:
                click.launch(str(stack.enter_context(private_link(links[0]))))

        serve_ballot(folder, options, votes, network=network, port=port, reporter=terminal, ready=ready)


def _file(output: Path, name: str) -> Path:
    """Return the file that an output means: itself, or the one of that name in the folder."""
    if not output.suffix or output.is_dir():
        return output / name
    if output.suffix.lower() != Path(name).suffix:
        raise UsageError(f"--output {output}: expected a folder, or a file that ends in {Path(name).suffix}")
    return output
