"""Rounds of human tests: a run each, with the predictor that has learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from prescreen.tracking.runs import MODEL_CARD, begun_run, describe, log_model
from prescreen.tracking.store import opened_store

DOCUMENT: Final = "round.json"


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
