"""Evaluation: how good predictions are, with what certainty, and against what ceiling. Arrays and tables only."""
