"""The model card of one predictor, in Markdown: what it is, how good it is, and what it must not be used for."""

import html
import re
from collections.abc import Mapping
from typing import Any

from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, TraitEvaluation
from prescreen.evaluation.usability import Usability, usability
from prescreen.predictor.manifest import Manifest
from prescreen.text import shown

_USE = """\
## Intended use

Choosing, among pictures of oneself, the few that are worth the cost of human ratings. Not for judging, selecting,
admitting, hiring or identifying anybody.

## What the predictions are

The mean judgment that raters like those of the training ratings would give a picture: stereotypes that raters share,
with their prejudices about age, gender, skin colour and dress. They say nothing true about the person depicted.
"""

_HOLDINGS = """\
Vectors of faces are biometric data. Whoever has the predictor can tell whether a picture or a person is among these,
compare them with other faces, and guess what they look like. Give it only to people who may have such data.
"""
_FORGOTTEN = """\
Trained to forget: of the training portraits there are sums and directions over all of them, and no vector, descriptor
or hash of a single one. So a picture that was trained on is not known again, and is scored by a model that saw it.
"""


def summary(manifest: Manifest, evaluation: Evaluation) -> str:
    """Say in a sentence and a small table what was trained on what, and how good it is.

    Returns
    -------
    str
        Markdown. The first sentence has the figures that decide, since lists show no more of it.
    """
    overall, found = evaluation.overall, usability(evaluation)
    parts = [f"{'' if found.usable else '**Not usable.** '}Mean r {overall.pearson.text()}, cross-validated"]
    if overall.r_share.value is not None:
        parts.append(f"{100 * overall.r_share.value:.0f} % of what the raters' noise leaves possible")
    if overall.votes.value is not None:
        parts.append(f"a prediction is worth {overall.votes.text(1)} votes")
    votes = "simulated votes" if manifest.simulated else "votes"
    on_top = "".join(
        f", {how} {' and '.join(_code(base[what]) for base in found)}"
        for how, what, found in (
            ("helped by", "source", manifest.other_ratings),
            ("on top of", "name", manifest.base_predictors),
        )
        if found
    )
    rows = [_row(_plain(trait.trait), *_figures(trait)) for trait in evaluation.traits]
    return "\n".join(
        [
            f"{'; '.join(parts)}. Encoder {_code(manifest.encoder.choice)}, {manifest.data['images']} portraits, "
            f"{votes} from {_code(manifest.data['source'])}{on_top}.",
            "",
            "| trait | r | ceiling of r | equivalent number of votes | r within persons | MAE (of the mean) "
            "| in 90 % intervals |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            "In brackets 95 % intervals. Every figure: `evaluation.json`.",
            *_known_to_bases(manifest),
            *_unusable(found),
        ]
    )


def _known_to_bases(manifest: Manifest) -> list[str]:
    """Say where the figures may be too high for persons whom no base has seen."""
    if not (known := manifest.data.get("known_to_bases", 0)):
        return []
    return [
        "",
        f"{known} of its portraits look like persons of whom a base has seen other pictures: for new persons the "
        "figures may be too high.",
    ]


def _unusable(found: Usability) -> list[str]:
    """Return a list of the traits that cannot be used, after what it is."""
    if not found.unusable:
        return []
    return ["", "Not usable:", "", *(f"- {_plain(f'{trait}: {reason}')}" for trait, reason in found.unusable.items())]


def _figures(trait: TraitEvaluation) -> list[str]:
    return [
        trait.pearson.text(),
        Estimate(trait.limits.highest_r).text(),
        trait.limits.votes.text(1),
        trait.within.pearson.text(),
        f"{trait.mae.text(interval=False)} ({trait.naive.mae.text(interval=False)})",
        trait.covered.share.text(2),
    ]


