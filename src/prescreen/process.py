"""The process of prescreen and those that it starts: nothing around them is trusted, no usage is reported.

Only modules that Python has loaded by itself are imported at the top: with ``python -m prescreen`` the working
directory is among the places that modules come from until `trusted_path` has taken it out.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final

_SILENT: "Final" = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Tells libraries, and the programs that they start, to report nothing about their use."""


def set_up() -> None:
    """Prepare a process that is prescreen's own, the command: its streams, its home, what libraries report.

    What the user has set in the environment stays. A program that uses prescreen as a library is left as it is.

    Raises
    ------
    PrescreenError
        If prescreen does not work in this interpreter.
    """
    _open_standard_streams()
    check_interpreter()
    _find_home()
    for name, value in _SILENT.items():
        os.environ.setdefault(name, value)
    _settle_matplotlib()


def check_interpreter() -> None:
    """Refuse an interpreter that has thrown the docstrings away.

    Raises
    ------
    PrescreenError
        With the remedy.
    """
    if sys.flags.optimize >= 2:
        from prescreen.errors import PrescreenError

        raise PrescreenError(
            "python -OO or PYTHONOPTIMIZE=2: MLflow and LightGBM need docstrings; use -O, or leave it out"
        )


def trusted_path() -> list[str]:
    """Return `sys.path` without the working directory, which may hold a stranger's modules beside the pictures.

    It stays where prescreen itself, Python's own library or an installation of packages lies there.
    """
    site: Any = sys.modules.get("site")
    needed = {os.path.dirname(os.path.dirname(__file__)), os.path.dirname(os.__file__)}
    needed.update(site.getsitepackages() if site is not None else ())
    kept = set(map(os.path.realpath, needed))
    try:
        here = os.path.realpath(os.curdir)
    except OSError:  # somebody has deleted it
        here = ""
    return [entry for entry in sys.path if entry and (os.path.realpath(entry) != here or here in kept)]


def python_child(program: str, arguments: "Iterable[str]") -> "dict[str, Any]":
    """Return how a child process of Python is started: the options of `subprocess.Popen`.

    It runs in the root folder, so that no relative place (an empty part of ``PYTHONPATH`` or ``LD_LIBRARY_PATH``, a
    file of settings) means the folder that the user is in.

    Parameters
    ----------
    program : str
        What it runs; finds `trusted_path` as JSON in ``sys.argv[1]``.
    arguments : iterable of str
        What follows in ``sys.argv``.
    """
    import json

    path = json.dumps([os.path.abspath(entry) for entry in trusted_path()])
    return {"args": [sys.executable, "-P", "-c", program, path, *arguments], "cwd": os.path.abspath(os.sep)}


def _open_standard_streams() -> None:
    """Put nothing in the place of standard streams that are closed.

    A file that is opened next would otherwise get their numbers, and what a library prints would go into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            if (opened := os.open(os.devnull, os.O_RDWR)) != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as the process


def _find_home() -> None:
    """Name a home folder where there is none, because libraries ask for one when they are imported.

    It is one below which nothing can be written, even by root.
    """
    if not os.path.isabs(os.path.expanduser("~")):
        os.environ["HOME"] = os.devnull


def _settle_matplotlib() -> None:
    """Keep matplotlib's fonts in our cache, and keep it from reading ``matplotlibrc`` in the working directory.

    It reads that file when it is imported, before any other settings, and no variable tells it not to.
    """
    import contextlib

    from prescreen.errors import PrescreenError
    from prescreen.settings import cache_directory

    if "MPLCONFIGDIR" not in os.environ:
        with contextlib.suppress(PrescreenError):  # verbs that draw need the cache anyway, and say what is wrong
            os.environ["MPLCONFIGDIR"] = str(cache_directory().absolute() / "matplotlib")
    if os.path.lexists("matplotlibrc"):
        with contextlib.chdir(os.sep):
            import matplotlib  # noqa: F401 - it has read its settings now
