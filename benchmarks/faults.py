"""Kills prescreen at random moments, fills its disk, forbids writing, moves the clock, runs it twice at once.

Claim: after any of these each output is the old one or the new one, the cache verifies, no MLflow run stays open after
the next start, a failed command says so in one line, and a rerun gives the same as an undisturbed run.

A run is a process that was forked from one that has everything imported already, so that kills fall into the work.
Old and new outputs differ by a seed, a budget or the pictures. Every second run begins without a cache, and every fifth
is followed by an undisturbed one. "lost" counts outputs that were gone, "wrong" everything else that the claim forbids.
Small disks and read-only places are mounted, which needs the rights of root; clocks are moved by libfaketime, if it is
installed.

    python benchmarks/faults.py --seconds 600
"""

import argparse
import contextlib
import glob
import importlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from fault_trials import PICTURES, Count, Place, Trial, content, verbs

LIBFAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"
IMPORTED = ("mlflow", "sklearn.kernel_ridge", "lightgbm", "openvino", "matplotlib.pyplot", "prescreen.workflow.train")


@contextlib.contextmanager
def mounted(folder: Path, kilobytes: int | None) -> Iterator[None]:
    """Put a folder's content on a disk with so much space left, or a read-only one; keep the result."""
    apart = folder.with_name(f"{folder.name}-apart")
    shutil.copytree(folder, apart)
    pages = sum(2 + path.stat().st_size // 4096 for path in folder.rglob("*"))
    size = f"size={4 * pages + (kilobytes or 1024)}k"
    command(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)])
    try:
        shutil.copytree(apart, folder, dirs_exist_ok=True)
        if kilobytes is None:
            command(["mount", "-o", "remount,ro", str(folder)])
        yield
        shutil.rmtree(apart)
        shutil.copytree(folder, apart)
    finally:
        command(["umount", str(folder)])
        shutil.rmtree(folder)
        apart.rename(folder)


def command(words: list[str]) -> None:
    subprocess.run(words, check=True, capture_output=True)


def can_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a").mkdir()
        try:
            with mounted(Path(folder) / "a", 16):
                return True
        except (subprocess.CalledProcessError, OSError):
            return False


def at_once(one: Trial, other: Trial, dice: random.Random) -> None:
    """Start two runs at the same time; both must succeed."""
    for trial in {one.verb.name: one, other.verb.name: other}.values():
        trial.restore(dice)
    place = one.place
    for process in [place.start(trial.verb.words) for trial in (one, other)]:
        code, message = place.end(process)
        one.count.expect(code == 0, f"exit code {code}: {message}")
    one.count.injected += 1
    one.judge(rerun=True)


