"""The terminal: messages and progress on standard error, errors as one line, exit codes."""

import contextlib
import math
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ParamSpec

import click

from prescreen.cli import interrupts
from prescreen.errors import PrescreenError
from prescreen.progress import reporting_to
from prescreen.text import masked

P = ParamSpec("P")
_PAUSE = 1.0  # seconds: steps of one batch, and cached ones, come closer together


class Terminal:
    """Prints messages and progress bars on standard error; when quiet, only warnings; details when verbose."""

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self._notes: list[str] = []

    def info(self, message: str) -> None:
        """Print a message for the user."""
        if not self.quiet:
            click.echo(masked(message), err=True)

    def note(self, message: str) -> None:
        """Keep what explains the result until the verb has printed that."""
        self._notes.append(message)

    def detail(self, message: str) -> None:
        """Print a message with ``--verbose`` only."""
        if self.verbose:
            self.info(message)

    def say_notes(self) -> None:
        """Print the notes that were kept."""
        while self._notes:
            self.info(self._notes.pop(0))

    def warn(self, message: str) -> None:
        """Print a warning, even when quiet."""
        click.echo(f"prescreen: warning: {masked(message)}", err=True)

    @contextlib.contextmanager
    def progress(self, title: str, total: int, unit: str = "it") -> Iterator[Callable[[], object]]:
        """Draw a progress bar; the callable advances it by one."""
        from tqdm import tqdm

        with tqdm(
            total=total,
            desc=title,
            unit=unit,
            disable=self.quiet or sys.stderr is None,
            file=sys.stderr,
            leave=False,
            mininterval=0.5,
            miniters=1,
            smoothing=0,  # the estimate is a mean, since batches come in bursts
        ) as bar:
            began = last = math.nan
            paused = False
            done: float = 0

            def advance() -> None:
                nonlocal began, last, paused, done
                if interrupts.asked():  # the exception was lost in a library
                    raise KeyboardInterrupt
                now = time.time()
                if math.isnan(began) or (not paused and now - last >= _PAUSE):
                    # Loading took the time until the first step; what came before the first pause was cached.
                    paused = not math.isnan(began)
                    began = bar.start_t = bar.last_print_t = now
                    done = bar.n + 1
                    bar.refresh()
                bar.initial = done if now >= began + _PAUSE else bar.n + 1
                last = now
                bar.update()

            yield advance


def verb(function: Callable[P, Any]) -> Callable[P, None]:
    """Give a command ``--quiet``, ``--verbose`` and ``--debug``; turn its errors into one line and an exit code."""

    @click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and warnings.")
    @click.option("--verbose", "-v", is_flag=True, help="Say more: every figure, and how inputs were understood.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        debug = bool(kwargs.pop("debug"))
        quiet, verbose = bool(kwargs.pop("quiet")), bool(kwargs.pop("verbose"))
        if quiet and verbose:
            raise click.UsageError("--quiet and --verbose: give one of them")
        terminal = kwargs["terminal"] = Terminal(quiet, verbose)
        try:
            with reporting_to(terminal):
                function(*args, **kwargs)
            terminal.say_notes()
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise  # click handles them; a closed output ends the command silently
        except Exception as error:
            if interrupts.asked():  # a library turned it into another error
                raise SystemExit(interrupted()) from None
            terminal.say_notes()
            raise SystemExit(_explain(error, debug)) from None
        except KeyboardInterrupt:
            raise SystemExit(interrupted()) from None

    return command


def _explain(error: Exception, debug: bool) -> int:
    """Print the error, and return the exit code."""
    if isinstance(error, PrescreenError | OSError):
        _fail(error, str(error), debug)
        return error.exit_code if isinstance(error, PrescreenError) else 1
    remedy = "please report it" if debug else "run again with --debug and report it"
    _fail(error, f"unexpected {type(error).__name__}: {error}; {remedy}", debug)
    return 1


def interrupted() -> int:
    """Report that Ctrl-C ended the command, and return the exit code."""
    click.echo("prescreen: interrupted; no output is half-written, finished pictures are cached", err=True)
    return 130


def _fail(error: Exception, message: str, debug: bool) -> None:
    if debug:
        click.echo(masked("".join(traceback.format_exception(error))), err=True, nl=False)
    click.echo(f"prescreen: error: {masked(' '.join(message.split()))}", err=True)
