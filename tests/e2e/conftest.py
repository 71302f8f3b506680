"""One demo run that the end-to-end tests look at from all sides."""

import contextlib
import os
import shutil
import subprocess
import sys
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner

from compiled import compiled_once
from prescreen.cli.main import main

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "sample"


@dataclass(frozen=True)
class Shell:
    """Runs prescreen in a folder of its own and with a cache of its own: called, in this process."""

    folder: Path
    cache: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
        return kept | {"PRESCREEN_CACHE": str(self.cache), "HF_HUB_OFFLINE": "1", "HF_HOME": str(self.cache / "hub")}

    def __call__(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = patch.dict(os.environ, self.environment)
        with contextlib.chdir(self.folder), environment, compiled_once(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as a user's process does with those of libraries
            done = CliRunner().invoke(main, [str(word) for word in words], prog_name="prescreen")
        broken = done.exception and not isinstance(done.exception, SystemExit)
        told = "".join(traceback.format_exception(done.exception)) if broken else ""
        return subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr + told)

    def process(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it as a user does, in a process of its own; that takes seconds longer."""
        return subprocess.run(
            [sys.executable, "-m", "prescreen", *map(str, words)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=500,
        )


@pytest.fixture(scope="session")
def shell(tmp_path_factory, networks):
    folder = tmp_path_factory.mktemp("work")
    return Shell(folder, Path(shutil.copytree(networks, folder / "cache")))


@pytest.fixture(scope="session")
def demo(shell):
    """The demo's output folder, after a run that must have gone well."""
    done = shell.process("demo", "--output", "demo", "--sample", SAMPLE)
    assert done.returncode == 0, done.stderr
    (shell.folder / "demo.txt").write_text(done.stdout)
    return shell.folder / "demo"
