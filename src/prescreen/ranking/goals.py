"""What a new picture has to do: improve some traits, keep others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prescreen.errors import UsageError
from prescreen.text import describe_list, unknown_name

KEPT_BY_DEFAULT = "likeability"


@dataclass(frozen=True)
class Goals:
    """The traits on which a candidate must beat the baseline, and those on which it must not fall below it.

    Parameters
    ----------
    improve : tuple of str
        Traits to improve, at least one.
    keep : tuple of str
        Traits to keep. A trait that stands in neither does not count.
    improve_margin : float
        Score points (0-10) by which every trait to improve has to beat the baseline.
    keep_margin : float
        Score points that every trait to keep may lose.
    any_of : bool
        Whether one of the traits to improve is enough; otherwise all of them have to.

    Raises
    ------
    UsageError
        If there is nothing to improve, a trait is named twice, or a margin is negative.
    """

    improve: tuple[str, ...]
    keep: tuple[str, ...] = ()
    improve_margin: float = 0.0
    keep_margin: float = 0.0
    any_of: bool = False

    def __post_init__(self) -> None:
        if not self.improve:
            raise UsageError("goals: nothing to improve; name at least one trait that should improve")
        for name in self.traits:
            if self.traits.count(name) > 1:
                both = name in self.improve and name in self.keep
                raise UsageError(f"goals: {name!r} is " + ("both to improve and to keep" if both else "named twice"))
        for what, margin in (("improve", self.improve_margin), ("keep", self.keep_margin)):
            if not (math.isfinite(margin) and 0 <= margin <= 10):
                raise UsageError(f"{what} margin {margin:g}: expected score points from 0 to 10")

    @property
    def traits(self) -> tuple[str, ...]:
        """All traits that count, those to improve first."""
        return self.improve + self.keep

    def check(self, known: Sequence[str]) -> None:
        """Raise UsageError if a trait is not among the known ones, with the name that was probably meant."""
        for name in self.traits:
            if name not in known:
                raise UsageError(f"goals: {unknown_name(name, known)}")

    def describe(self) -> str:
        """Return the goals as a phrase, for instance ``improve competence and influence, keep likeability``."""
        by = f" by at least {self.improve_margin:g}" if self.improve_margin else ""
        within = f" within {self.keep_margin:g}" if self.keep_margin else ""
        keep = f", keep {describe_list(self.keep)}{within}" if self.keep else ""
        return f"improve {describe_list(self.improve, 'or' if self.any_of else 'and')}{by}{keep}"


def default_goals(traits: Sequence[str]) -> Goals:
    """Keep likeability where it is one of several traits, improve all others."""
    keep = tuple(name for name in traits if name.lower() == KEPT_BY_DEFAULT and len(traits) > 1)
    return Goals(tuple(name for name in traits if name not in keep), keep)


def choose_goals(
    traits: Sequence[str],
    improve: Sequence[str] | None = None,
    keep: Sequence[str] | None = None,
    improve_margin: float = 0.0,
    keep_margin: float = 0.0,
    any_of: bool = False,
) -> Goals:
    """Complete what was asked for: traits named on one side only leave all the others to the other side.

    Case does not matter where one trait alone fits.

    Parameters
    ----------
    traits : sequence of str
        The known traits.
    improve, keep : sequence of str or None
        What was asked for; None: not said. An empty ``keep`` means that nothing has to be kept.
    improve_margin, keep_margin, any_of
        As in :class:`Goals`.

    Raises
    ------
    UsageError
        For an unknown trait, and as in :class:`Goals`.
    """
    improve, keep = (None if names is None else as_known(names, traits) for names in (improve, keep))
    if improve is None and keep is None:
        chosen = default_goals(traits)
        improve, keep = chosen.improve, chosen.keep
    elif keep is None:
        keep = [name for name in traits if name not in (improve or ())]
    elif improve is None:
        improve = [name for name in traits if name not in keep]
    goals = Goals(tuple(improve or ()), tuple(keep), improve_margin, keep_margin, any_of)
    goals.check(traits)
    return goals


def as_known(names: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    """Return names as the predictor spells them, where exactly one differs from them in case alone."""
    alike = [[other for other in known if other.lower() == name.lower()] for name in names]
    return [name if name in known or len(same) != 1 else same[0] for name, same in zip(names, alike, strict=True)]
