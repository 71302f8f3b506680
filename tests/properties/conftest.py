"""Every format that is read, damaged at random: the answer is an error of prescreen's or a right result.

Few examples, always the same, by default; `make fuzz` asks for many (PRESCREEN_PROPERTIES=fuzz) with other seeds.
"""

import os

from hypothesis import HealthCheck, settings

SLOW_IS_FINE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "few", max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=SLOW_IS_FINE
)
settings.register_profile("fuzz", max_examples=300, database=None, deadline=None, suppress_health_check=SLOW_IS_FINE)


def pytest_configure():
    settings.load_profile(os.environ.get("PRESCREEN_PROPERTIES", "few"))
