"""The list of an experiment's runs in MLflow's pages: its address, and a view of it that shows the figures.

MLflow shows no metric in the list until somebody adds columns. It keeps views as tags of the experiment; the address
names one. A newer MLflow lists saved views by their names; an older one reads the state without name and date. Both are
in the tag.

References
----------
MLflow, ``experiment-page/utils/savedViewEnvelope.ts`` and ``experiment-page/models/ExperimentPageUIState.tsx`` in
``mlflow/server/js/src/experiment-tracking/components``, https://github.com/mlflow/mlflow
"""

import contextlib
import json
import shlex
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from prescreen.text import masked

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

VIEW: Final = "prescreen"
_TAG: Final = f"mlflow.sharedViewState.{VIEW}"
_FIRST: Final = ("all_traits/coverage_share", "all_traits/pearson", "all_traits/votes")
_NO_COLUMN: Final = "mean/pearson"
"""By which versions are compared; it differs from ``all_traits/pearson`` only where a trait has no r."""
_NAME: Final = "prescreen: r and coverage"
_METRIC: Final = "metrics.`"
_MOST: Final = 5000
"""Letters that MLflow accepts in the value of a tag of an experiment."""


def show_figures(client: "MlflowClient", experiment: str, metrics: Iterable[str]) -> None:
    """Save a view of an experiment's runs: the newest first, with mean r, coverage and each trait's r as columns.

    MLflow shows the metrics in the order of the alphabet. Columns of earlier runs stay. A store that refuses the
    tag has no view; its list is MLflow's own.

    Parameters
    ----------
    client : MlflowClient
    experiment : str
        Id of the experiment.
    metrics : iterable of str
        Names of the metrics of a run, as given to MLflow.
    """
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):
        before = _columns(client.get_experiment(experiment).tags.get(_TAG, ""))
        have = dict.fromkeys([*before, *metrics])
        first = [name for name in _FIRST if name in have]
        columns = first + [name for name in have if name.endswith("/pearson") and name not in (*first, _NO_COLUMN)]
        while columns and len(_envelope(columns)) > _MOST:
            columns.pop()
        if columns != before:
            client.set_experiment_tag(experiment, _TAG, _envelope(columns))


def _envelope(columns: Sequence[str]) -> str:
    """Return a view with these metrics as columns, as MLflow's page keeps it."""
    metrics = [f"{_METRIC}{name}`" for name in columns]
    state = {
        "selectedColumns": [*metrics, "params.`encoder`"],  # others would stand in front of the metrics
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
    }
    return json.dumps({"name": _NAME, "createdAt": int(time.time() * 1000), "state": json.dumps(state)} | state)


def _columns(envelope: str) -> list[str]:
    """Return the metrics that are columns of a view; none where it is not one of ours."""
    try:
        selected = json.loads(envelope)["selectedColumns"]
        return [name.removeprefix(_METRIC).removesuffix("`") for name in selected if name.startswith(_METRIC)]
    except (ValueError, LookupError, TypeError, AttributeError):
        return []


def runs_address(experiment: str) -> str:
    """Return the address of the runs of an experiment below that of the server.

    Examples
    --------
    >>> runs_address("1")
    '/#/experiments/1/runs?viewStateShareKey=prescreen'
    """
    return f"/#/experiments/{experiment}/runs?viewStateShareKey={VIEW}"


def describe_runs_page(store: str, experiment: str) -> str:
    """Say where the runs of an experiment are shown: the page of a server, or the command that starts one.

    Parameters
    ----------
    store : str
        Tracking URI; a password is not shown.
    experiment : str
        Id of the experiment.

    Examples
    --------
    >>> describe_runs_page("https://mlflow.example.org/", "1")
    'https://mlflow.example.org/#/experiments/1/runs?viewStateShareKey=prescreen'
    >>> print(describe_runs_page("sqlite:///mlruns/mlflow.db", "1"))
    mlflow ui --backend-store-uri sqlite:///mlruns/mlflow.db
    then http://127.0.0.1:5000/#/experiments/1/runs?viewStateShareKey=prescreen
    """
    address = runs_address(experiment)
    if store.startswith(("http://", "https://")):
        return masked(store).rstrip("/") + address
    return f"mlflow ui --backend-store-uri {shlex.quote(masked(store))}\nthen http://127.0.0.1:5000{address}"
