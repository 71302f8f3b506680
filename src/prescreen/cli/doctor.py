"""``prescreen doctor``: what is installed, which encoders have weights, where things are stored."""

import click

from prescreen.cli.console import Terminal, verb


@click.command(short_help="Show versions, weights and places.")
@verb
def doctor(terminal: Terminal) -> None:
    """Show what is installed, which encoders have weights, and where things are stored."""
    from prescreen import diagnosis

    for title, findings in diagnosis.examine().items():
        click.echo(f"{title}")
        for name, finding in findings.items():
            click.echo(f"  {name:<16} {finding}")
