"""Runs independent pieces of work in threads, and reports their steps to the thread that waits."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

Result = TypeVar("Result")
Step = Callable[[], object]


def run_all(tasks: Sequence[Callable[[Step], Result]], at_once: int, step: Step) -> list[Result]:
    """Run tasks and return their results in order.

    Parameters
    ----------
    tasks : sequence of callable
        Each is given what it calls after each of its steps.
    at_once : int
        Threads, at least 1. With one nothing leaves this thread.
    step : callable
        Called in this thread for each step of any task. What it raises ends the work, as an error of a task and Ctrl-C
        do: what has not begun is left out, what has begun ends at its next step.
    """
    if min(at_once, len(tasks)) <= 1:
        return [task(step) for task in tasks]
    news: SimpleQueue[Future[Result] | None] = SimpleQueue()
    stopped = threading.Event()

    def report() -> None:
        if stopped.is_set():
            raise CancelledError
        news.put(None)

    with ThreadPoolExecutor(min(at_once, len(tasks))) as pool:
        futures = [pool.submit(task, report) for task in tasks]
        for future in futures:
            future.add_done_callback(news.put)
        try:
            waiting = len(futures)
            while waiting:
                ended = news.get()
                if ended is None:
                    step()
                else:
                    ended.result()
                    waiting -= 1
        finally:
            stopped.set()
            for future in futures:
                future.cancel()
        return [future.result() for future in futures]
