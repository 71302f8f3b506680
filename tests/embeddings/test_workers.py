import io
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prescreen.embeddings import workers
from prescreen.embeddings.workers import Workers
from prescreen.errors import PictureError, PictureFault, PrescreenError
from prescreen.images.inspection import inspect_image
from prescreen.images.views import View

IMAGES = Path(__file__).parents[2] / "data" / "sample" / "training" / "images"
VIEWS = (View("whole", 64), View("chip", 150))
GOOD = (IMAGES / "001.jpg").read_bytes()
FAULTY = """
import ctypes, json, os, signal, sys, time
sys.path[:] = json.loads(sys.argv[1])
from prescreen.embeddings import workers
inspect_image = workers.inspect_image
def faulty(data, views, tolerant):
    if data == b"crash": ctypes.string_at(0)
    if data == b"hang": time.sleep(1000)
    if data == b"exit": os._exit(7)
    if data == b"memory": bytearray(1 << 40)
    if data == b"bug": raise KeyError("x")
    if data == b"print":
        os.write(1, b"noise"); print("noise", flush=True); data = open(os.environ["GOOD"], "rb").read()
    if data.startswith(b"once "):
        mark = data[5:].decode()
        if not os.path.exists(mark):
            open(mark, "w").close(); os.kill(os.getpid(), signal.SIGKILL)
        data = open(os.environ["GOOD"], "rb").read()
    return inspect_image(data, views, tolerant)
workers.inspect_image = faulty
workers.serve()
"""


@pytest.fixture
def faulty(monkeypatch):
    monkeypatch.setenv("GOOD", str(IMAGES / "001.jpg"))
    found = Workers(program=FAULTY)
    yield found
    found.close()


def assert_good(answer):
    views, quality = answer
    expected, expected_quality = inspect_image(GOOD, VIEWS)
    assert quality == expected_quality
    assert list(views) == list(expected)
    for view in VIEWS:
        assert np.array_equal(views[view], expected[view])


def test_a_worker_sees_what_this_process_sees():
    found = Workers()
    assert_good(found.inspect(GOOD, VIEWS, False))
    with pytest.raises(PictureError, match="truncated"):
        found.inspect(GOOD[:-500], VIEWS, False)
    assert found.inspect(GOOD[:-500], VIEWS, True)[1].truncated
    found.close()


def test_a_worker_runs_the_code_of_this_process_whatever_comes_first_on_its_path(tmp_path, monkeypatch):
    """MLflow puts the code of each model that it loads there, which may be that of another version."""
    (tmp_path / "prescreen").mkdir()
    (tmp_path / "prescreen" / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.syspath_prepend(tmp_path)
    found = Workers()
    assert_good(found.inspect(GOOD, VIEWS, False))
    found.close()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"crash", r"crashed \(SIGSEGV\)"),
        (b"exit", r"crashed \(exit status 7\)"),
        (b"memory", "more memory"),
        (b"bug", "decoding failed: KeyError"),
    ],
)
def test_a_picture_that_ends_a_worker_is_a_reason_and_the_next_one_is_fine(faulty, data, reason):
    with pytest.raises(PictureError, match=reason) as caught:
        faulty.inspect(data, VIEWS, False)
    assert caught.value.fault == (PictureFault.DAMAGED if data == b"bug" else PictureFault.GIVEN_UP)
    assert_good(faulty.inspect(GOOD, VIEWS, False))


def test_a_picture_that_hangs_is_given_up(faulty):
    begin = time.monotonic()
    faulty.seconds = 2
    with pytest.raises(PictureError, match="more than 2 seconds"):
        faulty.inspect(b"hang", VIEWS, False)
    assert time.monotonic() - begin < 60
    faulty.seconds = workers.SECONDS
    assert_good(faulty.inspect(GOOD, VIEWS, False))


def test_a_worker_that_was_killed_costs_no_picture(faulty, tmp_path):
    assert_good(faulty.inspect(f"once {tmp_path / 'mark'}".encode(), VIEWS, False))
    assert (tmp_path / "mark").exists()


