"""What scoring costs as folders grow: memory, time for a picture, and the cache apart.

Usage:  python benchmarks/scale.py [--cache 1000 10000 100000] [--cached 1000 10000 100000] [--cold 1000 10000]
            [--encoder bundled] [--folder DIR]

Three tables, each at growing sizes:

1. the cache alone: time to write and to look up a row in a random order, and bytes on disk;
2. ``prescreen score`` on pictures that are all in the cache, once known by their content only (files are read and
   hashed) and once known by path, size and time. The vectors are random numbers, so that the networks cost nothing;
3. ``prescreen score`` on pictures that the cache does not know: peak memory.

Pictures are drawn here, 96 × 96 pixels; those of the third table are the sample's, 320 × 320, each with a comment of
its own, because looking for a face where there is none takes longest.

Memory is that of the whole process tree, each shared page counted once (PSS; on other systems than Linux RSS). Figures
need a quiet machine. At its default sizes it needs about 20 GB in --folder and, for the third table, the time of 11,000
pictures.
"""

import argparse
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from prescreen.embeddings.cache import EmbeddingCache
from prescreen.embeddings.pipeline import Quality
from prescreen.encoders import Encoder, EncoderSpecification, make_encoder
from prescreen.encoders.bundled import FACE
from prescreen.predictor.calibration import Calibration, sorted_columns
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import TrainingPortraits
from prescreen.regressors.stacking import fit_final

QUALITY = Quality(
    width=96, height=96, frames=1, faces=1, face_detector="hog", face_share=0.3, face_roll=0.0, sharpness=9.0
)
LOOKUPS = 1000
PORTRAITS = sorted((Path(__file__).parents[1] / "data" / "sample" / "training" / "images").rglob("*.jpg"))


def make_predictor(encoder: Encoder, place: Path) -> str:
    """Train on random vectors: its scores mean nothing, its cost is that of a small predictor."""
    rng = np.random.default_rng(0)
    specification = encoder.specification
    X = rng.normal(size=(60, specification.dimension)).astype(np.float32)
    Y = np.column_stack([X[:, 0], X[:, 1]]) + 0.2 * rng.normal(size=(60, 2))
    Predictor(
        Manifest("random", specification, ("one", "two"), "0:3", False, {}, {}, 0, True, {}),
        fit_final(X, Y, None, specification.blocks, seed=0),
        Calibration(sorted_columns(Y), np.ones(2), np.eye(2), False),
        TrainingPortraits(np.zeros(0, np.uint64), np.zeros((0, 128), np.float16), np.zeros((0, 2))),
        {},
    ).save(place)
    return str(place)


def portrait(number: int) -> bytes:
    """Return a JPEG of the sample, a different file for each number; the picture repeats."""
    data = PORTRAITS[number % len(PORTRAITS)].read_bytes()
    comment = str(number).encode()
    return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]


def draw(number: int) -> bytes:
    """Return a JPEG, a different one for each number."""
    rng = np.random.default_rng(number)
    picture = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85, comment=str(number).encode())
    return stream.getvalue()


def make_pictures(folder: Path, count: int, make: Callable[[int], bytes] = draw) -> list[str]:
    """Make pictures, a thousand in a folder, and return the hashes of their files."""
    contents = []
    for number in range(count):
        data = make(number)
        place = folder / f"{number // 1000:04}" / f"{number:08}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        contents.append(hashlib.sha256(data).hexdigest())
    return contents


def vectors(count: int, dimension: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(1)
    for _ in range(count):
        yield rng.normal(size=dimension).astype(np.float16)


def fill(cache: EmbeddingCache, specification: EncoderSpecification, contents: list[str]) -> float:
    """Write random vectors in batches of 16 and return the seconds that writing took."""
    made, taken = vectors(len(contents), specification.dimension), 0.0
    for start in range(0, len(contents), 16):
        rows = [(content, next(made), QUALITY) for content in contents[start : start + 16]]
        begin = time.perf_counter()
        cache.put(specification.fingerprint, rows)
        taken += time.perf_counter() - begin
    return taken


def the_cache_alone(encoder: Encoder, sizes: list[int], folder: Path) -> None:
    specification = encoder.specification
    print(f"\n1. cache alone, rows of {2 * specification.dimension} bytes and their quality")
    print(f"{'rows':>8} {'write ms':>9} {'look-up ms':>11} {'miss ms':>8} {'kB a row':>9}")
    rng, written = np.random.default_rng(2), 0
    with EmbeddingCache(folder / "alone.sqlite") as cache:
        for size in sizes:
            contents = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(written, size)]
            fill(cache, specification, contents[: max(0, len(contents) - LOOKUPS)])
            last = contents[-LOOKUPS:]
            write = fill(cache, specification, last) / len(last)
            chosen = [hashlib.sha256(str(number).encode()).hexdigest() for number in rng.integers(0, size, LOOKUPS)]
            begin = time.perf_counter()
            found = [cache.get(content, specification.fingerprint, specification.dimension) for content in chosen]
            hit = (time.perf_counter() - begin) / LOOKUPS
            assert all(row is not None for row in found)
            begin = time.perf_counter()
            missed = [cache.get(c[::-1], specification.fingerprint, specification.dimension) for c in chosen]
            miss = (time.perf_counter() - begin) / LOOKUPS
            assert not any(row is not None for row in missed)
            stored = sum((folder / name).stat().st_size for name in os.listdir(folder) if name.startswith("alone."))
            print(
                f"{size:8} {1e3 * write:9.3f} {1e3 * hit:11.3f} {1e3 * miss:8.3f} {stored / size / 1e3:9.1f}",
                flush=True,
            )
            written = size
    for name in os.listdir(folder):
        if name.startswith("alone."):
            (folder / name).unlink()


