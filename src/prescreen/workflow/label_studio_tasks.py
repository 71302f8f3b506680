"""Scores as tasks for Label Studio, with its labeling configuration.

References
----------
Label Studio, "Import pre-annotated data" and "Import data from a local directory",
https://labelstud.io/guide/predictions and https://labelstud.io/guide/storage
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from prescreen.workflow.exported import Exported, as_json, common_folder, describe_scores, is_known

LOCAL_FILES: Final = "/data/local-files/?d="
"""Where Label Studio serves files below its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT."""

_PICTURE: Final = "picture"
_PREDICTION: Final = "prediction"


def label_studio_files(exported: Exported, *, blind: bool, prefix: str | None) -> dict[str, str]:
    """Return what Label Studio imports.

    Parameters
    ----------
    exported : Exported
        The pictures.
    blind : bool
        Leave out predictions, reasons and the order, so that people judge the pictures by themselves.
    prefix : str, optional
        Address that the names of the pictures are appended to; by default the path below which Label Studio serves
        local files, or the URLs of the pictures.

    Returns
    -------
    dict of str to str
        ``tasks.json``, one task a picture with ``data`` and ``predictions``, and ``config.xml``, the labeling
        configuration with a number from 0 to 10 for each trait.
    """
    addresses = _addresses(exported.files, prefix)
    rows = exported.table.sort_values("image") if blind else exported.table
    tasks: list[dict[str, Any]] = []
    for row in rows.to_dict("records"):
        name = str(row["image"])
        task: dict[str, Any] = {"data": {"image": addresses[name], "name": name}}
        if not blind:
            task["data"][_PREDICTION] = describe_scores(row, exported.traits)
            task["data"] |= {key: row[key] for key in ("rank", "p_better") if is_known(row.get(key))}
            task["predictions"] = [_prediction(row, exported)]
        tasks.append(task)
    return {"tasks.json": as_json(tasks), "config.xml": labeling_config(exported.traits, blind=blind)}


def _addresses(files: Mapping[str, Path | str], prefix: str | None) -> dict[str, str]:
    """Return where Label Studio finds each picture."""
    if prefix is not None:
        return {name: prefix + quote(os.fsencode(name)) for name in files}
    base = common_folder(files)
    if base is None:
        return {name: str(place) for name, place in files.items()}
    start = LOCAL_FILES + quote(os.fsencode(base.name)) + "/"
    return {name: start + quote(os.fsencode(Path(place).relative_to(base).as_posix())) for name, place in files.items()}


def _prediction(row: Mapping[Any, Any], exported: Exported) -> dict[str, Any]:
    regions = [
        {
            "id": f"trait{number}",
            "from_name": trait,
            "to_name": _PICTURE,
            "type": "number",
            "value": {"number": round(float(row[trait]), 1)},
        }
        for number, trait in enumerate(exported.traits)
    ]
    chance = {"score": row["p_better"]} if is_known(row.get("p_better")) else {}
    return {"model_version": exported.model, "result": regions} | chance


def control_names(traits: Sequence[str]) -> list[str]:
    """Return the names of all tags in `labeling_config`."""
    return [_PICTURE, _PREDICTION, *traits]


def labeling_config(traits: Sequence[str], *, blind: bool) -> str:
    """Return Label Studio's labeling configuration: the picture and a number from 0 to 10 for each trait."""
    controls = [
        f"  <Header value={quoteattr(trait)}/>\n"
        f'  <Number name={quoteattr(trait)} toName="{_PICTURE}" min="0" max="10" step="0.1" required="true"/>'
        for trait in traits
    ]
    told = [] if blind else [f'  <Text name="{_PREDICTION}" value="${_PREDICTION}"/>']
    return "\n".join(
        ["<View>", f'  <Image name="{_PICTURE}" value="$image" zoom="true"/>', *told, *controls, "</View>", ""]
    )
