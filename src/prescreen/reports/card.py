"""The model card of one predictor, in Markdown: what it is, how good it is, and what it must not be used for."""

from collections.abc import Mapping
from typing import Any

from prescreen.predictor import Manifest

_USE = """\
## Intended use

Choosing, among pictures of oneself, the few that are worth the cost of human ratings. Not for judging, selecting,
admitting, hiring or identifying anybody.

## What the predictions are

The mean judgment that raters like those of the training ratings would give a picture: stereotypes that raters share,
with their prejudices about age, gender, skin colour and dress. They say nothing true about the person depicted.
"""


def model_card(manifest: Manifest, summary: str) -> str:
    """Write the model card of a predictor.

    Parameters
    ----------
    manifest : Manifest
        What the predictor is.
    summary : str
        The evaluation in Markdown.

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
