"""The page of a zero-shot ranking: pictures in an order, and in large letters what that order is not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prescreen.reports.render import data_uri, hash_of, joined, page_environment

WARNING: Final = (
    "by words alone: no ratings were learned from, nothing is calibrated, and how well this agrees with people "
    "was not measured; a few hundred rated portraits (prescreen train) tell far more"
)


@dataclass(frozen=True)
class ZeroShotCard:
    """One picture of the page.

    Parameters
    ----------
    rank : int
        1 is best.
    image : str
        Its name.
    selected : bool
        Whether it is among those to look at first.
    why : str
        Why it is excluded, if so, and its contrasts in words.
    picture : bytes or None
        A WebP, JPEG or PNG file.
    """

    rank: int
    image: str
    selected: bool
    why: str
    picture: bytes | None


@dataclass(frozen=True)
class ZeroShotPage:
    """All that the page says.

    Parameters
    ----------
    goals, against : str
        What the order serves, and what pictures were compared with.
    encoder, version : str
        What made it.
    captions : mapping of str to (tuple of str, tuple of str)
        For each trait the captions of it and of its opposite.
    cards : tuple of ZeroShotCard
        In their order.
    others : int
        Pictures that are in the table only.
    """

    goals: str
    against: str
    encoder: str
    version: str
    captions: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    cards: tuple[ZeroShotCard, ...]
    others: int


def render_zero_shot(page: ZeroShotPage) -> str:
    """Render the page as one HTML file that needs nothing else."""
    style = joined("base.css", "ranking.css")
    return (
        page_environment()
        .get_template("zero_shot.html.j2")
        .render(
            page=page,
            pictures=[data_uri(card.picture) for card in page.cards],
            warning=WARNING,
            style=style,
            style_hash=hash_of(style),
        )
    )
