"""A predictor by its name: a directory, or a model in MLflow."""

from pathlib import Path

from prescreen import provenance
from prescreen.predictor import Predictor


def open_predictor(place: str) -> Predictor:
    """Load a predictor from its directory or from MLflow (``models:/…``, ``runs:/…``)."""
    if provenance.is_model_uri(place):
        from prescreen import tracking

        return Predictor.load(tracking.fetch_predictor(place))
    return Predictor.load(Path(place))


def lasting_name(place: str) -> str:
    """Return a name that still means the same predictor from another folder, or after an alias has moved."""
    if not provenance.is_model_uri(place):
        return str(Path(place).resolve())
    from prescreen import tracking

    return tracking.resolve_uri(place)
