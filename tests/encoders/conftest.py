import numpy as np
import pytest


@pytest.fixture(scope="module", autouse=True)
def cache_folder(session_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRESCREEN_CACHE", str(session_cache))
        yield


@pytest.fixture(scope="session")
def pictures():
    """Return noise as a network gets it: nine squares of 32 pixels."""
    return np.random.default_rng(3).integers(0, 256, (9, 32, 32, 3), np.uint8)
