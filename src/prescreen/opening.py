"""A predictor by its name, a directory or a model in MLflow; and a table of scores with the predictor that made it."""

from pathlib import Path

import pandas as pd

from prescreen import drift, provenance
from prescreen.encoders import Encoder
from prescreen.errors import PredictorError, PredictorNotFound, shown
from prescreen.narrator import Narrator
from prescreen.predictor import Predictor
from prescreen.provenance import ScoresNote
from prescreen.remote import is_elsewhere
from prescreen.scoring import check_scores
from prescreen.tables import read_table


def open_predictor(place: str) -> Predictor:
    """Load a predictor from its directory or from MLflow (``models:/…``, ``runs:/…``)."""
    if provenance.is_model_uri(place):
        from prescreen import tracking

        with tracking.fetch_predictor(place) as folder:
            return Predictor.load(folder)
    return Predictor.load(Path(place))


def lasting_name(place: str) -> str:
    """Return a name that still means the same predictor from another folder, or after an alias has moved."""
    if not provenance.is_model_uri(place):
        return str(Path(place).resolve())
    from prescreen import tracking

    return tracking.resolve_uri(place)


def warn_of_simulation(predictor: Predictor, narrator: Narrator) -> None:
    """Say so where a predictor's votes are simulated."""
    if predictor.manifest.simulated:
        narrator.say("the predictor was trained on simulated votes: what follows means nothing for real raters")


def open_scores(
    scores: Path, predictor: str | None, narrator: Narrator
) -> tuple[ScoresNote | None, pd.DataFrame, Predictor]:
    """Read a table of scores with its note, and the predictor that made it.

    Parameters
    ----------
    scores : Path
        A table that `score` wrote.
    predictor : str or None
        Directory or MLflow model URI; None for the one that the note names.
    narrator : Narrator
        Hears which one the note names, if its votes are simulated, and if it scores its canaries differently now.

    Raises
    ------
    PredictorError
        If the predictor that the note names is not there any more, or not on this machine.
    PredictorMismatch
        If another predictor made the table, or it was changed.
    PrescreenError
        If it is no table of scores.
    """
    note = ScoresNote.read(scores, optional=predictor is not None)
    if predictor is None and note is not None:
        if is_elsewhere(note.predictor):
            raise PredictorError(
                f"{shown(scores)}: the note beside it names a predictor at {shown(note.predictor)}, which is not "
                "fetched; say with --predictor where it is on this machine"
            )
        narrator.say(f"predictor  {shown(note.predictor)}, says the note beside the scores")
    table = read_table(scores)
    try:
        loaded = open_predictor(predictor or (note.predictor if note else ""))
    except PredictorNotFound as error:
        if predictor is not None or note is None:
            raise
        raise PredictorError(
            f"{shown(scores)}: the predictor that made it, {shown(note.predictor)}, is not there any more; "
            "say with --predictor where it is now"
        ) from error
    if note is not None:
        note.check(scores, loaded.fingerprint)
    check_scores(table, loaded.traits, scores)
    warn_of_simulation(loaded, narrator)
    drift.watch(loaded, Encoder(loaded.manifest.encoder), narrator)
    return note, table, loaded