@dataclass
class Used:
    """What a command used; CPU seconds and bytes of its process tree."""

    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0


def memory(process: psutil.Process) -> int:
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            full = each.memory_full_info()
        except psutil.Error:  # it has just ended
            continue
        total += getattr(full, "pss", full.rss)
    return total


@contextmanager
def watched(process: psutil.Process, used: Used) -> Iterator[None]:
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.3):
            try:
                used.peak = max(used.peak, memory(process))
            except psutil.Error:
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def score(pictures: Path, predictor: str, cache: Path, expected: int) -> Used:
    """Run the command and see that it scored them all."""
    used, output = Used(), cache / "scores.csv"
    before, begin = os.times(), time.perf_counter()
    words = ["score", str(pictures), "--predictor", predictor, "--output", str(output)]
    process = subprocess.Popen(
        [sys.executable, "-m", "prescreen", *words],
        env=os.environ | {"PRESCREEN_CACHE": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with watched(psutil.Process(process.pid), used):
        _, said = process.communicate()
    after = os.times()
    used.wall = time.perf_counter() - begin
    used.cpu = after.children_user + after.children_system - before.children_user - before.children_system
    assert process.returncode == 0, said
    assert f"{expected} scored, 0 failed" in said, said
    return used


def pictures_in_the_cache(encoder: Encoder, predictor: str, sizes: list[int], folder: Path) -> None:
    print("\n2. score, all pictures in the cache")
    print(f"{'pictures':>8} {'known by':>9} {'CPU ms a picture':>17} {'pictures/s':>11} {'peak MB':>8}")
    for size in sizes:
        pictures, cache = folder / "pictures", folder / "cache"
        contents = make_pictures(pictures, size)
        with EmbeddingCache(cache / "embeddings.sqlite") as stored:
            fill(stored, encoder.specification, contents)
        for known in ("content", "path"):
            used = score(pictures, predictor, cache, size)
            rate = f"{1e3 * used.cpu / size:17.2f} {size / used.wall:11.0f} {used.peak / 1e6:8.0f}"
            print(f"{size:8} {known:>9} {rate}", flush=True)
        shutil.rmtree(pictures)
        shutil.rmtree(cache)


def new_pictures(predictor: str, sizes: list[int], folder: Path) -> None:
    print("\n3. score, no picture in the cache")
    print(f"{'pictures':>8} {'CPU s a picture':>16} {'pictures/s':>11} {'peak MB':>8} {'against the first':>18}")
    first = 0
    shutil.rmtree(folder / "cold", ignore_errors=True)
    make_pictures(folder / "cold" / "warm-up", 1, portrait)
    score(folder / "cold" / "warm-up", predictor, folder / "cold" / "cache", 1)  # networks are converted
    for size in sizes:
        pictures, cache = folder / "cold" / "pictures", folder / "cold" / "cache"
        for name in ("embeddings.sqlite", "embeddings.sqlite-wal", "embeddings.sqlite-shm"):
            (cache / name).unlink(missing_ok=True)
        make_pictures(pictures, size, portrait)
        used = score(pictures, predictor, cache, size)
        first = first or used.peak
        rate = f"{used.cpu / size:16.3f} {size / used.wall:11.1f} {used.peak / 1e6:8.0f} {used.peak / first:18.2f}"
        print(f"{size:8} {rate}", flush=True)
        shutil.rmtree(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=int, nargs="*", default=[1000, 10_000, 100_000], help="rows of the first table")
    parser.add_argument("--cached", type=int, nargs="*", default=[1000, 10_000, 100_000], help="pictures of the second")
    parser.add_argument("--cold", type=int, nargs="*", default=[1000, 10_000], help="pictures of the third")
    parser.add_argument("--encoder", default="bundled", help="an encoder's name, or face for the smallest there is")
    parser.add_argument("--folder", type=Path, help="where files are made and removed; by default the temporary folder")
    options = parser.parse_args()
    layouts = tuple(replace(layout, views=("chip",)) for layout in FACE.layouts)
    once = replace(FACE, views=("chip",), layouts=layouts)  # one pass through one network
    face = Encoder(EncoderSpecification(name="face", members=(once,), mirror=False))
    encoder = face if options.encoder == "face" else make_encoder(options.encoder)
    print(
        f"encoder {options.encoder}, {encoder.specification.dimension} features, {os.cpu_count()} processors, "
        f"load {os.getloadavg()[0]:.1f} at the start"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        predictor = make_predictor(encoder, folder / "predictor")
        if options.cache:
            the_cache_alone(encoder, options.cache, folder)
        if options.cached:
            pictures_in_the_cache(encoder, predictor, options.cached, folder)
        if options.cold:
            new_pictures(predictor, options.cold, folder)


if __name__ == "__main__":
    main()
