"""Nothing leaves the machine, nothing is written below HOME, and nothing in the working directory is trusted.

All verbs run with an empty HOME and an empty cache in a folder that a stranger has prepared, watched by
`tests/recorder.py` in every process.
"""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tests.e2e.conftest import SAMPLE

import prescreen

TESTS = Path(__file__).parents[1]
RATED, CANDIDATES = 24, 14
BASELINE = ["--baseline", "sample/baseline.jpg"]
VERBS = [
    ["doctor"],
    ["demo", "--sample", "sample", "--output", "demo"],
    ["train", "--ratings", "sample/training/votes.csv", "--encoder", "bundled", "--simulated", "--output", "mine"],
    ["evaluate", "--predictor", "mine", "--ratings", "sample/training/votes.csv", "--experiment", "again"],
    ["embed", "sample/candidates", "--encoder", "bundled", "--output", "vectors.parquet"],
    ["score", "sample/candidates", "--predictor", "models:/prescreen@champion", "--output", "champion.csv"],
    ["score", "sample/candidates", "--predictor", "mine", "--output", "scores.csv"],
    ["rank", "scores.csv", *BASELINE, "--output", "shortlist.csv", "--report", "report.html"],
    ["pick", "sample/candidates", "--current", "sample/baseline.jpg", "--predictor", "mine"],
    ["rank", "sample/candidates", "--zero-shot", "--encoder", "clip:tiny@../clip", "--output", "order.csv"],
    ["learn", "results.csv", "--predictor", "mine", "--output", "me", "--scores", "scores.csv", *BASELINE],
    ["effects", "scores.csv", "--tags", "tags.csv", "--output", "effects.csv"],
    ["export", "scores.csv", "--to", "fiftyone", "--output", "fiftyone"],
    ["export", "scores.csv", "--to", "label-studio", "--output", "tasks"],
    ["models", "list"],
    ["cache", "info"],
    ["cache", "verify"],
    ["data", "--help"],
    ["ballot", "sample/candidates", "--traits", "competence", "--output", "ballot"],
]
RUN_ALL = """
import json, sys
from prescreen.__main__ import run
for words in json.load(sys.stdin):
    sys.argv[1:] = words
    try:
        run()
    except SystemExit as end:
        print(f"{words}: {end.code or 0}", flush=True)
"""
SCRIPT = """
import multiprocessing
multiprocessing.set_start_method("spawn", force=True)
open({ran!r}, "a").write("x")
import prescreen
print(len(prescreen.Predictor.load("mine").score({picture!r})))
"""
MATPLOTLIBRC = "backend: module://evil\ntext.usetex: True\n"


@dataclass(frozen=True)
class Place:
    """A machine with nobody's home, a folder that a stranger has prepared, and what was noted there."""

    root: Path
    traps: tuple[Path, ...]

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def folder(self) -> Path:
        return self.root / "folder"

    @property
    def python(self) -> Path:
        return self.root / "environment" / "bin" / "python"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PRESCREEN_CACHE": str(self.root / "cache"),
            "RECORDER_LOG": str(self.root / "log"),
            "RECORDER_TRAPS": os.pathsep.join(map(str, self.traps)),
        }

    def noted(self, kind: str) -> list[str]:
        lines = (self.root / "log").read_text().splitlines() if (self.root / "log").exists() else []
        return sorted({line.partition("\t")[2] for line in lines if line.startswith(f"{kind}\t")})

    def run(self, *words: str | Path, text: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, *words],
            cwd=self.folder,
            env=self.environment | variables,
            input=text,
            capture_output=True,
            text=True,
            timeout=400,
            umask=0,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory, clip_folder):
    root = tmp_path_factory.mktemp("machine").resolve()
    for name in ("home", "folder", "cache"):
        (root / name).mkdir()
    _make_environment(root / "environment")
    shutil.copytree(clip_folder, root / "clip")
    _copy_sample(root / "folder")
    traps = _set_traps(root / "folder", root / "ran")
    return Place(root, traps)


