import numpy as np
from threadpoolctl import threadpool_info

from prescreen.regressors.threads import SMALL, blas_threads


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_small_problems_use_one_thread_and_the_setting_returns():
    np.eye(2) @ np.eye(2)
    before = threads()
    assert before
    with blas_threads(100):
        assert set(threads()) == {1}
    assert threads() == before
    with blas_threads(SMALL + 1):
        assert threads() == before
