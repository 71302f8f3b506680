"""Every format that is read, damaged at random: the answer is an error of prescreen's or a right result.

Few examples, always the same, by default. `make fuzz` asks for many, in another order with each seed, and lets tests
begin for some seconds only (PRESCREEN_FUZZ_SECONDS, PRESCREEN_FUZZ_SEED).
"""

import os
import random
import time

import pytest
from hypothesis import HealthCheck, settings

SLOW_IS_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "few", max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=SLOW_IS_FINE
)
settings.register_profile("fuzz", max_examples=100, database=None, deadline=None, suppress_health_check=SLOW_IS_FINE)
SECONDS = float(os.environ.get("PRESCREEN_FUZZ_SECONDS", "inf"))
FUZZING = float("inf") > SECONDS
settings.load_profile("fuzz" if FUZZING else "few")
BEGUN = []


def pytest_collection_modifyitems(items):
    if FUZZING:
        random.Random(int(os.environ["PRESCREEN_FUZZ_SEED"])).shuffle(items)  # noqa: NPY002


def pytest_runtest_setup():
    BEGUN.append(time.monotonic())
    if BEGUN[-1] - BEGUN[0] > SECONDS:
        pytest.skip("the time for fuzzing is over")