def jump(trial: Trial, dice: random.Random, library: str) -> None:
    """Move the clock by up to three years, back or ahead, while the verb runs."""
    trial.restore(dice)
    clock = trial.place.folder / "clock"
    clock.write_text("+0d")
    faked = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    faked |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "PRESCREEN_CACHE": str(trial.place.cache)}
    process = subprocess.Popen(
        [sys.executable, "-m", "prescreen", *trial.verb.words],
        cwd=trial.place.folder,
        env=os.environ | faked,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(dice.uniform(0, 1.5) * trial.seconds)
    clock.write_text(f"{dice.choice((-1, 1)) * dice.randrange(1, 1000):+d}d")
    message = process.communicate()[1]
    trial.count.injected += 1
    trial.count.expect(process.returncode == 0, f"exit code {process.returncode}: {message}")
    # libfaketime makes time.sleep fail where the clock has just been moved, for instance while processes end.
    trial.judge("" if "OSError: [Errno 22] Invalid argument" in message else message)
    trial.count.expect(trial.identify() == trial.new, "another result")


def old_times(trial: Trial, dice: random.Random) -> None:
    """Change pictures between two runs and give them times from the past or the future."""
    folder, table = trial.place.folder / "changing", trial.place.folder / "changing.csv"
    folder.mkdir(exist_ok=True)
    for path in map(Path, dice.sample(PICTURES, 4)):
        target = folder / f"{dice.randrange(4)}.jpg"
        target.write_bytes(path.read_bytes())
        moment = dice.uniform(0, 2**32)
        os.utime(target, (moment, moment))
    trial.place.done(["score", "changing", "--predictor", "first", "--output", table.name])
    trial.count.injected += 1
    read = pd.read_csv(table).set_index("image")["content"]
    actual = {path.name: content(path) for path in folder.iterdir()}
    trial.count.expect(read.to_dict() == actual, "scores of pictures as they were before")


def prepare(folder: Path) -> tuple[Place, dict[str, Trial]]:
    """Import, train and score once without faults."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    for name in [name for name in os.environ if name.startswith("MLFLOW_TRACKING")]:
        del os.environ[name]
    for module in IMPORTED:
        importlib.import_module(module)
    place, commands = Place(folder), verbs(folder)
    first = commands["train"].words
    place.done([word.replace("out/model", "first") for word in first])
    place.done(["score", *PICTURES, "--predictor", "first", "--output", "first.csv"])
    return place, {name: Trial(place, verb) for name, verb in commands.items()}


def other_faults(trials: dict[str, Trial], dice: random.Random) -> Iterator[tuple[str, Count | None]]:
    """Inject everything but kills; None where this machine cannot."""
    mounts = can_mount()
    for what, verb, folder, sizes in (
        ("disk full under the cache", "score", "cache", (8, 16, 32, 64, 128, 256)),
        ("disk full under the scores", "score", "out", (4, 8, 12)),
        ("disk full under the predictor", "train", "out", (4, 64, 512)),
        ("disk full under the shortlist", "rank", "out", (4, 8)),
        ("read-only cache", "score", "cache", (None,)),
        ("read-only folder of outputs", "score", "out", (None,)),
        ("read-only folder of outputs, train", "train", "out", (None,)),
    ):
        trial = trials[verb]
        trial.count = Count()
        for size in sizes if mounts else ():
            place = trial.place.folder / folder
            trial.fail(dice, lambda place=place, size=size: mounted(place, size))
        yield what, trial.count if mounts else None
    for one, other in (("score", "score"), ("score", "cache clear"), ("train", "train"), ("learn", "learn")):
        trials[one].count = Count()
        for _ in range(3):
            at_once(trials[one], trials[other], dice)
        yield f"{one} and {other} at once", trials[one].count
    library = next(iter(glob.glob(LIBFAKETIME)), None)
    for verb in ("score", "train"):
        trials[verb].count = Count()
        for _ in range(3 if library else 0):
            jump(trials[verb], dice, str(library))
        yield f"clock jumps during {verb}", trials[verb].count if library else None
    trials["score"].count = Count()
    for _ in range(5):
        old_times(trials["score"], dice)
    yield "pictures changed, with old or future times", trials["score"].count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="how long to go on killing")
    parser.add_argument("--verbs", default="score,rank,train,learn,cache clear")
    parser.add_argument("--kills-only", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dice, begun = random.Random(given.seed), time.monotonic()  # noqa: NPY002 - when to kill is nothing to analyse
    with tempfile.TemporaryDirectory() as folder:
        _, trials = prepare(Path(folder))
        print(
            f"undisturbed: {', '.join(f'{name} {trial.seconds:.1f} s' for name, trial in trials.items())}", flush=True
        )
        rows = []
        for fault, count in [] if given.kills_only else other_faults(trials, dice):
            rows.append((fault, count))
            show(fault, count)
        for trial in trials.values():
            trial.count = Count()
        end = time.monotonic() + given.seconds
        chosen = [trials[name] for name in given.verbs.split(",")]
        while time.monotonic() < end:
            for trial in chosen:
                for _ in range(trial.verb.weight):
                    trial.kill(dice)
        for trial in chosen:
            rows.append((f"kill -9 during {trial.verb.name}", trial.count))
            show(*rows[-1])
    print(f"{time.monotonic() - begun:.0f} s, seed {given.seed}")
    if any(count and (count.lost or count.wrong) for _, count in rows):
        raise SystemExit(1)


def show(fault: str, count: Count | None) -> None:
    numbers = f"{count.injected:10}{count.lost:7}{count.wrong:7}" if count else "   not possible here"
    print(f"{fault:44}{numbers}", *(count.said if count else ()), sep="\n    ", flush=True)


if __name__ == "__main__":
    main()
