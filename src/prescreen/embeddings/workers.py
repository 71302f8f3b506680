"""Pictures are decoded in processes of their own: a decoder that crashes, hangs or eats memory ends a worker.

The run goes on with a fresh worker, and the picture becomes a row with its reason. dlib holds Python's interpreter
lock while it works, so processes are also what makes use of several cores. Workers get bytes and give back bytes, one
picture at a time, over pipes: a line of JSON, then the data. Nothing is pickled. Besides looking at a picture for an
encoder a worker draws thumbnails and tells sizes: no other process decodes what others sent.
"""

import atexit
import contextlib
import functools
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

import prescreen
from prescreen.errors import EncoderError, PictureError, PictureFault, PrescreenError
from prescreen.images.decoding import read_size
from prescreen.images.inspection import ImagePreprocessor, Quality
from prescreen.images.thumbnails import draw_thumbnail
from prescreen.images.views import Pixels, View
from prescreen.process import python_child
from prescreen.settings import processors

SECONDS: Final = 60.0
"""Time that one picture may take."""
MEMORY: Final = 4 << 30
"""Bytes that a worker may allocate; enough for `prescreen.images.decoding.MAX_PIXELS`. Kept on Linux only."""

_PATIENCE: Final = 120.0
"""Seconds that a worker may take to start, on a machine with much other work."""
_GRACE: Final = 10
"""Seconds after which a worker that nobody ended, because the run is gone, ends itself."""
_PROGRAM: Final = f"""
import json, sys, typing
path = json.loads(sys.argv[1])
sys.path[:] = [{str(Path(prescreen.__file__).parents[1])!r}, *path]
import prescreen  # that of this process; MLflow puts the code of each model that it loads first on the path
sys.path[:] = path
from prescreen.embeddings.workers import serve
serve()
"""
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Workers:
    """Processes that decode pictures. Safe in threads: as many processes as threads that ask at once, up to `most`.

    Parameters
    ----------
    seconds : float
        Time that one picture may take.
    memory : int
        Bytes that a worker may allocate.
    program : str
        What a worker runs; it calls `serve`.
    most : int, optional
        Processes at once, by default one a processor; who asks while all are at work waits.
    """

    def __init__(
        self, seconds: float = SECONDS, memory: int = MEMORY, program: str = _PROGRAM, most: int | None = None
    ) -> None:
        self.seconds = seconds
        self.memory = memory
        self._slots = threading.BoundedSemaphore(most or processors())
        self._program = program
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    def inspect(self, data: bytes, views: Sequence[View], tolerant: bool) -> tuple[Mapping[View, Pixels], Quality]:
        """Do what `prescreen.images.inspection.ImagePreprocessor` does, in a worker.

        Raises
        ------
        PictureError
            The picture cannot be decoded, takes too long or too much memory, or crashes the decoder.
        EncoderError
            dlib's model files are missing or not the expected ones.
        PrescreenError
            No worker could be started.
        """
        request = {"job": "inspect", "views": [[view.name, view.side] for view in views], "tolerant": tolerant}
        answer, pixels = self._ask(request, data)
        found, start = {}, 0
        for view in views:
            shape = (view.side, view.side, 3)
            found[view] = np.frombuffer(pixels, np.uint8, math.prod(shape), start).reshape(shape)
            start += math.prod(shape)
        return found, Quality(**answer["quality"])

    def thumbnail(self, data: bytes, side: int, quality: int) -> bytes:
        """Do what `prescreen.images.thumbnails.draw_thumbnail` does, in a worker; raises as `inspect` does."""
        _, image = self._ask({"job": "thumbnail", "side": side, "quality": quality}, data)
        return image

    def read_size(self, data: bytes) -> tuple[int, int]:
        """Do what `prescreen.images.decoding.read_size` does, in a worker; raises as `inspect` does."""
        answer, _ = self._ask({"job": "read_size"}, data)
        return answer["width"], answer["height"]

    def _ask(self, request: Mapping[str, Any], data: bytes) -> tuple[Mapping[str, Any], bytes]:
        """Have a worker do something with a picture.

        A picture whose worker dies gets a second one, because a worker may be ended for reasons of its own.
        """
        with self._slots:
            answer, body = self._try_twice(request, data)
        if "reason" in answer:
            raise PictureError(answer["reason"], PictureFault(answer["fault"]))
        if "error" in answer:
            raise EncoderError(answer["error"])
        return answer, body

    def _try_twice(self, request: Mapping[str, Any], data: bytes) -> tuple[Mapping[str, Any], bytes]:
        for _ in range(2):
            worker = self._borrow()
            try:
                answer, body = worker.ask(request, data, self.seconds)
            except _WorkerDied as death:
                code = worker.end()
                if death.in_time:
                    continue
                raise PictureError(f"decoding took more than {self.seconds:g} seconds", PictureFault.GIVEN_UP) from None
            except BaseException:
                worker.end()
                raise
            with self._lock:
                self._idle.append(worker)
            return answer, body
        raise PictureError(f"the decoder crashed ({_cause(code)})", PictureFault.GIVEN_UP)

    def close(self) -> None:
        """End the workers that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()

    def _borrow(self) -> "_Worker":
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Worker(self._program, self.seconds, self.memory)


@functools.cache
def shared_workers() -> Workers:
    """Return the workers of this process, which live as long as it does."""
    workers = Workers()
    atexit.register(workers.close)
    if hasattr(os, "register_at_fork"):  # the pipes of the parent are not for its children
        os.register_at_fork(after_in_child=shared_workers.cache_clear)
    return workers


class _WorkerDied(Exception):
    def __init__(self, in_time: bool) -> None:
        self.in_time = in_time


class _Worker:
    """One process, from this side of its pipes."""

    def __init__(self, program: str, seconds: float, memory: int) -> None:
        self._process = subprocess.Popen(
            **python_child(program, [str(seconds), str(memory)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _ONE_THREAD,
        )
        try:
            self._answer(_PATIENCE)
        except _WorkerDied:
            raise PrescreenError(
                f"a process for decoding could not be started ({_cause(self.end())}); is there memory left?"
            ) from None
        except BaseException:
            self.end()
            raise

    def ask(self, request: Mapping[str, Any], data: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Send one picture and wait for the answer; raises `_WorkerDied`."""
        return self._answer(seconds, [json.dumps(dict(request) | {"size": len(data)}).encode() + b"\n", data])

    def _answer(self, seconds: float, message: Sequence[bytes] = ()) -> tuple[dict[str, Any], bytes]:
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            to_worker, from_worker = self._pipes()
            for part in message:
                to_worker.write(part)
            to_worker.flush()
            head, body = _receive(from_worker)
        except (OSError, EOFError, ValueError):
            raise _WorkerDied(in_time=not late.is_set()) from None
        finally:
            timer.cancel()
        return head, body

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        to_worker, from_worker = self._process.stdin, self._process.stdout
        if to_worker is None or from_worker is None:
            raise OSError("the process has no pipes")
        return to_worker, from_worker

    def end(self) -> int:
        """End the process if it still runs and return its exit status."""
        try:
            code = self._process.wait(timeout=0.5)  # one that crashed is about to be gone
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for pipe in self._pipes():
            with contextlib.suppress(OSError):  # what was not sent yet
                pipe.close()
        return code


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read a line of JSON and as many bytes as it says."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    head: dict[str, Any] = json.loads(line)
    body = pipe.read(head["size"])
    if len(body) < head["size"]:
        raise EOFError
    return head, body


