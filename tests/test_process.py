import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

import prescreen
from prescreen import process
from prescreen.process import python_child, trusted_path

HOME_OF_PRESCREEN = str(Path(prescreen.__file__).parents[1])
MARK = "open('mark', 'w').close()\n"


def python(*words, cwd=None, text=None, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in process._SILENT}
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=environment | variables,
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_working_directory_is_no_place_for_modules(tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), str(tmp_path / "link"), str(other), HOME_OF_PRESCREEN])
    assert trusted_path() == [str(other), HOME_OF_PRESCREEN]


def test_where_prescreen_and_python_lie_stays(monkeypatch):
    library = os.path.dirname(os.__file__)
    monkeypatch.setattr(sys, "path", [HOME_OF_PRESCREEN, library])
    for place in (HOME_OF_PRESCREEN, library):
        monkeypatch.chdir(place)
        assert trusted_path() == [HOME_OF_PRESCREEN, library]


def test_a_working_directory_that_was_deleted_is_no_place_either(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "path", ["", HOME_OF_PRESCREEN])
    assert trusted_path() == [HOME_OF_PRESCREEN]


@pytest.mark.parametrize("start", [["-c", "from prescreen.__main__ import run; run()"], ["-m", "prescreen"]])
def test_the_command_runs_no_module_of_the_working_directory(tmp_path, start):
    for name in ("click", "json", "re", "typing", "platformdirs", "sqlite3", "numpy"):
        (tmp_path / f"{name}.py").write_text(MARK)
    done = python(*start, "cache", "info", cwd=tmp_path, PRESCREEN_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("variables", [{}, {"PYTHONPATH": os.pathsep}, {"PYTHONPATH": "."}])
def test_a_child_runs_no_module_of_the_working_directory(tmp_path, monkeypatch, variables):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    for name in ("json", "sitecustomize", "usercustomize"):
        (tmp_path / f"{name}.py").write_text(MARK)
    program = "import json, os, sys; sys.path[:] = json.loads(sys.argv[1])\n"
    program += "print(json.dumps([os.getcwd(), sys.argv[2], *sys.path]))"
    done = subprocess.run(
        **python_child(program, ["more"]), env=os.environ | variables, capture_output=True, text=True, check=True
    )
    folder, more, *path = json.loads(done.stdout)
    assert (folder, more) == (os.path.abspath(os.sep), "more")
    assert str(tmp_path) not in path
    assert "" not in path
    assert HOME_OF_PRESCREEN in path
    assert not (tmp_path / "mark").exists()
    subprocess.run([sys.executable, "-c", "import json"], check=True)
    assert (tmp_path / "mark").exists()  # the trap is one


def test_libraries_are_told_to_report_nothing_unless_the_user_says_otherwise(tmp_path):
    code = "import os; from prescreen.process import set_up; set_up(); print({name: os.environ[name] for name in %r})"
    done = python("-c", code % [*process._SILENT, "MPLCONFIGDIR"], PRESCREEN_CACHE=str(tmp_path), DO_NOT_TRACK="0")
    expected = process._SILENT | {"DO_NOT_TRACK": "0", "MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    assert done.stdout == f"{expected}\n", done.stderr
    assert "MPLCONFIGDIR" not in done.stderr


def test_settings_of_matplotlib_in_the_working_directory_have_no_say(tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nlines.linewidth: 77\n")
    show = "import matplotlib; print(matplotlib.rcParams['text.usetex'], matplotlib.rcParams['lines.linewidth'])"
    command = "from prescreen.process import set_up; set_up()\n"
    assert python("-c", show, cwd=tmp_path).stdout == "True 77.0\n"  # the trap is one
    done = python("-c", command + show, cwd=tmp_path, PRESCREEN_CACHE=str(tmp_path / "cache"))
    assert done.stdout == "False 1.5\n", done.stderr
    library = f"from prescreen.reports.figures import default_style\nwith default_style():\n    {show}\n{show}"
    assert python("-c", library, cwd=tmp_path).stdout == "False 1.5\nTrue 77.0\n"


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_nothing_special(tmp_path, closed):
    code = "from prescreen.process import set_up; set_up(); import sys, os\n"
    code += "file = open('opened', 'w'); print('out'); print('err', file=sys.stderr); sys.stdin.read()\n"
    code += "file.write(str(file.fileno())); file.close()"
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PRESCREEN_CACHE": str(tmp_path)},
        input="",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert int((tmp_path / "opened").read_text()) > 2
    assert done.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "out\n")
    assert done.stderr == ("" if "2>&-" in closed else "err\n")


@pytest.mark.parametrize("words", [["-OO"], []])
def test_without_docstrings_it_says_so_in_one_line(words):
    variables = {} if words else {"PYTHONOPTIMIZE": "2"}
    done = python(*words, "-m", "prescreen", "doctor", **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("prescreen: error: python -OO or PYTHONOPTIMIZE=2: ")
    assert done.stderr.count("\n") == 1
    library = python(*words, "-c", "import prescreen; prescreen.Predictor", **variables)
    assert library.stderr.splitlines()[-1].startswith("prescreen.errors.PrescreenError: python -OO")


HOMELESS = f"""
import os, pwd, sys
def nobody(number):
    raise KeyError(number)
pwd.getpwuid = nobody
os.environ.pop("HOME", None)
for name in list(os.environ):
    if name.startswith("XDG_"):
        del os.environ[name]
sys.path.insert(0, {HOME_OF_PRESCREEN!r})
from prescreen.__main__ import run
run()
"""


@pytest.mark.parametrize("words", [["cache", "info"], ["cache", "verify"]])
def test_a_user_without_a_home_is_told_what_to_set(tmp_path, words, monkeypatch):
    assert pwd.getpwuid(os.getuid())
    monkeypatch.delenv("PRESCREEN_CACHE", raising=False)
    done = python("-c", HOMELESS, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "prescreen: error: this user has no home folder; name a folder for the cache with PRESCREEN_CACHE\n"
    )
    assert list(tmp_path.iterdir()) == []
    done = python("-c", HOMELESS, *words, cwd=tmp_path, PRESCREEN_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr


def test_the_doctor_and_mlflow_work_without_a_home(tmp_path, monkeypatch):
    monkeypatch.delenv("PRESCREEN_CACHE", raising=False)
    done = python("-c", HOMELESS, "doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        "cache            this user has no home folder; name a folder for the cache with PRESCREEN_CACHE" in done.stdout
    )
    done = python("-c", HOMELESS, "models", "list", cwd=tmp_path, MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path}/m.db")
    assert "home" not in done.stderr + done.stdout
