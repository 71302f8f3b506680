"""``prescreen review``: the report served to this machine, with decisions saved."""

import contextlib
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.options import weights_option
from prescreen.cli.paths import LocalPath
from prescreen.cli.ranking_options import keep_metadata_option, make_options, ranking_options

EXAMPLES = """\b
Examples:
  prescreen review scores.csv
  prescreen review scores.csv --baseline now.jpg
  prescreen review scores.csv --baseline now.jpg --decisions mine.csv --port 8123 --no-browser
"""


@click.command(cls=Verb, short_help="Look at ranked pictures, keep and reject.", epilog=EXAMPLES)
@click.argument("scores", type=LocalPath())
@ranking_options
@click.option(
    "--decisions",
    type=LocalPath(),
    help="Where to save what you keep and reject. [SCORES with the ending .decisions.csv]",
)
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port on this machine. [any that is free]")
@click.option("--browser/--no-browser", default=True, help="Whether to open the page. [yes]")
@keep_metadata_option
@weights_option
@verb
def review(
    scores: Path,
    baseline: str | None,
    predictor: str | None,
    images: tuple[str, ...],
    decisions: Path | None,
    port: int,
    browser: bool,
    keep_metadata: bool,
    terminal: Terminal,
    **comparison: Any,
) -> None:
    """Serve the page of the ranking to this machine only, with large pictures and decisions saved; Ctrl-C ends it.

    Without options about the comparison they are those of the last prescreen rank of these scores.
    """
    from prescreen.reports.decisions import decisions_beside
    from prescreen.reports.local_server import private_link
    from prescreen.workflow import review

    stack = contextlib.ExitStack()
    asked = click.get_current_context().get_parameter_source
    given = any(asked(name) is not ParameterSource.DEFAULT for name in ("baseline", *comparison))

    def ready(address: str) -> None:
        terminal.say_notes()
        click.echo(address)
        terminal.info(f"decisions  {decisions or decisions_beside(scores)}")
        terminal.info(
            "for this machine only; the address works once, then only the browser that opened it has the page"
        )
        terminal.info("Ctrl-C ends it")
        if browser:
            click.launch(str(stack.enter_context(private_link(address))))

    with contextlib.suppress(KeyboardInterrupt), stack:
        review.review(
            scores,
            baseline=baseline,
            options=make_options(terminal, **comparison) if given else None,
            predictor=predictor,
            decisions=decisions,
            images=images,
            port=port,
            keep_metadata=keep_metadata,
            reporter=terminal,
            ready=ready,
        )
