"""The note beside scores that says how they were ranked last, by which `review` needs nothing but the scores."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from prescreen.errors import PrescreenError
from prescreen.ranking.options import RankingOptions
from prescreen.storage.atomic import write_text_atomic
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, read_bounded
from prescreen.text import is_file, shown

_LISTS = frozenset(("improve", "keep", "references", "gates_off"))


@dataclass(frozen=True)
class LastRank:
    """How scores were ranked last.

    Parameters
    ----------
    baseline : str or None
        The current photo, as `rank` takes it; files are absolute.
    options : RankingOptions
        What should improve, and so on.
    predictor : str or None
        Where it was named.
    images : tuple of str
        Where the scored pictures are, if that was named.
    """

    baseline: str | None
    options: RankingOptions
    predictor: str | None = None
    images: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, baseline: str | None, options: RankingOptions, predictor: str | None, images: Sequence[str | Path]
    ) -> Self:
        """Return the note about arguments of `rank`."""
        return cls(
            None if baseline is None else _absolute(baseline),
            options,
            None if predictor is None else _absolute(predictor),
            tuple(_absolute(str(place)) for place in images),
        )

    @staticmethod
    def beside(scores: Path) -> Path:
        """Return where the note about scores is."""
        return scores.with_name(f"{scores.name}.rank.json")

    def write(self, scores: Path) -> None:
        """Write the note beside the scores.

        Raises
        ------
        PrescreenError
            If it cannot be written.
        """
        content = asdict(self)
        options = content["options"]
        options["references"] = [_absolute(str(place)) for place in self.options.references]
        options["gates_off"] = sorted(self.options.gates_off)
        if options["baseline_scores"] is not None:
            options["baseline_scores"] = _absolute(options["baseline_scores"])
        write_text_atomic(self.beside(scores), json.dumps(content, indent=2) + "\n")

    @classmethod
    def read(cls, scores: Path) -> Self | None:
        """Read the note beside the scores; None where they were never ranked.

        Raises
        ------
        PrescreenError
            If it cannot be read.
        """
        path = cls.beside(scores)
        try:
            content = json.loads(read_bounded(path, MAX_NOTE_BYTES))
            return cls(
                _text(content["baseline"]),
                _options(content["options"]),
                _text(content["predictor"]),
                tuple(_texts(content["images"])),
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PrescreenError(f"{shown(path)}: cannot be read ({error.strerror}); rank the scores again") from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise PrescreenError(
                f"{shown(path)}: cannot be read ({type(error).__name__}); rank the scores again"
            ) from error


def _absolute(place: str) -> str:
    """Return what names a file or folder as it is from everywhere; other texts stay."""
    try:
        return str(Path(place).absolute()) if is_file(place) or Path(place).is_dir() else place
    except OSError:
        return place


def _options(content: dict[str, Any]) -> RankingOptions:
    for option in fields(RankingOptions):
        value = content[option.name]
        if option.name in _LISTS:
            _texts(value or [])
        elif value is not None and type(value) not in (str, int, float, bool):
            raise TypeError(option.name)
    return RankingOptions(**{**content, "references": [Path(place) for place in content["references"]]})


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError("a text")
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TypeError("texts")
    return value
