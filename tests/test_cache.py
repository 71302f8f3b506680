import multiprocessing
import sqlite3

import numpy as np
import pytest
from click.testing import CliRunner

from prescreen.cache import SCHEMA, EmbeddingCache, Holding
from prescreen.cli import main
from prescreen.inspection import Quality

QUALITY = Quality(1, 2, 1, 1, "hog", 0.3, 1.5, 9.0)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path))
    with EmbeddingCache() as cache:
        cache.put("one", [(f"{i}", np.full(4, i, np.float16), QUALITY) for i in range(3)])
        cache.put("two", [("0", np.zeros(8, np.float16), QUALITY)])
    return cache.path


def command(*arguments):
    result = CliRunner().invoke(main, ["cache", *arguments])
    return result.exit_code, result.stdout


def open_at_once(path, start, failures):
    start.wait()
    try:
        with EmbeddingCache(path) as cache:
            cache.put("same", [("a", np.ones(4, np.float16), QUALITY)])
    except BaseException as error:
        failures.put(repr(error))
        raise


def test_many_runs_may_make_the_cache_at_the_same_moment(tmp_path):
    context = multiprocessing.get_context("fork")
    for attempt in range(15):
        path, start, failures = tmp_path / f"{attempt}.sqlite", context.Barrier(6), context.SimpleQueue()
        runs = [context.Process(target=open_at_once, args=(path, start, failures)) for _ in range(6)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert [run.exitcode for run in runs] == [0] * 6, failures.get()
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
            assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        database.close()


def test_holdings_count_each_specification(path):
    with EmbeddingCache() as cache:
        (one, two) = cache.holdings()
    assert (one.specification, one.vectors) == ("one", 3)
    assert (two.specification, two.vectors) == ("two", 1)
    assert one.size == 3 * (two.size - 8)
    code, text = command("info")
    assert code == 0
    assert "4 vectors" in text.splitlines()[0]
    assert [line.split()[:2] for line in text.splitlines()[1:]] == [["one", "3"], ["two", "1"]]


def test_verify_finds_and_deletes_what_is_damaged(path):
    assert command("verify") == (0, "4 vectors intact, 0 damaged and deleted\n")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE vectors SET vector = x'0102030405060708' WHERE content = '1'")
        database.execute("UPDATE vectors SET check_sum = NULL WHERE content = '2'")
    database.close()
    assert command("verify") == (0, "2 vectors intact, 2 damaged and deleted\n")
    assert command("verify") == (0, "2 vectors intact, 0 damaged and deleted\n")
    with EmbeddingCache() as cache:
        assert cache.get("1", "one", 4) is None
        assert cache.get("0", "one", 4) is not None


def test_verify_of_a_damaged_file_is_an_error(path):
    with EmbeddingCache() as cache:
        cache.put("one", [(f"more {i}", np.zeros(400, np.float16), QUALITY) for i in range(100)])
    data = bytearray(path.read_bytes())
    data[8192 : len(data) - 4096] = b"\xaa" * (len(data) - 12288)
    path.write_bytes(data)
    result = CliRunner().invoke(main, ["cache", "verify"])
    assert result.exit_code == 1
    assert "delete the file" in result.stderr


def test_clear_takes_one_specification_or_all(path):
    assert command("clear", "--specification", "one", "--yes") == (0, "3 vectors deleted\n")
    with EmbeddingCache() as cache:
        assert [holding.specification for holding in cache.holdings()] == ["two"]
    assert command("clear", "--yes") == (0, "1 vectors deleted\n")
    with EmbeddingCache() as cache:
        assert cache.holdings() == []
        cache.put("one", [("0", np.zeros(4, np.float16), QUALITY)])
        assert [type(holding) for holding in cache.holdings()] == [Holding]


def test_clear_asks_first(path):
    result = CliRunner().invoke(main, ["cache", "clear"], input="n\n")
    assert result.exit_code != 0
    with EmbeddingCache() as cache:
        assert len(cache.holdings()) == 2
