"""``prescreen export``: scores and shortlists for other tools."""

from pathlib import Path
from typing import Any

import click

from prescreen.cli.console import Terminal, verb
from prescreen.cli.hints import Verb
from prescreen.cli.paths import LocalPath, Place
from prescreen.errors import UsageError
from prescreen.text import shown

EXAMPLES = """\b
Examples:
  prescreen export shortlist.csv --xmp --images portraits/
  prescreen export scores.csv --xmp --beside --for lightroom
  prescreen export scores.csv --to fiftyone --output scored/
  prescreen export scores.csv --to label-studio --output tasks/
  prescreen export shortlist.csv --to label-studio --selected --blind --images portraits/ --output round1/
"""

_NEXT = {
    "label-studio": (
        "In Label Studio: config.xml is the labeling interface, tasks.json the import. For the pictures start it with\n"
        "  LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root}\n"
        "and add {folder} as a local storage of the project."
    ),
    "fiftyone": (
        "In Python:\n"
        "  import fiftyone as fo\n"
        "  dataset = fo.Dataset.from_dir({output!r}, dataset_type=fo.types.FiftyOneDataset)\n"
        "  fo.launch_app(dataset)"
    ),
    "xmp": "Copy them beside copies of the pictures, and let the photo manager read metadata from files.",
}
_NAMED = 5
"""How many of the files that stayed are named."""


@click.command(cls=Verb, short_help="Write scores for photo managers, Label Studio, FiftyOne.", epilog=EXAMPLES)
@click.argument("table", type=LocalPath())
@click.option("--to", required=True, type=click.Choice(sorted(_NEXT)), help="The tool that is to read it.")
@click.option("--xmp", "to", flag_value="xmp", help="The same as --to xmp: stars and tags for photo managers.")
@click.option("--output", type=LocalPath(), help="Folder to write to. [XMP: TABLE-xmp/]")
@click.option("--beside", is_flag=True, help="XMP: beside the pictures. Files of others that are there stay.")
@click.option(
    "--for",
    "program",
    type=click.Choice(["digikam", "lightroom", "photoprism"]),
    help="XMP: who is to read it; names and lists differ. [digikam]",
)
@click.option(
    "--images",
    type=Place(),
    metavar="PLACE",
    help="Folder or URL of the pictures; a shortlist does not know it. [where they were scored, on this machine]",
)
@click.option("--selected", is_flag=True, help="Only the pictures on the shortlist.")
@click.option(
    "--blind",
    is_flag=True,
    help="Label Studio: without predictions, in the order of names, for an unbiased test.",
)
@click.option("--prefix", metavar="URL", help="Label Studio: address that names are appended to. [its local files]")
@verb
def export(
    table: Path, to: str, output: Path | None, beside: bool, prefix: str | None, terminal: Terminal, **given: Any
) -> None:
    """Write scores or a shortlist for another tool; TABLE is what prescreen score or prescreen rank wrote.

    The pictures stay as they are. XMP sidecars have stars by the mean predicted score (5 for the shortlist) and tags
    such as "competence 7", which digiKam, darktable, Immich, Lightroom and PhotoPrism read. Votes given in Label Studio
    come back as its JSON export: as ratings for train and evaluate, or as results for learn.
    """
    from prescreen.workflow import export

    if beside and (output is not None or to != "xmp"):
        raise UsageError("--beside writes XMP sidecars beside the pictures; leave out --output, and give --xmp")
    if to == "xmp" and output is None and not beside:
        output = table.with_name(f"{table.stem}-xmp")
    done = export.export(table, to=to, output=output, prefix=prefix, reporter=terminal, **given)
    left_out = f", {done.left_out} left out: not scored, or not found" if done.left_out else ""
    terminal.info(f"{done.pictures} picture{'s' * (done.pictures != 1)}{left_out}")
    if done.stayed:
        named = ", ".join(map(shown, done.stayed[:_NAMED]))
        more = f" and {len(done.stayed) - _NAMED} more" if len(done.stayed) > _NAMED else ""
        terminal.info(f"not written, because another program wrote or changed what is there: {named}{more}")
    for path in done.files if to != "xmp" else (output or done.folder,):
        click.echo(str(path))
    if prefix is None and done.folder is not None and not beside:
        terminal.info(_NEXT[to].format(root=done.folder.parent, folder=done.folder, output=str(output)))
