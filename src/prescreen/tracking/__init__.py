"""MLflow: what a training run leaves in the store, the registry, and predictors fetched from it.

No other package imports MLflow, and this one only where it opens the store.
"""

from prescreen.tracking.autologging import without_autologging
from prescreen.tracking.evaluation_runs import track_evaluation
from prescreen.tracking.feedback_runs import track_round
from prescreen.tracking.naming import safe_name
from prescreen.tracking.records import EvaluationRecord, NestedRun, RoundRecord, TrainingRecord
from prescreen.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    REGISTERED_NAME,
    ModelVersion,
    PromotionDecision,
    fetch_predictor,
    find_version,
    judge,
    list_versions,
    promote,
    resolve_uri,
)
from prescreen.tracking.runs import TrackedRun, track_training, watched_run
from prescreen.tracking.store import check_store, store_below, store_name, store_uri

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "REGISTERED_NAME",
    "EvaluationRecord",
    "ModelVersion",
    "NestedRun",
    "RoundRecord",
    "TrackedRun",
    "TrainingRecord",
    "PromotionDecision",
    "check_store",
    "fetch_predictor",
    "find_version",
    "judge",
    "list_versions",
    "promote",
    "resolve_uri",
    "safe_name",
    "store_below",
    "store_name",
    "store_uri",
    "track_evaluation",
    "track_round",
    "track_training",
    "watched_run",
    "without_autologging",
]
