"""What runs leave in MLflow, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NestedRun:
    """A part of a training run that has its own row below it: a fold, or a candidate regressor.

    Parameters
    ----------
    kind : str
        ``fold`` or ``candidate``; becomes the tag ``prescreen.kind``.
    name : str
        Name of the run.
    parameters : mapping of str to str
        What distinguishes it.
    metrics : mapping of str to float
        What came out.
    """

    kind: str
    name: str
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrainingRecord:
    """What a training run leaves in MLflow.

    Parameters
    ----------
    experiment : str or None
        Name of the experiment; None for the usual one.
    name : str
        Name of the run.
    parameters, tags : mapping of str to str
        What was asked for, and how to find it again.
    metrics : mapping of str to float
        What came out.
    compared_on : str
        The metric that decides over the alias ``champion``; larger is better.
    data : DataFrame
        The ratings trained on, a row an image and trait.
    data_source : str
        Where they came from.
    figures : mapping of str to Figure
        File name below ``figures/`` to figure.
    predictor : Path
        Directory of the saved predictor.
    output : DataFrame
        Scores of the example, which give the signature.
    example : str
        A drawn picture, of nobody, in base64 as a client would send it.
    documents : mapping of str to dict
        File name to JSON content.
    description : str
        What a colleague should read first, in Markdown.
    model_card : str
        Model card of this predictor, in Markdown.
    nested : sequence of NestedRun
        Folds and candidates.
    """

    experiment: str | None
    name: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    compared_on: str
    data: pd.DataFrame = field(repr=False)
    data_source: str
    figures: "Mapping[str, Figure]" = field(repr=False)
    predictor: Path
    output: pd.DataFrame = field(repr=False)
    example: str = field(repr=False)
    documents: Mapping[str, Mapping[str, Any]] = field(repr=False)
    description: str = ""
    model_card: str = ""
    nested: Sequence[NestedRun] = ()


@dataclass(frozen=True)
class EvaluationRecord:
    """What an evaluation leaves in MLflow.

    Parameters
    ----------
    experiment, name : str
        Names of the experiment and of the run.
    parameters, tags : mapping of str to str
        Which predictor was measured, and on what.
    metrics : mapping of str to float
        What came out.
    figures : mapping of str to Figure
        File name below ``figures/`` to figure.
    document : mapping
        The whole evaluation; becomes ``evaluation.json``.
    """

    experiment: str
    name: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    figures: "Mapping[str, Figure]" = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class RoundRecord:
    """What a round of human tests leaves in MLflow.

    Parameters
    ----------
    experiment : str or None
        Name of the experiment; None for the usual one.
    name : str
        Name of the run.
    parameters, tags : mapping of str to str
        What was tested, and how to find it again.
    metrics : mapping of str to float
        What came out.
    content : mapping
        All of the round, as JSON.
    files : tuple of Path
        The typed results, and the new ranking where there is one.
    predictor : Path
        Directory of the predictor that has learned.
    description : str
        What to do now, in words.
    model_card : str
        Model card of the predictor that has learned, in Markdown.
    """

    experiment: str | None
    name: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    content: Mapping[str, Any] = field(repr=False)
    files: tuple[Path, ...]
    predictor: Path
    description: str = ""
    model_card: str = ""
