"""The built wheel, installed beside its libraries and run from an empty folder."""

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(built, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("portrait_prescreen-*.whl"))


@pytest.fixture
def installed(wheel, tmp_path):
    """The folder that pip installs it to."""
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(pip, check=True, capture_output=True)
    return target


def test_the_demo_needs_no_clone(installed, demo, shell, tmp_path):
    """The vectors come from the run of `demo`: its sample is the same."""
    (tmp_path / "empty").mkdir()
    ran = subprocess.run(
        [sys.executable, installed / "bin" / "prescreen", "demo"],
        cwd=tmp_path / "empty",
        env=replace(shell, folder=tmp_path).environment | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Worth sending to raters (simulated votes):" in ran.stdout
    made = tmp_path / "empty" / "demo"
    assert (made / "report.html").is_file()
    assert (made / "shortlist.csv").read_text() == (demo / "shortlist.csv").read_text()
    assert str(ROOT) not in (made / "scores.csv.meta.json").read_text()


def test_it_carries_what_the_package_reads_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*") if path.is_file()}
    sample = {f"prescreen/{path.relative_to(ROOT / 'data').as_posix()}" for path in _files(ROOT / "data" / "sample")}
    described = {name for name in names if name.startswith("portrait_prescreen-")}
    assert names - described == {name for name in sources | sample if "__pycache__" not in name}
    assert wheel.stat().st_size < 4e6


def _files(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]
