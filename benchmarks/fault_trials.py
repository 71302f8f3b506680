"""Commands that run under faults, and comparisons of their outputs before and afterwards.

Part of the benchmark `faults.py`.
"""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from prescreen.embeddings.cache import EmbeddingCache
from prescreen.errors import PrescreenError
from prescreen.predictor.predictor import Predictor
from prescreen.storage.provenance import ScoresMetadata

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
PICTURES = [str(path) for path in sorted((SAMPLE / "candidates").glob("*.jpg"))[:10]]
RERUN_EVERY = 5
CACHE = "cache/embeddings.sqlite"


@dataclass
class Count:
    """One row of the table: how often a fault came, and how often an output was missing or something was wrong."""

    injected: int = 0
    lost: int = 0
    wrong: int = 0
    said: list[str] = field(default_factory=list)

    def expect(self, holds: bool, what: str) -> None:
        """Count a failed expectation."""
        self.wrong += not holds
        if not holds:
            self.said.append(what)


@dataclass(frozen=True)
class Verb:
    """A command, its outputs before, and how to identify an output."""

    name: str
    words: list[str]
    old_words: list[str]
    outputs: dict[str, Callable[[Path], str]]
    weight: int = 1  # kills of it in a cycle


class Place:
    """A working folder with its own cache, in which prescreen runs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"

    def start(self, words: list[str]) -> int:
        """Start prescreen in a process; its id."""
        process = os.fork()
        if process:
            return process
        code = 70
        try:
            os.setsid()
            os.chdir(self.folder)
            os.environ["PRESCREEN_CACHE"] = str(self.cache)
            said = os.open(self.folder / f"said-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for number, descriptor in ((1, os.open(os.devnull, os.O_WRONLY)), (2, said)):
                os.dup2(descriptor, number)
            from prescreen.cli.main import main

            main(words, standalone_mode=True)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def end(self, process: int) -> tuple[int, str]:
        """Wait for a process; its exit code, negative for a signal, and its standard error."""
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        said = self.folder / f"said-{process}"
        message = said.read_text("utf-8", "replace") if said.exists() else ""
        said.unlink(missing_ok=True)
        return code, message

    def run(self, words: list[str]) -> tuple[int, str]:
        """Run prescreen; its exit code and its messages."""
        return self.end(self.start(words))

    def done(self, words: list[str]) -> None:
        """Run prescreen, which must succeed."""
        code, message = self.run(words)
        if code:
            raise SystemExit(f"{' '.join(words)} failed without a fault ({code}): {message}")

    def open_runs(self) -> int:
        """Count MLflow runs that nobody closed."""
        with contextlib.closing(sqlite3.connect(self.folder / "mlruns" / "mlflow.db")) as database:
            return int(database.execute("SELECT COUNT(*) FROM runs WHERE status = 'RUNNING'").fetchone()[0])

    def cache_is_sound(self) -> bool:
        """Return whether every vector in the cache is intact."""
        if not (self.cache / "embeddings.sqlite").is_file():
            return True
        with EmbeddingCache(self.cache / "embeddings.sqlite") as cache:
            return cache.verify()[1] == 0


def scores(table: Path) -> str:
    """Identify a table of scores whose note fits it."""
    note = ScoresMetadata.read(table)
    note.check(table, note.predictor_sha256)
    return note.table_sha256


def content(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def predictor(directory: Path) -> str:
    return Predictor.load(directory).fingerprint


def vectors(file: Path) -> str:
    """Identify a cache by its number of vectors."""
    with EmbeddingCache(file) as cache:
        return str(sum(each.vectors for each in cache.stats()))


def verbs(folder: Path) -> dict[str, Verb]:
    """Return the commands; their ratings are those of 24 of the sample's portraits."""
    votes = pd.read_csv(SAMPLE / "training" / "votes.csv", dtype={"image": str})
    votes = votes[votes["image"].isin(sorted(votes["image"].unique())[::5])]
    votes.to_csv(folder / "votes.csv", index=False)
    results = pd.read_csv(SAMPLE / "results.csv")
    results.assign(image=["001.jpg", "002.jpg", "003.jpg"]).to_csv(folder / "new.csv", index=False)
    results.assign(image=["001.jpg", "002.jpg", "003.jpg"]).iloc[:2].to_csv(folder / "old.csv", index=False)
    train = ["train", "--ratings", "votes.csv", "--images", str(SAMPLE / "training" / "images")]
    train += ["--encoder", "bundled", "--simulated", "--output", "out/model", "--seed"]
    score = ["score", "--predictor", "first", "--output", "out/scores.csv"]
    baseline = ["--baseline", "competence=5,likeability=5,influence=5"]
    rank = ["rank", "first.csv", *baseline, "--output", "out/shortlist.csv", "--budget"]
    learn = ["--predictor", "first", "--output", "out/me", "--scores", "first.csv", *baseline]
    learn += ["--shortlist", "out/next.csv"]
    learned = {"out/me": predictor, "out/next.csv": content}
    found = [
        Verb("score", [*score, *PICTURES], [*score, *PICTURES[:4]], {"out/scores.csv": scores}, 6),
        Verb("rank", [*rank, "3"], [*rank, "2"], {"out/shortlist.csv": content}, 10),
        Verb("train", [*train, "0"], [*train, "1"], {"out/model": predictor}),
        Verb("learn", ["learn", "new.csv", *learn], ["learn", "old.csv", *learn], learned, 2),
        Verb("cache clear", ["cache", "clear", "--yes"], ["cache", "info"], {CACHE: vectors}, 10),
    ]
    return {verb.name: verb for verb in found}


