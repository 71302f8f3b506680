"""Votes and ratings of any of four formats, read into one checked form with spread and reliability."""

from prescreen.ratings.attributes import rated_attributes
from prescreen.ratings.auxiliary import with_auxiliary
from prescreen.ratings.reading import MIN_IMAGES, Ratings, read_ratings
from prescreen.ratings.reliability import Reliability, spearman_brown

__all__ = [
    "MIN_IMAGES",
    "Ratings",
    "Reliability",
    "rated_attributes",
    "read_ratings",
    "spearman_brown",
    "with_auxiliary",
]
