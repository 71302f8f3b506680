"""Names of traits, checked once before training against everything that names come to stand in later.

Each of these places gives the names that it makes of some traits; none are listed here.
"""

import shlex
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prescreen.errors import UsageError
from prescreen.evaluation.headline_metrics import metric_groups
from prescreen.predictor.scores_table import score_columns
from prescreen.ranking.ranked_table import ranked_columns
from prescreen.ratings.meanings import columns_with_meaning
from prescreen.text import quoted, shown
from prescreen.workflow.label_studio_tasks import control_names

LATER_USES: Final[Mapping[str, Callable[[Sequence[str]], list[str]]]] = {
    "a column of the scores": score_columns,
    "a column of the shortlist": ranked_columns,
    "a column of ratings and results": columns_with_meaning,
    "a group of metrics in MLflow": metric_groups,
    "a tag in Label Studio": control_names,
}
"""What traits name later, and the names that each of these places makes of some traits."""


_LONGEST_REMEDY: Final = 120


def check_names(traits: Sequence[str], renamed: Mapping[str, str] | None = None) -> None:
    """Refuse traits that could not be told apart, or told from something else, wherever they come to stand.

    Case and blanks do not count: Spark and some databases behind MLflow do not tell ``Rank`` from ``rank``.

    Parameters
    ----------
    traits : sequence of str
        Names of the traits that a predictor is about to have.
    renamed : mapping of str to str, optional
        {name of a trait: its name in the ratings}, where they were chosen.

    Raises
    ------
    UsageError
        If a name would stand for two things, or cannot be printed.
    """
    for trait in traits:
        if shown(trait) != trait:
            raise UsageError(
                f"trait '{shown(trait)}': has a line break or another character that cannot be seen; "
                "correct it in the ratings, or rename it with --traits NEW=OLD"
            )
    for place, trait in enumerate(traits):
        for other in traits[:place]:
            if _key(trait) == _key(other):
                raise UsageError(
                    f"traits {other!r} and {trait!r} differ in nothing but case or blanks; if they are one trait, "
                    f"correct the ratings, otherwise {_remedy(trait, traits, renamed)}"
                )
    for what, names in LATER_USES.items():
        keys = [_key(name) for name in names(traits)]
        for trait in traits:
            own = {_key(name) for name in names([trait])} - {_key(name) for name in names([])}
            twice = sorted(key for key in own | {_key(trait)} if keys.count(key) > 1)
            if twice:
                raise UsageError(
                    f"trait {trait!r}: {twice[0]!r} would also be {what} that means something else; "
                    f"{_remedy(trait, traits, renamed)}"
                )


def _key(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _remedy(trait: str, traits: Sequence[str], renamed: Mapping[str, str] | None) -> str:
    """Say how to give a trait another name; the other traits must be named too, or they would be left out."""
    columns = renamed or {name: name for name in traits}
    items = [
        f"NEW={quoted(columns[name])}"
        if name == trait
        else quoted(name)
        if name == columns[name]
        else f"{quoted(name)}={quoted(columns[name])}"
        for name in traits
    ]
    option = shlex.quote(",".join(items))
    if len(option) > _LONGEST_REMEDY:
        option = f"{shlex.quote(items[list(traits).index(trait)])[:_LONGEST_REMEDY]}, and name the other traits too"
    return f"rename it: --traits {option}"
