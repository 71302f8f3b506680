"""Receivers of progress messages: the protocol, one that ignores them, and who hears of work deep inside."""

import contextlib
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class ProgressReporter(Protocol):
    """Receives progress messages."""

    def info(self, message: str) -> None:
        """Take a message for the user."""

    def note(self, message: str) -> None:
        """Take what explains the result: it is shown after the result."""

    def detail(self, message: str) -> None:
        """Take what only somebody who looks closer wants to know."""

    def warn(self, message: str) -> None:
        """Take a message that must not be missed, even when quiet."""

    def progress(self, title: str, total: int, unit: str = "it") -> AbstractContextManager[Callable[[], object]]:
        """Begin something that takes ``total`` steps of a unit; the callable is called after each."""


class NullReporter:
    """A reporter that says nothing: the default of the library. Warnings are Python's."""

    def info(self, message: str) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""

    def detail(self, message: str) -> None:
        """Say nothing."""

    def warn(self, message: str) -> None:
        """Warn with Python's means, which the caller's program decides over."""
        warnings.warn(message, stacklevel=2)

    @contextlib.contextmanager
    def progress(self, title: str, total: int, unit: str = "it") -> Iterator[Callable[[], object]]:
        """Count nothing."""
        yield lambda: None


_RECEIVER: ContextVar[ProgressReporter] = ContextVar("receiver", default=NullReporter())  # noqa: B039 - has no state


def receiver() -> ProgressReporter:
    """Return who hears of what may begin deep inside, such as a download at the first use of a network."""
    return _RECEIVER.get()


@contextlib.contextmanager
def reporting_to(reporter: ProgressReporter) -> Iterator[None]:
    """Let a reporter be the `receiver` while this lasts."""
    token = _RECEIVER.set(reporter)
    try:
        yield
    finally:
        _RECEIVER.reset(token)


def reported(verb: Callable[P, R]) -> Callable[P, R]:
    """Let the ``reporter`` that a function is given be the `receiver` while it runs; without one nothing changes."""
    signature = inspect.signature(verb)

    @functools.wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        reporter = signature.bind(*args, **kwargs).arguments.get("reporter")
        with contextlib.nullcontext() if reporter is None else reporting_to(reporter):
            return verb(*args, **kwargs)

    return run
