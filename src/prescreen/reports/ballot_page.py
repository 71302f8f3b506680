"""The ballot: a page on which people say how much each trait fits each picture, or which of two it fits better."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from jinja2.utils import htmlsafe_json_dumps

from prescreen.reports.render import data_uri, hash_of, joined, page_environment

ANSWERS: Final = ("No", "Somewhat", "Yes", "Very")
"""What can be answered, as on Photofeeler; the votes 0 to 3."""

SIDES: Final = (("Left", "Upper"), ("Right", "Lower"))
"""What can be answered about two pictures: side by side, and one above the other."""

_WORDS: Final = {"competence": "competent", "likeability": "likeable", "influence": "influential"}


def words_for(trait: str) -> str:
    """Return the word that people are asked about, for a trait that the user has not worded."""
    return _WORDS.get(trait.lower(), trait)


def render_ballot(
    pictures: Mapping[str, bytes],
    traits: Mapping[str, str],
    *,
    each: int | None = None,
    pairs: int | None = None,
    served: bool = False,
) -> str:
    """Render the ballot as one HTML file that needs nothing else.

    Parameters
    ----------
    pictures : mapping of str to bytes
        WebP, JPEG or PNG files by the names of the pictures in the table of votes.
    traits : mapping of str to str
        Name of each trait in the table of votes, and the word that people see.
    each : int, optional
        How many pictures each rater is asked about, without it all.
    pairs : int, optional
        How many pairs each rater is asked about; without it pictures are shown one at a time.
    served : bool
        Whether a server takes the answers. Without one the page makes no requests.

    Returns
    -------
    str
        An HTML document. Its content security policy allows nothing from outside; equal input gives equal text.

    Raises
    ------
    ValueError
        If a picture is no WebP, JPEG or PNG file.
    """
    style = joined("base.css", "ballot.css")
    script = joined("elements.js", "ballot.js")
    asked = {"images": list(pictures), "traits": list(traits), "each": each, "pairs": pairs}
    data: dict[str, Any] = asked | {"id": _identity(asked, pictures), "served": served}
    return (
        page_environment()
        .get_template("ballot.html.j2")
        .render(
            data=htmlsafe_json_dumps(data),
            pictures=[data_uri(picture) for picture in pictures.values()],
            traits=list(traits.values()),
            answers=ANSWERS if pairs is None else SIDES,
            paired=pairs is not None,
            served=served,
            style=style,
            style_hash=hash_of(style),
            script=script,
            script_hash=hash_of(script),
        )
    )


def _identity(asked: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """Return what tells ballots apart: answers to one never show on another."""
    digest = hashlib.sha256(json.dumps(asked).encode())
    for picture in pictures.values():
        digest.update(hashlib.sha256(picture).digest())
    return digest.hexdigest()[:16]
