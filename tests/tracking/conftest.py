"""What the tests of tracking share."""

import pytest

from prescreen import tracking


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """A store without runs; to make one takes MLflow seconds."""
    folder = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch, tracking.store_below(folder):
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.check_store()
    return folder / "mlruns" / "mlflow.db"
