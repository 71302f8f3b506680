"""Rounds of human tests: a run each, with the predictor that has learned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from prescreen.masking import masked, masked_values
from prescreen.tracking.naming import safely_named
from prescreen.tracking.runs import begun_run, context_tags, log_metrics, log_model
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
        from mlflow.entities import Param, RunTag
        from mlflow.tracking import MlflowClient
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

        client = MlflowClient()
        tags = masked_values(record.tags) | ({MLFLOW_RUN_NOTE: record.description} if record.description else {})
        with begun_run(client, uri, record.experiment, record.name, context_tags()) as run_id:
            log_metrics(client, run_id, record.metrics)
            client.log_batch(
                run_id,
                [],
                [Param(name, masked(value)) for name, value in safely_named(record.parameters).items()],
                [RunTag(name, value) for name, value in tags.items()],
            )
            client.log_dict(run_id, dict(record.content), DOCUMENT)
            for path in record.files:
                client.log_artifact(run_id, str(path))
            log_model(
                client,
                run_id,
                loader_module="prescreen.serving",
                data_path=str(record.predictor),
                pip_requirements=["portrait-prescreen"],
            )
        return run_id
