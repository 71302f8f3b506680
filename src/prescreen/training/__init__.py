"""From ratings and vectors to a predictor."""
