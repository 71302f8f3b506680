"""One demo run that the end-to-end tests look at from all sides."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "sample"


@dataclass(frozen=True)
class Shell:
    """Runs prescreen as a user does, in a folder of its own and with a cache of its own."""

    folder: Path
    cache: Path

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
        environment |= {"PRESCREEN_CACHE": str(self.cache), "HF_HUB_OFFLINE": "1", "HF_HOME": str(self.cache / "hub")}
        return subprocess.run(
            [sys.executable, "-m", "prescreen", *map(str, words)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
        )


@pytest.fixture(scope="session")
def shell(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    return Shell(folder, folder / "cache")


@pytest.fixture(scope="session")
def demo(shell):
    """The demo's output folder, after a run that must have gone well."""
    done = shell("demo", "--output", "demo", "--sample", SAMPLE)
    assert done.returncode == 0, done.stderr
    (shell.folder / "demo.txt").write_text(done.stdout)
    return shell.folder / "demo"
