"""Builds the record of an evaluation of a finished predictor."""

from prescreen.evaluation.headline_metrics import flat_metrics
from prescreen.evaluation.report import Evaluation
from prescreen.predictor.predictor import Predictor
from prescreen.ratings.reading import Ratings
from prescreen.text import quoted
from prescreen.tracking.records import RunRecord


def record_evaluation(predictor: Predictor, rated: Ratings, evaluation: Evaluation, experiment: str) -> RunRecord:
    """Collect what MLflow keeps of an evaluation."""
    from prescreen.reports.figures import evaluation_figures  # matplotlib takes long to load

    return RunRecord(
        experiment=experiment,
        name=f"{predictor.manifest.name} on {rated.source.name}",
        parameters={
            "predictor": predictor.manifest.name,
            "encoder": predictor.manifest.encoder.name,
            "traits": ",".join(map(quoted, predictor.traits)),
            "ratings": str(rated.source),
            "images": str(evaluation.n),
        },
        tags={
            "prescreen.kind": "evaluation",
            "prescreen.data_sha256": rated.fingerprint,
            "prescreen.predictor_sha256": predictor.fingerprint,
            "prescreen.simulated": str(predictor.manifest.simulated),
        },
        metrics=flat_metrics(evaluation),
        figures=evaluation_figures(evaluation),
        documents={"evaluation.json": evaluation.to_json()},
    )
