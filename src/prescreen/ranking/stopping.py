"""Rounds of testing: what came back, what it says about the rest, what to send next, and when to stop."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from prescreen.ranking.posterior import HumanScores, Prior
from prescreen.ranking.probability import Floats
from prescreen.text import chance_with_range

SWITCH_ABOVE: Final = 0.8
"""Chance from which a tested picture is taken for better than the current photo."""

_FEWEST_FOR_R = 3
_Z90 = float(ndtri(0.95))


KEEP_BELOW: Final = 0.2
"""Keeping the current photo is advised where the chance that one of the proposed pictures beats it stays below this.

Not the chance itself, but the upper end of its range: so "keep" is right at least four times of five.
"""

TEST_FROM: Final = 0.2
"""Chance from which testing the proposed pictures is advised; in between the ratings do not suffice to tell."""


NO_ADVICE: Final = "train it on more pictures or votes, or set goals that it is usable for"
"""What to do where the predictor cannot be used."""


@dataclass(frozen=True)
class Advice:
    """What to do with the pictures that are proposed.

    Parameters
    ----------
    pictures : int
        How many are proposed.
    chance, low, high : float, 0 to 1
        Chance that at least one of them meets all goals, with the middle 90 % of it over what one person's pictures may
        share; NaN where there is no current photo to compare with.
    unusable : str
        For which goals the predictor cannot be used, and why; empty if it can.
    """

    pictures: int
    chance: float
    low: float
    high: float
    unusable: str = ""

    @property
    def verdict(self) -> Literal["test", "keep", "unclear", "ranked"]:
        """Test them, keep the current photo, the ratings do not suffice to tell, or nothing was compared with."""
        if self.unusable:
            return "unclear"
        if np.isnan(self.chance):
            return "ranked"
        if not self.pictures or self.high < KEEP_BELOW:
            return "keep"
        return "test" if self.chance >= TEST_FROM else "unclear"

    def describe(self) -> str:
        """Say it in a sentence or two.

        Examples
        --------
        >>> Advice(3, 0.74, 0.4, 0.9).describe()
        'Test these 3 pictures: the chance that at least one beats your current photo is 74 % (40 % to 90 %).'
        >>> Advice(3, 0.04, 0.01, 0.09).describe()
        'Keep your current photo: the chance that at least one of these 3 pictures beats it is 4 % (1 % to 9 %).'
        """
        if self.unusable:
            return f"The predictor is {self.unusable}. So it cannot tell which pictures are better; {NO_ADVICE}."
        if not self.pictures:
            return f"{'Keep your current photo: no' if self.verdict == 'keep' else 'No'} picture is left to test."
        these = f"these {self.pictures} pictures" if self.pictures > 1 else "this picture"
        if self.verdict == "ranked":
            have = "have the highest predicted scores" if self.pictures > 1 else "has the highest predicted scores"
            return (
                f"{these[0].upper()}{these[1:]} {have}. Whether one beats your current photo is not known: "
                "no current photo was given."
            )
        chance = chance_with_range(self.chance, self.low, self.high)
        one = f"at least one of {these}" if self.pictures > 1 else these
        if self.verdict == "keep":
            return f"Keep your current photo: the chance that {one} beats it is {chance}."
        if self.verdict == "test":
            any_of = "at least one" if self.pictures > 1 else "it"
            return f"Test {these}: the chance that {any_of} beats your current photo is {chance}."
        return f"What is known does not suffice to tell: the chance that {one} beats your current photo is {chance}."


@dataclass(frozen=True)
class Agreement:
    """How predictions and human scores of one trait agreed.

    Parameters
    ----------
    trait : str
        The trait.
    pictures : int
        Pictures with a human score.
    pearson : float or None
        Correlation in z; None below three pictures, or where one side does not vary.
    offset : float or None
        Mean of human score minus prediction in z; None without pictures. For pictures of one person it is the person's
        own offset.
    inside : float or None, 0 to 1
        Share of the human scores inside the 90 % interval of the prediction, vote noise included.
    """

    trait: str
    pictures: int
    pearson: float | None
    offset: float | None
    inside: float | None


def agreement(prior: Prior, scores: HumanScores, traits: Sequence[str]) -> tuple[Agreement, ...]:
    """Compare human scores with the predictions made before they came.

    Parameters
    ----------
    prior : Prior
        The predictions.
    scores : HumanScores
        What came back.
    traits : sequence of str
        Names of the t columns.
    """
    found = []
    for t, trait in enumerate(traits):
        told = np.isfinite(scores.z[:, t])
        rows = np.asarray(scores.rows)[told]
        human, predicted = scores.z[told, t], prior.mean[rows, t]
        own = prior.correlation[rows, rows] * prior.sigma[rows, t] ** 2 * prior.covariance[t, t]
        widths = _Z90 * np.sqrt(own + scores.variance[told, t])
        varies = len(rows) >= _FEWEST_FOR_R and np.ptp(human) > 0 and np.ptp(predicted) > 0
        found.append(
            Agreement(
                trait=trait,
                pictures=len(rows),
                pearson=float(np.corrcoef(human, predicted)[0, 1]) if varies else None,
                offset=float(np.mean(human - predicted)) if len(rows) else None,
                inside=float(np.mean(np.abs(human - predicted) <= widths)) if len(rows) else None,
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class Decision:
    """What to do now.

    Parameters
    ----------
    verdict : {"switch", "test", "stay", "list", "unclear"}
        Take the tested picture in ``row`` as the new one; test pictures, of which the one in ``row`` is the most likely
        to be better; stay with the current photo; take the list that was wanted, of which it is the first; or the
        predictor cannot be used to tell.
    row : int or None
        That picture, for "stay" the best one left; None if there is none.
    chance : float, 0 to 1
        Its chance to meet all goals; 0 if there is none, NaN if it cannot be told.
    again : bool
        Whether it is a tested picture that deserves more votes before others get any.
    """

    verdict: Literal["switch", "test", "stay", "list", "unclear"]
    row: int | None
    chance: float
    again: bool = False


def decide(joint: Floats, tested: NDArray[np.bool_], proposed: NDArray[np.bool_], advice: Advice) -> Decision:
    """Decide after a round whether to switch, to test more or to stay.

    Parameters
    ----------
    joint : ndarray (n,)
        Each candidate's chance to meet all goals, NaN where not known.
    tested : ndarray (n,), bool
        Candidates that people have scored.
    proposed : ndarray (n,), bool
        Candidates that would be sent next.
    advice : Advice
        On sending those.
    """
    best_tested, best_left = _best(joint, tested), _best(joint, proposed)
    if best_tested is not None and joint[best_tested] >= SWITCH_ABOVE:
        return Decision("switch", best_tested, float(joint[best_tested]))
    if advice.unusable:
        return Decision("unclear", None, np.nan)
    stays = best_left is None or advice.verdict == "keep"
    if best_tested is not None and joint[best_tested] >= TEST_FROM and (stays or joint[best_tested] > advice.chance):
        return Decision("test", best_tested, float(joint[best_tested]), again=True)
    if not stays:
        return Decision("test", best_left, float(joint[best_left]))
    return Decision("stay", best_left, 0.0 if best_left is None else float(joint[best_left]))


def _best(joint: Floats, among: NDArray[np.bool_]) -> int | None:
    rows = np.flatnonzero(among & np.isfinite(joint))
    return int(rows[joint[rows].argmax()]) if len(rows) else None
