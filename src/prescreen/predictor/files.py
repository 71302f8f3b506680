"""The directory of a predictor: written whole, and read whole or refused.

::

    models/NAME/
      manifest.json          what it is, what it was trained on, and the SHA-256 of the other files
      arrays.safetensors     regressors and calibration, and the regressors of its bases
      regressors.json        configuration of the regressors
      evaluation.json        how well it did in cross-validation
      canaries.safetensors   drawn pictures with their predictions at training
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prescreen.errors import PredictorError, PredictorNotFound
from prescreen.progress import ProgressReporter
from prescreen.storage.atomic import recover_folder, replace_folder
from prescreen.storage.bounded_files import MAX_ARRAYS_BYTES, MAX_JSON_BYTES, MAX_NOTE_BYTES, read_bounded

FORMAT: Final = 1


@dataclass(frozen=True)
class PredictorFiles:
    """Names of the files of a saved predictor."""

    manifest: str = "manifest.json"
    arrays: str = "arrays.safetensors"
    regressors: str = "regressors.json"
    evaluation: str = "evaluation.json"
    canaries: str = "canaries.safetensors"

    @property
    def content(self) -> tuple[str, ...]:
        """The files whose hashes are in the manifest; older predictors have no canaries."""
        return self.arrays, self.regressors, self.evaluation, self.canaries


FILES: Final = PredictorFiles()

_LIMITS: Final = {
    FILES.arrays: MAX_ARRAYS_BYTES,
    FILES.regressors: MAX_JSON_BYTES,
    FILES.evaluation: MAX_NOTE_BYTES,
    FILES.canaries: MAX_NOTE_BYTES,
}
"""How large each file may be, in bytes."""


def check_place(directory: Path) -> None:
    """Refuse a directory with anything else than an older predictor in it.

    Raises
    ------
    PredictorError
        If something would be lost.
    """
    if not _is_free(directory):
        raise PredictorError(
            f"{directory}: exists and is not a predictor, or has other files in it; choose another place with --output"
        )


def announce_overwrite(directory: Path, reporter: ProgressReporter) -> None:
    """Refuse a directory as `check_place` does, and report a predictor that will be overwritten."""
    check_place(directory)
    if (directory / FILES.manifest).is_file():
        reporter.info(f"output     {directory}: will overwrite the predictor there")


def write_files(directory: Path, manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """Write manifest and files; a crash leaves the old directory or the new one, never half.

    Raises
    ------
    PredictorError
        If the directory holds something else than a predictor, or cannot be written.
    """
    check_place(directory)
    sealed = {"format": FORMAT, **manifest, "files": digests(contents)}
    written = {**contents, FILES.manifest: (json.dumps(sealed, indent=2) + "\n").encode()}
    try:
        replace_folder(directory, written, can_replace=_is_free)
    except OSError as error:
        raise PredictorError(f"{directory}: cannot be written ({error.strerror or error})") from error


def read_files(directory: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read manifest and files of one predictor, even if another one overwrites it meanwhile.

    Returns
    -------
    tuple of dict
        The manifest, and the content of each other file by its name.

    Raises
    ------
    PredictorNotFound
        If there is no manifest.
    PredictorError
        If a file is damaged, lacking, no plain file or too large, or another version of prescreen wrote them.
    """
    recover_folder(directory)
    while True:
        before = _identity(directory)
        try:
            return _read_files_once(directory)
        except PredictorError:
            if _identity(directory) == before:
                raise


def _read_files_once(directory: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    manifest = _read_manifest(directory)
    contents = {}
    for name, expected in manifest.pop("files").items():
        try:
            contents[name] = read_bounded(directory / Path(name).name, _LIMITS[name])
        except OSError as error:
            raise PredictorError(f"{directory}: {name} cannot be read ({error.strerror})") from error
        if hashlib.sha256(contents[name]).hexdigest() != expected:
            raise PredictorError(f"{directory}: {name} is damaged: it is not the file that the manifest describes")
    return manifest, contents


def _identity(directory: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(directory)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _read_manifest(directory: Path) -> dict[str, Any]:
    path = directory / FILES.manifest
    if not path.is_file():
        raise PredictorNotFound(f"{directory}: no predictor there (no {FILES.manifest}); prescreen train makes one")
    try:
        manifest = json.loads(read_bounded(path, MAX_NOTE_BYTES))
        version = manifest.pop("format")
        files = manifest["files"]
    except OSError as error:
        raise PredictorError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise PredictorError(f"{path}: cannot be read as a manifest ({type(error).__name__})") from error
    if version != FORMAT:
        raise PredictorError(f"{directory}: predictor format {version}, this version reads {FORMAT}; train it again")
    if not isinstance(files, dict) or set(files) | {FILES.canaries} != set(FILES.content):
        raise PredictorError(f"{path}: expected the files {', '.join(FILES.content)}")
    result: dict[str, Any] = manifest
    return result


def digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file, 64 hexadecimal digits, by its name."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _is_free(directory: Path) -> bool:
    """Whether nothing is lost if a predictor is written there: nothing else than an older one is there."""
    if not directory.is_dir():
        return not directory.exists()
    names = {path.name for path in directory.iterdir()}
    return not names or (FILES.manifest in names and names <= {FILES.manifest, *FILES.content})
