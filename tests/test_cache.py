import multiprocessing
import re
import sqlite3

import numpy as np
import pytest
from click.testing import CliRunner

from prescreen.cache import SCHEMA, EmbeddingCache, Holding
from prescreen.cli import main
from prescreen.inspection import Quality
from prescreen.locations import cache_limit

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


VECTOR = np.zeros(5000, np.float16)


@pytest.fixture
def day(monkeypatch):
    """Return a function that makes it another day."""

    def begin(number):
        monkeypatch.setattr("prescreen.cache._today", lambda: 20000 + number)

    begin(0)
    return begin


def fill(cache, names):
    for name in names:
        cache.put("one", [(name, VECTOR, QUALITY)])


def there(path, names):
    with EmbeddingCache(path) as cache:
        return [name for name in names if cache.get(name, "one", len(VECTOR)) is not None]


def test_what_was_not_used_for_the_longest_time_leaves_first(tmp_path, day):
    path, old = tmp_path / "limited.sqlite", [f"old {i}" for i in range(80)]
    with EmbeddingCache(path) as cache:
        fill(cache, old)
    day(1)
    with EmbeddingCache(path) as cache:
        for name in old[:10]:
            assert cache.get(name, "one", len(VECTOR)) is not None
    day(2)
    new = [f"new {i}" for i in range(20)]
    with EmbeddingCache(path, limit=1_000_000) as cache:
        fill(cache, new)
        assert 0.2e6 < cache.size() <= 1e6
    assert there(path, new) == new
    assert there(path, old[:10]) == old[:10]
    assert len(there(path, old)) < 40


def test_a_file_far_above_a_new_limit_is_made_smaller(tmp_path, day):
    path = tmp_path / "large.sqlite"
    with EmbeddingCache(path) as cache:
        fill(cache, map(str, range(300)))
    assert path.stat().st_size > 3e6
    with EmbeddingCache(path, limit=1_000_000) as cache:
        fill(cache, ["new"])
    assert path.stat().st_size < 1e6
    assert there(path, ["new"]) == ["new"]


def test_without_a_limit_nothing_leaves(tmp_path):
    with EmbeddingCache(tmp_path / "all.sqlite") as cache:
        fill(cache, map(str, range(300)))
        assert cache.limit is None
    assert len(there(tmp_path / "all.sqlite", map(str, range(300)))) == 300


def test_a_use_is_written_once_a_day(tmp_path, day):
    path = tmp_path / "used.sqlite"
    with EmbeddingCache(path) as cache:
        fill(cache, ["a", "b"])
    day(3)
    for _ in range(2):
        assert there(path, ["a"]) == ["a"]
        with sqlite3.connect(path) as database:
            assert database.execute("SELECT content, used FROM vectors ORDER BY content").fetchall() == [
                ("a", 20003),
                ("b", 20000),
            ]
        database.close()


@pytest.mark.parametrize(
    ("text", "size"), [("20GB", 20e9), ("1.5 tb", 1.5e12), ("500M", 5e8), ("1000", 1e3), ("", None)]
)
def test_limits_are_sizes(monkeypatch, text, size):
    monkeypatch.setenv("PRESCREEN_CACHE_LIMIT", text)
    assert cache_limit() == size


@pytest.mark.parametrize("text", ["much", "-1GB", "GB", "1 PB", "1e9"])
def test_other_limits_are_one_line(monkeypatch, path, text):
    monkeypatch.setenv("PRESCREEN_CACHE_LIMIT", text)
    result = CliRunner().invoke(main, ["cache", "info"])
    assert result.exit_code == 2
    assert "PRESCREEN_CACHE_LIMIT" in result.stderr
    assert result.stderr.count("\n") == 1


def test_info_shows_the_limit_and_how_full_it_is(monkeypatch, path):
    assert command("info")[1].splitlines()[0].endswith("no limit")
    monkeypatch.setenv("PRESCREEN_CACHE_LIMIT", "1MB")
    assert re.search(r", \d+ % of the limit of 1\.0 MB$", command("info")[1].splitlines()[0])


SCHEMA_1 = (
    """CREATE TABLE vectors (
        content TEXT, specification TEXT, vector BLOB, check_sum TEXT, quality TEXT,
        PRIMARY KEY (content, specification)) WITHOUT ROWID""",
    """CREATE TABLE files (
        path TEXT PRIMARY KEY, size INTEGER, modified INTEGER, inode INTEGER, content TEXT) WITHOUT ROWID""",
    "INSERT INTO files VALUES ('p', 1, 2, 3, 'a')",
    "PRAGMA user_version=1",
)


def test_the_first_schema_is_taken_over_by_many_runs_at_once(tmp_path, path, day):
    with EmbeddingCache(path) as cache:
        cache.put("one", [("a", VECTOR, QUALITY)])
    old = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as source, sqlite3.connect(old) as database:
        for statement in SCHEMA_1:
            database.execute(statement)
        rows = source.execute("SELECT content, specification, vector, check_sum, quality FROM vectors").fetchall()
        database.executemany("INSERT INTO vectors VALUES (?, ?, ?, ?, ?)", rows)
    source.close()
    database.close()
    day(5)
    context = multiprocessing.get_context("fork")
    start, failures = context.Barrier(4), context.SimpleQueue()
    runs = [context.Process(target=open_at_once, args=(old, start, failures)) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0] * 4, failures.get()
    with EmbeddingCache(old) as cache:
        vector, quality = cache.get("a", "one", len(VECTOR))
        assert (vector.tolist(), quality) == (VECTOR.tolist(), QUALITY)
        assert sum(holding.vectors for holding in cache.holdings()) == len(rows) + 1  # and the one of the four runs
        assert cache.verify() == (len(rows) + 1, 0)
