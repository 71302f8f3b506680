import multiprocessing
import os
import re
import sqlite3
import stat

import numpy as np
import pytest
from click.testing import CliRunner

from prescreen.cli.main import main
from prescreen.embeddings.cache import SCHEMA, CacheStats, EmbeddingCache
from prescreen.images.inspection import Quality
from prescreen.settings import _close_to_others, cache_limit, make_cache_directory

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


def test_stats_count_each_specification(path):
    with EmbeddingCache() as cache:
        (one, two) = cache.stats()
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
        assert [each.specification for each in cache.stats()] == ["two"]
    assert command("clear", "--yes") == (0, "1 vectors deleted\n")
    with EmbeddingCache() as cache:
        assert cache.stats() == []
        cache.put("one", [("0", np.zeros(4, np.float16), QUALITY)])
        assert [type(each) for each in cache.stats()] == [CacheStats]


def test_clear_asks_first(path):
    result = CliRunner().invoke(main, ["cache", "clear"], input="n\n")
    assert result.exit_code != 0
    with EmbeddingCache() as cache:
        assert len(cache.stats()) == 2


VECTOR = np.zeros(5000, np.float16)


@pytest.fixture
def day(monkeypatch):
    """Return a function that makes it another day."""

    def begin(number):
        monkeypatch.setattr("prescreen.embeddings.cache._today", lambda: 20000 + number)

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


def modes(folder):
    """Return the permissions of a folder and of all that is in it."""
    return {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_only_the_user_may_read_the_cache_whatever_the_umask(tmp_path, monkeypatch, open_umask):
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "above" / "cache"))
    with EmbeddingCache() as cache:
        cache.put("one", [("a", VECTOR, QUALITY)])
        make_cache_directory("canaries")
        found = modes(cache.path.parent)
        assert {path.name for path in found} == {
            "cache", "canaries", "embeddings.sqlite", "embeddings.sqlite-wal", "embeddings.sqlite-shm",
        }  # fmt: skip
        assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}
        assert {mode for path, mode in found.items() if path.is_file()} == {0o600}


def test_a_cache_that_was_open_is_closed_and_other_things_beside_it_are_not(tmp_path, monkeypatch, open_umask):
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path))
    with EmbeddingCache() as cache:
        cache.put("one", [("a", VECTOR, QUALITY)])
    (tmp_path / "networks" / "one").mkdir(parents=True)
    (tmp_path / "networks" / "one" / "network.bin").touch()
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o777)
    _close_to_others.cache_clear()  # as in the next process
    with EmbeddingCache() as cache:
        assert cache.get("a", "one", len(VECTOR)) is not None
    assert set(modes(tmp_path).values()) == {0o700}
    (tmp_path / "holiday.txt").touch()
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o777)
    _close_to_others.cache_clear()
    with EmbeddingCache():
        pass
    assert {path.name for path, mode in modes(tmp_path).items() if mode & 0o077} == {tmp_path.name, "holiday.txt"}


def test_a_link_in_the_cache_closes_nothing_elsewhere(tmp_path, monkeypatch, open_umask):
    elsewhere = tmp_path / "public"
    elsewhere.mkdir()
    (elsewhere / "index.html").touch()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "networks").symlink_to(elsewhere)
    before = modes(elsewhere)
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))
    with EmbeddingCache():
        assert modes(elsewhere) == before


def test_threads_that_make_the_cache_at_once_get_one(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    def store(name):
        with EmbeddingCache(tmp_path / "new.sqlite") as cache:
            cache.put("one", [(name, VECTOR, QUALITY)])

    names = [f"{i}" for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store, names))
    assert there(tmp_path / "new.sqlite", names) == names
    assert not list(tmp_path.glob(".prescreen-*"))


@pytest.mark.parametrize("place", ["file", "file/below", "closed/below"])
def test_a_place_that_cannot_be_written_names_the_variable(tmp_path, monkeypatch, place):
    (tmp_path / "file").touch()
    (tmp_path / "closed").mkdir(mode=0o500)
    if place.startswith("closed") and os.access(tmp_path / "closed", os.W_OK):
        pytest.skip("this user may write everywhere")
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / place))
    result = CliRunner().invoke(main, ["cache", "info"])
    assert result.exit_code in (1, 2)
    assert str(tmp_path / place) in result.stderr
    assert "PRESCREEN_CACHE" in result.stderr
    assert result.stderr.count("\n") == 1


def test_clear_takes_the_paths_of_pictures_that_have_no_vectors_left(path):
    with EmbeddingCache() as cache:
        cache.remember_files([((f"/private/{i}.jpg", 1, 2, 3), f"{i}") for i in range(3)])
    assert command("clear", "--specification", "one", "--yes") == (0, "3 vectors deleted\n")
    with EmbeddingCache() as cache:
        assert cache.known_content(("/private/0.jpg", 1, 2, 3)) == "0"  # the other encoder knows it still
        assert cache.known_content(("/private/1.jpg", 1, 2, 3)) is None
    assert b"/private/2.jpg" not in path.read_bytes()
    assert command("clear", "--specification", "two", "--yes") == (0, "1 vectors deleted\n")
    assert b"/private/" not in path.read_bytes()


def test_clear_of_a_specification_that_is_not_there_says_so_and_does_not_ask(path):
    result = CliRunner().invoke(main, ["cache", "clear", "--specification", "abc"])
    assert result.exit_code == 2
    assert result.stderr == "prescreen: error: --specification abc: the cache has no such vectors; it has one, two\n"
    with EmbeddingCache() as cache:
        assert len(cache.stats()) == 2
    assert command("clear", "--yes")[0] == 0
    result = CliRunner().invoke(main, ["cache", "clear", "--specification", "one"])
    assert result.stderr == "prescreen: error: --specification one: the cache has no such vectors; it is empty\n"
