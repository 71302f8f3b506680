"""Columns other than the chosen traits: attributes of the rated faces, and auxiliary traits to learn from."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from prescreen.errors import RatingsError
from prescreen.ratings.formats import read_rows
from prescreen.ratings.image_names import match_files
from prescreen.ratings.reading import MIN_IMAGES, Ratings


def rated_attributes(ratings: Ratings, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return the mean ratings of everything that the file of the ratings has, its other traits included.

    Parameters
    ----------
    ratings : Ratings
        Read from a file.
    columns : mapping of str to str, optional
        New name of each trait of the ratings, and its name in the file, where they differ.

    Returns
    -------
    DataFrame of float
        One row a picture of the ratings, in the order of :meth:`Ratings.wide`; one column an attribute, NaN where it is
        not rated: first the traits of the ratings, under their new names, then the others of the file. Those others are
        not checked as traits are; if they cannot be read at all, they are left out.
    """
    own = ratings.wide()
    others = _other_traits(ratings, columns) if ratings.others is None else ratings.others
    return own.join(others.reindex(own.index).dropna(axis="columns", how="all"))


def _other_traits(ratings: Ratings, columns: Mapping[str, str] | None) -> pd.DataFrame:
    """Return the mean ratings in the other traits of the file, of all its pictures; none if they cannot be read."""
    none = pd.DataFrame(index=pd.Index([], dtype=str))
    if ratings.images_dir is None:
        return none
    try:
        frame = read_rows(ratings.source, columns=ratings.columns, scale=ratings.scale, lenient=True).frame
    except RatingsError:  # what is not learned need not be right
        return none
    learned = set((columns or {}).values()) | set(ratings.traits)
    frame = frame[~frame["trait"].isin(learned) & np.isfinite(frame["value"])]
    means = frame.groupby(["image", "trait"], observed=True)["value"].mean().unstack()
    matches = match_files([str(name) for name in means.index], ratings.images_dir)
    others: pd.DataFrame = means.set_axis([match.name for match in matches], axis="index").groupby(level=0).mean()
    others.columns = others.columns.astype(str)
    return others


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
        The ratings with their `auxiliary` table, what it was made of, and the number of pictures that have ratings in
        other traits only.
    """
    own, found = ratings.wide(), _other_traits(ratings, columns)
    others = found.reindex(own.index)
    usable = others.loc[:, (others.notna().sum() >= MIN_IMAGES) & (others.nunique() > 1)]
    return replace(ratings, auxiliary=usable, others=found, only_others=len(found.index.difference(own.index)))
