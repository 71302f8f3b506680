"""Fetching from a hub that is well, and from one that is not."""

import contextlib
import email.utils
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import requests
from huggingface_hub import constants

from heard import Heard
from prescreen.encoders import hub, hub_requests
from prescreen.errors import WeightsNotFound
from prescreen.progress import reporting_to
from prescreen.workflow.embed import embed

NAME = "model.safetensors"
SIZE = 3_000_000


@pytest.fixture(scope="module", autouse=True)
def cache_folder():
    """Nothing here needs converted networks."""


@pytest.fixture(scope="module")
def content():
    return np.random.default_rng(1).bytes(SIZE)


@pytest.fixture
def told():
    """Collect what a user is told."""
    with reporting_to(heard := Heard()):
        yield heard


def fetch(revision="", names=(NAME,), repository="a/b"):
    return hub.fetch(repository, names, revision)


def failed(**asked):
    """Return the one line that a fetch ends with."""
    with pytest.raises(WeightsNotFound) as raised:
        fetch(**asked)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def unfinished(place):
    return [file.stat().st_size for file in (place / "hub").rglob("*.incomplete")]


def test_size_and_place_are_told_and_a_second_use_asks_for_nothing(local_hub, told, content, tmp_path):
    commit = local_hub.commit(model__safetensors=content)
    found = fetch()
    assert found.read_bytes() == content
    assert hub.revision_of(found) == commit
    assert found.resolve().parent.name == "blobs"  # where the hub's own client finds it
    assert len(told.lines) == 1
    assert "model.safetensors of a/b: 3.0 MB, from 127.0.0.1:" in told.lines[0]
    assert str(tmp_path / "hub") in told.lines[0]
    assert "free; HF_HUB_CACHE or HF_HOME moves it)" in told.lines[0]
    assert {path.split("/")[-2] for _, path in local_hub.asked} == {"main", commit, "storage"}  # and nothing else
    asked = len(local_hub.asked)
    assert hub.cached("a/b", (NAME,)) == found
    assert len(local_hub.asked) == asked
    assert local_hub.sent == SIZE


def test_small_files_and_files_in_folders_come_without_many_words(local_hub, told):
    local_hub.commit(**{"tokenizer__json": b'{"a": 1}', "onnx/vocab__txt": b"one\ntwo"})
    assert fetch(names=("tokenizer.json",)).read_bytes() == b'{"a": 1}'
    assert fetch(names=("onnx/vocab.txt",)).read_bytes() == b"one\ntwo"
    assert told.lines == []


def test_a_cut_download_goes_on_where_it_stopped(local_hub, told, content):
    local_hub.commit(model__safetensors=content)
    local_hub.cuts = [1_200_000, 900_000]
    assert fetch().read_bytes() == content
    assert local_hub.sent == SIZE  # not a byte came twice
    assert len(local_hub.downloads) == 3
    assert local_hub.pauses == [1, 2]  # the second cut came before another megabyte
    assert [line for line in told.lines if "broke off; tries again" in line] == told.lines[1:]


def test_a_download_that_is_cut_again_and_again_is_kept_for_the_next_run(local_hub, content, tmp_path):
    local_hub.commit(model__safetensors=content)
    local_hub.cuts = [500_000, 0, 0, 0]
    message = failed()
    assert "broke off; 500 kB of 3.0 MB are kept; run the same command again: it goes on where it stopped" in message
    assert unfinished(tmp_path) == [500_000]
    local_hub.cuts = []
    assert fetch().read_bytes() == content
    assert local_hub.sent == SIZE
    assert unfinished(tmp_path) == []


def test_a_hub_that_ignores_ranges_gives_the_whole_file_again(local_hub, content):
    local_hub.commit(model__safetensors=content)
    local_hub.cuts, local_hub.ignore_ranges = [2_000_000], True
    assert fetch().read_bytes() == content
    assert local_hub.sent == 2_000_000 + SIZE


FETCH = """
import sys
import threading
from prescreen.encoders import hub, hub_requests
hub.fetch("a/b", ("model.safetensors",))
"""


def run(local_hub, cache):
    """Start another process that fetches."""
    return subprocess.Popen([sys.executable, "-c", FETCH], env=os.environ | local_hub.environment(cache))


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_killed_download_goes_on_where_it_stopped(local_hub, told, content, tmp_path):
    local_hub.commit(model__safetensors=content)
    local_hub.stall_after = 1_500_000
    child = run(local_hub, tmp_path / "hub")
    wait_for(lambda: sum(unfinished(tmp_path)) >= 1_400_000)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept, local_hub.stall_after = unfinished(tmp_path)[0], None
    assert fetch().read_bytes() == content
    assert local_hub.sent == 1_500_000 + SIZE - kept
    assert "of it are here already" in told.lines[0]


def test_two_processes_fetch_a_file_once(local_hub, content, tmp_path):
    local_hub.commit(model__safetensors=content)
    children = [run(local_hub, tmp_path / "hub") for _ in range(2)]
    assert [child.wait(120) for child in children] == [0, 0]
    assert local_hub.sent == SIZE


