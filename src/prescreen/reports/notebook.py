"""A page in a notebook's cell."""

import html
from pathlib import Path


def as_frame(page: Path, height: int = 900) -> str:
    """Return a page of one file as a frame that shows it, apart from the notebook's own page.

    Parameters
    ----------
    page : Path
        An HTML file that needs no other.
    height : int
        In pixels.
    """
    content = html.escape(page.read_text("utf-8"), quote=True)
    return (
        f'<iframe srcdoc="{content}" sandbox="allow-scripts allow-downloads" '
        f'style="width:100%;height:{height}px;border:0"></iframe>'
    )
