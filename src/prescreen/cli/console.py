"""The terminal: messages and progress on standard error, errors as one line, exit codes."""

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ParamSpec

import click

from prescreen.cli import interrupts
from prescreen.errors import PrescreenError
from prescreen.text import masked

P = ParamSpec("P")


class Terminal:
    """Prints messages and progress bars on standard error; when quiet, only warnings."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def info(self, message: str) -> None:
        """Print a message for the user."""
        if not self.quiet:
            click.echo(masked(message), err=True)

    def warn(self, message: str) -> None:
        """Print a warning, even when quiet."""
        click.echo(f"prescreen: warning: {masked(message)}", err=True)

    @contextlib.contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[], object]]:
        """Draw a progress bar; the callable advances it by one."""
        from tqdm import tqdm

        with tqdm(
            total=total,
            desc=title,
            disable=self.quiet or sys.stderr is None,
            file=sys.stderr,
            leave=False,
            mininterval=0.5,
        ) as bar:

            def advance() -> None:
                if interrupts.asked():  # the exception was lost in a library
                    raise KeyboardInterrupt
                bar.update()

            yield advance


def verb(function: Callable[P, Any]) -> Callable[P, None]:
    """Give a command ``--quiet`` and ``--debug``, and turn its errors into one line and an exit code."""

    @click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors and warnings.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @wraps(function)
    def command(*args: P.args, **kwargs: P.kwargs) -> None:
        debug = bool(kwargs.pop("debug"))
        kwargs["terminal"] = Terminal(bool(kwargs.pop("quiet")))
        try:
            function(*args, **kwargs)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise  # click handles them; a closed output ends the command silently
        except Exception as error:
            if interrupts.asked():  # a library turned it into another error
                raise SystemExit(interrupted()) from None
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
