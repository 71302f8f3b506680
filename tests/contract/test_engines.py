"""Every engine, reading every kind of storage, writes the table that the local engine writes from local files."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from prescreen.cli.main import main
from prescreen.encoders import EncoderSpecification
from prescreen.encoders.bundled import FACE
from prescreen.errors import NothingScored, PrescreenError, UsageError
from prescreen.evaluation.report import Evaluation
from prescreen.predictor import ray_engine
from prescreen.predictor.calibration import Calibration, sorted_columns
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.training_portraits import TrainingPortraits
from prescreen.progress import NullReporter
from prescreen.regressors.stacking import fit_final
from prescreen.storage import table_output
from prescreen.storage.provenance import ScoresMetadata
from prescreen.storage.tables import read_table
from prescreen.workflow import score as verb

# Ray warns of what it does itself, and leaves its sockets to the end of the process.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
CANDIDATES = Path(__file__).parents[2] / "data" / "sample" / "candidates"
SAMPLE = [f"{number:03}.jpg" for number in range(1, 13)]  # 007.jpg is broken
SPECIFICATION = EncoderSpecification(name="face", members=(FACE,))
ODD = {
    "=1+1.jpg": "001.jpg",  # a spreadsheet would run it
    "deep/er/two words.JPG": "002.jpg",
    "line\nbreak.jpg": "003.jpg",
    "ümläut ☃.jpg": "004.jpg",
    "a,b\"c'.jpg": "005.jpg",
    "copy of 001.jpg": "001.jpg",
    "0007.jpg": "006.jpg",
    "#?%20.jpg": "010.jpg",
}


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """Return the place of a predictor of two planted traits."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, SPECIFICATION.dimension)).astype(np.float32)
    Y = np.column_stack([X[:, 0], X[:, 1]]) + 0.2 * rng.normal(size=(60, 2))
    data = {"source": "v.csv", "sha256": "ab", "images": 60, "columns": {"smart": "smart", "kind": "kind"}}
    reliability = {"smart": {"icc1": None}, "kind": {"icc1": None}}
    manifest = Manifest("planted", SPECIFICATION, ("smart", "kind"), "0:3", False, data, reliability, 0, True, {})
    portraits = TrainingPortraits(np.zeros(0, np.uint64), np.zeros((0, 128), np.float16), np.zeros((0, 2)))
    place = tmp_path_factory.mktemp("models") / "planted"
    Predictor(
        manifest,
        fit_final(X, Y, None, SPECIFICATION.blocks, seed=0),
        Calibration(sorted_columns(Y), np.ones(2), np.eye(2), False),
        portraits,
        Evaluation(),
    ).save(place)
    return str(place)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Return a folder with some of the sample, odd names, repeated pictures, and files that are no pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in SAMPLE:
        shutil.copy(CANDIDATES / name, folder)
    for name, source in ODD.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CANDIDATES / source, folder / name)
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("no picture")
    (folder / "cut.jpg").write_bytes((CANDIDATES / "008.jpg").read_bytes()[:5000])
    return folder


@pytest.fixture(scope="module")
def local_only(pictures, tmp_path_factory):
    """Return the same folder with what object storage cannot have: a name that is not UTF-8, a link to a folder."""
    folder = Path(shutil.copytree(pictures, tmp_path_factory.mktemp("local") / "pictures"))
    with contextlib.suppress(OSError):  # some file systems take UTF-8 only
        shutil.copy(CANDIDATES / "009.jpg", folder / os.fsdecode(b"caf\xe9.jpg"))
    (folder / "loop").symlink_to(folder)
    return folder


@pytest.fixture
def new_cache(networks, tmp_path, monkeypatch):
    """Return a function that lets what follows begin with an empty cache."""

    def begin(name):
        monkeypatch.setenv("PRESCREEN_CACHE", str(shutil.copytree(networks, tmp_path / name)))

    begin("cache")
    return begin


@pytest.fixture
def scored(predictor, tmp_path, new_cache):
    """Return a function that scores and returns the path of the table."""

    def score(inputs, name, **options):
        output = tmp_path / name
        verb.score([inputs], predictor=predictor, output=str(output) + name[len(name.rstrip("/")) :], **options)
        return output

    return score


