"""Options that several verbs share, and how their texts are parsed."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from prescreen.cli.paths import LocalPath
from prescreen.ratings.scale import Scale
from prescreen.settings import WEIGHTS_VARIABLE
from prescreen.text import parse_columns, parse_traits

ENCODERS_HELP = "clip, clip:large, clip:MODEL/PRETRAINED, clip:MODEL[/PRETRAINED]@PATH, bundled."
encoder_option = click.option("--encoder", default="clip", show_default=True, help=ENCODERS_HELP)
views_option = click.option(
    "--views", help="What the networks see: some of whole,face,eyes,mouth. [whole,face; with bundled all four]"
)
mirror_option = click.option(
    "--mirror/--no-mirror",
    default=None,
    help="Whether they see mirror images, too, which doubles the time. [no]",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["auto", "f32", "bf16"]),
    default="auto",
    show_default=True,
    help="Arithmetic of the networks; auto is bf16, as accurate and faster, where the device computes it fast.",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    help="Where the networks run; auto takes a CUDA card where there is one. [PRESCREEN_DEVICE, or auto]",
)


def _search_weights(context: click.Context, _: click.Parameter, place: Path | None) -> None:
    """Let the command find weights there, as if the environment named the place."""
    if place is not None:
        context.with_resource(_weights_at(place))


@contextlib.contextmanager
def _weights_at(place: Path) -> Iterator[None]:
    before = os.environ.get(WEIGHTS_VARIABLE)
    os.environ[WEIGHTS_VARIABLE] = str(place.absolute())
    try:
        yield
    finally:
        os.environ.pop(WEIGHTS_VARIABLE)
        if before is not None:
            os.environ[WEIGHTS_VARIABLE] = before


weights_option = click.option(
    "--weights",
    type=LocalPath(exists=True),
    expose_value=False,
    callback=_search_weights,
    help=f"The file of the weights of the predictor's encoder, or a folder that has it. [{WEIGHTS_VARIABLE}, or found]",
)
links_option = click.option(
    "--follow-links", is_flag=True, help="Also take pictures that links in the folders reach outside of them."
)
ratings_option = click.option(
    "--ratings", type=LocalPath(), required=True, help="Votes or ratings: a file or a folder."
)
rated_images_option = click.option(
    "--images", type=LocalPath(), help="Folder of the rated pictures. [next to the ratings]"
)
COLUMNS_HELP = (
    "What the file's columns are, where their names do not tell: image=photo,rater=WorkerId,competence=Q1; "
    "a * stands for the picture where each has a column: competence=*.jpg."
)
columns_option = click.option("--columns", help=f"{COLUMNS_HELP} [by their names]")
scale_option = click.option("--scale", help="Scale of the votes, LOW:HIGH, where the file does not tell.")
learning_curve_option = click.option(
    "--learning-curve", is_flag=True, help="Measure what more pictures and votes would give; takes longer."
)

_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "traits": parse_traits,
    "columns": parse_columns,
    "scale": Scale.parse,
    "views": lambda text: tuple(name for name in map(str.strip, text.split(",")) if name),
}


def parsed(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a command with ``--traits``, ``--columns``, ``--scale`` and ``--views`` parsed.

    An empty text is none. What may be given several times is a tuple.

    Raises
    ------
    UsageError
        If one cannot be parsed.

    Examples
    --------
    >>> parsed({"traits": "warm=friendly", "scale": "0:10", "columns": "", "seed": 1})
    {'traits': {'warm': 'friendly'}, 'scale': Scale(low=0.0, high=10.0), 'columns': None, 'seed': 1}
    """
    return {name: _parse(_PARSERS[name], value) if name in _PARSERS else value for name, value in given.items()}


def _parse(parser: Callable[[str], Any], value: str | tuple[str, ...] | None) -> Any:
    """Parse a text, or each of several."""
    if isinstance(value, tuple):
        return tuple(parser(text) if text else None for text in value)
    return parser(value) if value else None
