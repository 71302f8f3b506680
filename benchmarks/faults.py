"""Kills prescreen at random moments, fills its disk, runs it twice at once, and looks at what is left.

Claim: after any of these each output is the old one or the new one, the cache verifies, no MLflow run stays open after
the next start, and a rerun gives what an undisturbed run gives.

    python benchmarks/faults.py --times 100
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prescreen.cache import EmbeddingCache
from prescreen.errors import PrescreenError
from prescreen.predictor import Predictor
from prescreen.provenance import ScoresNote

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
RERUN_EVERY = 5


@dataclass
class Count:
    """One row of the table: how often a fault came, and how often an output was missing or something was wrong."""

    injected: int = 0
    lost: int = 0
    wrong: int = 0


@dataclass(frozen=True)
class Verb:
    """A command, what stood in the place of its output before, and how the output is told."""

    name: str
    words: list[str]
    old_words: list[str]
    output: str
    identify: Callable[[Path], str]


class Place:
    """A working folder with its own cache, in which prescreen runs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"

    def start(self, words: list[str], cache: Path | None = None) -> subprocess.Popen[bytes]:
        """Start prescreen in a process group of its own."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
        environment |= {"PRESCREEN_CACHE": str(cache or self.cache), "HF_HUB_OFFLINE": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "prescreen", *words],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, words: list[str], cache: Path | None = None) -> tuple[int, str]:
        """Run prescreen; return its exit code and what it said."""
        process = self.start(words, cache)
        message = process.communicate()[1].decode(errors="replace")
        return process.returncode, message

    def done(self, words: list[str]) -> None:
        """Run prescreen, which must go well."""
        code, message = self.run(words)
        if code:
            raise SystemExit(f"{' '.join(words)} failed without a fault: {message}")

    def open_runs(self) -> int:
        """Count MLflow runs that nobody closed."""
        store = self.folder / "mlruns" / "mlflow.db"
        if not store.is_file():
            return 0
        with sqlite3.connect(store) as database:
            return int(database.execute("SELECT COUNT(*) FROM runs WHERE status = 'RUNNING'").fetchone()[0])

    def cache_is_sound(self) -> bool:
        """Tell whether every vector in the cache is intact."""
        if not self.cache.is_dir():
            return True
        with EmbeddingCache(self.cache / "embeddings.sqlite") as cache:
            return cache.verify()[1] == 0


def scores(table: Path) -> str:
    """Identify a table of scores whose note fits it."""
    note = ScoresNote.read(table)
    note.check(table, note.predictor_sha256)
    return note.table_sha256


def ranking(table: Path) -> str:
    return hashlib.sha256(table.read_bytes()).hexdigest()


def predictor(directory: Path) -> str:
    return Predictor.load(directory).fingerprint


def verbs() -> list[Verb]:
    train = ["train", "--ratings", str(SAMPLE / "training" / "votes.csv"), "--encoder", "bundled", "--simulated"]
    pictures = [str(path) for path in sorted((SAMPLE / "candidates").glob("*.jpg"))[:12]]
    score = ["score", "--predictor", "first", "--output", "scores.csv"]
    rank = ["rank", "first.csv", "--baseline", "competence=5,likeability=5,influence=5", "--output", "shortlist.csv"]
    return [
        Verb("score", [*score, *pictures], [*score, *pictures[:6]], "scores.csv", scores),
        Verb("rank", [*rank, "--budget", "3"], [*rank, "--budget", "2"], "shortlist.csv", ranking),
        Verb(
            "train",
            [*train, "--output", "model", "--seed", "0"],
            [*train, "--output", "model", "--seed", "1"],
            "model",
            predictor,
        ),
    ]


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.meta.json").unlink(missing_ok=True)


def prepare(place: Place, verb: Verb) -> tuple[dict[str, str], float, Path]:
    """Make the old output and the new one undisturbed; keep the old one aside."""
    output, aside = place.folder / verb.output, place.folder / "aside" / verb.name
    place.done(verb.old_words)
    old = verb.identify(output)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for path in place.folder.glob(f"{verb.output}*"):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, aside / path.name)
    begun = time.monotonic()
    place.done(verb.words)
    return {old: "old", verb.identify(output): "new"}, time.monotonic() - begun, aside


def killed(place: Place, verb: Verb, times: int, dice: random.Random) -> Count:
    """Kill a verb at random moments; check what is left each time, and a rerun now and then."""
    known, seconds, aside = prepare(place, verb)
    new, output, count = next(key for key, age in known.items() if age == "new"), place.folder / verb.output, Count()
    if len(known) < 2:
        raise SystemExit(f"{verb.name}: the old output equals the new one, which proves nothing")
    for number in range(times):
        remove(output)
        for path in aside.iterdir():
            (shutil.copytree if path.is_dir() else shutil.copy)(path, place.folder / path.name)
        if verb.name == "score" and dice.random() < 0.5:
            shutil.rmtree(place.cache, ignore_errors=True)
        process = place.start(verb.words)
        try:
            process.wait(timeout=dice.uniform(0.1, 1.05) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            count.injected += 1
        process.communicate()
        rerun = number % RERUN_EVERY == RERUN_EVERY - 1
        judge(place, verb, known, count, new if rerun else None)
    return count


def judge(place: Place, verb: Verb, known: dict[str, str], count: Count, new: str | None) -> None:
    output = place.folder / verb.output
    try:
        sound = verb.identify(output) in known
    except (PrescreenError, OSError):
        sound = False
    count.lost += not output.exists()
    count.wrong += not (sound and place.cache_is_sound())
    if new is not None:
        place.done(verb.words)
        count.wrong += verb.identify(output) != new or place.open_runs() > 0


def twice_at_once(place: Place, verb: Verb, times: int) -> Count:
    known, _, _ = prepare(place, verb)
    count = Count()
    for _ in range(times):
        shutil.rmtree(place.cache, ignore_errors=True)
        both = [place.start(verb.words) for _ in range(2)]
        failed = sum(bool(process.communicate() and process.returncode) for process in both)
        count.injected += 1
        count.lost += failed
        judge(place, verb, known, count, None)
    return count


def disk_full(place: Place, verb: Verb, sizes: list[int]) -> Count | None:
    """Let the disk be full in a small tmpfs that holds the cache; None where no tmpfs can be mounted."""
    known, _, _ = prepare(place, verb)
    count, small = Count(), place.folder / "small"
    small.mkdir()
    for size in sizes:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(small)], capture_output=True, check=False
        )
        if mounted.returncode:
            return None
        try:
            code, message = place.run(verb.words, small)
            count.injected += code != 0
            clear = code in (0, 1) and "Traceback" not in message
            judge(place, verb, known, count, None)
            count.wrong += not clear
        finally:
            subprocess.run(["umount", str(small)], check=True)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100, help="kills of each verb")
    parser.add_argument("--verbs", default="score,rank,train")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dice, begun = random.Random(given.seed), time.monotonic()  # noqa: NPY002 - when to kill is nothing to analyse
    rows: list[tuple[str, Count | None]] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        chosen = {verb.name: verb for verb in verbs()}
        train = chosen["train"].words
        place.done([*train[: train.index("--output")], "--output", "first"])
        place.done(["score", str(SAMPLE / "candidates"), "--predictor", "first", "--output", "first.csv"])
        rows += [
            (f"kill -9 during {name}", killed(place, chosen[name], given.times, dice))
            for name in given.verbs.split(",")
        ]
        rows.append(("two runs of score at once", twice_at_once(place, chosen["score"], max(1, given.times // 20))))
        rows.append(("disk full under the cache", disk_full(place, chosen["score"], [16, 64, 256, 512])))
    print(f"{'fault':32}{'injected':>10}{'lost':>7}{'wrong':>7}")
    for fault, count in rows:
        print(
            f"{fault:32}" + (f"{count.injected:10}{count.lost:7}{count.wrong:7}" if count else "   not possible here")
        )
    print(f"{time.monotonic() - begun:.0f} s, seed {given.seed}")
    if any(count and (count.lost or count.wrong) for _, count in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
