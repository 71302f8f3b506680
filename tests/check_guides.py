"""Runs the commands of guides on the sample and compares what they print: ``make docs``.

In a ``console`` block, a line ``$ command`` is run in a folder that holds ``rated/``, ``votes.csv``, ``portraits/``,
``now.jpg`` and ``results.csv`` of the sample; the lines below it are what it prints. Numbers, run ids and the place of
the store may differ, and a line ``...`` stands for any number of lines. Blocks with another language are not run.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


TAKES_TIME = "estimate   "  # a slow machine says how long embedding will take, a fast one does not


def commands(guide: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a guide with the lines that it is said to print."""
    for block in BLOCK.findall(guide):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.rstrip("\n").split("\n")
            length = next(i for i, line in enumerate(lines) if not line.endswith("\\")) + 1
            yield "\n".join(lines[:length]), lines[length:]


def normalised(line: str) -> str:
    line = line.rsplit("\r", 1)[-1]  # what remains on the screen after a progress bar
    line = re.sub(r"\b[0-9a-f]{32}\b|sqlite:\S+db", "#", line)
    return " ".join(re.sub(r"\b(?:over|under) #", "#", re.sub(r"[-+]?\d+(\.\d+)?", "#", line)).split())


def matches(expected: list[str], actual: list[str]) -> bool:
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in expected)
    return re.fullmatch(pattern, "".join(line + "\n" for line in actual)) is not None


def check(guides: list[Path], folder: Path) -> int:
    """Run the guides one after the other in one folder; returns the number of commands that did not do as told."""
    shutil.copytree(SAMPLE / "training" / "images", folder / "rated")
    shutil.copytree(SAMPLE / "candidates", folder / "portraits")
    shutil.copy(SAMPLE / "training" / "votes.csv", folder)
    shutil.copy(SAMPLE / "baseline.jpg", folder / "now.jpg")
    shutil.copy(SAMPLE / "results.csv", folder)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    wrong = 0
    for guide in guides:
        found = list(commands(guide.read_text("utf-8")))
        if not found:
            print(f"{guide}: no command in it")
            wrong += 1
        for command, expected in found:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=600,
            )
            printed = done.stdout.decode().rstrip("\n")
            told = [normalised(line) for line in expected if line.strip()]
            lines = [line for line in printed.split("\n") if not line.startswith(TAKES_TIME)]
            actual = [text for line in lines if (text := normalised(line))]
            right = done.returncode == 0 and matches(told, actual)
            print(f"{'ok   ' if right else 'WRONG'} {guide.name}: {command.splitlines()[0]}")
            if not right:
                shown = "\n".join(line.rsplit("\r", 1)[-1] for line in printed.split("\n"))
                print(f"exit code {done.returncode}; it printed\n{shown}\nand the guide says\n" + "\n".join(expected))
                wrong += 1
    return wrong


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        sys.exit(min(1, check([Path(name) for name in sys.argv[1:]], Path(place))))
