"""Votes and ratings of several formats, read into one checked form with spread and reliability."""

from prescreen.ratings.attributes import rated_attributes
from prescreen.ratings.auxiliary import with_auxiliary
from prescreen.ratings.reading import MIN_IMAGES, Ratings, read_ratings
from prescreen.ratings.reliability import Reliability, spearman_brown
from prescreen.ratings.rows import UnknownTrait

__all__ = [
    "MIN_IMAGES",
    "Ratings",
    "Reliability",
    "UnknownTrait",
    "rated_attributes",
    "read_ratings",
    "spearman_brown",
    "with_auxiliary",
]
