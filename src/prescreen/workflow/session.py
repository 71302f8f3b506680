"""What ``pick`` leaves in its folder, so that ``learn`` knows by itself what was tested and against what.

The note names the predictor, the current photo and the options, and of each copy the picture that it was made of. A
round that was learned from adds a folder ``round-2``: the predictor that has learned, and the pictures to send next.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Final, Self

from prescreen.errors import PrescreenError, UsageError
from prescreen.images.files import PICK_NOTE
from prescreen.ranking.options import DEFAULT_OPTIONS, RankingOptions
from prescreen.reports.decisions import decisions_beside
from prescreen.storage.atomic import write_text_atomic
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, read_bounded
from prescreen.storage.provenance import ScoresMetadata, is_model_uri
from prescreen.text import shown

SCORES: Final = "scores.csv"
SHORTLIST: Final = "shortlist.csv"
REPORT: Final = "report.html"
PICTURES: Final = ".pictures"
"""Folder of pictures that were given in memory; hidden, so that nobody takes them for the shortlist."""
DRAWN: Final = f"{PICTURES}/candidates"

_LEFT_BY_SYSTEMS: Final = frozenset((".DS_Store", "Thumbs.db", "desktop.ini"))


@dataclass(frozen=True)
class Round:
    """A round that was learned from.

    Parameters
    ----------
    results : str
        Absolute path of the scores that came back.
    sha256 : str
        Of that file.
    tested : tuple of str
        The candidates in it, by the names of the originals.
    before : str
        The predictor before the round, as `Session.predictor`.
    sent : mapping of str to str
        {name of a copy that was proposed then: name of its original}.
    """

    results: str
    sha256: str
    tested: tuple[str, ...]
    before: str
    sent: Mapping[str, str]

    def is_again(self, results: Path, tested: Collection[str]) -> bool:
        """Tell whether results are this round's: of the same pictures, or the same file with most of them."""
        common = len(set(self.tested).intersection(tested))
        same_file = os.path.abspath(results) == self.results
        return set(self.tested) == set(tested) or (same_file and 2 * common >= len(self.tested))

    def check(self) -> None:
        """Raise TypeError if the note was damaged."""
        texts = (self.results, self.sha256, self.before, *self.tested, *self.sent, *self.sent.values())
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a round is texts")
        if any(PurePosixPath(name).name != name for name in self.sent):
            raise TypeError("names of copies are texts without folders")


