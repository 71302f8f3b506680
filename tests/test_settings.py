import os

import pytest

from prescreen.errors import UsageError
from prescreen.settings import _quotas, processors


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


def groups(tmp_path, listing, files):
    """Make a root folder with control groups as Linux shows them."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(listing)
    for name, content in files.items():
        place = tmp_path / "sys" / "fs" / "cgroup" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    return tmp_path


def first_version(folder, quota, period=100000):
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("listing", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, [2]),  # docker --cpus 2
        ("0::/\n", {"cpu.max": "max 100000\n"}, []),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, [0.5]),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, [3]),  # the group above counts
        ("0::/docker/1f\n", {"cpu.max": "150000 100000\n"}, [1.5]),  # the path is that outside of the container
        ("0::/\n", {"cpu.max": "damaged\n"}, []),
        ("4:cpu,cpuacct:/\n", first_version("cpu,cpuacct", 200000), [2]),
        ("4:cpu,cpuacct:/docker/1f\n", first_version("cpu", 200000, 50000), [4]),
        ("3:cpuset:/\n1:cpu:/a\n", first_version("cpu/a", 250000) | first_version("cpu", -1), [2.5]),
        ("1:cpu:/\n0::/\n", first_version("cpu", -1) | {"unified/cpu.max": "100000 100000\n"}, [1]),
        ("", {}, []),
    ],
)
def test_quotas_of_containers(tmp_path, listing, files, expected):
    assert list(dict.fromkeys(_quotas(groups(tmp_path, listing, files)))) == expected


@pytest.mark.parametrize(("quota", "count"), [(2, 2), (1.5, 2), (0.1, 1), (64, 8)])
def test_a_quota_limits_the_processors_and_is_rounded_up(monkeypatch, quota, count):
    monkeypatch.delenv("PRESCREEN_PROCESSORS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr("prescreen.settings._quotas", lambda: iter([quota]))
    assert processors() == count


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert list(_quotas(tmp_path)) == []