def test_what_a_library_prints_is_no_answer(faulty):
    assert_good(faulty.inspect(b"print", VIEWS, False))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited on Linux only")
def test_a_picture_that_needs_too_much_memory_is_a_reason(tmp_path):
    Image.new("RGB", (9000, 9000)).save(tmp_path / "large.png", compress_level=1)
    found = Workers(memory=300 << 20)
    with pytest.raises(PictureError, match="memory"):
        found.inspect((tmp_path / "large.png").read_bytes(), VIEWS, False)
    assert_good(found.inspect(GOOD, VIEWS, False))
    found.close()


def test_thumbnails_are_drawn_and_sizes_told_in_a_worker(encoded, portrait):
    found = Workers()
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(portrait, "JPEG", exif=exif)
    image = found.thumbnail(data, side=200, quality=80)
    small = Image.open(io.BytesIO(image))
    assert (small.format, small.size) == ("WEBP", (200, 171))
    assert b"EXIF" not in image
    assert found.thumbnail(data[:-2000], side=200, quality=80)  # as far as it goes
    assert found.read_size(data) == portrait.size
    for job in (lambda: found.thumbnail(b"text", side=9, quality=9), lambda: found.read_size(b"text")):
        with pytest.raises(PictureError, match="unsupported content") as caught:
            job()
        assert caught.value.fault == PictureFault.UNSUPPORTED
    found.close()


def test_a_thumbnail_that_takes_too_long_is_given_up(encoded, portrait):
    """A JPEG of very many empty scans: a small file that takes minutes."""
    whole = encoded(portrait.resize((2000, 2000)).convert("L"), "JPEG", progressive=True, quality=5)
    at = whole.rindex(b"\xff\xda")
    scan = whole[at : at + 2 + int.from_bytes(whole[at + 2 : at + 4], "big")] + bytes(40)
    found = Workers(seconds=2)
    begin = time.monotonic()
    with pytest.raises(PictureError, match="more than 2 seconds") as caught:
        found.thumbnail(whole[:-2] + scan * 30_000 + whole[-2:], side=2000, quality=80)
    assert caught.value.fault == PictureFault.GIVEN_UP
    assert time.monotonic() - begin < 60
    found.close()


def test_no_more_workers_than_allowed_whoever_asks():
    found = Workers(max_workers=1)
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(lambda _: found.thumbnail(GOOD, side=64, quality=50), range(8)))) == 8
    assert len(found._idle) == 1
    found.close()


def test_there_are_as_many_workers_as_threads_that_ask():
    found = Workers()
    with ThreadPoolExecutor(2) as pool:
        for answer in pool.map(lambda _: found.inspect(GOOD, VIEWS, False), range(6)):
            assert_good(answer)
    assert 1 <= len(found._idle) <= 2
    found.close()
    assert found._idle == []


def test_a_worker_that_cannot_start_is_an_error():
    with pytest.raises(PrescreenError, match="could not be started"):
        Workers(program="raise SystemExit(3)").inspect(GOOD, VIEWS, False)


def test_workers_end_with_the_run_even_if_it_is_killed():
    program = """
import sys
from pathlib import Path
from prescreen.images.views import View
from prescreen.embeddings.workers import shared_workers
workers = shared_workers()
workers.inspect(Path(sys.argv[1]).read_bytes(), (View("chip", 150),), False)
print(workers._idle[0]._process.pid, flush=True)
input()
"""
    run = subprocess.Popen(
        [sys.executable, "-c", program, str(IMAGES / "001.jpg")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with run:
        worker = int(run.stdout.readline())
        os.kill(worker, 0)
        run.send_signal(signal.SIGKILL)
    for _ in range(100):
        try:
            state = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            break
        if state == "Z":  # gone, and waiting for whoever inherited it
            break
        time.sleep(0.1)
    else:
        pytest.fail("the worker is still there")
