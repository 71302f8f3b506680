"""Run by tests as a script: do something again and again, each time killed one line later, and look at what is left.

What is given on standard input is Python that defines ``prepare()``, ``work()`` and ``check()``, and ``FILES``, the
ends of the names of the modules at whose lines the kill comes. Prints how many kills there were.
"""

import os
import signal
import sys


def child(work, files, line):
    left = line

    def local(frame, event, _):
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return local

    sys.settrace(lambda frame, event, _: local if frame.f_code.co_filename.endswith(files) else None)
    work()
    sys.settrace(None)


def killed_at_every_line(prepare, work, check, files):
    line, status = 0, signal.SIGKILL
    while os.WIFSIGNALED(status):
        line += 1
        prepare()
        process = os.fork()
        if process == 0:
            try:
                child(work, files, line)
            finally:
                sys.stdout.flush()
                os._exit(0 if sys.exc_info()[0] is None else 1)
        _, status = os.waitpid(process, 0)
        assert status in (0, signal.SIGKILL), f"the work failed by itself at line {line}: {status}"
        check()
    return line - 1


if __name__ == "__main__":
    given: dict = {}
    exec(compile(sys.stdin.read(), "given", "exec"), given)  # noqa: S102
    print(killed_at_every_line(given["prepare"], given["work"], given["check"], given["FILES"]))