def test_a_second_process_says_that_it_waits(local_hub, told, content, tmp_path):
    local_hub.commit(model__safetensors=content)
    local_hub.stall_after = 1_500_000
    child = run(local_hub, tmp_path / "hub")
    wait_for(lambda: sum(unfinished(tmp_path)) >= 1_400_000)
    local_hub.stall_after = None
    end = threading.Timer(0.5, child.kill)
    end.start()
    assert fetch().read_bytes() == content
    child.wait()
    assert "another process is at it: waits for it" in told.lines[0]


@pytest.mark.parametrize("name", ["model.safetensors", "vocab.txt"])
def test_what_arrives_damaged_is_removed_and_named(local_hub, content, tmp_path, name):
    local_hub.commit(model__safetensors=content, vocab__txt=b"one two")
    local_hub.corrupt = True
    message = failed(names=(name,))
    assert f"a/b: {name} arrived damaged" in message
    assert "run the same command again" in message
    assert not list((tmp_path / "hub").rglob("blobs/*"))
    assert hub.cached("a/b", (name,)) is None
    local_hub.corrupt = False
    assert fetch(names=(name,)).stat().st_size in (SIZE, 7)


def test_what_was_damaged_in_the_cache_is_removed_and_fetched_anew(local_hub, content):
    local_hub.commit(model__safetensors=content)
    found = fetch()
    hub.refuse_damaged(found, found.resolve().name)
    with pytest.raises(WeightsNotFound, match="damaged since it was fetched .* fetch it anew"):
        hub.refuse_damaged(found, "0" * 64)
    assert hub.cached("a/b", (NAME,)) is None
    assert fetch().read_bytes() == content


def test_what_does_not_fit_is_refused_before_the_first_byte(local_hub, content, tmp_path, monkeypatch):
    local_hub.commit(model__safetensors=content)
    monkeypatch.setattr(hub, "free_bytes", lambda place: 2_000_000)
    message = failed()
    assert f"model.safetensors has 3.0 MB, and 2.0 MB are free in {tmp_path / 'hub'}" in message
    assert "HF_HUB_CACHE or HF_HOME" in message
    assert local_hub.sent == 0


ADDRESS = "/a/b/resolve/main/model.safetensors: "


@pytest.mark.parametrize(
    ("status", "headers", "token", "expected"),
    [
        (401, {}, "", "needs a licence to be accepted, or does not exist; look at {hub}/a/b; accept its licence there"),
        (401, {"X-Error-Code": "RepoNotFound"}, "", "set HF_TOKEN to a token of your account"),
        (403, {"X-Error-Code": "GatedRepo"}, "hf_abcdefgh", "your token gives no access to it; accept its licence at"),
        (404, {"X-Error-Code": "RepoNotFound"}, "", "there is no repository a/b (404); check the name at {hub}/a/b"),
        (404, {"X-Error-Code": "RevisionNotFound"}, "", "is gone (404), its author has removed it"),
        (418, {}, "", "answers 418"),
    ],
)
def test_a_refusal_is_told_with_its_reason_and_remedy(local_hub, monkeypatch, status, headers, token, expected):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    local_hub.refusals = [(status, headers)]
    message = failed()
    assert ADDRESS in message
    assert expected.format(hub=local_hub.address) in message
    assert len(local_hub.asked) == 1


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        (429, {"Retry-After": "7"}, 7),
        (503, {"Retry-After": "3"}, 3),
        (429, {"RateLimit": '"resolvers";r=0;t=55'}, 55),
        (503, {}, 1),
    ],
)
def test_a_busy_hub_is_asked_again_when_it_says_so(local_hub, told, content, status, headers, pause):
    local_hub.commit(model__safetensors=content)
    local_hub.refusals = [(status, headers)]
    assert fetch().read_bytes() == content
    assert local_hub.pauses == [pause]
    assert f"answers {status}" in told.lines[0]
    assert f"tries again in {pause} s" in told.lines[0]


def test_a_date_to_ask_again_is_understood(local_hub, content):
    local_hub.commit(model__safetensors=content)
    local_hub.refusals = [
        (503, {"Retry-After": email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=60))})
    ]
    fetch()
    assert 55 < local_hub.pauses[0] <= 60


@pytest.mark.parametrize(("status", "meaning"), [(429, "too many requests"), (503, "not available")])
def test_a_hub_that_stays_busy_is_given_up(local_hub, status, meaning):
    local_hub.refusals = [(status, {"Retry-After": "2"}), (0, {})]
    assert f"answers {status} ({meaning}); run the same command later" in failed()
    assert local_hub.pauses == [2, 2, 2]


def test_a_long_pause_is_not_waited_for(local_hub):
    local_hub.refusals = [(429, {"Retry-After": "3600"})]
    assert "asks to wait 3600 seconds; run the same command again then" in failed()
    assert local_hub.pauses == []


def test_a_repository_without_the_file_says_which_were_looked_for(local_hub):
    local_hub.commit(README__md=b"")
    message = failed(names=(NAME, "model.bin"))
    assert message == f"{local_hub.address}/a/b: has no model.safetensors or model.bin (404); look what is there"


