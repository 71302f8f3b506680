"""The ranking as one HTML page with its pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath

import pandas as pd

from prescreen import __version__
from prescreen.images.files import ImageFile
from prescreen.predictor.predictor import Predictor
from prescreen.ranking.goals import Goals
from prescreen.reports.ratings_origin import RatingsOrigin
from prescreen.reports.render import render_ranking
from prescreen.reports.summarize import BaselinePicture, TraitValue, summarize_ranking
from prescreen.reports.thumbnails import LARGE, draw_thumbnails, thumbnail
from prescreen.shortlist.baseline import Baseline
from prescreen.shortlist.shortlist import Shortlist
from prescreen.storage.provenance import ScoresMetadata


def draw_report(
    files: Sequence[ImageFile],
    advance: Callable[[], object],
    *,
    predictor: Predictor,
    baseline: Baseline | None,
    goals: Goals,
    metadata: ScoresMetadata | None,
    shortlist: Shortlist,
    folders: pd.DataFrame,
    token: str | None = None,
    keep_metadata: bool = False,
    decided: Mapping[str, str] | None = None,
) -> str:
    """Draw the ranking with its pictures as one HTML file; with a token, it is the page that a server gives out.

    ``decided`` is ``keep`` or ``reject`` by picture, where something was decided before.
    """
    manifest = predictor.manifest
    summary = summarize_ranking(
        shortlist.table,
        predictor.traits,
        goals,
        None if baseline is None else _picture(baseline),
        origin={
            "Predictor": f"{manifest.name} ({predictor.fingerprint[:12]})",
            "Encoder": manifest.encoder.choice,
            "Trained on": f"{manifest.data['images']} portraits from {manifest.data['source']}",
            "Scored": ", ".join(PurePath(place).name or place for place in metadata.inputs) if metadata else "",
            "prescreen": __version__,
        },
        accuracy=predictor.evaluation.traits,
        unusable=predictor.usability.unusable,
        ratings=RatingsOrigin.of(manifest),
        contenders=shortlist.contenders,
        decided=decided,
        advice=shortlist.advice,
        plan=_as_sentence(shortlist.describe_plan()),
        folders=folders,
    )
    images = draw_thumbnails(files, shortlist.table["image"].tolist(), advance)
    photo = None if baseline is None or baseline.file is None else ImageFile(baseline.file, baseline.name)
    current = None if photo is None else thumbnail(photo, LARGE)
    return render_ranking(summary, images, current, token, keep_metadata)


def _picture(baseline: Baseline) -> BaselinePicture:
    shown = baseline.predicted or baseline  # predictions are compared with predictions
    values = {
        trait: TraitValue(score, shown.low.get(trait), shown.high.get(trait)) for trait, score in shown.levels.items()
    }
    source = "predicted from the picture" if shown.human is None else "from people"
    if baseline.predicted is not None:
        source += f"; people said {baseline.describe()}, which the chances take into account"
    return BaselinePicture(baseline.name, source, values)


def _as_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""
