"""Files and folders are the old ones or the new ones, at whatever line the process is killed."""

import errno
import hashlib
import os
import shutil
import stat
import sys
import threading
from pathlib import Path

import pytest

from prescreen.errors import PrescreenError
from prescreen.storage import atomic
from prescreen.storage.atomic import (
    recover_folder,
    replace_folder,
    stage_file,
    stage_folder,
    write_bytes_atomic,
    write_files_atomic,
    write_new_file,
    write_text_atomic,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


FILES = """
import shutil
from pathlib import Path
from prescreen.storage.atomic import write_files_atomic
FILES = ("storage/atomic.py",)
folder = Path(PLACE)

def prepare():
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "a").write_bytes(b"old" * 1000)
    (folder / "b").write_bytes(b"old" * 1000)

def work():
    write_files_atomic({folder / "a": b"new" * 1000, folder / "b": b"new" * 1000})

def check():
    found = [(folder / name).read_bytes()[:3] for name in "ab"]
    assert all((folder / name).stat().st_size == 3000 for name in "ab")
    assert found in ([b"old", b"old"], [b"new", b"old"], [b"new", b"new"]), found
    work()
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"], list(folder.iterdir())
"""


def test_files_are_old_or_new_at_whatever_line_the_kill_comes_and_the_next_run_leaves_no_litter(tmp_path, kills):
    assert kills(FILES, PLACE=str(tmp_path / "work")) > 50


FOLDER = """
import shutil
from pathlib import Path
from prescreen.storage import atomic
FILES = ("storage/atomic.py",)
place = Path(PLACE)
target = place / "model"
if not EXCHANGES:
    atomic._exchange = lambda one, other: False

def prepare():
    shutil.rmtree(place, ignore_errors=True)
    target.mkdir(parents=True)
    (target / "x").write_text("old")
    (target / "y").write_text("old")

def work():
    atomic.replace_folder(target, {"x": b"new", "y": b"new"}, lambda path: True)

def check():
    if EXCHANGES:
        assert target.is_dir()  # at any time: readers do not recover first
    atomic.recover_folder(target)
    found = {path.name: path.read_text() for path in target.iterdir()}
    assert found in ({"x": "old", "y": "old"}, {"x": "new", "y": "new"}), found
    work()
    assert [path.name for path in place.iterdir()] == ["model"], list(place.iterdir())
"""


@pytest.mark.parametrize(
    "exchanges",
    [pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges names")), False],
)
def test_a_folder_is_old_or_new_at_whatever_line_the_kill_comes(tmp_path, kills, exchanges):
    assert kills(FOLDER, PLACE=str(tmp_path / "work"), EXCHANGES=exchanges) > 50


def test_what_another_run_is_writing_is_not_swept(tmp_path):
    with (
        stage_file(tmp_path / "file") as file,
        stage_folder(tmp_path / "folder", lambda _: True) as (folder, commit),
    ):
        write_bytes_atomic(tmp_path / "a", b"1")
        file.write(b"2")
        file.commit()
        (folder / "x").touch()
        commit()
    assert names(tmp_path) == ["a", "file", "folder"]


def test_only_own_temporaries_are_swept(tmp_path):
    kept = [".prescreen-0123456789abcdef.txt", ".prescreen-x.tmp", "prescreen-0123456789abcdef.tmp"]
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".prescreen-00000000000000ff.tmp").symlink_to("elsewhere")
    (tmp_path / ".prescreen-0123456789abcdef.tmp").touch()
    (tmp_path / ".prescreen-1123456789abcdef.tmp").mkdir()
    (tmp_path / ".prescreen-1123456789abcdef.tmp" / "x").touch()
    write_bytes_atomic(tmp_path / "a", b"1")
    assert names(tmp_path) == sorted([*kept, "a", "elsewhere", ".prescreen-00000000000000ff.tmp"])


def full(monkeypatch, after):
    """Let the disk be full after a number of bytes."""
    left = after
    write = os.write

    def limited(descriptor, data):
        nonlocal left
        if left <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write(descriptor, bytes(data[:left]))
        left -= done
        return done

    monkeypatch.setattr(os, "write", limited)


@pytest.mark.parametrize("after", [0, 3, 7])
def test_a_full_disk_leaves_all_the_old_files_and_no_litter(tmp_path, monkeypatch, after):
    for name in "ab":
        (tmp_path / name).write_text("old")
    full(monkeypatch, after)
    with pytest.raises(PrescreenError, match="No space left on device.*nothing was changed"):
        write_files_atomic({tmp_path / "a": b"news", tmp_path / "b": b"news"})
    assert names(tmp_path) == ["a", "b"]
    assert [(tmp_path / name).read_text() for name in "ab"] == ["old", "old"]


@pytest.mark.parametrize("after", [0, 3])
def test_a_full_disk_leaves_the_old_folder(tmp_path, monkeypatch, after):
    target = tmp_path / "model"
    replace_folder(target, {"x": b"old"}, lambda _: True)
    full(monkeypatch, after)
    with pytest.raises(OSError, match="No space left"):
        replace_folder(target, {"x": b"news"}, lambda _: True)
    assert names(tmp_path) == ["model"]
    assert (target / "x").read_text() == "old"


def test_what_may_not_go_stays_even_if_it_came_at_the_last_moment(tmp_path):
    for place in ("file", "folder"):
        target = tmp_path / place
        if place == "file":
            target.write_text("mine")
        else:
            target.mkdir()
            (target / "notes").write_text("mine")
        with pytest.raises(FileExistsError):
            replace_folder(target, {"x": b"new"}, lambda _: False)
        assert (target if place == "file" else target / "notes").read_text() == "mine"
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_link_to_a_folder_stays_a_link(tmp_path, monkeypatch, exchanges):
    if not exchanges:
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    (tmp_path / "v1").mkdir()
    (tmp_path / "current").symlink_to("v1")
    replace_folder(tmp_path / "current", {"x": b"new"}, lambda _: True)
    assert (tmp_path / "current").is_symlink()
    assert (tmp_path / "v1" / "x").read_text() == "new"
    assert names(tmp_path) == ["current", "v1"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_many_writers_of_one_folder_leave_one_of_them_whole(tmp_path, monkeypatch, exchanges):
    if not exchanges:
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    target, errors = tmp_path / "model", []

    def write(writer):
        try:
            for _ in range(10):
                replace_folder(target, {"x": writer, "y": writer}, lambda _: True)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(b"%d" % writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recover_folder(target)
    assert not errors
    assert (target / "x").read_bytes() == (target / "y").read_bytes()
    assert names(tmp_path) == ["model"]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    write_text_atomic(tmp_path / "page.html", "old")

    def refuse(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(PrescreenError, match="Input/output error"):
        write_text_atomic(tmp_path / "page.html", "new")
    assert names(tmp_path) == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "old"


def test_writing_makes_folders_and_follows_links(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link.bin").symlink_to(tmp_path / "deep" / "er" / "real.bin")
    write_bytes_atomic(tmp_path / "link.bin", b"1")
    write_bytes_atomic(tmp_path / "new" / "folder" / "x.bin", b"2")
    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "deep" / "er" / "real.bin").read_bytes() == b"1"
    assert (tmp_path / "new" / "folder" / "x.bin").read_bytes() == b"2"


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(PrescreenError, match=r"scores\.csv: cannot be written \(Is a directory\); nothing was changed"):
        write_files_atomic({tmp_path / "a": b"1", tmp_path / "scores.csv": b"2"})
    assert names(tmp_path) == ["scores.csv"]


def test_a_pipe_or_device_in_the_place_of_a_file_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link.csv").symlink_to(pipe)
    for path in (pipe, tmp_path / "link.csv"):
        with pytest.raises(PrescreenError, match=r"cannot be written \(not a plain file\); nothing was changed"):
            write_files_atomic({tmp_path / "a": b"1", path: b"2"})
        with pytest.raises(PrescreenError, match="not a plain file"), stage_file(path):
            pass
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert names(tmp_path) == ["link.csv", "pipe"]


def test_written_files_have_ordinary_permissions(tmp_path):
    (tmp_path / "ordinary").touch()
    write_bytes_atomic(tmp_path / "written", b"")
    replace_folder(tmp_path / "folder", {"inside": b""}, lambda _: True)
    paths = [tmp_path / "ordinary", tmp_path / "written", tmp_path / "folder" / "inside"]
    assert len({stat.S_IMODE(path.stat().st_mode) for path in paths}) == 1
    (tmp_path / "made").mkdir()
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "folder").stat().st_mode


def modes_after_writing(folder):
    """Write a file, a staged file, a table and a predictor's folder; return who may do what with each."""
    write_bytes_atomic(folder / "file", b"x")
    with stage_file(folder / "staged") as staged:
        staged.write(b"x")
        staged.commit()
    replace_folder(folder / "folder", {"a": b"x"}, can_replace=lambda _: True)
    return {name: stat.S_IMODE((folder / name).stat().st_mode) for name in ("file", "staged", "folder")}


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_the_umask_says_who_may_read_results(tmp_path, umask):
    before = os.umask(umask)
    try:
        found = modes_after_writing(tmp_path)
    finally:
        os.umask(before)
    assert found == {"file": 0o666 & ~umask, "staged": 0o666 & ~umask, "folder": 0o777 & ~umask}


def test_in_a_folder_for_everybody_results_are_for_their_writer_alone(tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    before = os.umask(0)
    try:
        assert modes_after_writing(tmp_path / "tmp") == {"file": 0o600, "staged": 0o600, "folder": 0o700}
    finally:
        os.umask(before)


def test_what_was_made_private_stays_private(tmp_path):
    modes_after_writing(tmp_path)
    for name, mode in {"file": 0o600, "staged": 0o640, "folder": 0o700}.items():
        (tmp_path / name).chmod(mode)
    assert modes_after_writing(tmp_path) == {"file": 0o600, "staged": 0o640, "folder": 0o700}


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    (tmp_path / "a").write_text("old")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(PrescreenError, match="Permission denied.*nothing was changed"):
            write_bytes_atomic(tmp_path / "a", b"new")
    finally:
        tmp_path.chmod(0o755)
    assert (tmp_path / "a").read_text() == "old"
    shutil.rmtree(tmp_path)


def test_a_staged_file_takes_its_place_when_told_and_not_before(tmp_path):
    target = tmp_path / "new folder" / "table.csv"
    with stage_file(target) as file:
        file.write(b"one,")
        file.write(memoryview(b"two"))
        assert not target.exists()
        assert (file.tell(), file.sha256) == (7, hashlib.sha256(b"one,two").hexdigest())
        file.commit()
    assert target.read_bytes() == b"one,two"
    with stage_file(target) as file:
        file.write(b"half of another")
    assert names(target.parent) == ["table.csv"]
    assert target.read_bytes() == b"one,two"
    with pytest.raises(PrescreenError, match=r"table\.csv: cannot be written"):
        file.write(b"too late")


def test_a_staged_file_for_a_place_that_cannot_be_is_refused_before_the_work(tmp_path):
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(PrescreenError, match="nothing was changed"), stage_file(tmp_path / "table.csv"):
        raise AssertionError("not to be reached")


def test_a_new_file_takes_no_others_place_and_leaves_no_litter(tmp_path, monkeypatch):
    assert write_new_file(tmp_path / "deep" / "a", b"first")
    assert not write_new_file(tmp_path / "deep" / "a", b"second")

    def no_links(*_):
        raise OSError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert write_new_file(tmp_path / "deep" / "b", b"first")
    assert not write_new_file(tmp_path / "deep" / "b", b"second")
    assert [path.read_bytes() for path in sorted((tmp_path / "deep").iterdir())] == [b"first", b"first"]


def test_a_link_that_leads_to_itself_stays(tmp_path):
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(PrescreenError, match="symbolic links"):
        write_bytes_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").is_symlink()


def test_the_working_directory_is_a_folder_like_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recover_folder(Path())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_is_named_instead_of_tried_for_ever(tmp_path, monkeypatch):
    asked = []

    def refuse(path, *options):
        asked.append(path)
        assert len(asked) < 100, "it never stops"
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))  # as /proc does

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(PrescreenError, match=r"scores\.csv: cannot be written"):
            write_bytes_atomic(tmp_path / "scores.csv", b"1")
    assert list(tmp_path.iterdir()) == []
