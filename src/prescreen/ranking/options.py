"""What a person wants of the pictures to send, and what may hold a picture back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prescreen.errors import UsageError
from prescreen.ranking.checks import require_checks
from prescreen.ranking.goals import Goals, choose_goals
from prescreen.text import is_file

DEFAULT_BUDGET: Final = 3
"""Pictures to send where nothing is said."""

MOST_WANTED: Final = 100
"""Longest list."""

DEFAULT_VOTES: Final = 20
"""Votes behind a score where nothing is said, as many as raters' panels usually give at least."""


@dataclass(frozen=True)
class RankingOptions:
    """How candidates are compared with the current photo.

    Parameters
    ----------
    improve, keep : sequence of str, optional
        Traits that should rise, and traits that must not fall; see `prescreen.ranking.goals.choose_goals`.
    improve_margin, keep_margin : float
        Score points by which traits must rise, and may fall.
    any_of : bool
        Whether one of the traits to improve is enough; otherwise all of them have to rise.
    budget : int, optional
        How many pictures can be sent to raters; without it as many as the votes pay for, or else `DEFAULT_BUDGET`.
    votes : int, optional
        Votes that can be had in all; the shortlist then has no more pictures than get enough of them.
    wanted : int, optional
        How many good pictures are wanted in the end, 2 to `MOST_WANTED`. Without it one is: pictures are then chosen
        together, so that at least one is likely to meet all goals. For a list each picture counts, so those with the
        highest single chances are sent, and ``votes`` are planned in two rounds.
    baseline_scores : str, optional
        Human scores of the current photo: ``competence=8.2,likeability=9.0``, or a file of results that it is in.
    baseline_votes : int, optional
        How many votes each of the current photo's scores comes from, where no file says; `DEFAULT_VOTES` without it.
    same_raters : bool
        Whether these scores come from the raters, or the service, that the predictor was trained on. Otherwise a score
        is a rank among other pictures than the training portraits, which makes it less certain.
    references : sequence of Path
        Pictures, or folders of pictures, that surely show the person; the current photo is one of them.
    gates_off : collection of str
        Names of `prescreen.ranking.checks.CHECKS` that exclude nothing. What the user rejected
        is excluded all the same.

    Raises
    ------
    UsageError
        For a check that does not exist, a number below 1, or a list of another length.
    """

    improve: Sequence[str] | None = None
    keep: Sequence[str] | None = None
    improve_margin: float = 0.0
    keep_margin: float = 0.0
    any_of: bool = False
    budget: int | None = None
    votes: int | None = None
    wanted: int | None = None
    baseline_scores: str | None = None
    baseline_votes: int | None = None
    same_raters: bool = False
    references: Sequence[Path] = ()
    gates_off: Collection[str] = ()

    def __post_init__(self) -> None:
        require_checks(self.gates_off)
        for name in ("budget", "votes", "baseline_votes"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise UsageError(f"{name} {number}: expected at least 1, or None")
        if self.wanted is not None and not 2 <= self.wanted <= MOST_WANTED:
            raise UsageError(f"wanted {self.wanted}: expected a list of 2 to {MOST_WANTED} pictures, or None for one")

    @property
    def votes_of_baseline(self) -> int:
        """How many votes each of the current photo's scores counts as."""
        return DEFAULT_VOTES if self.baseline_votes is None else self.baseline_votes

    @property
    def most(self) -> int | None:
        """How many pictures can be sent; None where the votes alone decide."""
        if self.budget is not None or self.votes is not None:
            return self.budget
        return DEFAULT_BUDGET if self.wanted is None else self.wanted

    def files_read(self) -> dict[str, Path]:
        """Return the files that options name, by the option."""
        scores = self.baseline_scores
        return {"--baseline-scores": Path(scores)} if scores and is_file(scores) else {}

    def goals(self, traits: Sequence[str]) -> Goals:
        """Return the goals among the traits of a predictor.

        Raises
        ------
        UsageError
            If a trait is not predicted, or nothing is left to improve.
        """
        return choose_goals(traits, self.improve, self.keep, self.improve_margin, self.keep_margin, self.any_of)


DEFAULT_OPTIONS: Final = RankingOptions()
"""Improve what can be improved, keep likeability, three pictures, every check on."""
