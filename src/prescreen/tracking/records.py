"""What runs leave in MLflow, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run leaves in MLflow.

    Parameters
    ----------
    name : str
        Name of the run.
    experiment : str, optional
        Name of the experiment; None for the default one. A part of a run goes to that run's experiment.
    parameters, tags : mapping of str to str
    metrics : mapping of str to float
    figures : mapping of str to Figure
        Figures by their file names below ``figures/``.
    documents : mapping of str to mapping
        JSON content by file name.
    files : sequence of Path
        Other files.
    predictor : Path, optional
        Directory of a saved predictor, which becomes the run's model ``predictor``.
    output : DataFrame, optional
        Scores of the example by this predictor; its columns are the signature.
    example : str
        A drawn picture, of nobody, in base64 as a client would send it.
    data : DataFrame, optional
        The ratings that the run learned from or was measured on, one row per image and trait.
    data_source : str
        Where they came from.
    data_context : str
        What they were for: ``training`` or ``evaluation``.
    measured : str, optional
        Fingerprint of a predictor that the metrics are about; by default they are about the run's own model.
    description : str
        What a colleague should read first, in Markdown.
    model_card : str
        Model card of the predictor, in Markdown.
    """

    name: str
    experiment: str | None = None
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    figures: "Mapping[str, Figure]" = field(default_factory=dict)
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Sequence[Path] = ()
    predictor: Path | None = None
    output: pd.DataFrame | None = None
    example: str = ""
    data: pd.DataFrame | None = None
    data_source: str = ""
    data_context: str = "training"
    measured: str | None = None
    description: str = ""
    model_card: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainingRecord(RunRecord):
    """What a training run leaves in MLflow, where its predictor is registered.

    Parameters
    ----------
    compared_on : str
        The metric that decides over the alias ``champion``; larger is better.
    other_data : sequence of (str, DataFrame)
        The ratings of other files that were learned from, after where they came from.
    bases : mapping of str to mapping
        Predictors that it was trained on top of: what the manifest says of each, by its directory or model URI.
    nested : sequence of RunRecord
        Parts with a row below the run: folds and candidates.
    """

    compared_on: str
    other_data: Sequence[tuple[str, pd.DataFrame]] = ()
    bases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    nested: Sequence[RunRecord] = ()
