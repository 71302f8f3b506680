"""A reporter for tests."""

from prescreen.progress import NullReporter


class Heard(NullReporter):
    """Keeps what a user is told, at once and after the result."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)

    def note(self, message: str) -> None:
        self.lines.append(message)
