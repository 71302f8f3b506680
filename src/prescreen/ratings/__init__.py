"""Votes and ratings of any of four formats, read into one checked form with spread and reliability."""

from prescreen.ratings.reading import MIN_IMAGES, Ratings, read_ratings
from prescreen.ratings.reliability import Reliability, spearman_brown

__all__ = ["MIN_IMAGES", "Ratings", "Reliability", "read_ratings", "spearman_brown"]
