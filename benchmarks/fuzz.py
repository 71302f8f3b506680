"""Feeds damaged files to everything that reads one, for a bounded time.

Claims: for any bytes of a picture, `decode` gives an RGB picture of the size that it reports or a reason of one line.
For any damage to ratings, results, tables, notes, manifests or the cache, the answer is one line or the whole content.
Pictures take half of the time, guided by code coverage; the other half goes to the tests below ``tests/properties``
with new seeds. A violated claim stops the run; a picture is then saved next to the corpus. Add such cases to the tests.

    python benchmarks/fuzz.py --seconds 60
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import CodeType

from PIL import Image

from prescreen.errors import PictureError
from prescreen.images import av1, boxes, color, containers, decoding

ROOT = Path(__file__).parents[1]
MODULES = (containers, boxes, av1, decoding, color)
READERS = ("ratings/formats", "ratings/columns", "ratings/reading", "ratings/results")
READERS += ("storage/tables", "storage/provenance", "embeddings/cache")
READERS += ("predictor/predictor", "predictor/files", "predictor/manifest")
READERS += ("encoders/specification", "regressors/boosting")
MOST_PIXELS = 1_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")


def check(data: bytes) -> None:
    """Decode, tolerant or strict by the last bit of the input; raise if the claim is violated."""
    try:
        picture = decoding.decode(data, tolerant=bool(data[-1:] and data[-1] & 1), max_pixels=MOST_PIXELS)
    except PictureError as error:
        if len(str(error).splitlines()) != 1:
            raise AssertionError(f"not one line: {error}") from error
        return
    reduced = picture.format == "JPEG" and picture.width * picture.height > MOST_PIXELS
    if picture.pixels.mode != "RGB" or (picture.pixels.size != (picture.width, picture.height) and not reduced):
        raise AssertionError(f"{picture}")


def seeds() -> list[bytes]:
    """Small pictures of each format and mode, with metadata, animations and cuts."""
    exif = Image.Exif()
    exif[0x0112] = 6
    gradient = Image.linear_gradient("L").resize((24, 16))
    files = []
    for format_ in FORMATS:
        for mode in ("RGB", "L", "RGBA", "P", "CMYK", "I;16", "LA", "1"):
            for options in ({}, {"exif": exif}, {"save_all": True, "append_images": [gradient.rotate(180)]}):
                stream = io.BytesIO()
                try:
                    gradient.convert("RGB" if mode in {"P", "CMYK"} else "L").convert(mode).save(
                        stream, format_, **options
                    )
                except (OSError, ValueError, KeyError, RuntimeError):  # the format has no such mode
                    continue
                files += [stream.getvalue(), stream.getvalue()[: len(stream.getvalue()) * 2 // 3]]
    return files


def lines_of(code: CodeType) -> set[int]:
    """Lines that can run in a module's functions."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    own = {line for _, _, line in code.co_lines() if line} if code.co_name != "<module>" else set()
    return own.union(*(lines_of(part) for part in inner))


def coverage(corpus: Path) -> tuple[dict[str, tuple[int, int]], int]:
    """Replay a corpus; return for each module the lines reached and all lines, and the number of files."""
    places = {module.__file__: module.__name__ for module in MODULES}
    reached: dict[str, set[int]] = {name: set() for name in places.values()}

    def trace(frame, event, _):
        name = places.get(frame.f_code.co_filename)
        if name is None:
            return None
        reached[name].add(frame.f_lineno)
        return trace

    files = sorted(corpus.iterdir())
    sys.settrace(trace)
    try:
        for file in files:
            check(file.read_bytes())
    finally:
        sys.settrace(None)
    counts = {}
    for path, name in places.items():
        every = lines_of(compile(Path(path).read_text("utf-8"), path, "exec"))
        counts[name] = (len(reached[name] & every), len(every))
    return counts, len(files)


def formats(seconds: float) -> tuple[int, dict[str, tuple[int, int]]]:
    """Run the property tests with new seeds; return the cases, and the lines reached and all of each reading module."""
    left, cases, seed = seconds, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "coverage"
        coverage_ = [sys.executable, "-m", "coverage"]
        while left > 0:
            seed, begun = seed + 1, time.monotonic()
            environment = os.environ | {"PRESCREEN_FUZZ_SECONDS": str(left), "PRESCREEN_FUZZ_SEED": str(seed)}
            words = ["run", f"--data-file={data}", "--append", "--source=prescreen", "-m", "pytest", "-x"]
            words += ["-p", "no:cacheprovider", f"--hypothesis-seed={seed}", "--hypothesis-show-statistics"]
            done = subprocess.run(
                [*coverage_, *words, str(ROOT / "tests" / "properties")],
                env=environment,
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise SystemExit(f"{done.stdout[-6000:]}{done.stderr[-2000:]}\na case was found, with seed {seed}")
            cases += sum(map(int, re.findall(r"(\d+) passing", done.stdout)))
            left -= time.monotonic() - begun
        report = Path(folder) / "report.json"
        words = ["json", f"--data-file={data}", "-q", "-o", str(report)]
        subprocess.run([*coverage_, *words], check=True, cwd=ROOT)
        files = json.loads(report.read_text())["files"]
    reached = {}
    for name in READERS:
        summary = next(part["summary"] for path, part in files.items() if path.endswith(f"prescreen/{name}.py"))
        reached[f"prescreen.{name.replace('/', '.')}"] = (summary["covered_lines"], summary["num_statements"])
    return cases, reached


def fuzz(arguments: list[str]) -> None:
    """Run in a separate process, which libFuzzer ends."""
    import atheris

    for module in MODULES:
        for value in vars(module).values():
            if getattr(value, "__module__", None) == module.__name__ and hasattr(value, "__code__"):
                atheris.instrument_func(value)
    atheris.Setup([sys.argv[0], *arguments], check)
    atheris.Fuzz()


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        fuzz(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="where failing inputs go")
    given = parser.parse_args()
    given.found.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder)
        for number, data in enumerate(seeds()):
            (corpus / f"seed-{number:03d}").write_bytes(data)
        begun = time.monotonic()
        limits = [
            f"-max_total_time={max(1, given.seconds // 2)}",
            f"-seed={given.seed}",
            "-timeout=10",
            "-rss_limit_mb=3000",
        ]
        done = subprocess.run(
            [sys.executable, __file__, "child", folder, *limits, f"-artifact_prefix={given.found}/", "-verbosity=0"]
            + ["-print_final_stats=1", "-max_len=20000"],
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        seconds = time.monotonic() - begun
        if done.returncode:
            raise SystemExit(f"{done.stderr[-4000:]}\na case was found: see {given.found}")
        said = [line.split() for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        counts, kept = coverage(corpus)
    show(f"pictures: cases {said[0][-1]}, seconds {seconds:.0f}, inputs kept {kept}, crashes 0, hangs 0", counts)
    begun = time.monotonic()
    cases, reached = formats(max(1, given.seconds - given.seconds // 2))
    show(f"other files: cases {cases}, seconds {time.monotonic() - begun:.0f}, other answers than claimed 0", reached)


def show(title: str, counts: dict[str, tuple[int, int]]) -> None:
    print(title)
    for name, (reached, every) in counts.items():
        print(f"  {name:34} lines reached {reached:4} of {every:4} ({reached / every:.0%})", flush=True)


if __name__ == "__main__":
    main()
