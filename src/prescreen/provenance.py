"""Where results come from: versions, the git commit, and the note beside a table of scores."""

import hashlib
import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Self

from prescreen.errors import PredictorMismatch, PrescreenError, UsageError
from prescreen.tables import write_text_atomic

_LIBRARIES: Final = {
    "prescreen": "portrait-prescreen",
    "numpy": "numpy",
    "pillow": "pillow",
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
    found = {"python": platform.python_version()}
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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_commit() -> str:
    """Return the commit of the working directory, ``-dirty`` if it has changes, or the empty text outside of git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return described.stdout.strip()


@dataclass(frozen=True)
class ScoresNote:
    """What stands in ``OUTPUT.meta.json`` beside a table of scores.

    Parameters
    ----------
    table_sha256 : str
        SHA-256 of the table.
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
    tolerant : bool
        Whether truncated pictures were let through.
    simulated : bool
        Whether the predictor was trained on simulated votes.
    versions : dict of str to str
        As `versions` returned them.
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

    def write(self, table: Path) -> None:
        """Write the note beside a table."""
        write_text_atomic(_beside(table), json.dumps(asdict(self), indent=2) + "\n")

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
        if file_sha256(table) != self.table_sha256:
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
            content = json.loads(path.read_text("utf-8"))
            return cls(**content | {name: tuple(content[name]) for name in ("traits", "inputs")})
        except FileNotFoundError:
            if optional:
                return None
            raise UsageError(f"{path}: not found; it stands beside the scores that prescreen score writes") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise PrescreenError(f"{path}: cannot be read ({type(error).__name__}); score the folder again") from error


def _beside(table: Path) -> Path:
    return table.with_name(f"{table.name}.meta.json")
