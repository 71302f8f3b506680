"""``prescreen cache``: the stored vectors of pictures."""

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.errors import UsageError
from prescreen.text import shown

EXAMPLES = """\b
Examples:
  prescreen cache info
  prescreen cache verify
  prescreen cache clear --yes
  prescreen cache clear --specification 3f2a...
"""


@click.group(short_help="Show, check and empty the cache of vectors.", epilog=EXAMPLES)
def cache() -> None:
    """Show, check and empty the cache of vectors. Its content can be made again from the pictures."""


@cache.command(cls=Verb, short_help="Vectors by encoder specification, and their size.", epilog=EXAMPLES)
@verb
def info(terminal: Terminal) -> None:
    """Show how many vectors are stored for each encoder specification, and how large they are.

    PRESCREEN_CACHE_LIMIT, for instance 20GB, limits the cache: the least recently used vectors are deleted.
    """
    from prescreen.embeddings.cache import EmbeddingCache

    with EmbeddingCache() as stored:
        stats = stored.stats()
        size, limit = stored.path.stat().st_size, stored.limit
        full = "no limit"
        if limit is not None:
            full = f"{100 * stored.size() / max(limit, 1):.0f} % of the limit of {limit / 1e6:.1f} MB"
    click.echo(f"{stored.path}: {sum(each.vectors for each in stats)} vectors, {size / 1e6:.1f} MB, {full}")
    for each in stats:
        click.echo(f"{each.specification}  {each.vectors} vectors  {each.size / 1e6:.1f} MB")


@cache.command(cls=Verb, short_help="Check every vector; damaged ones are deleted.", epilog=EXAMPLES)
@verb
def verify(terminal: Terminal) -> None:
    """Check the file and every vector in it. Damaged vectors are deleted, and made again when they are needed."""
    from prescreen.embeddings.cache import EmbeddingCache

    with EmbeddingCache() as stored:
        intact, damaged = stored.verify()
    click.echo(f"{intact} vectors intact, {damaged} damaged and deleted")


@cache.command(cls=Verb, short_help="Delete vectors.", epilog=EXAMPLES)
@click.option("--specification", help="Only those of this encoder specification, as `info` shows it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@verb
def clear(specification: str | None, yes: bool, terminal: Terminal) -> None:
    """Delete all vectors, or those of one encoder specification, and the paths of pictures that have none left."""
    from prescreen.embeddings.cache import EmbeddingCache

    with EmbeddingCache() as stored:
        there = [each.specification for each in stored.stats()]
        if specification is not None and specification not in there:
            known = f"it has {', '.join(there)}" if there else "it is empty"
            raise UsageError(f"--specification {shown(specification)}: the cache has no such vectors; {known}")
        if not yes:
            click.confirm(
                f"Delete {f'vectors of {specification}' if specification else 'all'} in {stored.path}?",
                abort=True,
                err=True,
            )
        click.echo(f"{stored.clear(specification)} vectors deleted")
