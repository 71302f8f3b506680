"""Evaluations of a finished predictor, each a run of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prescreen.tracking.runs import begun_run, describe
from prescreen.tracking.store import opened_store

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


def track_evaluation(record: EvaluationRecord) -> str:
    """Write an evaluation into the store; returns the id of its run.

    Raises
    ------
    StoreError
        If the store refuses.
    """
    with opened_store() as uri:
        from mlflow.tracking import MlflowClient

        client = MlflowClient()
        tags = {"prescreen.kind": "evaluation", **record.tags}
        with begun_run(client, uri, record.experiment, record.name) as run_id:
            describe(client, run_id, record.metrics, record.parameters, tags)
            for name, figure in record.figures.items():
                client.log_figure(run_id, figure, f"figures/{name}")
            client.log_dict(run_id, dict(record.document), "evaluation.json")
        return run_id
