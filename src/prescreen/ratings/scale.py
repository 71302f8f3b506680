"""The scale of votes and scores."""

import math
from dataclasses import dataclass
from typing import Final, Self

from prescreen.errors import UsageError


@dataclass(frozen=True)
class Scale:
    """The lowest and the highest vote that a rater could give.

    Parameters
    ----------
    low, high : float
        Ends of the scale, both allowed as votes; ``low < high``.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise UsageError(f"scale {self.low:g}:{self.high:g}: the first number must be below the second")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``LOW:HIGH``, for instance ``0:10``."""
        low, separator, high = text.partition(":")
        try:
            if not separator:
                raise ValueError(text)
            return cls(float(low), float(high))
        except ValueError:
            raise UsageError(f"scale {text!r}: expected LOW:HIGH, for instance 0:10") from None

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def width(self) -> float:
        """Highest vote less the lowest."""
        return self.high - self.low

    def __str__(self) -> str:
        return f"{self.low:g}:{self.high:g}"


SCORES: Final = Scale(0, 10)
"""Scores as Photofeeler shows them."""

ANSWERS: Final = Scale(0, 3)
"""What No, Somewhat, Yes and Very count as."""

WINS: Final = Scale(0, 1)
"""The share of other pictures that a picture is better than."""
