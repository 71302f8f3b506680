"""The model card of one predictor, in Markdown: what it is, how good it is, and what it must not be used for."""

from collections.abc import Mapping
from typing import Any

from prescreen.manifest import Manifest

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
compare them with other faces, and guess what they look like. Pass it on to nobody who may not have that.
"""
_FORGOTTEN = """\
Trained to forget: of the training portraits there are sums and directions over all of them, and no vector, descriptor
or hash of a single one. So a picture that was trained on is not known again, and is scored by a model that saw it.
"""


def summary(manifest: Manifest, evaluation: Mapping[str, Any]) -> str:
    """Say in a sentence and a small table what was trained on what, and how good it is.

    Parameters
    ----------
    manifest : Manifest
        What the predictor is.
    evaluation : mapping
        JSON form of `prescreen.evaluation.report.Evaluation`.

    Returns
    -------
    str
        Markdown. The first sentence has the figures that decide, since lists show no more of it.
    """
    overall = evaluation["overall"]
    parts = [f"Mean r {_figure(overall['pearson'])}, cross-validated"]
    if overall["r_share"] is not None:
        parts.append(f"{100 * overall['r_share']['value']:.0f} % of what the raters' noise leaves possible")
    if overall["votes"] is not None:
        parts.append(f"a prediction is worth {_figure(overall['votes'], 1)} votes")
    votes = "simulated votes" if manifest.simulated else "votes"
    rows = [_trait_row(name, trait) for name, trait in evaluation["traits"].items()]
    return "\n".join(
        [
            f"{'; '.join(parts)}. Encoder `{manifest.encoder.name}`, {manifest.data['images']} portraits, "
            f"{votes} from `{manifest.data['source']}`.",
            "",
            "| trait | r | ceiling of r | worth in votes | r within persons | MAE (of the mean) | in 90 % intervals |",
            "|---|---|---|---|---|---|---|",
            *("| " + " | ".join(row) + " |" for row in rows),
            "",
            "In brackets 95 % intervals. Every figure: `evaluation.json`.",
        ]
    )


def _trait_row(name: str, trait: Mapping[str, Any]) -> list[str]:
    ceiling, persons, coverage = (trait[part] or {} for part in ("ceiling", "within_person", "coverage"))
    return [
        name.replace("|", chr(92) + "|"),
        _figure(trait["pearson"]),
        _figure({"value": ceiling.get("highest_r")}),
        _figure(ceiling.get("votes"), 1),
        _figure(persons.get("pearson")),
        f"{_figure({'value': trait['mae']['value']})} ({_figure({'value': trait['naive']['mae']['value']})})",
        _figure(coverage.get("share"), 2),
    ]


def _figure(figure: Mapping[str, float | None] | None, digits: int = 3) -> str:
    """Write a figure with its interval, where it has one."""
    if figure is None or figure.get("value") is None:
        return "-"
    low, high = figure.get("low"), figure.get("high")
    ends = f" [{low:.{digits}f}, {'-' if high is None else f'{high:.{digits}f}'}]" if low is not None else ""
    return f"{figure['value']:.{digits}f}{ends}"


def model_card(manifest: Manifest, summary: str, holdings: Mapping[str, int]) -> str:
    """Write the model card of a predictor.

    Parameters
    ----------
    manifest : Manifest
        What the predictor is.
    summary : str
        The evaluation in Markdown.
    holdings : mapping of str to int
        As in `prescreen.predictor.Predictor.holdings`.

    Returns
    -------
    str
        Markdown.
    """
    warning = ["> Trained on **simulated** votes: good for trying prescreen out and for nothing else.", ""]
    return "\n".join(
        [
            f"# Model card: {manifest.name}",
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
                    "licence": "that of the ratings and pictures: the file does not tell",
                }
            ),
            "",
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
                f"| {trait} | {_number(known.get('icc1'))} | {_number(known.get('votes_per_image'))} "
                f"| {_number(known.get('of_mean'))} |"
                for trait, known in manifest.reliability.items()
            ),
            "",
            "## Encoder",
            "",
            *_table(
                {
                    "name": manifest.encoder.name,
                    "networks": ", ".join(member.network for member in manifest.encoder.members),
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


def _table(values: Mapping[str, Any]) -> list[str]:
    rows = [f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in values.items()]
    return ["| | |", "|---|---|", *rows]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
