import os

import pytest

from prescreen.errors import UsageError
from prescreen.processors import processors


def test_what_the_user_says_comes_first(monkeypatch):
    monkeypatch.setenv("PRESCREEN_PROCESSORS", "3")
    assert processors() == 3


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_other_text_is_refused(monkeypatch, text):
    monkeypatch.setenv("PRESCREEN_PROCESSORS", text)
    with pytest.raises(UsageError, match="PRESCREEN_PROCESSORS"):
        processors()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot give a process fewer processors")
def test_only_processors_of_this_process_count(monkeypatch):
    monkeypatch.delenv("PRESCREEN_PROCESSORS", raising=False)
    all_of_them = os.sched_getaffinity(0)
    assert processors() == len(all_of_them)
    try:
        os.sched_setaffinity(0, {min(all_of_them)})
        assert processors() == 1
    finally:
        os.sched_setaffinity(0, all_of_them)
