"""How figures look: as matplotlib's own defaults say, wherever they are drawn."""

import contextlib
from collections.abc import Iterator

import matplotlib


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """Draw with matplotlib's defaults: also the decorator of functions that draw.

    A file ``matplotlibrc`` in the working directory has no say, which could make matplotlib start LaTeX with commands
    of its author's choice. Signs of dollar are signs of dollar: names of traits and slices are no formulas.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        yield
