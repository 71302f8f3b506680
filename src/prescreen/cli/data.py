"""``prescreen data``: public ratings to train on."""

from pathlib import Path

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.paths import LocalPath, Place

EXAMPLES = """\b
Examples:
  prescreen data omi --accept-licence
  prescreen train --ratings data/omi --traits competence=smart,likeability=outgoing,influence=electable \\
      --encoder bundled --output models/omi
"""


@click.group(short_help="Fetch public ratings to train on.", epilog=EXAMPLES)
def data() -> None:
    """Fetch public ratings to train on. They are not part of prescreen and have licences of their own."""


@data.command(cls=Verb, short_help="One Million Impressions: 34 judgments of 1,004 generated faces.", epilog=EXAMPLES)
@click.option("--accept-licence", is_flag=True, help="You accept CC BY-NC-SA 4.0: no commercial use.")
@click.option("--output", type=LocalPath(), default=Path("data/omi"), show_default=True, help="Folder to make.")
@click.option("--source", type=Place(), help="ZIP archive of the repository: a file or a URL. [the public repository]")
@click.option("--sha256", help="Refuse an archive that has another SHA-256.")
@verb
def omi(accept_licence: bool, output: Path, source: str | None, sha256: str | None, terminal: Terminal) -> None:
    """Fetch One Million Impressions (Peterson et al., PNAS 2022) from its public repository.

    The judgments are stereotypes shared by the raters; they say nothing true about anyone depicted.
    """
    from prescreen.ratings.download import OMI_URL, fetch_omi

    fetched = fetch_omi(
        output, accept_licence=accept_licence, source=source or OMI_URL, sha256=sha256, reporter=terminal
    )
    click.echo(f"{fetched.pictures} pictures in {output}")
    click.echo(
        f"next: prescreen train --ratings {output} --traits competence=smart,likeability=outgoing,influence=electable"
        " --encoder bundled --output models/omi"
    )
    terminal.info(f"commit     {fetched.commit or 'not named by the archive'}\nSHA-256    {fetched.sha256}")
