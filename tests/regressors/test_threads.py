import threading
import time

import pytest

from prescreen.regressors.threads import run_all


def noted(number, meet=None):
    def task(step):
        if meet is not None:
            meet.wait(10)
        step()
        return number, threading.current_thread()

    return task


def test_results_come_in_order_and_steps_in_the_waiting_thread():
    callers = []
    meet = threading.Barrier(3)  # passes only if three tasks run at once
    found = run_all([noted(k, meet) for k in range(6)], 3, lambda: callers.append(threading.current_thread()))
    assert [number for number, _ in found] == list(range(6))
    assert len({thread for _, thread in found}) == 3
    assert callers == [threading.current_thread()] * 6


@pytest.mark.parametrize("tasks", [[], [noted(0)], [noted(0), noted(1)]])
def test_one_at_once_stays_in_this_thread(tasks):
    found = run_all(tasks, 1, lambda: None)
    assert found == [(k, threading.current_thread()) for k in range(len(tasks))]


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("place", ["task", "step"])
def test_an_error_ends_the_work(at_once, place):
    begun = []

    def task(step):
        begun.append(None)
        if place == "task":
            raise ArithmeticError
        step()

    def step():
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        run_all([task] * 200, at_once, step)
    assert len(begun) < 200


def test_what_has_begun_ends_at_its_next_step():
    stopped = []

    def long(step):
        try:
            for _ in range(1000):
                step()
                time.sleep(0.01)
        except BaseException:
            stopped.append(True)
            raise

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all([long] * 3, 2, interrupted)
    assert stopped == [True, True]
