"""The other traits of a ratings file, which a regressor may learn from without predicting them."""

from collections.abc import Mapping
from dataclasses import replace

from prescreen.ratings.attributes import rated_attributes
from prescreen.ratings.reading import MIN_IMAGES, Ratings


def with_auxiliary(ratings: Ratings, columns: Mapping[str, str]) -> Ratings:
    """Add the traits of the same file that were not asked for.

    They only have to help: a trait that fewer than `MIN_IMAGES` of the pictures were rated in, or all alike, is left
    out, and if the others cannot be read at all, the ratings stay as they are.

    Parameters
    ----------
    ratings : Ratings
        The traits asked for.
    columns : mapping of str to str
        {trait: its name in the file}, as it was given to `read_ratings`.

    Returns
    -------
    Ratings
        The ratings with their `auxiliary` table.
    """
    others = rated_attributes(ratings, columns).drop(columns=list(ratings.traits))
    return replace(ratings, auxiliary=others.loc[:, (others.notna().sum() >= MIN_IMAGES) & (others.nunique() > 1)])
