"""MLflow: training runs, the model registry, and predictors fetched from it.

No other package imports MLflow, and this one only where it opens the store.
"""

from prescreen.tracking.fetching import fetch_predictor, resolve_uri
from prescreen.tracking.records import RunRecord, TrainingRecord
from prescreen.tracking.registry import evaluation_of, find_champion, find_version, judge, list_versions, promote
from prescreen.tracking.runs import TrackedRun, track, track_training, watched_run, without_autologging
from prescreen.tracking.store import check_store, private_store, safe_name, store_below, store_name, store_uri

__all__ = [
    "RunRecord",
    "TrackedRun",
    "TrainingRecord",
    "check_store",
    "evaluation_of",
    "fetch_predictor",
    "find_champion",
    "find_version",
    "judge",
    "list_versions",
    "private_store",
    "promote",
    "resolve_uri",
    "safe_name",
    "store_below",
    "store_name",
    "store_uri",
    "track",
    "track_training",
    "watched_run",
    "without_autologging",
]
