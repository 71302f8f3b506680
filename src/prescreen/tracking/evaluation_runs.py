"""Evaluations of a finished predictor, each a run of its own."""

from typing import TYPE_CHECKING

from prescreen.tracking.records import EvaluationRecord
from prescreen.tracking.runs import begun_run, describe
from prescreen.tracking.store import opened_store

if TYPE_CHECKING:
    pass


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
