"""The ranking as one HTML page with its pictures."""

from collections.abc import Callable, Sequence

import pandas as pd

from prescreen import __version__
from prescreen.images.files import ImageFile
from prescreen.predictor.predictor import Predictor
from prescreen.ranking.goals import Goals
from prescreen.reports.render import render_ranking
from prescreen.reports.summarize import BaselinePicture, Provenance, TraitValue, summarize_ranking
from prescreen.reports.thumbnails import LARGE, draw_thumbnails, thumbnail
from prescreen.shortlist.baseline import Baseline
from prescreen.storage.provenance import ScoresMetadata


def draw_report(
    ranked: pd.DataFrame,
    predictor: Predictor,
    baseline: Baseline,
    goals: Goals,
    files: Sequence[ImageFile],
    note: ScoresMetadata | None,
    advance: Callable[[], object],
    token: str | None = None,
    plan: str = "",
    folders: pd.DataFrame | None = None,
    keep_metadata: bool = False,
) -> str:
    """Draw the page with the pictures, one HTML file; with a token it is the one that a server gives out."""
    interval = {t: TraitValue(v, baseline.low.get(t), baseline.high.get(t)) for t, v in baseline.levels.items()}
    source = baseline.name.removeprefix("scores ") if baseline.file is None else "predicted from the picture"
    manifest = predictor.manifest
    summary = summarize_ranking(
        ranked,
        predictor.traits,
        goals,
        BaselinePicture(baseline.name, source, interval),
        Provenance(
            predictor=f"{manifest.name} ({predictor.fingerprint[:12]})",
            encoder=manifest.encoder.name,
            trained_on=f"{manifest.data['images']} portraits from {manifest.data['source']}",
            scored=", ".join(note.inputs) if note else "",
            version=__version__,
        ),
        accuracy=predictor.evaluation.traits,
        simulated=manifest.simulated,
        plan=plan,
        folders=folders,
    )
    images = draw_thumbnails(files, ranked["image"].tolist(), advance)
    present = None if baseline.file is None else thumbnail(ImageFile(baseline.file, baseline.name), LARGE)
    return render_ranking(summary, images, present, token, keep_metadata)
