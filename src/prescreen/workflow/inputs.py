"""Opens what verbs take as input: predictors, tables of scores, pictures and ratings."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pandas as pd

from prescreen.embeddings.estimate import Estimate, estimate
from prescreen.embeddings.pipeline import Embedded, EmbeddingCache, EmbeddingCounts, embed_images, not_cached
from prescreen.encoders import Encoder, clip, make_encoder
from prescreen.errors import NothingScored, PredictorError, PredictorNotFound, UsageError
from prescreen.images.files import ImageFile, ImageFiles, find_images
from prescreen.predictor import reproducibility
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.scores_table import check_scores
from prescreen.progress import NullReporter, ProgressReporter
from prescreen.ratings.reading import Ratings
from prescreen.settings import processors
from prescreen.storage import provenance
from prescreen.storage.provenance import ScoresMetadata
from prescreen.storage.remote import is_elsewhere, is_url
from prescreen.storage.tables import read_table
from prescreen.text import shown


def load_predictor(place: str) -> Predictor:
    """Load a predictor from its directory or from MLflow (``models:/…``, ``runs:/…``)."""
    if provenance.is_model_uri(place):
        from prescreen import tracking

        with tracking.fetch_predictor(place) as folder:
            return replace(Predictor.load(folder), place=None)  # a folder for the moment
    return Predictor.load(Path(place))


def resolve_model_uri(place: str) -> str:
    """Return a name that means the same predictor from another folder, and after an alias has moved."""
    if not provenance.is_model_uri(place):
        return str(Path(place).resolve())
    from prescreen import tracking

    return tracking.resolve_uri(place)


def warn_of_simulation(predictor: Predictor, reporter: ProgressReporter) -> None:
    """Report that a predictor's votes are simulated, where they are."""
    if predictor.manifest.simulated:
        reporter.note("the predictor was trained on simulated votes: this means nothing for real raters")


def warn_of_unusable(predictor: Predictor, traits: Iterable[str], reporter: ProgressReporter) -> None:
    """Report which of these traits a predictor cannot be used for, where there are any."""
    if unusable := predictor.usability.describe(traits):
        reporter.info(f"the predictor is {unusable}")


def open_scores(
    scores: Path, predictor: str | None, reporter: ProgressReporter
) -> tuple[ScoresMetadata | None, pd.DataFrame, Predictor, Encoder]:
    """Read a table of scores with its metadata, and the predictor that made it with its encoder.

    Parameters
    ----------
    scores : Path
        A table that `score` wrote.
    predictor : str or None
        Directory or MLflow model URI; None for the one that the metadata names.
    reporter : ProgressReporter
        Receives which predictor that is, whether its votes are simulated, and whether it scores its canaries
        differently now.

    Raises
    ------
    PredictorError
        If the predictor that the metadata names does not exist any more, or is not on this machine.
    PredictorMismatch
        If another predictor made the table, or it was changed.
    PrescreenError
        If it is no table of scores.
    """
    note = ScoresMetadata.read(scores, optional=predictor is not None)
    if predictor is None and note is not None:
        if is_elsewhere(note.predictor):
            raise PredictorError(
                f"{shown(scores)}: the note beside it names a predictor at {shown(note.predictor)}, which is not "
                "fetched; say with --predictor where it is on this machine"
            )
        reporter.note(f"predictor  {shown(note.predictor)}, says the note beside the scores")
    table = read_table(scores)
    try:
        loaded = load_predictor(predictor or (note.predictor if note else ""))
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
    warn_of_simulation(loaded, reporter)
    encoder = loaded.make_encoder(like=note.precision if note else None)
    reproducibility.check_reproducibility(loaded, encoder, reporter)
    return note, table, loaded, encoder


def find_inputs(inputs: Sequence[Path | str], follow_links: bool) -> ImageFiles:
    """Find the pictures in folders, files and URLs; without any, raise NothingScored."""
    files = find_images(inputs, follow_links=follow_links)
    if not files:
        raise NothingScored(f"{', '.join(map(str, inputs))}: no pictures there (JPEG, PNG, WebP)")
    return files


def local_paths(inputs: Sequence[Path | str]) -> dict[str, Path]:
    """Return the inputs on this machine by their names."""
    return {str(place): Path(place) for place in inputs if not is_url(place)}


