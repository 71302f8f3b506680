"""Learning curves as plain values; `prescreen.training.learning_curve` measures them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from prescreen.evaluation.metrics import Estimate


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy after training on so many pictures with so many votes.

    Attributes
    ----------
    pictures : int
        Pictures trained on, the mean over the folds.
    votes : float or None
        Most votes behind a training rating; None where all were used.
    pearson, r2, worth_in_votes : Estimate
        Means over the traits (of the equivalent number of votes the median), against the ratings from all votes.
    traits : mapping of str to Estimate
        Pearson's r of each trait.
    """

    pictures: int
    votes: float | None = None
    pearson: Estimate = Estimate()
    r2: Estimate = Estimate()
    worth_in_votes: Estimate = Estimate()
    traits: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy by the number of pictures, and by the number of votes for each; the last point of both uses all."""

    by_pictures: tuple[CurvePoint, ...]
    by_votes: tuple[CurvePoint, ...] = ()