def _make_environment(folder):
    """Make a virtual environment with the libraries of this one, in which every process is watched."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    libraries = [place for place in sys.path if place.endswith("site-packages")]
    (packages / "libraries.pth").write_text("\n".join([str(Path(prescreen.__file__).parents[1]), *libraries]))
    (packages / "recorder.pth").write_text("import recorder")
    shutil.copy(TESTS / "recorder.py", packages)


def _copy_sample(folder):
    """Make a small sample: so few pictures that all is done in seconds."""
    sample = folder / "sample"
    for part, count in (("training/images", RATED), ("candidates", CANDIDATES)):
        (sample / part).mkdir(parents=True)
        for picture in sorted((SAMPLE / part).iterdir())[:count]:
            shutil.copy(picture, sample / part)
    shutil.copy(SAMPLE / "baseline.jpg", sample)
    votes = pd.read_csv(SAMPLE / "training" / "votes.csv")
    there = votes["image"].isin(os.listdir(sample / "training" / "images"))
    votes[there].to_csv(sample / "training" / "votes.csv", index=False)
    names = sorted(os.listdir(sample / "candidates"))
    pd.DataFrame({"image": names, "outfit": ["suit", "shirt"] * (CANDIDATES // 2)}).to_csv(
        folder / "tags.csv", index=False
    )
    scores = {"competence": [9.1, 5.0], "likeability": [8.0, 6.0], "influence": [8.4, 6.1], "votes": [40, 40]}
    pd.DataFrame({"image": names[:2]} | scores).to_csv(folder / "results.csv", index=False)


def _set_traps(folder, ran):
    """Put files there that leave a mark when they are run, as a stranger would beside the pictures."""
    script = f"open({str(ran)!r}, 'a').write(__file__ + chr(10))\n"
    shell = f"echo $0 >> {ran}"
    modules = ("json", "numpy", "tempfile", "evil", "sitecustomize", "usercustomize", "conftest", "setup")
    files = {f"{name}.py": script for name in modules}
    files |= {
        "matplotlibrc": MATPLOTLIBRC,
        ".env": f"PRESCREEN_CACHE={folder}\nMLFLOW_TRACKING_URI=http://192.0.2.1:1\n",
        "pyproject.toml": "[tool.prescreen]\n[build-system]\nrequires = []\n",
        "setup.cfg": "[metadata]\n",
        ".dvc/config": "[core]\nanalytics = true\n",
        ".databrickscfg": "[DEFAULT]\nhost = http://192.0.2.1\n",
        ".gitattributes": "* filter=evil\n",
    }
    if shutil.which("git"):
        git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
        (folder / "kept.txt").write_text("one")
        subprocess.run([*git, "add", "kept.txt"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "y"], check=True)
        (folder / "kept.txt").write_text("two")
        settings = f'[core]\n\tfsmonitor = "{shell};:"\n[filter "evil"]\n\tclean = "{shell}; cat"\n\trequired = true\n'
        with (folder / ".git" / "config").open("a") as file:
            file.write(settings)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return tuple(folder / name for name in (*files, ".git/config"))


@pytest.fixture(scope="module")
def done(place):
    """What was printed by all verbs, which must have gone well."""
    ended = place.run("-P", "-c", RUN_ALL, text=json.dumps(VERBS))
    assert [line for line in ended.stdout.splitlines() if line.startswith("[")] == [f"{w}: 0" for w in VERBS], (
        ended.stderr
    )
    review = subprocess.Popen(
        [place.python, "-m", "prescreen", "review", "scores.csv", *BASELINE, "--no-browser"],
        cwd=place.folder,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())  # the page needs its cookie
        with browser.open(review.stdout.readline().strip(), timeout=60) as answer:
            assert b"<html" in answer.read()
    finally:
        review.send_signal(signal.SIGINT)
        _, told = review.communicate(timeout=60)
    assert review.returncode == 0, told
    return ended


def test_nobody_is_told(place, done):
    assert place.noted("reached for") == []


def test_nothing_is_written_below_home(place, done):
    assert [str(path.relative_to(place.home)) for path in place.home.rglob("*")] == []


def test_nothing_in_the_working_directory_is_run_or_read(place, done):
    assert not (place.root / "ran").exists(), (place.root / "ran").read_text()
    assert place.noted("opened") == []


def test_no_programs_are_started_but_workers_and_those_that_describe_the_machine(place, done):
    started = {name.rstrip("0123456789.") for name in place.noted("started")}
    assert "python" in started
    assert started <= {"python", "uname", "ldconfig", "fc-list", "system_profiler"}


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_the_cache_is_closed_to_others_and_results_are_as_the_umask_says(place, done):
    cache = place.root / "cache"
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (cache, *cache.rglob("*"))}
    matplotlib = {path for path in found if "matplotlib" in path.parts}  # closed by the folder above it
    assert {path.suffix for path in found} >= {".sqlite", ".xml", ".bin"}
    assert {path for path, mode in found.items() if mode & 0o077} <= matplotlib
    assert found[cache] == 0o700
    for result in ("scores.csv", "shortlist.csv", "report.html", "mine/manifest.json"):
        assert stat.S_IMODE((place.folder / result).stat().st_mode) == 0o666


def test_a_script_without_main_guard_runs_once(place, done):
    """Under the start method `spawn` a library that starts a process of `multiprocessing` would run it again."""
    with Image.open(place.folder / "sample" / "baseline.jpg") as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(place.root / "new.jpg")  # not in the cache
    script = place.root / "script.py"
    script.write_text(SCRIPT.format(ran=str(place.root / "script ran"), picture=str(place.root / "new.jpg")))
    ended = place.run(script)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")
    assert (place.root / "script ran").read_text() == "x"
    assert place.noted("reached for") == []


def test_the_watch_sees(place):
    """What the other tests do not find would be found."""
    program = (
        "import json, socket, subprocess, sys; open('.env').close(); subprocess.run([sys.executable, '-P', '-c', ''])\n"
        "try: socket.create_connection(('192.0.2.1', 80))\nexcept OSError as error: print(error)"
    )
    log = place.root / "other-log"
    ended = place.run("-c", program, RECORDER_LOG=str(log))
    assert ended.stdout == "blocked by the test\n", ended.stderr
    assert (place.root / "ran").read_text() == f"{place.folder / 'json.py'}\n"
    (place.root / "ran").unlink()
    text = log.read_text()
    assert f"opened\t{place.folder / '.env'}\n" in text
    assert f"opened\t{place.folder / 'json.py'}\n" in text
    assert "started\tpython\n" in text
    assert "reached for\t" in text
