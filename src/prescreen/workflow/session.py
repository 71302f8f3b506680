"""What ``pick`` leaves in its folder, so that ``learn`` knows by itself what was tested and against what.

The note names the predictor, the current photo and the options, and of each copy the picture that it was made of. A
round that was learned from adds a folder ``round-2``: the predictor that has learned, and the pictures to send next.
"""

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Final, Self

from prescreen.errors import PictureError, PrescreenError, UsageError
from prescreen.images.files import PICK_NOTE, ImageFile, read_bytes
from prescreen.images.metadata import without_metadata
from prescreen.progress import ProgressReporter
from prescreen.ranking.options import DEFAULT_OPTIONS, RankingOptions
from prescreen.storage.atomic import write_bytes_atomic, write_text_atomic
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
_NOT_IN_NAMES: Final = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f\ud800-\udfff]')
_LONGEST_NAME: Final = 200  # bytes; file systems take 255


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
        {name of a copy: name of its original}, of all rounds.
    files : tuple of str
        What ``pick`` wrote into the folder.
    round : int
        1 for the pictures of ``pick``, 2 after a test was learned from.
    """

    predictor: str
    current: str
    options: RankingOptions
    uploaded: Mapping[str, str]
    files: tuple[str, ...]
    round: int = 1

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
            session = cls(**{**content, "options": RankingOptions(**options), "files": tuple(content["files"])})
            session._check()
            return session
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"{shown(folder)}: no folder that prescreen pick wrote ({PICK_NOTE} is missing)") from None
        except OSError as error:
            raise PrescreenError(f"{shown(path)}: cannot be read ({error.strerror}); pick again") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise PrescreenError(f"{shown(path)}: cannot be read ({type(error).__name__}); pick again") from error

    def _check(self) -> None:
        kinds: Mapping[str, type] = {"predictor": str, "current": str, "uploaded": dict, "round": int}
        for name, kind in kinds.items():
            if type(getattr(self, name)) is not kind:
                raise TypeError(f"{name} is {getattr(self, name)!r}")
        names = (*self.files, *self.uploaded, *self.uploaded.values())
        if not all(isinstance(name, str) for name in names) or any(
            PurePosixPath(name).name != name for name in self.files
        ):
            raise TypeError("names of files are texts without folders")
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

    def next_round(self, predictor: str, uploaded: Mapping[str, str]) -> Self:
        """Return the note after a test was learned from."""
        return replace(self, predictor=predictor, uploaded={**self.uploaded, **uploaded}, round=self.round + 1)


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


def check_replaceable(folder: Path) -> None:
    """Refuse a folder that holds anything else than what ``pick`` wrote.

    Raises
    ------
    UsageError
        Names what is there.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"--output {shown(folder)}: a file; give the name of a folder")
    there = {entry.name for entry in folder.iterdir()} - _LEFT_BY_SYSTEMS
    if not there:
        return
    ours = {PICK_NOTE}
    if PICK_NOTE in there:
        session = Session.read(folder)
        if session.round > 1:
            raise UsageError(
                f"--output {shown(folder)}: holds what was learned from a test with people; give another --output, or "
                "move it away"
            )
        ours.update(session.files)
    if others := sorted(there - ours):
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise UsageError(
            f"--output {shown(folder)}: holds {shown(others[0])}{more}, which prescreen pick did not write; "
            "give another --output, or move it away"
        )


def is_replaceable(folder: Path) -> bool:
    """Tell whether `check_replaceable` accepts a folder."""
    try:
        check_replaceable(folder)
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


def _near(place: Path) -> Path:
    """Return a path as it is from the working directory, where it is in it."""
    return place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place


def upload_names(pictures: Sequence[str], known: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Return the name of each picture's copy: its number in the order to upload, then its own name.

    Parameters
    ----------
    pictures : sequence of str
        In their order.
    known : iterable of str
        Names of all candidates. No copy has such a name, so that results cannot mean another picture.
    taken : collection of str
        Names of earlier copies.

    Examples
    --------
    >>> upload_names(["formal/027.jpg", "020.jpg"], ["formal/027.jpg", "020.jpg"])
    {'1-027.jpg': 'formal/027.jpg', '2-020.jpg': '020.jpg'}
    """
    refused = {PurePosixPath(name).name.casefold() for name in (*known, *taken)}
    digits = len(str(len(pictures)))
    while True:
        names = {f"{number:0{digits}}-{_plain(name)}": name for number, name in enumerate(pictures, 1)}
        if refused.isdisjoint(name.casefold() for name in names):
            return names
        digits += 1


def _plain(name: str) -> str:
    """Return the last part of a name as every system and service takes it."""
    last = _NOT_IN_NAMES.sub("_", PurePosixPath(name).name)
    while len(last.encode()) > _LONGEST_NAME:
        last = last[1:]
    return last


def current_copy(current: str, known: Iterable[str]) -> dict[str, str]:
    """Return the name of the current photo's copy, which comes first: ``0-now.jpg``."""
    refused = {PurePosixPath(name).name.casefold() for name in known}
    name, number = _plain(Path(current).name), "0"
    while f"{number}-{name}".casefold() in refused:
        number += "0"
    return {f"{number}-{name}": Path(current).name}


def current_file(current: str | None, copies: Iterable[str]) -> dict[str, ImageFile]:
    """Return the current photo's file under the name of its copy, where there is one."""
    return {name: ImageFile(Path(current), Path(current).name) for name in copies} if current is not None else {}


def original_files(files: Mapping[str, ImageFile], copies: Mapping[str, str]) -> dict[str, ImageFile]:
    """Return the files that copies are made of; a picture without a file has a problem."""
    return {copy: files.get(name) or ImageFile(name, name, "it is no longer there") for copy, name in copies.items()}


def copy_pictures(
    copies: Mapping[str, ImageFile], folder: Path, reporter: ProgressReporter, *, keep_metadata: bool = False
) -> tuple[str, ...]:
    """Copy pictures without what they tell about places, people and devices; returns the names that were written.

    A picture that cannot be cleaned is not copied, which is told.
    """
    written = []
    for name, file in copies.items():
        try:
            data = read_bytes(file)
            write_bytes_atomic(folder / name, data if keep_metadata else without_metadata(data))
        except PictureError as error:
            reporter.warn(f"{shown(name)}: not copied, {error}; {shown(file.name)} is the original")
        else:
            written.append(name)
    return tuple(written)
