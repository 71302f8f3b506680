"""Where results come from: versions of libraries, and the metadata next to a table of scores."""

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
"""Key of the metadata being replaced, as long as the new table is not written."""

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
"""Kind of the metadata next to a zero-shot ranking, which has no scores."""


@dataclass(frozen=True)
class ScoresMetadata:
    """Content of ``OUTPUT.meta.json`` next to a table of scores.

    Parameters
    ----------
    table_sha256 : str
        As from `table_sha256`.
    predictor : str
        Absolute directory or MLflow model URI.
    predictor_name, predictor_sha256, encoder, encoder_sha256 : str
        Name and fingerprint of the predictor and of its encoder.
    traits, inputs : tuple of str
        Traits scored; absolute folders and files that were given.
    scored, failed : int
        Numbers of pictures.
    tolerant, simulated : bool
        Whether truncated pictures were accepted; whether the predictor was trained on simulated votes.
    versions : dict of str to str
        As from `versions`.
    canaries : str
        Result of `prescreen.predictor.reproducibility`.
    faults : dict of str to int
        Failures by kind; missing in files of older versions.
    precision : str
        Of the vectors, ``f32`` or ``bf16``; missing in files of older versions.
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
    precision: str = ""

    def write(self, table: Path, put: Callable[[], object]) -> None:
        """Write a table and its metadata as one: a kill at any moment leaves the old pair or the new one.

        The metadata come first and carry the old ones until the table has followed.

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
        with contextlib.suppress(PrescreenError):  # unreadable metadata are not worth keeping
            before = type(self).read(table, optional=True)
        note = asdict(self)
        write_text_atomic(_metadata_path(table), _as_json(note | ({_BEFORE: asdict(before)} if before else {})))
        put()
        if before:
            write_text_atomic(_metadata_path(table), _as_json(note))

    def check(self, table: Path, fingerprint: str) -> None:
        """Refuse a table that was changed or left over, or that another predictor than this fingerprint made.

        Raises
        ------
        PredictorMismatch
            If it is.
        """
        if table_sha256(table) != self.table_sha256:
            raise PredictorMismatch(
                f"{table}: not the table that {_metadata_path(table).name} describes; score the folder again"
            )
        if fingerprint != self.predictor_sha256:
            raise PredictorMismatch(
                f"{table}: scored by predictor {self.predictor_name} {self.predictor_sha256[:12]}…, not by "
                f"{fingerprint[:12]}…; score the folder again"
            )

    @classmethod
    def read(cls, table: Path, *, optional: bool = False) -> Self | None:
        """Read the metadata next to a table; None if there are none and that is allowed.

        Raises
        ------
        UsageError
            If there are none.
        PrescreenError
            If they cannot be read.
        """
        path = _metadata_path(table)
        try:
            content = json.loads(read_bounded(path, MAX_NOTE_BYTES))
            if content.get("kind") == ZERO_SHOT:
                raise UsageError(f"{table}: a zero-shot ranking, without scores; score the folder with a predictor")
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
                f"{shown(table)}: not known to be scores, {path.name} is not next to it; "
                "give the table that prescreen score wrote"
            ) from None
        except OSError as error:
            raise PrescreenError(f"{path}: cannot be read ({error.strerror}); score the folder again") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise PrescreenError(f"{path}: cannot be read ({type(error).__name__}); score the folder again") from error

    def _checked(self) -> Self:
        """Refuse fields of another type than their annotation (TypeError), or that no file name can be (ValueError)."""
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


def _metadata_path(table: Path) -> Path:
    return table.with_name(f"{table.name}.meta.json")
