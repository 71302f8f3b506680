"""Receivers of progress messages: the protocol, and one that ignores them."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol


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

    def progress(self, title: str, total: int) -> AbstractContextManager[Callable[[], object]]:
        """Begin something that takes ``total`` steps; the callable is called after each."""


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
    def progress(self, title: str, total: int) -> Iterator[Callable[[], object]]:
        """Count nothing."""
        yield lambda: None
