"""The floor: whether predictions of a trait can be used at all, and why not; `benchmarks/floor.py` measures it."""

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from scipy.special import ndtri

from prescreen.evaluation.metrics import LEVEL, Estimate
from prescreen.evaluation.report import Evaluation, TraitEvaluation

FEWEST_PICTURES: Final = 20
"""Rated pictures below which cross-validation cannot tell useful predictors from useless ones.

On 12 faces it passes a quarter of the traits that reach r 0.5 on unseen faces, on 20 faces five of six.
"""

BY_CHANCE: Final = 0.1
"""An r is told from 0 where its one-sided interval at this level lies above 0.

Cross-validated r of shuffled ratings is below 0 on average, so fewer than this pass: 6 to 8 % on 20 to 60 faces.
"""

REMEDY: Final = "get more pictures rated, or more votes on each"

_LISTED: Final = 3  # traits that a sentence names with their reasons
_NEARLY_ONE: Final = 1 - 1e-9


@dataclass(frozen=True)
class Usability:
    """What can be used of a predictor.

    Parameters
    ----------
    reasons : mapping of str to str
        For each trait why its predictions cannot be used; empty where they can.
    """

    reasons: Mapping[str, str]

    @property
    def unusable(self) -> dict[str, str]:
        """The traits that cannot be used, with the reasons."""
        return {trait: reason for trait, reason in self.reasons.items() if reason}

    @property
    def usable(self) -> bool:
        """Whether any trait can be used; also where nothing is known of any."""
        return not self.reasons or len(self.unusable) < len(self.reasons)

    def describe(self, traits: Iterable[str] | None = None) -> str:
        """Say which of these traits cannot be used and why; empty if all can.

        Examples
        --------
        >>> Usability({"warm": "", "smart": "r -0.10 on 40 pictures, not above 0"}).describe()
        'not usable for smart: r -0.10 on 40 pictures, not above 0'
        """
        reasons = self.list_reasons(traits)
        return f"not usable for {reasons}" if reasons else ""

    def list_reasons(self, traits: Iterable[str] | None = None) -> str:
        """Return those of these traits that cannot be used, each with why; of many the first three."""
        wanted = None if traits is None else set(traits)
        found = [f"{trait}: {reason}" for trait, reason in self.unusable.items() if wanted is None or trait in wanted]
        more = f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        return f"{'; '.join(found[:_LISTED])}{more}"


def verdict(evaluation: Evaluation) -> str:
    """Say in a sentence whether a predictor can be used, what its predictions are worth, and where they are weak.

    It counts the usable traits only: the mean of their r, the median of their equivalent numbers of votes. A trait is
    weak where its number of votes is below half of that median.
    """
    found = usability(evaluation)
    simulated = " (simulated votes)" if evaluation.simulated else ""
    if not found.usable:
        return f"Not usable for {found.list_reasons()}{simulated}; to make it usable, {REMEDY}."
    usable = [trait for trait in evaluation.traits if trait.trait not in found.unusable]
    r = [trait.pearson.value for trait in usable if trait.pearson.value is not None]
    each = {trait.trait: trait.limits.votes.value for trait in usable if trait.limits.votes.value is not None}
    told = f"mean r {statistics.mean(r):.2f} on pictures that it had not seen" if r else "its accuracy is not known"
    if each:
        worth = statistics.median(each.values())
        told = f"a prediction is worth about {_votes(worth)} votes a picture"
        weak = [f"{trait} ({_votes(votes)})" for trait, votes in each.items() if votes < worth / 2]
        told += f"; weak: {', '.join(weak)}" if weak else ""
    return f"Usable{simulated}: {told}." + (f" Not usable for {found.list_reasons()}." if found.unusable else "")


def _votes(votes: float) -> str:
    return f"{votes:.0f}" if votes >= 10 else f"{votes:.1f}"


def usability(evaluation: Evaluation) -> Usability:
    """Tell for each trait of an evaluation whether its predictions can be used.

    They cannot if fewer than `FEWEST_PICTURES` were rated, if r is at or below 0 or cannot be told from it, or if the
    90 % intervals are as wide as the scale. Older evaluations, without intervals of r, have Fisher's.
    """
    groups = evaluation.n_groups / evaluation.n if evaluation.n and evaluation.n_groups else 1.0
    return Usability({trait.trait: _reason(trait, groups, evaluation.scale_width) for trait in evaluation.traits})


def _reason(trait: TraitEvaluation, groups: float, scale_width: float | None) -> str:
    """Return why a trait cannot be used, or the empty text; ``groups`` is how many there are a picture."""
    r, width = trait.pearson, trait.covered.width
    measured = f"r {r.text(2)} on {trait.n} pictures"
    if trait.n < FEWEST_PICTURES:
        return f"{measured}, too few to tell ({FEWEST_PICTURES} are needed)"
    if r.value is None:
        return f"{measured}: predictions, or ratings, do not vary"
    if r.value <= 0:
        return f"{measured}, not above 0"
    if _low(r, trait.n * groups) <= 0:
        return f"{measured}, which may be chance"
    if width is not None and scale_width is not None and width >= scale_width:
        return f"{measured}, but its 90 % intervals are as wide as the scale of the ratings"
    return ""


def _low(r: Estimate, n: float) -> float:
    """Return the low end of r's one-sided interval on Fisher's scale, where r of n pictures is about normal."""
    error = 1 / math.sqrt(max(n - 3, 1))
    if r.low is not None and r.high is not None:
        error = (_fisher(r.high) - _fisher(r.low)) / (2 * float(ndtri((1 + LEVEL) / 2)))
    return _fisher(r.value or 0.0) - float(ndtri(1 - BY_CHANCE)) * error


def _fisher(r: float) -> float:
    return math.atanh(min(max(r, -_NEARLY_ONE), _NEARLY_ONE))
