"""Rounds of human tests: a run each, with the predictor that has learned."""

from typing import Final

from prescreen.tracking.records import RoundRecord
from prescreen.tracking.runs import MODEL_CARD, begun_run, describe, log_model
from prescreen.tracking.store import opened_store

DOCUMENT: Final = "round.json"


def track_round(record: RoundRecord) -> str:
    """Write a round into the store and return the run's id.

    The predictor becomes the run's model, ``runs:/RUN_ID/predictor``. It is not registered: it knows one person, and
    the aliases of the registry are for predictors that serve everybody.

    Raises
    ------
    StoreError
        If the store refuses.
    """
    with opened_store() as uri:
        from mlflow.tracking import MlflowClient

        client = MlflowClient()
        with begun_run(client, uri, record.experiment, record.name) as run_id:
            describe(client, run_id, record.metrics, record.parameters, record.tags, record.description)
            client.log_dict(run_id, dict(record.content), DOCUMENT)
            if record.model_card:
                client.log_text(run_id, record.model_card, MODEL_CARD)
            for path in record.files:
                client.log_artifact(run_id, str(path))
            log_model(client, run_id, record.predictor)
        return run_id