def test_a_redirect_to_nowhere_is_not_taken_for_a_missing_file(local_hub, content):
    local_hub.commit(model__safetensors=content)
    local_hub.redirect_wrongly = True
    storage = local_hub.storage.removeprefix("http://")
    assert f"redirects to {storage}, which answers 404; check that this address is not blocked" in failed()


def test_a_token_goes_to_the_hub_alone(local_hub, content, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    local_hub.commit(model__safetensors=content)
    fetch()
    for (_, path), token in zip(local_hub.asked, local_hub.tokens, strict=True):
        assert token == (None if path.startswith("/storage/") else "Bearer hf_abcdefgh")


def test_a_file_of_unknown_size_comes_whole(local_hub, content):
    local_hub.commit(model__safetensors=content)
    local_hub.hide_sizes, local_hub.cuts = True, [1_500_000]
    assert "arrived damaged" in failed()  # it looks whole
    assert fetch().read_bytes() == content


@pytest.mark.parametrize("name", ["../model.safetensors", "/model.safetensors", "a/../../model.safetensors"])
def test_a_name_that_leads_out_of_the_cache_is_refused(local_hub, name):
    assert "is no name of a file in it" in failed(names=(name,))
    assert local_hub.asked == []


@pytest.mark.parametrize(("start", "end", "refused"), [("https", "http", True), ("http", "http", False)])
def test_an_encrypted_connection_leads_to_no_other(start, end, refused):
    answer = requests.Response()
    answer.status_code, answer.url, answer.headers["Location"] = 302, f"{start}://hub/a", f"{end}://storage/b"
    with contextlib.nullcontext() if not refused else pytest.raises(hub_requests.RequestFailed, match="expected https"):
        hub_requests._stay_encrypted(answer)


def test_a_hub_that_never_answers_is_given_up_soon(local_hub, monkeypatch):
    monkeypatch.setattr(hub_requests, "HUB_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        template = f"http://127.0.0.1:{silent.getsockname()[1]}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        start = time.monotonic()
        assert "no answer within 0.3 seconds" in failed()
        assert time.monotonic() - start < 5
    assert "cannot be reached (Connection refused); check the network" in failed()


def test_a_download_that_stalls_goes_on(local_hub, told, content, monkeypatch):
    monkeypatch.setattr(hub_requests, "STALL_TIMEOUT", 1.0)
    local_hub.commit(model__safetensors=content)
    local_hub.stall_after = 1_000_000
    assert fetch().read_bytes() == content
    assert local_hub.sent == SIZE
    assert "nothing came for 1 seconds; tries again in 1 s" in told.lines[1]


def test_a_server_that_is_no_hub_is_told_apart(local_hub, content):
    local_hub.refusals = [(200, {})]
    assert "not that of a hub (X-Repo-Commit or ETag is missing); check HF_ENDPOINT" in failed()
    local_hub.commit(model__safetensors=content)
    local_hub.refusals = [(200, {"X-Repo-Commit": local_hub.main, "ETag": '"../../../there"'})]
    assert "not that of a hub" in failed()


def test_the_pinned_revision_is_fetched_after_main_has_moved(local_hub, content):
    pinned = local_hub.commit(model__safetensors=content)
    local_hub.commit(model__safetensors=b"the author has changed it")
    found = fetch(revision=pinned)
    assert found.read_bytes() == content
    assert hub.revision_of(found) == pinned
    assert hub.cached("a/b", (NAME,)) is None  # it is not the latest
    local_hub.gone.add(pinned)
    assert fetch().read_bytes() == b"the author has changed it"
    assert hub.cached("a/b", (NAME,), pinned) == found


def test_offline_says_so_at_once(local_hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in failed()
    assert local_hub.asked == []


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://127.0.0.1:{port}", "no safe connection ("),
        ("http://no-such-host.invalid", "cannot be reached ("),
        ("nonsense", "cannot be asked for (Invalid URL"),
    ],
)
def test_a_wrong_address_is_explained(local_hub, monkeypatch, endpoint, expected):
    port = local_hub.address.rpartition(":")[2]
    template = endpoint.format(port=port) + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    assert expected in failed()


def test_a_proxy_that_is_not_there_is_named(local_hub, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    message = failed()
    assert "the proxy does not connect (Connection refused); check HTTPS_PROXY, HTTP_PROXY and NO_PROXY" in message


def test_a_cache_that_cannot_be_written_is_named(local_hub, content, tmp_path):
    local_hub.commit(model__safetensors=content)
    (tmp_path / "hub").write_text("a file")
    assert "cannot be written (Not a directory); HF_HUB_CACHE or HF_HOME moves it" in failed()


def test_whoever_gives_a_reporter_hears_of_the_download(local_hub, tiny_tag, clip_folder, tmp_path):
    local_hub.commit(open_clip_model__safetensors=clip_folder / "open_clip_model.safetensors")
    heard, sample = Heard(), Path(__file__).parents[2] / "data" / "sample" / "baseline.jpg"
    embed([sample], encoder="clip:tiny/small", reporter=heard)
    assert heard.lines[0].startswith("download   open_clip_model.safetensors of a/b: 3.3 MB, from 127.0.0.1")