class Trial:
    """One verb with copies of its old and new outputs."""

    def __init__(self, place: Place, verb: Verb) -> None:
        self.place, self.verb, self.count = place, verb, Count()
        self.aside = place.folder / "aside" / verb.name
        place.done(verb.old_words)
        self.old = self.identify()
        copy(place.folder, self.aside, [*verb.outputs, CACHE])
        begun = time.monotonic()
        place.done(verb.words)
        self.seconds, self.new = time.monotonic() - begun, self.identify()
        if any(self.old[name] == self.new[name] for name in verb.outputs):
            raise SystemExit(f"{verb.name}: an old output equals the new one, which proves nothing")
        self.restore()

    def identify(self) -> dict[str, str]:
        """Identify the current outputs."""
        return {name: identify(self.place.folder / name) for name, identify in self.verb.outputs.items()}

    def restore(self, dice: random.Random | None = None) -> None:
        """Restore the old outputs and the cache; now and then without the cache."""
        copy(self.aside, self.place.folder, [*self.verb.outputs, CACHE])
        forgets = {"score": 0.5, "train": 0.1}.get(self.verb.name, 0.0)
        if dice is not None and dice.random() < forgets:
            for path in self.place.folder.glob(f"{CACHE}*"):
                path.unlink()

    def judge(self, message: str = "", *, rerun: bool = False) -> None:
        """Check what is left."""
        for name, identify in self.verb.outputs.items():
            path = self.place.folder / name
            self.count.lost += not path.exists()
            try:
                found = identify(path)
            except (PrescreenError, OSError) as error:
                found = str(error)
            self.count.expect(found in (self.old[name], self.new[name]), f"{name}: {found}")
        self.count.expect(self.place.cache_is_sound(), "damaged vectors")
        self.count.expect("Traceback" not in message and "unexpected" not in message, message)
        if rerun:
            code, message = self.place.run(self.verb.words)
            self.count.expect(code == 0, f"rerun: {message}")
            self.count.expect(self.identify() == self.new, "a rerun gives something else")
            closes = self.verb.name in ("train", "learn")  # the others open no run, and close none
            self.count.expect(not closes or self.place.open_runs() == 0, "an open run")
            # What a killed run leaves goes with the next write into its folder, and so with a rerun of its verb only.
            places = {(self.place.folder / name).parent for name in self.verb.outputs}
            left = [str(path) for place in places for path in place.glob(".prescreen-*")]
            self.count.expect(not left, f"left behind: {left}")

    def kill(self, dice: random.Random) -> None:
        """Kill the verb once, at a moment between its start and its usual end."""
        self.restore(dice)
        begun = time.monotonic()
        process = self.place.start(self.verb.words)
        moment = begun + dice.uniform(0.0, 1.0) * self.seconds
        while time.monotonic() < moment and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.005)
        took = time.monotonic() - begun
        os.kill(process, signal.SIGKILL)
        code, message = self.place.end(process)
        killed = code == -signal.SIGKILL
        if not killed:  # the machine is less busy than it was: kill sooner
            self.seconds = took
        self.count.injected += killed
        self.judge(message, rerun=killed and self.count.injected % RERUN_EVERY == 0)

    def fail(self, dice: random.Random, fault: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
        """Run the verb once under a fault, which must be reported in one line or do no harm."""
        self.restore(dice)
        with fault():
            code, message = self.place.run(self.verb.words)
            self.count.injected += 1
            told = [line for line in message.splitlines() if line.startswith("prescreen: error:")]
            self.count.expect(code in (0, 1) and len(told) == code, f"exit code {code}: {message}")
        self.judge(message, rerun=True)


def copy(source: Path, target: Path, names: list[str]) -> None:
    """Copy these files and folders, and what belongs to them."""
    for name in names:
        for path in target.glob(f"{name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in source.glob(f"{name}*"):
            to = target / path.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if path.is_dir() else shutil.copy)(path, to)
