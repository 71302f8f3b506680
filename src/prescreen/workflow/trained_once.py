"""Predictors that ``pick`` trains by itself: once, kept in the cache, and used again as long as nothing has changed.

Where there are no ratings, One Million Impressions is fetched and trained on, after its licence was accepted; where
there are, it is their base, once fetched and with the licence accepted. These trainings log nothing to the user's
MLflow store. ``learn`` logs its rounds there, but registers no version, so the champion stays.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from prescreen.encoders import make_encoder
from prescreen.errors import PredictorError, PrescreenError, UsageError
from prescreen.predictor.predictor import Predictor
from prescreen.progress import ProgressReporter
from prescreen.ratings import download
from prescreen.ratings.licences import LICENCES
from prescreen.ratings.omi import STAND_INS, is_omi
from prescreen.ratings.reading import read_ratings
from prescreen.settings import make_cache_directory
from prescreen.text import shown
from prescreen.workflow.inputs import load_predictor, rated_images
from prescreen.workflow.train import TrainingOptions, train

ENCODER: Final = "bundled"
_FOLDER: Final = "trained"
_PUBLIC: Final = "one-million-impressions"

QUESTION: Final = (
    "There is no predictor here yet. One Million Impressions, public ratings of 1,004 generated faces, can be fetched "
    f"and trained on, once.\nIts licence is {LICENCES['omi']}: no commercial use, and what is made from it is shared "
    "alike.\nDo you accept it?"
)
BASE_QUESTION: Final = (
    "Your ratings can be learned on top of One Million Impressions, which is in the cache.\nIts licence is "
    f"{LICENCES['omi']}: it then holds for your predictor, too: no commercial use.\nDo you accept it?"
)
REMEDY: Final = (
    "accept the licence of the public ratings with --accept-licence (Python: accept_licence=True), or give "
    "--ratings FILE (of your own) or --predictor MODEL"
)


def train_on_public(
    accepted: bool,
    ask: Callable[[str], bool] | None,
    reporter: ProgressReporter,
    *,
    source: str | None = None,
    seed: int = 0,
) -> Path:
    """Return the predictor of One Million Impressions, trained now if that was not done before.

    Parameters
    ----------
    accepted : bool
        Whether the licence is accepted.
    ask : callable, optional
        Asks a question and returns whether the answer was yes; without it nobody can be asked.
    reporter : ProgressReporter
        Receives progress messages.
    source : str, optional
        File or URL of the archive, by default the public repository.
    seed : int
        Seed of folds and regressors.

    Raises
    ------
    UsageError
        If the licence is not accepted.
    PrescreenError
        If the ratings cannot be fetched; names what else can be done.
    """
    folder, place = _public_places(seed)
    data = folder / _PUBLIC  # the page names the ratings like this
    if not _is_sound(place) and not data.exists() and not accepted and not (ask is not None and ask(QUESTION)):
        raise UsageError(f"there is no predictor, and no champion in MLflow here; {REMEDY}")
    with _alone(folder, reporter):
        if _is_sound(place):
            reporter.info("predictor  that of One Million Impressions, trained earlier (kept in the cache)")
            return place
        if not data.exists():
            _fetch(data, source, reporter)
        reporter.info("training   on One Million Impressions; it is kept in the cache for the next time")
        options = TrainingOptions(data, traits=STAND_INS, encoder=ENCODER, output=place, seed=seed)
        _train_apart(options, reporter)
    return place


def find_public(seed: int = 0) -> Path | None:
    """Return the predictor of One Million Impressions if it was trained before."""
    _, place = _public_places(seed)
    return place if _is_sound(place) else None


def train_on_own(
    options: TrainingOptions, accepted: bool, ask: Callable[[str], bool] | None, reporter: ProgressReporter
) -> Path:
    """Return the predictor of the user's ratings, trained now if nothing like it was trained before.

    Of a folder in the layout of One Million Impressions the stand-ins are learned. Other ratings have the public
    predictor as their base, where it is there and its licence is accepted, which is asked each time.
    """
    if is_omi(options.ratings):
        options = replace(options, traits=options.traits or STAND_INS, encoder=ENCODER)
    elif (base := find_public(seed=options.seed)) is None:
        options = replace(options, encoder=ENCODER)
    elif accepted or (ask is not None and ask(BASE_QUESTION)):
        options = replace(options, bases=(str(base),))
        reporter.info(
            "base       the public ratings of One Million Impressions, so their licence holds; see train --base"
        )
    else:
        reporter.info("base       none; the public ratings can be it: --accept-licence (no commercial use then)")
        options = replace(options, encoder=ENCODER)
    name = options.ratings.resolve().stem
    folder = make_cache_directory(_FOLDER) / hashlib.sha256(_described(options).encode()).hexdigest()[:32]
    place = folder / (name or "ratings")
    with _alone(folder, reporter):
        if _is_sound(place):
            reporter.info(f"predictor  that of {shown(options.ratings.name)}, trained earlier (kept in the cache)")
            return place
        _train_apart(replace(options, output=place), reporter)
    return place


def _train_apart(options: TrainingOptions, reporter: ProgressReporter) -> None:
    """Train without a trace in the user's MLflow store."""
    from prescreen import tracking

    with (
        tempfile.TemporaryDirectory(prefix="prescreen-", ignore_cleanup_errors=True) as store,
        tracking.private_store(Path(store)),
    ):
        train(options, reporter)


def _fetch(data: Path, source: str | None, reporter: ProgressReporter) -> None:
    try:
        download.fetch_omi(data, accept_licence=True, source=source or download.OMI_URL, reporter=reporter)
    except PrescreenError as error:
        raise PrescreenError(
            f"the public ratings cannot be fetched: {error}; or do without them: --ratings FOLDER or --predictor MODEL"
        ) from error


def _is_sound(place: Path) -> bool:
    """Tell whether a predictor is there that can be used; one that is damaged is trained again."""
    try:
        Predictor.load(place)
    except PredictorError:
        return False
    return True


def _public_places(seed: int) -> tuple[Path, Path]:
    """Return the folder of all that comes from the public ratings, and in it the predictor of these networks."""
    folder = make_cache_directory(_FOLDER) / _PUBLIC
    key = hashlib.sha256(json.dumps([make_encoder(ENCODER).specification.fingerprint, seed]).encode()).hexdigest()
    return folder, folder / key[:16] / _PUBLIC


def _described(options: TrainingOptions) -> str:
    """Return all that a training depends on: the ratings, the pictures' files, the base, the networks, the options."""
    rated = read_ratings(options.ratings, options.traits, options.scale, options.images, columns=options.columns)
    files = [os.stat(file.path) for file in rated_images(rated) if os.path.exists(file.path)]
    networks = make_encoder(ENCODER).specification
    told: Mapping[str, Any] = {
        **asdict(options),
        "precision": networks.precision,
        "ratings": rated.fingerprint,
        "images": [str(rated.images_dir and rated.images_dir.resolve()), *((s.st_size, s.st_mtime_ns) for s in files)],
        "bases": [load_predictor(base).fingerprint for base in options.bases],
        "networks": networks.fingerprint,
    }
    return json.dumps(told, default=str, sort_keys=True)


@contextlib.contextmanager
def _alone(folder: Path, reporter: ProgressReporter) -> Iterator[None]:
    """Let one process at a time train what goes into a folder; a process that is killed frees it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reporter.info("waiting    another prescreen trains this predictor")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
