"""Decode pictures in worker processes: a decoder that crashes, hangs or takes too much memory ends its worker only.

The run goes on with a new worker, and the picture becomes a row with its reason. dlib holds Python's interpreter lock
while it works, so processes are also what uses several cores. Workers get one picture at a time over a pipe and answer
over another: a line of JSON, then the data. Nothing is pickled. No other process decodes strangers' pictures, so
workers also draw thumbnails and read sizes.
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
from dataclasses import asdict, astuple
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np

import prescreen
from prescreen.errors import EncoderError, PictureError, PictureFault, PrescreenError
from prescreen.images.decoding import draw_thumbnail, read_size
from prescreen.images.inspection import Quality, inspect_image
from prescreen.images.views import Pixels, View
from prescreen.process import python_child
from prescreen.settings import processors

SECONDS: Final = 60.0
"""Time that one picture may take."""
MEMORY: Final = 4 << 30
"""Bytes that a worker may allocate; enough for `prescreen.images.decoding.MAX_PIXELS`. Limited on Linux only."""

_START_SECONDS: Final = 120.0  # to start a worker on a busy machine
_GRACE_SECONDS: Final = 10  # after which a late worker ends itself, because the run is gone
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
    """Processes that decode pictures, started as they are needed. Safe in threads.

    Parameters
    ----------
    seconds : float
        Time that one picture may take.
    memory : int
        Bytes that a worker may allocate.
    program : str
        What a worker runs; it calls `serve`.
    max_workers : int, optional
        Processes at once, by default one a processor; further requests wait.
    """

    def __init__(
        self, seconds: float = SECONDS, memory: int = MEMORY, program: str = _PROGRAM, max_workers: int | None = None
    ) -> None:
        self.seconds = seconds
        self.memory = memory
        self._slots = threading.BoundedSemaphore(max_workers or processors())
        self._program = program
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()

    def inspect(self, data: bytes, views: Sequence[View], tolerant: bool) -> tuple[Mapping[View, Pixels], Quality]:
        """Run `prescreen.images.inspection.inspect_image` in a worker.

        Raises
        ------
        PictureError
            The picture cannot be decoded, takes too long or too much memory, or crashes the decoder.
        EncoderError
            dlib's model files are missing or not the expected ones.
        PrescreenError
            No worker could be started.
        """
        request = {"job": "inspect", "views": [astuple(view) for view in views], "tolerant": tolerant}
        answer, pixels = self._ask(request, data)
        found, start = {}, 0
        for view in views:
            shape = (view.side, view.side, 3)
            found[view] = np.frombuffer(pixels, np.uint8, math.prod(shape), start).reshape(shape)
            start += math.prod(shape)
        return found, Quality(**answer["quality"])

    def thumbnail(self, data: bytes, side: int, quality: int, *, tolerant: bool = True) -> bytes:
        """Run `prescreen.images.decoding.draw_thumbnail` in a worker; raises as `inspect` does."""
        _, image = self._ask({"job": "thumbnail", "side": side, "quality": quality, "tolerant": tolerant}, data)
        return image

    def read_size(self, data: bytes) -> tuple[int, int]:
        """Run `prescreen.images.decoding.read_size` in a worker; raises as `inspect` does."""
        answer, _ = self._ask({"job": "read_size"}, data)
        return answer["width"], answer["height"]

    def _ask(self, request: Mapping[str, Any], data: bytes) -> tuple[Mapping[str, Any], bytes]:
        """Have a worker do something with a picture; if the worker dies, another one tries once more."""
        with self._slots:
            for _ in range(2):
                worker = self._borrow()
                try:
                    answer, body = worker.ask(self.seconds, request, data)
                except _WorkerDied as death:
                    code = worker.end()
                    if death.late:
                        what = f"decoding took more than {self.seconds:g} seconds"
                        raise PictureError(what, PictureFault.GIVEN_UP) from None
                except BaseException:
                    worker.end()
                    raise
                else:
                    with self._lock:
                        self._idle.append(worker)
                    break
            else:
                raise PictureError(f"the decoder crashed ({_cause(code)})", PictureFault.GIVEN_UP)
        if "reason" in answer:
            raise PictureError(answer["reason"], PictureFault(answer["fault"]))
        if "error" in answer:
            raise EncoderError(answer["error"])
        return answer, body

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
    os.register_at_fork(after_in_child=shared_workers.cache_clear)  # the pipes of the parent are not for its children
    return workers


class _WorkerDied(Exception):
    def __init__(self, late: bool) -> None:
        self.late = late


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
        self._requests = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout)
        try:
            self.ask(_START_SECONDS)
        except _WorkerDied:
            raise PrescreenError(
                f"a process for decoding could not be started ({_cause(self.end())}); is there memory left?"
            ) from None
        except BaseException:
            self.end()
            raise

    def ask(
        self, seconds: float, request: Mapping[str, Any] | None = None, data: bytes = b""
    ) -> tuple[dict[str, Any], bytes]:
        """Send a request, if there is one, and wait for the answer; raises `_WorkerDied`."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            if request is not None:
                _send(self._requests, request, [data])
            return _receive(self._answers)
        except (OSError, EOFError, ValueError):
            raise _WorkerDied(late=late.is_set()) from None
        finally:
            timer.cancel()

    def end(self) -> int:
        """End the process if it still runs and return its exit status."""
        try:
            code = self._process.wait(timeout=0.5)  # a crashed one ends soon
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(OSError):  # unsent data
                pipe.close()
        return code


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _send(pipe: IO[bytes], head: Mapping[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Write a line of JSON with the size of the parts, then the parts."""
    pipe.write(json.dumps(dict(head) | {"size": sum(map(len, parts))}).encode() + b"\n")
    for part in parts:
        pipe.write(part)
    pipe.flush()


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
    """Answer requests until the pipe ends; the arguments are the limits of the worker."""
    seconds, memory = sys.argv[2:4]
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which ends the workers
    _limit_memory(int(memory))
    _send(answers, {"ready": True})
    while True:
        try:
            request, data = _receive(sys.stdin.buffer)
        except EOFError:
            return
        signal.alarm(math.ceil(float(seconds)) + _GRACE_SECONDS)
        _send(answers, *_answer(request, data))
        signal.alarm(0)


def _answer(request: Mapping[str, Any], data: bytes) -> tuple[Mapping[str, Any], Sequence[bytes]]:
    try:
        return _run_job(request, data)
    except PictureError as error:
        return {"reason": str(error), "fault": error.fault}, ()
    except PrescreenError as error:
        return {"error": str(error)}, ()
    except MemoryError:
        return {"reason": "picture needs more memory than a decoder gets", "fault": PictureFault.GIVEN_UP}, ()
    except Exception as error:  # an unexpected error fails this picture, not the others
        reason = f"decoding failed: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return {"reason": reason, "fault": PictureFault.DAMAGED}, ()


def _run_job(request: Mapping[str, Any], data: bytes) -> tuple[Mapping[str, Any], Sequence[bytes]]:
    if request["job"] == "thumbnail":
        return {}, [draw_thumbnail(data, request["side"], request["quality"], tolerant=request["tolerant"])]
    if request["job"] == "read_size":
        width, height = read_size(data)
        return {"width": width, "height": height}, ()
    views = [View(*view) for view in request["views"]]
    found, quality = inspect_image(data, views, request["tolerant"])
    return {"quality": asdict(quality)}, [found[view].tobytes() for view in views]


def _limit_memory(memory: int) -> None:
    if not sys.platform.startswith("linux"):
        return  # elsewhere the limit on data does not count what is mapped
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