# --- in the worker ----------------------------------------------------------------------------------------------------


def serve() -> None:
    """Look at pictures until the pipe ends: the life of a worker, whose arguments are its limits."""
    _, _, seconds, memory = (sys.argv[0], *sys.argv[1:4])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which ends the workers
    _limit_memory(int(memory))

    def send(head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
        answers.write(json.dumps(dict(head) | {"size": sum(map(len, parts))}).encode() + b"\n")
        answers.writelines(parts)
        answers.flush()

    send({"ready": True})
    alarm = getattr(signal, "alarm", lambda seconds: None)
    while True:
        try:
            request, data = _receive(sys.stdin.buffer)
        except EOFError:
            return
        alarm(math.ceil(float(seconds)) + _GRACE)
        send(*_answer(request, data))
        alarm(0)


def _answer(request: Mapping[str, Any], data: bytes) -> tuple[Mapping[str, Any], Sequence[bytes]]:
    try:
        return _JOBS[request["job"]](request, data)
    except PictureError as error:
        return {"reason": str(error), "fault": error.fault}, ()
    except PrescreenError as error:
        return {"error": str(error)}, ()
    except MemoryError:
        return {"reason": "picture needs more memory than a decoder gets", "fault": PictureFault.GIVEN_UP}, ()
    except Exception as error:  # what no rule foresees is the fault of this picture, not of the others
        reason = f"decoding failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return {"reason": reason, "fault": PictureFault.DAMAGED}, ()


def _inspect(request: Mapping[str, Any], data: bytes) -> tuple[Mapping[str, Any], Sequence[bytes]]:
    views = [View(name, side) for name, side in request["views"]]
    found, quality = ImagePreprocessor(views, request["tolerant"])(data)
    return {"quality": asdict(quality)}, [found[view].tobytes() for view in views]


def _draw(request: Mapping[str, Any], data: bytes) -> tuple[Mapping[str, Any], Sequence[bytes]]:
    return {}, [draw_thumbnail(data, request["side"], request["quality"])]


def _measure(request: Mapping[str, Any], data: bytes) -> tuple[Mapping[str, Any], Sequence[bytes]]:
    width, height = read_size(data)
    return {"width": width, "height": height}, ()


_JOBS: Final = {"inspect": _inspect, "thumbnail": _draw, "read_size": _measure}


def _limit_memory(memory: int) -> None:
    if not sys.platform.startswith("linux"):
        return  # elsewhere the limit on data does not count what is mapped
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
