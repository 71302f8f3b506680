"""The ranking report as one HTML file that needs nothing else: no network, no other file."""

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from prescreen.evaluation.metrics import Estimate
from prescreen.ranking.ranked_table import FEW
from prescreen.ranking.selection import KNOWN
from prescreen.reports.summarize import Card, Failure, RankingSummary, TraitField, TraitReading
from prescreen.text import describe_list, percent, shown

_SIGNATURES = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png", b"RIFF": "webp"}
_SCRIPTS = (
    "elements.js",
    "page.js",
    "decisions.js",
    "proposal.js",
    "grid.js",
    "viewer.js",
    "cards.js",
    "scatter.js",
    "strip.js",
    "exports.js",
)


def render_ranking(
    summary: RankingSummary,
    images: Mapping[str, bytes],
    baseline_image: bytes | None = None,
    token: str | None = None,
    keep_metadata: bool = False,
) -> str:
    """Render the ranking report.

    Parameters
    ----------
    summary : RankingSummary
        What to say.
    images : mapping of str to bytes
        Thumbnails (WebP, JPEG or PNG files) by the names of the candidates and failures; those that are missing show
        as an empty frame. Sizes are free: some 224 pixels do for the grid, the shortlist deserves about 640.
    baseline_image : bytes, optional
        The current photo.
    token : str, optional
        For a page that ``prescreen review`` serves: its requests for pictures and decisions show this token. Without it
        the page is for a file, keeps decisions in the browser and makes no requests.
    keep_metadata : bool
        Whether pictures that the page exports keep what they tell about places, people and devices.

    Returns
    -------
    str
        An HTML document. Its content security policy allows nothing from outside; equal input gives equal text.

    Raises
    ------
    ValueError
        If an image is no WebP, JPEG or PNG file.
    """
    names = [card.image for card in summary.candidates] + [failure.image for failure in summary.failures]
    pictures = [data_uri(images.get(name)) for name in names]
    style = joined("base.css", "ranking.css")
    script = joined(*_SCRIPTS)
    environment = page_environment()
    environment.filters |= {
        "decimals": _decimals,
        "described": _described,
        "direction": _direction,
        "figure": lambda value, digits: Estimate(value).text(digits),
        "percent": percent,
        "place": _place,
        "signed": _signed,
        "told": _told,
    }
    levels = {} if summary.baseline is None else {name: value.score for name, value in summary.baseline.values.items()}
    return environment.get_template("ranking.html.j2").render(
        summary=summary,
        levels=levels,
        measure=_measure(summary),
        pictures=pictures,
        baseline_picture=data_uri(baseline_image),
        style=style,
        style_hash=hash_of(style),
        script=script,
        script_hash=hash_of(script),
        checks=Counter(check for card in summary.candidates for check in card.checks).most_common(),
        data=htmlsafe_json_dumps(_data(summary, pictures) | {"keepMetadata": keep_metadata}),
        token=token,
    )


def _data(summary: RankingSummary, pictures: Sequence[str | None]) -> dict[str, Any]:
    """Return what the page's script needs."""
    values = {} if summary.baseline is None else summary.baseline.values
    levels = [values[name].score if name in values else None for name in summary.traits]
    rows = [_row(card) for card in summary.candidates] + [_failed_row(failure) for failure in summary.failures]
    names = "\n".join(str(row["name"]) for row in rows)
    return {
        "id": hashlib.sha256(names.encode()).hexdigest()[:16],
        "traits": [shown(name) for name in summary.traits],
        "roles": [field.role for field in summary.field],
        "baseline": levels,
        "compared": summary.baseline is not None,
        "measure": _measure(summary),
        "texts": summary.texts,
        "choice": _choice(summary),
        "decided": {shown(name): decision for name, decision in summary.decided},
        "rows": [row | {"picture": picture is not None} for row, picture in zip(rows, pictures, strict=True)],
    }


def _choice(summary: RankingSummary) -> dict[str, Any]:
    """Return what the page's script chooses from; candidates go by their row."""
    found = summary.contenders
    if found is None:
        return {"rows": [], "doubtful": [], "copies": [], "count": 0, "together": True, "draws": None}
    rows = {card.image: row for row, card in enumerate(summary.candidates)}
    draws = None
    if found.draws is not None:
        bits = np.packbits(found.draws.met.transpose(2, 0, 1).reshape(len(found.images), -1), axis=1)
        draws = {
            "weights": found.draws.weights.tolist(),
            "each": found.draws.met.shape[1],
            "known": KNOWN,
            "met": base64.b64encode(bits.tobytes()).decode(),
        }
    return {
        "rows": [rows[name] for name in found.images],
        "doubtful": found.doubtful.tolist(),
        "copies": [np.flatnonzero(row).tolist() for row in found.copies],
        "count": found.count,
        "together": found.together,
        "draws": draws,
    }


