"""Where results come from: versions, and the note beside a table of scores."""

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Self

from prescreen import __version__
from prescreen.errors import PredictorMismatch, PrescreenError, UsageError
from prescreen.storage.atomic import write_text_atomic
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, open_plain, read_bounded
from prescreen.storage.tables import part_files
from prescreen.text import shown

_BEFORE: Final = "before"
"""Key in a note of the one that it replaces, while the table is on its way."""

_LIBRARIES: Final = {
    "numpy": "numpy",
    "pillow": "pillow",
    "scipy": "scipy",
    "scikit-learn": "scikit-learn",
    "lightgbm": "lightgbm",
    "torch": "torch",
    "open_clip": "open-clip-torch",
    "openvino": "openvino",
    "dlib": "dlib-bin",
    "mlflow": "mlflow",
}


def versions() -> dict[str, str]:
    """Return the versions of Python, prescreen and the libraries that take part in a result."""
    found = {"python": platform.python_version(), "prescreen": __version__}
    for name, distribution in _LIBRARIES.items():
        try:
            found[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def is_model_uri(text: str) -> bool:
    """Tell an MLflow model URI (``models:/…``, ``runs:/…``) from a path."""
    return text.startswith(("models:/", "runs:/"))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def table_sha256(table: Path) -> str:
    """Return the SHA-256 of a table: of the file, or of the names and contents of the parts in a folder."""
    if not table.is_dir():
        return file_sha256(table)
    return parts_sha256((part.name, file_sha256(part)) for part in part_files(table))


def parts_sha256(parts: Iterable[tuple[str, str]]) -> str:
    """Return the SHA-256 of a folder of parts from their names and hashes, in their order."""
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in parts).encode()).hexdigest()


ZERO_SHOT: Final = "zero-shot"
"""Kind of the note beside a table that holds no scores, but an order by words alone."""


@dataclass(frozen=True)
class ScoresMetadata:
    """What stands in ``OUTPUT.meta.json`` beside a table of scores.

    Parameters
    ----------
    table_sha256 : str
        SHA-256 of the table, as `table_sha256` returns it.
    predictor : str
        Absolute directory or MLflow model URI of the predictor.
    predictor_name, predictor_sha256 : str
        Which one it was.
    encoder, encoder_sha256 : str
        Which encoder it uses.
    traits : tuple of str
        Traits scored.
    inputs : tuple of str
        Absolute folders and files that were given.
    scored, failed : int
        Numbers of pictures.
    faults : dict of str to int
        How many failed for what kind of reason; notes of older versions do not tell.
    tolerant : bool
        Whether truncated pictures were accepted.
    simulated : bool
        Whether the predictor was trained on simulated votes.
    versions : dict of str to str
        As `versions` returned them.
    canaries : str
        Whether the predictor still scored its canaries as at training; see `prescreen.predictor.reproducibility`.
    """

    table_sha256: str
    predictor: str
    predictor_name: str
    predictor_sha256: str
    encoder: str
    encoder_sha256: str
    traits: tuple[str, ...]
    inputs: tuple[str, ...]
    scored: int
    failed: int
    tolerant: bool
    simulated: bool
    versions: dict[str, str]
    canaries: str = ""
    faults: dict[str, int] = field(default_factory=dict)

    def write(self, table: Path, put: Callable[[], object]) -> None:
        """Write a table and the note beside it, as one: a kill at any moment leaves the old pair or the new one.

        The note comes first and carries the one before it until the table has followed.

        Parameters
        ----------
        table : Path
            Where the table goes.
        put : callable
            Puts the table there in one step; the SHA-256 of its content is ``table_sha256``.

        Raises
        ------
        PrescreenError
            If either cannot be written.
        """
        before = None
        with contextlib.suppress(PrescreenError):  # an unreadable note is not worth keeping
            before = type(self).read(table, optional=True)
        note = asdict(self)
        write_text_atomic(_beside(table), _as_json(note | ({_BEFORE: asdict(before)} if before else {})))
        put()
        if before:
            write_text_atomic(_beside(table), _as_json(note))

    def check(self, table: Path, fingerprint: str) -> None:
        """Refuse a table that was changed or left over, or that another predictor made.

        Parameters
        ----------
        table : Path
            The table of scores.
        fingerprint : str
            That of the predictor at hand.

        Raises
        ------
        PredictorMismatch
            If the note does not fit.
        """
        if table_sha256(table) != self.table_sha256:
            raise PredictorMismatch(f"{table}: not the table that the note beside it describes; score the folder again")
        if fingerprint != self.predictor_sha256:
            raise PredictorMismatch(
                f"{table}: scored by predictor {self.predictor_name} {self.predictor_sha256[:12]}…, not by "
                f"{fingerprint[:12]}…; score the folder again"
            )

    @classmethod
    def read(cls, table: Path, *, optional: bool = False) -> Self | None:
        """Read the note beside a table; None if there is none and that is allowed.

        Raises
        ------
        UsageError
            If there is none.
        PrescreenError
            If it cannot be read.
        """
        path = _beside(table)
        try:
            content = json.loads(read_bounded(path, MAX_NOTE_BYTES))
            if content.get("kind") == ZERO_SHOT:
                raise UsageError(f"{table}: an order by words alone, without scores; score the folder with a predictor")
            before = content.pop(_BEFORE, None)
            if before is not None and table.exists() and table_sha256(table) == before["table_sha256"]:
                content = before
            return cls(**content | {name: tuple(content[name]) for name in ("traits", "inputs")})._checked()
        except FileNotFoundError:
            if optional:
                return None
            if table.is_dir():
                raise UsageError(
                    f"{shown(table)}: a folder without scores; score it first: "
                    f"prescreen score {shown(table)} --predictor MODEL --output scores.csv"
                ) from None
            if not table.exists():
                raise UsageError(f"{table}: no such file; give what prescreen score wrote") from None
            raise UsageError(
                f"{shown(table)}: not known to be scores, {path.name} is not beside it; "
                "give the table that prescreen score wrote"
            ) from None
        except OSError as error:
            raise PrescreenError(f"{path}: cannot be read ({error.strerror}); score the folder again") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise PrescreenError(f"{path}: cannot be read ({type(error).__name__}); score the folder again") from error

    def _checked(self) -> Self:
        """Refuse fields of another kind than their annotation.

        Raises
        ------
        TypeError, UnicodeEncodeError
            If one is, or no file can have the name.
        """
        for part in fields(self):
            found = getattr(self, part.name)
            if part.type in (str, int, bool) and type(found) is not part.type:
                raise TypeError(f"{part.name} is {found!r}")
        texts = (*self.traits, *self.inputs, *self.versions, *self.versions.values())
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("traits, inputs and versions are texts")
        if not isinstance(self.faults, dict) or not all(type(number) is int for number in self.faults.values()):
            raise TypeError("faults are counted")
        for place in (self.predictor, *self.inputs):
            os.fsencode(place)  # half a character cannot be looked for
        return self


def _as_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def _beside(table: Path) -> Path:
    return table.with_name(f"{table.name}.meta.json")
