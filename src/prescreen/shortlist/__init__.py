"""From a predictor and candidates to the few pictures worth testing."""