def _measure(summary: RankingSummary) -> str:
    """Return what the candidates are ranked by."""
    return "mean predicted score" if summary.baseline is None else "chance to meet all goals"


def _failed_row(failure: Failure) -> dict[str, Any]:
    return _any_row(failure.image, failure.reason) | {"failed": True}


def _row(card: Card) -> dict[str, Any]:
    return _any_row(card.image, typographic(card.why)) | {
        "rank": card.rank,
        "p": card.p_better,
        "merit": card.mean if card.p_better is None else card.p_better,
        "figure": f"{card.mean:.1f}" if card.p_better is None else percent(card.p_better),
        "selected": card.selected,
        "pareto": card.pareto,
        "excluded": shown(card.excluded_because),
        "checks": [shown(check) for check in card.checks],
        "stack": shown(card.duplicate_of or card.image),
        "traits": [
            {
                "score": round(reading.value.score, 3),
                "low": reading.value.low,
                "high": reading.value.high,
                "change": None if reading.change is None else round(reading.change, 3),
                "chance": None if reading.chance is None else percent(reading.chance),
            }
            for reading in card.traits
        ],
    }


def _any_row(image: str, why: str) -> dict[str, Any]:
    """Return what all rows have; the tags are the folders of the picture, which often say how it was made."""
    return {
        "name": shown(image),
        "why": shown(why),
        "failed": False,
        "selected": False,
        "pareto": False,
        "excluded": "",
        "checks": [],
        "stack": shown(image),
        "tags": [shown(part) for part in image.split("/")[:-1]],
        "traits": [],
    }


def page_environment() -> Environment:
    """Return where templates of pages are found and rendered, escaped and strict, with the filters all of them use."""
    environment = Environment(
        loader=PackageLoader("prescreen.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "typographic": typographic}
    return environment


def template_file(name: str) -> str:
    """Return one of the templates as it is."""
    return (resources.files("prescreen.reports") / "templates" / name).read_text("utf-8")


def joined(*names: str) -> Markup:
    """Return templates that are styles or scripts, one after the other."""
    return Markup("\n".join(map(template_file, names)))


def hash_of(text: str) -> str:
    """Return what a content security policy names a style or script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def data_uri(image: bytes | None) -> str | None:
    """Return a WebP, JPEG or PNG file as a ``data:`` address; ValueError if it is none of these."""
    if image is None:
        return None
    for signature, kind in _SIGNATURES.items():
        if image.startswith(signature):
            return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
    raise ValueError(f"expected a WebP, JPEG or PNG file, got bytes that start with {image[:8]!r}")


def _decimals(value: float, places: int) -> str:
    return f"{value:.{places}f}"


def _signed(change: float) -> str:
    return "±0.0" if abs(change) < FEW else f"{change:+.1f}".replace("-", "−")


def _direction(change: float) -> str:
    return "" if abs(change) < FEW else "gain" if change > 0 else "loss"


def _place(score: float) -> str:
    """Return a score as a place on a scale that is 100 % wide."""
    return f"{min(max(10 * score, 0), 100):.2f}%"


def typographic(text: str) -> str:
    """Set minus signs and keep percentages on one line."""
    return text.replace(" -", " −").replace(" %", "\N{NO-BREAK SPACE}%")


def _described(reading: TraitReading, baseline: float | None) -> str:
    """Return a trait's bar in words."""
    value = reading.value
    words = [f"{shown(reading.trait)} {value.score:.1f}"]
    if value.low is not None and value.high is not None:
        words.append(f"90 % interval {value.low:.1f} to {value.high:.1f}")
    if baseline is not None and reading.change is not None:
        words.append(f"your current photo {baseline:.1f}")
    return ", ".join(words)


def _told(field: TraitField) -> str:
    """Return a trait's histogram in words."""
    words = f"{sum(field.counts)} candidates on {shown(field.trait)}"
    if field.baseline is not None:
        words += f", {field.above} above your current photo ({field.baseline:.1f})"
    if field.shortlist:
        words += f"; the proposed at {describe_list([f'{score:.1f}' for score in field.shortlist])}"
    return words
