"""The ranking as one HTML page with its pictures."""

from collections.abc import Callable, Sequence

import pandas as pd

from prescreen import __version__
from prescreen.images.files import ImageFile
from prescreen.predictor.predictor import Predictor
from prescreen.ranking.goals import Goals
from prescreen.reports.render import render_ranking
from prescreen.reports.summarize import BaselinePicture, TraitValue, summarize_ranking
from prescreen.reports.thumbnails import LARGE, draw_thumbnails, thumbnail
from prescreen.shortlist.baseline import Baseline
from prescreen.storage.provenance import ScoresMetadata


def draw_report(
    ranked: pd.DataFrame,
    files: Sequence[ImageFile],
    advance: Callable[[], object],
    *,
    predictor: Predictor,
    baseline: Baseline,
    goals: Goals,
    metadata: ScoresMetadata | None,
    plan: str,
    folders: pd.DataFrame,
    token: str | None = None,
    keep_metadata: bool = False,
) -> str:
    """Draw the ranking with its pictures as one HTML file; with a token, it is the page that a server gives out."""
    values = {
        trait: TraitValue(score, baseline.low.get(trait), baseline.high.get(trait))
        for trait, score in baseline.levels.items()
    }
    source = baseline.name.removeprefix("scores ") if baseline.file is None else "predicted from the picture"
    manifest = predictor.manifest
    summary = summarize_ranking(
        ranked,
        predictor.traits,
        goals,
        BaselinePicture(baseline.name, source, values),
        origin={
            "Predictor": f"{manifest.name} ({predictor.fingerprint[:12]})",
            "Encoder": manifest.encoder.name,
            "Trained on": f"{manifest.data['images']} portraits from {manifest.data['source']}",
            "Scored": ", ".join(metadata.inputs) if metadata else "",
            "prescreen": __version__,
        },
        accuracy=predictor.evaluation.traits,
        simulated=manifest.simulated,
        plan=plan,
        folders=folders,
    )
    images = draw_thumbnails(files, ranked["image"].tolist(), advance)
    current = None if baseline.file is None else thumbnail(ImageFile(baseline.file, baseline.name), LARGE)
    return render_ranking(summary, images, current, token, keep_metadata)
