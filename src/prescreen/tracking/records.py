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
    description: str = ""
    model_card: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainingRecord(RunRecord):
    """What a training run leaves in MLflow, where its predictor is registered.

    Parameters
    ----------
    predictor : Path
        Directory of the saved predictor.
    compared_on : str
        The metric that decides over the alias ``champion``; larger is better.
    data : DataFrame
        The ratings trained on, one row per image and trait.
    data_source : str
        Where they came from.
    output : DataFrame
        Scores of the example; its columns are the signature.
    example : str
        A drawn picture, of nobody, in base64 as a client would send it.
    other_data : sequence of (str, DataFrame)
        The ratings of other files that were learned from, after where they came from.
    bases : mapping of str to mapping
        Predictors that it was trained on top of: what the manifest says of each, by its directory or model URI.
    nested : sequence of RunRecord
        Parts with a row below the run: folds and candidates.
    """

    predictor: Path
    compared_on: str
    data: pd.DataFrame
    data_source: str
    output: pd.DataFrame
    example: str
    other_data: Sequence[tuple[str, pd.DataFrame]] = ()
    bases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    nested: Sequence[RunRecord] = ()