@dataclass(frozen=True)
class Session:
    """The note in a folder that ``pick`` wrote.

    Parameters
    ----------
    predictor : str
        Directory or MLflow model URI; a path within the folder is relative to it.
    current : str
        The current photo, likewise; the empty text where none was given.
    options : RankingOptions
        As they were given to ``pick``.
    uploaded : mapping of str to str
        {name of a candidate's copy: name of its original}, of all rounds.
    files : mapping of str to str
        {what ``pick`` wrote into the folder: its SHA-256}.
    inputs : tuple of str
        What was picked from: absolute paths, URLs, or the SHA-256 of pictures in memory.
    current_copy : str
        Name by which results mean the current photo: that of its copy. A candidate may have the photo's own name.
    keep_metadata : bool
        Whether copies keep what they tell about places, people and devices.
    rounds : tuple of Round
        What was learned from, in order.
    """

    predictor: str
    current: str
    options: RankingOptions
    uploaded: Mapping[str, str]
    files: Mapping[str, str]
    inputs: tuple[str, ...] = ()
    current_copy: str = ""
    keep_metadata: bool = False
    rounds: tuple[Round, ...] = ()

    @property
    def round(self) -> int:
        """1 for the pictures of ``pick``, 2 after a test was learned from."""
        return len(self.rounds) + 1

    def write(self, folder: Path) -> None:
        """Write the note into the folder."""
        content = asdict(self)
        content["options"]["references"] = [str(place) for place in self.options.references]
        write_text_atomic(folder / PICK_NOTE, json.dumps(content, indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the note in a folder.

        Raises
        ------
        UsageError
            If there is none.
        PrescreenError
            If it cannot be read.
        """
        path = folder / PICK_NOTE
        try:
            content = json.loads(read_bounded(path, MAX_NOTE_BYTES))
            options = content["options"]
            options["references"] = [Path(place) for place in options["references"]]
            rounds = tuple(Round(**{**told, "tested": tuple(told["tested"])}) for told in content["rounds"])
            lists = {"inputs": tuple(content["inputs"]), "rounds": rounds}
            session = cls(**{**content, **lists, "options": RankingOptions(**options)})
            session._check()
            return session
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"{shown(folder)}: no folder that prescreen pick wrote ({PICK_NOTE} is missing)") from None
        except OSError as error:
            raise PrescreenError(f"{shown(path)}: cannot be read ({error.strerror}); pick again") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise PrescreenError(f"{shown(path)}: cannot be read ({type(error).__name__}); pick again") from error

    def _check(self) -> None:
        kinds: Mapping[str, type] = {
            "predictor": str,
            "current": str,
            "uploaded": dict,
            "files": dict,
            "current_copy": str,
            "keep_metadata": bool,
        }
        for name, kind in kinds.items():
            if type(getattr(self, name)) is not kind:
                raise TypeError(f"{name} is {getattr(self, name)!r}")
        for learned in self.rounds:
            learned.check()
        names = (*self.files, *self.files.values(), *self.uploaded, *self.uploaded.values(), *self.inputs)
        if not all(isinstance(name, str) for name in names):
            raise TypeError("names of files are texts")
        for option in fields(self.options):
            value = getattr(self.options, option.name)
            if option.name in ("improve", "keep", "gates_off"):
                fine = value is None or (isinstance(value, list) and all(isinstance(name, str) for name in value))
            else:
                fine = value is None or isinstance(value, (str, int, float, list))
            if not fine:
                raise TypeError(f"{option.name} is {value!r}")

    def place(self, folder: Path, name: str) -> str:
        """Return a path of the note as it is from the working directory."""
        return name if not name or is_model_uri(name) else str(folder / name)

    def options_with(self, given: RankingOptions) -> RankingOptions:
        """Return the options of ``pick``, and instead of them those that are given now."""
        changed = {
            option.name: value
            for option in fields(given)
            if (value := getattr(given, option.name)) not in (getattr(DEFAULT_OPTIONS, option.name), [])
        }
        return replace(self.options, **changed)

    def before(self, number: int) -> Self:
        """Return the note as it was before a round was learned from."""
        undone = self.rounds[number - 1 :]
        sent = {name for done in undone for name in done.sent}
        uploaded = {copy: name for copy, name in self.uploaded.items() if copy not in sent}
        return replace(self, predictor=undone[0].before, uploaded=uploaded, rounds=self.rounds[: number - 1])

    def next_round(self, predictor: str, learned: Round) -> Self:
        """Return the note after a test was learned from."""
        uploaded = {**self.uploaded, **learned.sent}
        return replace(self, predictor=predictor, uploaded=uploaded, rounds=(*self.rounds, learned))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def written_files(folder: Path) -> dict[str, str]:
    """Return what is in a folder, {name: SHA-256}; notes, which prescreen may write again, have the empty text."""
    return {
        path.relative_to(folder).as_posix(): "" if path.suffix == ".json" else sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def note_pictures(folder: Path, scored_in: Path) -> None:
    """Let the note beside the scores name the folder of pictures that were given in memory, wherever it is now.

    Parameters
    ----------
    folder : Path
        What ``pick`` wrote, or is about to name otherwise.
    scored_in : Path
        What it is, or will be, called.
    """
    note = ScoresMetadata.read(folder / SCORES)
    there = str(Path(os.path.realpath(scored_in)) / DRAWN)
    if note is not None and (folder / DRAWN).is_dir() and note.inputs != (there,):
        replace(note, inputs=(there,)).write(folder / SCORES, lambda: None)


def check_replaceable(folder: Path, inputs: Sequence[str]) -> None:
    """Refuse a folder that holds anything else than what ``pick`` wrote of the same pictures.

    Parameters
    ----------
    folder : Path
        Need not exist.
    inputs : sequence of str
        As in `Session`.

    Raises
    ------
    UsageError
        Names what is there.
    """
    if folder.exists() and (reason := _why_not(folder, inputs)):
        raise UsageError(f"--output {shown(folder)}: {reason}; give another --output, or move it away")


def _why_not(folder: Path, inputs: Sequence[str]) -> str:
    """Say what keeps a folder from being replaced; the empty text if nothing does."""
    if not folder.is_dir():
        return "a file, not a folder"
    note = Session.read(folder) if (folder / PICK_NOTE).is_file() else None
    if note is not None and note.rounds:
        return "holds what was learned from a test with people"
    if note is not None and note.inputs != tuple(inputs):
        return f"holds what was picked from {shown(', '.join(note.inputs) or 'other pictures')}"
    paths = folder.iterdir() if note is None else (path for path in folder.rglob("*") if not path.is_dir())
    there = {path.relative_to(folder).as_posix() for path in paths if path.name not in _LEFT_BY_SYSTEMS}
    ours = {} if note is None else {PICK_NOTE: "", **note.files}
    if note is not None and (reviewed := decisions_beside(folder / SCORES).name) in there:
        return f"holds {reviewed}, what prescreen review saved"
    if others := sorted(there - ours.keys()):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        return f"holds {shown(others[0])}{more}, which prescreen pick did not write"
    changed = [name for name in sorted(there) if ours[name] and sha256_of(folder / name) != ours[name]]
    return f"{shown(changed[0])} was changed since prescreen pick wrote it" if changed else ""


def is_replaceable(folder: Path, inputs: Sequence[str]) -> bool:
    """Tell whether `check_replaceable` accepts a folder."""
    try:
        check_replaceable(folder, inputs)
    except PrescreenError:
        return False
    return True


def find_session(results: Path) -> Path | None:
    """Return the folder that results belong to: their own or the working directory, or else the only one in these.

    Raises
    ------
    UsageError
        If there are several; names them.
    """
    around = [results.absolute().parent, Path.cwd()]
    for folder in around:
        for place in (folder, folder.parent):  # a folder round-2 is in that of pick
            if (place / PICK_NOTE).is_file() and (place == folder or folder.name.startswith("round-")):
                return _near(place)
    found = {
        place.parent.resolve(): place.parent
        for folder in around
        if folder.is_dir()
        for place in sorted(folder.glob(f"*/{PICK_NOTE}"))
    }
    if len(found) > 1:
        listed = ", ".join(f"--session {shown(_near(place))}" for place in list(found.values())[:5])
        raise UsageError(
            f"{shown(results)}: prescreen pick wrote several folders here; say which one was tested: {listed}"
        )
    return _near(next(iter(found.values()))) if found else None


def learn_command(results: Path, folder: Path) -> str:
    """Return what to type to learn from results; it names the folder of ``pick`` where that would not be found."""
    words = ["prescreen", "learn", str(results)]
    try:
        found = find_session(results)
    except UsageError:
        found = None
    if found is None or found.resolve() != folder.resolve():
        words += ["--session", str(folder)]
    return shown(shlex.join(words))


def _near(place: Path) -> Path:
    """Return a path as it is from the working directory, where it is in it."""
    return place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place
