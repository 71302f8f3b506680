"""What the page says about its proposal: the same sentences when it opens and when its script chooses again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from prescreen.ranking.goals import Goals
from prescreen.ranking.stopping import KEEP_BELOW, TEST_FROM, Advice
from prescreen.text import chance_with_range, describe_list, percent, shown

MAX_HEADLINE: Final = 100
"""Characters of names."""

HEADLINES: Final = {
    "unusable": "The predictor is not usable for these goals",
    "keep": "Keep your current photo",
    "unclear": "Not enough is known to tell",
    "none": "No picture is left",
    "ranked": "Best by predicted scores: {names}",
    "test": "Test {names}",
}
TITLES: Final = {
    "test": "Your current photo and the pictures to test",
    "unclear": "Your current photo and the most promising pictures",
    "keep": "Your current photo, and the best of the others",
    "ranked": "The highest predicted scores",
    "unusable": "Your current photo and what you kept",
    "alone": "Your current photo",
}
ONE_BELOW: Final = "the picture below"
MANY_BELOW: Final = "the {n} pictures below"
ALONE: Final = "Each alone has a chance of {span}."
TOGETHER: Final = "They were chosen together, so one with a higher chance alone can be left out."
UNCOUNTED: Final = (
    "This page knows no joint chance of pictures that were not among the best ({names}); "
    "prescreen rank --decisions computes it."
)

_EXAMPLES: Final = {
    "test": (TEST_FROM + 0.2, TEST_FROM, 0.9),
    "keep": (KEEP_BELOW / 2, 0.02, KEEP_BELOW - 0.05),
    "unclear": (TEST_FROM / 2, 0.02, KEEP_BELOW + 0.2),
    "ranked": (float("nan"),) * 3,
}
_MANY: Final = 7


@dataclass(frozen=True)
class Proposed:
    """Pictures that are proposed: their names and chances, and whether a better one by itself was left out."""

    names: Sequence[str]
    chances: Sequence[float] = ()
    better_left: bool = False


def kind_of(advice: Advice) -> str:
    """Return what is advised, in one word: a key of `HEADLINES`."""
    return "unusable" if advice.unusable else advice.verdict


def title(advice: Advice, proposed: Proposed) -> str:
    """Return what stands above the cards."""
    kind = kind_of(advice)
    return TITLES[kind if proposed.names or kind == "ranked" else "alone"]


def headline(advice: Advice, proposed: Proposed) -> str:
    """Say in one line what to do."""
    kind = kind_of(advice)
    if kind in ("test", "ranked") and not proposed.names:
        kind = "none"
    names = describe_list([shown(name) for name in proposed.names])
    if len(names) > MAX_HEADLINE:
        names = ONE_BELOW if len(proposed.names) == 1 else MANY_BELOW.format(n=len(proposed.names))
    return HEADLINES[kind].replace("{names}", names)


def verdict(advice: Advice, proposed: Proposed, goals: Goals) -> str:
    """Say in a few sentences what to expect of it."""
    chances = proposed.chances
    if not chances or advice.unusable:
        return advice.describe()
    span = percent(max(chances))
    if percent(min(chances)) != span:
        span = f"{percent(min(chances)).removesuffix(' %')} to {span}"
    alone = ALONE.format(span=span) if len(chances) > 1 else ""
    parts = (advice.describe(), beating(goals), alone, TOGETHER if proposed.better_left else "")
    return " ".join(part for part in parts if part)


def beating(goals: Goals) -> str:
    """Say what it is to beat the current photo."""
    keep = f" without losing {describe_list(goals.keep)}" if goals.keep else ""
    return f"To beat it means better on {describe_list(goals.improve, 'or' if goals.any_of else 'and')}{keep}."


def texts(goals: Goals, advice: Advice) -> dict[str, Any]:
    """Return these sentences for the page's script, which completes ``{n}``, ``{chance}``, ``{names}``, ``{span}``."""
    return {
        "keepBelow": KEEP_BELOW,
        "testFrom": TEST_FROM,
        "unusable": advice.describe() if advice.unusable else "",
        "headlines": HEADLINES,
        "titles": TITLES,
        "most": MAX_HEADLINE,
        "below": [ONE_BELOW, MANY_BELOW],
        "advice": {kind: [_template(kind, count) for count in (0, 1, _MANY)] for kind in _EXAMPLES},
        "means": beating(goals),
        "alone": ALONE,
        "together": TOGETHER,
        "uncounted": UNCOUNTED,
    }


def _template(kind: str, count: int) -> str:
    chance, low, high = _EXAMPLES[kind]
    said = Advice(count, chance, low, high).describe()
    if kind != "ranked":
        said = said.replace(chance_with_range(chance, low, high), "{chance}")
    return said.replace(str(_MANY), "{n}")
