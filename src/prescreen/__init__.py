"""Predict how a crowd would rate portraits, and pick the few worth sending to human raters."""

__version__ = "0.1.0"
