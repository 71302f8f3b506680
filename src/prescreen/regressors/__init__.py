"""Regressors: from feature vectors to ratings. Arrays only; pictures and encoders never come in here."""
