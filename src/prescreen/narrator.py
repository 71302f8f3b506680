"""Who hears how the work goes on: the terminal, or nobody."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol


class Narrator(Protocol):
    """Hears how the work goes on."""

    def say(self, message: str) -> None:
        """Take a message for the user."""

    def steps(self, title: str, total: int) -> AbstractContextManager[Callable[[], object]]:
        """Begin something that takes ``total`` steps; the callable is called after each."""


class Silence:
    """A narrator that says nothing: the default of the library."""

    def say(self, message: str) -> None:
        """Say nothing."""

    @contextlib.contextmanager
    def steps(self, title: str, total: int) -> Iterator[Callable[[], object]]:
        """Count nothing."""
        yield lambda: None
