"""How accurate predictions are, how certain that is, and what the noise of the ratings allows; arrays and tables."""
