import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "audit.py"
FINE = {"name": "fine", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}, {"id": "PYSEC-2"}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


@pytest.fixture(scope="module")
def audit():
    specification = importlib.util.spec_from_file_location("audit", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("dependencies", "code"),
    [([FINE], 0), ([FINE, UNKNOWN], 0), ([FINE, BAD], 1), ([BAD, UNKNOWN], 1), ([UNKNOWN], 75), ([], 75), (None, 75)],
)
def test_only_what_was_asked_for_and_is_sound_passes(audit, dependencies, code):
    answer = "" if dependencies is None else json.dumps({"dependencies": dependencies})
    assert audit.judge(answer)[0] == code


def test_what_is_known_is_named(audit):
    code, told = audit.judge(json.dumps({"dependencies": [FINE, BAD, UNKNOWN]}))
    assert code == 1
    assert told == [
        "bad 2.0: PYSEC-1, fixed in 2.1",
        "bad 2.0: PYSEC-2",
        "audit: 2 packages asked for, 2 known vulnerabilities",
        "audit: unknown to the service: unknown",
    ]


@pytest.mark.parametrize(("flags", "unreached", "vulnerable"), [([], 75, 1), (["--lenient"], 0, 1)])
def test_leniency_is_for_a_service_that_was_not_reached_only(audit, monkeypatch, capsys, flags, unreached, vulnerable):
    monkeypatch.setattr("sys.argv", ["audit.py", *flags])
    for answer, code in (("", unreached), (json.dumps({"dependencies": [BAD]}), vulnerable)):
        monkeypatch.setattr(audit, "ask", lambda a=answer: subprocess.CompletedProcess([], 1, a, "first\nno route"))
        assert audit.main() == code
    assert "no route" in capsys.readouterr().out
