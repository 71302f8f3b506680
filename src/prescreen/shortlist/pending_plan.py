"""What is left of a plan for a list: the note beside a ranking, by which `learn` continues what `rank` planned."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from prescreen.errors import PrescreenError, UsageError
from prescreen.ranking.two_rounds import TwoRounds
from prescreen.ranking.vote_plan import VotePlan, share_votes
from prescreen.storage.atomic import write_text_atomic
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, read_bounded
from prescreen.text import shown


@dataclass(frozen=True)
class PendingPlan:
    """What comes after the round whose pictures a ranking proposes.

    Parameters
    ----------
    wanted : int
        Pictures of the list in the end.
    pictures, votes : int
        Pictures and votes of the next round; 0 if the list comes next.
    current_photo : bool
        Whether the current photo is part of it.
    """

    wanted: int
    pictures: int = 0
    votes: int = 0
    current_photo: bool = False

    def __post_init__(self) -> None:
        numbers = (self.wanted, self.pictures, self.votes)
        if not all(type(number) is int for number in numbers) or type(self.current_photo) is not bool:
            raise TypeError("numbers and a truth value")
        sent = self.pictures + self.current_photo if self.pictures else 0
        if self.wanted < 1 or min(numbers) < 0 or self.votes < sent:
            raise ValueError("numbers that no plan has")

    @classmethod
    def after_first(cls, rounds: TwoRounds) -> Self:
        """Return what is left after the first of two rounds."""
        second = rounds.second
        return cls(rounds.wanted, second.pictures, second.votes, second.present > 0)

    def next_round(self, most: int) -> VotePlan:
        """Return the votes of the next round where at most so many pictures, at least 1, are left to send."""
        return share_votes(self.votes, min(self.pictures, most), with_present=self.current_photo)

    @staticmethod
    def beside(table: Path) -> Path:
        """Return where the note beside a ranking is."""
        return table.with_name(f"{table.name}.plan.json")

    @classmethod
    def note(cls, table: Path, left: "PendingPlan | None") -> None:
        """Write what is left of a plan beside a ranking, or remove the note of an earlier ranking."""
        if left is None:
            cls.beside(table).unlink(missing_ok=True)
        else:
            write_text_atomic(cls.beside(table), json.dumps(asdict(left), indent=2) + "\n")

    @classmethod
    def read(cls, table: Path) -> Self:
        """Read the note beside a ranking.

        Raises
        ------
        UsageError
            If there is none.
        PrescreenError
            If it cannot be read.
        """
        path = cls.beside(table)
        try:
            return cls(**json.loads(read_bounded(path, MAX_NOTE_BYTES)))
        except FileNotFoundError:
            raise UsageError(
                f"--plan {shown(table)}: {path.name} is not beside it; give the table that prescreen rank --votes "
                "--wanted wrote, or prescreen learn --plan after it"
            ) from None
        except OSError as error:
            raise PrescreenError(f"{path}: cannot be read ({error.strerror}); rank again") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise PrescreenError(f"{path}: cannot be read ({type(error).__name__}); rank again") from error