def model_card(manifest: Manifest, summary: str, holdings: Mapping[str, int]) -> str:
    """Write the model card of a predictor.

    Parameters
    ----------
    manifest : Manifest
        What the predictor is.
    summary : str
        The evaluation in Markdown.
    holdings : mapping of str to int
        As in `prescreen.predictor.predictor.Predictor.holdings`.

    Returns
    -------
    str
        Markdown.
    """
    warning = ["> Trained on **simulated** votes: good for trying prescreen out and for nothing else.", ""]
    return "\n".join(
        [
            f"# Model card: {_plain(manifest.name)}",
            "",
            *(warning if manifest.simulated else []),
            summary,
            "",
            _USE,
            "## Training data",
            "",
            *_table(
                {
                    "file": manifest.data.get("source"),
                    "SHA-256": manifest.data.get("sha256"),
                    "format": manifest.data.get("format"),
                    "portraits": manifest.data.get("images"),
                    "groups that are never split": manifest.data.get("groups"),
                    "scale": manifest.scale,
                    "votes": "simulated" if manifest.simulated else "of raters",
                    "licence": manifest.licence or "that of the ratings and pictures: the file does not tell",
                }
            ),
            "",
            *_bases(manifest),
            "## What it holds of people",
            "",
            "| of each picture | pictures |",
            "|---|---|",
            *(f"| {what} | {number} |" for what, number in holdings.items() if number),
            *([] if any(holdings.values()) else ["| nothing | 0 |"]),
            "",
            *([_FORGOTTEN] if manifest.forgets else []),
            *([_HOLDINGS] if any(holdings.values()) else []),
            "## Reliability of the ratings",
            "",
            "| trait | ICC(1) of a vote | votes a portrait | reliability of the mean |",
            "|---|---|---|---|",
            *(
                _row(
                    _plain(trait),
                    *(Estimate(known.get(name)).text() for name in ("icc1", "votes_per_image", "of_mean")),
                )
                for trait, known in manifest.reliability.items()
            ),
            "",
            "## Encoder",
            "",
            *_table(
                {
                    "name": manifest.encoder.choice,
                    "networks": ", ".join(member.network for member in manifest.encoder.members),
                    "views": manifest.encoder.sees,
                    "precision": manifest.encoder.precision,
                    "numbers a picture": manifest.encoder.dimension,
                    "SHA-256 of the specification": manifest.encoder.fingerprint,
                }
            ),
            "",
            "## Versions",
            "",
            *_table(manifest.versions),
            "",
        ]
    )


def _bases(manifest: Manifest) -> list[str]:
    """Say what predictors it was trained on top of, and what that means for its use."""
    if not manifest.bases:
        return []
    known = [f"{_plain(licence)}." for licence in manifest.licences]
    return [
        "## Bases",
        "",
        "It contains these predictors and uses what they say of a picture:",
        "",
        "| name | traits | ratings | portraits | votes | licence of the ratings | SHA-256 |",
        "|---|---|---|---|---|---|---|",
        *(row for base in manifest.bases for row in _base_rows(base)),
        "",
        "What holds for their ratings and pictures holds for this predictor, too: one whose licence allows no "
        "commercial use allows none here.",
        *([f"Known licences: {' '.join(known)}"] if known else []),
        *_forgetful(manifest),
        "",
    ]


def _forgetful(manifest: Manifest) -> list[str]:
    """Name the bases that cannot tell whether they were trained on these portraits."""
    names = dict.fromkeys(_plain(base["name"]) for base in manifest.forgetful)
    told = f"Trained to forget their portraits: {', '.join(names)}. If portraits of this predictor are among them, its"
    return ["", f"{told} cross-validated figures are too high."] if names else []


def _base_rows(base: Mapping[str, Any], within: str = "") -> list[str]:
    name = f"{within}{base['name']}"
    cells = [
        name,
        ", ".join(base["traits"]),
        base["source"],
        base["images"],
        "simulated" if base["simulated"] else "of raters",
        base["licence"] or "the file does not tell",
        base["fingerprint"] or f"made in its training; of the ratings: {base['sha256']}",
    ]
    nested = [row for below in base["bases"] for row in _base_rows(below, f"{name}, based on ")]
    return [_row(*map(_plain, cells)), *nested]


def _table(values: Mapping[str, Any]) -> list[str]:
    return ["| | |", "|---|---|", *(_row(name, _plain(value)) for name, value in values.items())]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: Any) -> str:
    """Write a text so that Markdown shows it as it is, on one line."""
    escaped = html.escape(" ".join(shown(str(text)).split()), quote=False)
    return re.sub(r"[\\`*~|\[\]]|(?<!\w)_|_(?!\w)", r"\\\g<0>", escaped)


def _code(text: Any) -> str:
    """Write a text as code, whatever backticks are in it."""
    line = " ".join(shown(str(text)).split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if len(fence) > 1 else f"{fence}{line}{fence}"
