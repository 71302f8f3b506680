"""`prescreen review` as a user starts it: for this machine only, an address that works once, an end by Ctrl-C."""

import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from tests.e2e.conftest import SAMPLE

from prescreen.storage.tables import read_table

BROWSER = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))


def ask(address, data=None, token=None):
    request = urllib.request.Request(address, data=data, method="PUT" if data else "GET")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with BROWSER.open(request, timeout=30) as answer:
        return answer.read()


def test_it_serves_this_machine_saves_and_ends_quietly(shell, demo):
    words = ["rank", demo / "scores.csv", "--baseline", SAMPLE / "baseline.jpg", "--output", demo / "shortlist.csv"]
    assert shell(*words).returncode == 0
    words = ["review", "scores.csv", "--decisions", "mine.csv"]  # compared as in the last rank
    running = subprocess.Popen(
        [sys.executable, "-m", "prescreen", *words, "--no-browser"],
        cwd=demo,
        env=os.environ | {"PRESCREEN_CACHE": str(shell.cache), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = running.stdout.readline().strip()
        base, code = address.split("?code=")
        assert base.startswith("http://127.0.0.1:")
        assert len(code) >= 43
        page = ask(address).decode()
        token = json.loads(re.search('id="service">(.*?)</script>', page)[1])
        assert len(token) >= 43
        assert "connect-src 'self'" in page
        assert ask(f"{base}pictures/0", token=token).startswith(b"RIFF")
        ask(f"{base}decisions/0", json.dumps({"decision": "keep", "tags": []}).encode(), token)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            ask(base)
        with pytest.raises(urllib.error.HTTPError, match="403"):
            ask(address)  # it works once
    finally:
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    assert "Traceback" not in err
    best = read_table(demo / "shortlist.csv")["image"][0]
    assert read_table(demo / "mine.csv").to_dict("records")[0]["image"] == best


def test_decisions_do_not_go_over_the_scores(shell, demo):
    done = shell("review", demo / "scores.csv", "--baseline", "x=1", "--decisions", demo / "scores.csv", "--no-browser")
    assert done.returncode != 0
    assert "would write over SCORES" in done.stderr
    assert done.stderr.count("\n") == 1