def rated_images(rated: Ratings) -> list[ImageFile]:
    """Return the files of the rated pictures."""
    if rated.images_dir is None:
        raise UsageError(f"{rated.source}: the folder of the pictures is not known; name it with --images")
    return [ImageFile(rated.images_dir / name, name) for name in rated.wide().index]


def embed_inputs(
    files: Sequence[ImageFile],
    encoder: Encoder,
    reporter: ProgressReporter,
    *,
    title: str,
    counts: EmbeddingCounts | None = None,
    tolerant: bool = False,
    may_choose: bool = False,
) -> Iterator[Embedded]:
    """Embed pictures through the cache, with a progress bar, after a word on how long it will take.

    With ``may_choose`` that names faster encoders, where it takes minutes.
    """
    with EmbeddingCache() as cache:
        if not isinstance(reporter, NullReporter):
            some, count = not_cached(files, encoder, cache, tolerant=tolerant)
            announce_time(some, count, encoder, reporter, may_choose=may_choose)
        with reporter.progress(title, len(files)) as advance:
            yield from embed_images(files, encoder, cache, tolerant=tolerant, counts=counts, advance=advance)


_FEW: Final = 30
"""Pictures below which the measurement would take longer than it tells."""
_WORTH_SAYING: Final = 10.0
_LONG: Final = 300.0
"""Seconds from which faster encoders are named."""
_GAIN: Final = 0.7
"""Share of the time that a faster encoder may take at most to be named."""


def announce_time(
    files: Sequence[ImageFile],
    count: int,
    encoder: Encoder,
    reporter: ProgressReporter,
    *,
    may_choose: bool = False,
) -> None:
    """Report how long so many pictures, like these, will take, where that is more than ten seconds."""
    if count < _FEW:
        return
    found = estimate(encoder, count, files)
    if found.seconds < _WORTH_SAYING:
        return
    where = "" if found.on_card else f" on {processors()} processors"
    name = encoder.specification.choice
    faster = _faster(encoder, found, files) if may_choose and found.seconds > _LONG else []
    more = f"; {', '.join(faster)}" if faster else ""
    reporter.info(f"estimate   {count} pictures, about {found.text()} with {name}{where}{more}")


def _faster(encoder: Encoder, found: Estimate, files: Sequence[ImageFile]) -> list[str]:
    """Name faster encoders with their times: fewer views by calculation, the bundled networks by measurement."""
    names = []
    first, mirror = encoder.specification.members[0], encoder.specification.mirror
    usual = [view for view in clip.VIEWS if view in first.views]
    fewer = found.with_share(len(usual) / (len(first.views) * (1 + mirror)))
    alone = len(encoder.specification.members) == 2  # beside the face network
    if alone and usual and fewer.seconds < _GAIN * found.seconds:
        names.append(f"--views {','.join(usual)} --no-mirror: about {fewer.text()}")
    bundled = make_encoder("bundled", encoder.specification.precision, encoder.device)
    if encoder.specification.name != "bundled" and not bundled.must_convert:
        other = estimate(bundled, found.pictures, files)
        if other.seconds < _GAIN * found.seconds:
            names.append(f"--encoder bundled: about {other.text()}")
    return names


def titled(title: str, note: str) -> str:
    """Return a note on ratings after a title that names their file, without the room that it leaves for its own."""
    return title + " ".join(note.split(maxsplit=1))


def report_ratings(rated: Ratings, reporter: ProgressReporter, title: str = "") -> None:
    """Report what was read, so that a wrong guess about the file is seen before the work is done.

    The title names the file where there are several.
    """
    for note in rated.notes:
        reporter.info(titled(title, note) if title else note)
    images = rated.table["image"].nunique()
    votes = rated.table["votes"].dropna()
    fewest, most = (f"{votes.quantile(share, interpolation='nearest'):.0f}" for share in (0.0, 1.0))
    each = fewest if fewest == most else f"{fewest} to {most}"
    what = "answer" if rated.format == "pairs" else "vote"
    told = f", {each} {what}{'s' * (each != '1')} a picture" if len(votes) else ""
    reporter.info(
        f"{title or 'ratings    '}{images} pictures, {', '.join(rated.traits)}{told} on {rated.scale} ({rated.format})"
    )