@pytest.fixture(scope="module")
def ray_session():
    """Start Ray once, small; skipped where it is not installed."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'portrait-prescreen[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100 << 20,
            log_to_driver=False,
            logging_level="ERROR",
        )
        yield ray
        ray.shutdown()


@pytest.fixture
def small_actors(monkeypatch):
    """Have two actors with one processor each, and several blocks for each of them."""
    monkeypatch.setattr(ray_engine, "ACTOR_PROCESSORS", 1)
    monkeypatch.setattr(ray_engine, "LEAST_PICTURES", 4)


@pytest.fixture
def one_actor(monkeypatch):
    """Have one actor, which is started in half the time of two, and several blocks for it."""
    monkeypatch.setattr(ray_engine, "ACTOR_PROCESSORS", 2)
    monkeypatch.setattr(ray_engine, "LEAST_PICTURES", 4)


def without_hash(table):
    note = json.loads(table.with_name(f"{table.name}.meta.json").read_text())
    return {key: value for key, value in note.items() if key != "table_sha256"}


def test_ray_writes_the_bytes_of_the_local_engine(ray_session, small_actors, scored, local_only, new_cache):
    ray = scored(local_only, "ray.csv", engine="ray")
    new_cache("another")  # nothing that Ray found serves here
    local = scored(local_only, "local.csv")
    assert local.read_bytes() == ray.read_bytes()
    assert without_hash(local) == without_hash(ray)
    table = read_table(ray).set_index("image")
    pictures = set(SAMPLE) | ODD.keys() | {name for name in os.listdir(local_only) if "caf" in name}
    assert pictures < set(table.index)
    assert (table["status"] == "ok").sum() == len(pictures) - 1
    assert {"empty.jpg", "text.png", "cut.jpg", "loop"} < set(table.index[table["status"] == "failed"])
    assert table.loc["copy of 001.jpg"].equals(table.loc["001.jpg"])
    assert table["smart"].nunique() >= 11


def test_ray_reads_urls_and_writes_the_same_parts(ray_session, one_actor, scored, pictures, monkeypatch):
    monkeypatch.setattr(table_output, "PART_ROWS", 10)
    ray, local = scored(f"file://{pictures}", "ray/", engine="ray"), scored(pictures, "local/")
    assert [part.name for part in sorted(ray.iterdir())] == [f"part-0000{i}.parquet" for i in range(3)]
    for part in local.iterdir():
        assert part.read_bytes() == (ray / part.name).read_bytes()
    images = read_table(ray)["image"].tolist()
    assert images == sorted(images)


class Killer(NullReporter):
    """Kills all actors when the first picture is done."""

    killed: tuple[int, ...] = ()

    @contextlib.contextmanager
    def progress(self, title, total):
        self.total, self.done = total, 0
        yield self.advance

    def advance(self):
        self.done += 1
        if self.done == 1:
            actors = [each for each in psutil.Process().children(recursive=True) if "MapWorker" in each.name()]
            assert actors
            for actor in actors:
                actor.send_signal(signal.SIGKILL)
            self.killed = tuple(actor.pid for actor in actors)


def test_killed_actors_do_not_lose_the_run(ray_session, small_actors, scored, pictures):
    killer = Killer()
    ray = scored(pictures, "ray.csv", engine="ray", reporter=killer)
    assert killer.killed
    assert killer.done == killer.total > 20
    assert not any(psutil.pid_exists(pid) for pid in killer.killed)
    assert scored(pictures, "local.csv").read_bytes() == ray.read_bytes()


def test_what_an_actor_raises_is_raised_here(ray_session, scored, pictures, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(PrescreenError, match="cache .*cannot be written .*with PRESCREEN_CACHE"):
        scored(pictures, "ray.csv", engine="ray")
    assert not (tmp_path / "ray.csv").exists()


def test_a_storage_without_files_of_its_own_is_read_and_written_too(scored, pictures, predictor):
    memory = fsspec.filesystem("memory")
    try:
        memory.put(str(pictures), "/bucket/", recursive=True)
        verb.score([f"memory://bucket/{pictures.name}"], predictor=predictor, output="memory://out/scores.csv")
        expected = scored(pictures, "local.csv")
        assert memory.cat("/out/scores.csv") == expected.read_bytes()
        note = json.loads(memory.cat("/out/scores.csv.meta.json"))
        assert note["inputs"] == [f"memory://bucket/{pictures.name}"]
        verb.score([f"memory://bucket/{pictures.name}/001.jpg"], predictor=predictor, output="memory://out/parts/")
        assert memory.ls("/out/parts", detail=False) == ["/out/parts/part-00000.parquet"]
        assert memory.exists("/out/parts.meta.json")
        with pytest.raises(UsageError, match="memory://bucket/nowhere: no such file"):
            verb.score(["memory://bucket/nowhere"], predictor=predictor, output="memory://out/x.csv")
        with pytest.raises(UsageError, match="given alone"):
            verb.score(["memory://bucket", str(pictures)], predictor=predictor, output="memory://out/x.csv")
        with pytest.raises(NothingScored, match="the first: empty file"):
            verb.score(
                [f"memory://bucket/{pictures.name}/empty.jpg"], predictor=predictor, output="memory://out/failed.jsonl"
            )
        assert memory.exists("/out/failed.jsonl")
        assert not memory.exists("/out/x.csv")
    finally:
        memory.store.clear()


def test_a_second_run_over_a_storage_reads_no_picture_again(scored, pictures, monkeypatch):
    from prescreen.images import files

    before = scored(f"file://{pictures}", "before.csv")
    reads = []
    read = files.read
    monkeypatch.setattr(files, "read", lambda url, most: reads.append(url) or read(url, most))
    assert scored(f"file://{pictures}", "after.csv").read_bytes() == before.read_bytes()
    assert sorted(url.rpartition("/")[2] for url in reads) == ["007.jpg", "cut.jpg", "empty.jpg", "text.png"]


def test_a_folder_of_parts_replaces_an_older_one_and_nothing_else(scored, pictures, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(table_output, "PART_ROWS", 10)
        parts = scored(pictures, "parts/")
    assert len(list(parts.iterdir())) == 3
    ScoresMetadata.read(parts).check(parts, ScoresMetadata.read(parts).predictor_sha256)
    scored(pictures, "parts/")
    assert [part.name for part in parts.iterdir()] == ["part-00000.parquet"]
    ScoresMetadata.read(parts).check(parts, ScoresMetadata.read(parts).predictor_sha256)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(UsageError, match="mine: holds other things"):
        scored(pictures, "mine/")
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_actors_run_no_module_of_the_working_directory(tmp_path):
    """In a process of its own, because Ray gives actors the working directory of whoever starts it."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'portrait-prescreen[ray]'")
    code = """
import sys
from prescreen.predictor import ray_engine
with ray_engine._session("local"):
    import ray
    print(*ray.get(ray.remote(lambda: __import__("sys").path).remote()), sep="\\n")
"""
    (tmp_path / "json.py").write_text("open('mark', 'w').close()")
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=environment | {"PRESCREEN_PROCESSORS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert os.path.dirname(os.__file__) in done.stdout.splitlines()
    assert {"", str(tmp_path)}.isdisjoint(done.stdout.splitlines())
    assert not (tmp_path / "mark").exists()


def test_an_address_where_nobody_listens_is_an_error_at_once(predictor, pictures, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'portrait-prescreen[ray]'")
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    options = ["--output", str(tmp_path / "x.csv"), "--engine", "ray", "--ray-address", "127.0.0.1:1"]
    done = CliRunner().invoke(main, ["score", str(pictures), "--predictor", predictor, *options])
    assert done.exit_code == 1
    assert "Ray at 127.0.0.1:1" in done.stderr
    assert "--ray-address" in done.stderr
    assert not (tmp_path / "x.csv").exists()


def test_an_address_without_ray_as_engine_is_refused(predictor, pictures, tmp_path):
    words = ["score", str(pictures), "--predictor", predictor, "--output", str(tmp_path / "x.csv")]
    done = CliRunner().invoke(main, [*words, "--ray-address", "127.0.0.1:1"])
    assert done.exit_code == 2
    assert "--engine ray" in done.stderr


def test_without_ray_the_remedy_is_one_line(monkeypatch, predictor, pictures, tmp_path):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    words = ["score", str(pictures), "--predictor", predictor, "--output", str(tmp_path / "x.csv"), "--engine", "ray"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'portrait-prescreen[ray]'" in done.stderr
    assert not list(tmp_path.iterdir())
