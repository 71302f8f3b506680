"""Tables in which each row says which of two pictures is better.

==================  =================================================================================================
``better,worse``    names of two pictures; also called ``winner,loser``; ``side`` may say where the better one was
``left,right``      names of two pictures, and ``choice``: ``left``, ``right`` or one of the two names
==================  =================================================================================================

``trait`` says what was asked, and may be missing where one trait is asked for; ``rater`` may be missing. Each row
becomes two votes, 1 for the better picture and 0 for the worse.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from prescreen.errors import RatingsError
from prescreen.ratings.columns import counted, refuse, said
from prescreen.ratings.meanings import columns_left
from prescreen.ratings.pairs import Pairs
from prescreen.ratings.rater_fit import Codes
from prescreen.ratings.rows import Rows, TraitValues, choose_rows
from prescreen.ratings.scale import WINS
from prescreen.text import shown

_TIES: Final = ("tie", "equal", "both", "neither", "draw", "same")


def read_pairs(source: Path, frame: pd.DataFrame, traits: Mapping[str, str] | None) -> TraitValues:
    """Read the rows; columns with a meaning are named by it.

    Raises
    ------
    RatingsError
        If nothing says what was asked, a picture is compared with itself or has no name, or a choice is none.
    """
    ignored = []
    if "better" not in frame:
        frame, ties = _from_choices(source, frame)
        ignored += [f"{counted(ties, 'row')} without a choice"] if ties else []
    for column in ("better", "worse"):
        refuse(source, frame, (frame[column] == "").to_numpy(), f"{column} is blank", "expected the name of a picture")
    frame = frame.assign(better=frame["better"].astype(str), worse=frame["worse"].astype(str))
    if "trait" not in frame:
        if traits is None or len(traits) != 1:
            raise RatingsError(
                f"{shown(source)}: pairs but no column trait; add one that says what was asked, or name it: "
                "--traits competence"
            )
        frame = frame.assign(trait=pd.Categorical([next(iter(traits.values()))] * len(frame)))
    frame = choose_rows(source, frame, "trait", traits)
    kept = [name for name in ("trait", "rater", "side") if name in frame]
    left = [str(name) for name in frame.columns if name not in ("better", "worse", *kept)]
    names = pd.unique(pd.concat([frame["better"], frame["worse"]]))
    votes = [
        frame[kept].assign(image=pd.Categorical(frame[column], categories=names), value=value)
        for column, value in (("better", 1.0), ("worse", 0.0))
    ]
    ignored = columns_left(left) + ignored
    asked = dict.fromkeys((str(name) for name in frame["trait"].cat.categories), "better")
    return TraitValues(pd.concat(votes), "pairs", asked, tuple(ignored), WINS)


def _from_choices(source: Path, frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rows as better and worse with the side of the better, and how many have no choice."""
    left, right, choice = frame["left"].astype(str), frame["right"].astype(str), said(frame["choice"])
    tie = (choice == "") | choice.str.lower().isin(_TIES)
    first = (choice.str.lower() == "left") | (choice == left)
    second = (choice.str.lower() == "right") | (choice == right)
    what = "choice {} is neither left nor right, nor one of the two pictures"
    refuse(source, frame, (~(tie | (first ^ second))).to_numpy(), what, "write left or right", choice)
    side = np.where(first, "left", "right")
    read = frame.drop(columns=["left", "right", "choice"]).assign(
        better=left.where(first, right), worse=right.where(first, left), side=pd.Categorical(side)
    )
    if tie.all():
        raise RatingsError(f"{shown(source)}: no row has a choice; expected left or right in the column choice")
    return read[~tie.to_numpy()], int(tie.sum())


def refuse_odd_pairs(rows: Rows, images: Codes, by_trait: Sequence[Codes]) -> None:
    """Refuse a picture compared with itself, and a second answer of a rater about two pictures and a trait.

    ``images`` holds a number for the picture of each row, ``by_trait`` the rows of each trait.
    """
    for chosen in by_trait:
        pairs = pairs_of(rows, images, chosen, int(images.max()) + 1)
        frame = rows.frame.iloc[chosen[: pairs.better.size]]
        named = frame["image"].astype(str)
        refuse(
            rows.source,
            frame,
            pairs.better == pairs.worse,
            "image {} is compared with itself",
            "expected two pictures",
            named,
        )
        if "rater" not in frame:
            continue
        ends = np.sort(np.stack([pairs.better, pairs.worse]), axis=0)
        again = pd.DataFrame({"one": ends[0], "other": ends[1], "rater": pairs.raters}).duplicated().to_numpy()
        what = "a second answer of the same rater about image {} and the same other one for the same trait"
        refuse(rows.source, frame, again, what, "keep one, the later perhaps", named)


def pairs_of(rows: Rows, images: Codes, chosen: Codes, n_images: int) -> Pairs:
    """Return some rows as pairs: first all that were better, then, in the same order, those they were better than.

    An answer of a rater who is not known is that of somebody else.
    """
    first, second = chosen[: chosen.size // 2], chosen[chosen.size // 2 :]
    raters = np.arange(first.size)
    if "rater" in rows.frame:
        named = rows.frame["rater"].iloc[first]
        codes = named.cat.codes.to_numpy().astype(np.intp)
        raters = np.where(named == "", len(named.cat.categories) + raters, codes)
    return Pairs(images[first], images[second], raters, n_images)


def describe_unconnected(ratings: int) -> tuple[str, ...]:
    """Say how many ratings are left out because no answers lead from their pictures to the others."""
    if not ratings:
        return ()
    return (
        f"pairs      {counted(ratings, 'rating')} left out: nobody compared these pictures with the others, directly "
        "or through a third one",
    )
