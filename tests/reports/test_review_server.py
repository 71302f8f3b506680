import asyncio
import io
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image
from starlette.testclient import TestClient

from prescreen.errors import PrescreenError
from prescreen.images.files import ImageFile, content_hash
from prescreen.reports import local_server, review_server
from prescreen.reports.local_server import LOOPBACK, listen
from prescreen.reports.review_server import Decisions, ReviewServer
from prescreen.reports.thumbnails import thumbnail
from prescreen.storage.tables import read_table

TOKEN = "secret-token"
CODE = "secret-code"
NAMES = ["a.jpg", "=b.jpg", "gone.jpg"]
HEADER = {"Authorization": f"Bearer {TOKEN}"}
KEEP = {"decision": "keep", "tags": ["stage"]}


@pytest.fixture
def folder(tmp_path):
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (48.0, 12.0, 30.0)}
    exif[0x013B] = "Secret Photographer"
    for name in NAMES[:2]:
        Image.new("RGB", (1200, 900), "teal").save(tmp_path / name, "JPEG", exif=exif)
    (tmp_path / "passwords.txt").write_text("hunter2")
    return tmp_path


@pytest.fixture
def saved(tmp_path):
    return tmp_path / "decisions.csv"


@pytest.fixture
def client(folder, saved):
    files = {name: ImageFile(folder / name, name) for name in NAMES}
    contents = {name: content_hash((folder / name).read_bytes()) for name in NAMES[:2]} | {"gone.jpg": ""}
    server = ReviewServer(
        "<p>the page", files, Decisions(saved, NAMES), TOKEN, CODE, lambda file: thumbnail(file, 640), contents
    )
    return TestClient(server.app(), base_url=f"http://{LOOPBACK}:8123", raise_server_exceptions=False)


def enter(client):
    """Show the code; return the answer, and leave the cookie with the client."""
    return client.get(f"/?code={CODE}", follow_redirects=False)


def test_the_page_opens_with_the_code_only_and_once(client):
    for address in ("/", "/?code=", "/?code=secret", f"/?code={CODE}x", "/?code=%C3%A9", f"/?token={TOKEN}"):
        assert client.get(address).status_code == 403, address
    assert client.head(f"/?code={CODE}").status_code == 200  # a link that something looks at is not used up
    answer = enter(client)
    place = answer.headers["location"]
    assert answer.status_code == 303
    assert CODE not in place
    assert TOKEN not in place
    assert client.get(place).text == "<p>the page"
    assert client.get(place).text == "<p>the page"  # loaded again
    again = enter(client)
    assert again.status_code == 403
    assert "start it again" in again.text


def test_neither_the_page_address_nor_the_cookie_is_enough(client):
    answer = enter(client)
    place = answer.headers["location"]
    cookie = answer.headers["set-cookie"]
    assert f"Path={place}" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    value = client.cookies["prescreen"]
    client.cookies.clear()
    assert client.get(place).status_code == 403
    assert client.get(place, headers={"Cookie": "prescreen=wrong"}).status_code == 403
    assert client.get("/page/elsewhere/", headers={"Cookie": f"prescreen={value}"}).status_code == 403
    assert client.get("/", headers={"Cookie": f"prescreen={value}"}).status_code == 403
    assert client.get("/decisions", headers={"Cookie": f"prescreen={value}"}).status_code == 403


def test_of_two_who_show_the_code_at_once_one_gets_in(client):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: enter(client).status_code, range(8)))
    assert sorted(answers) == [303] + [403] * 7


def test_the_browser_is_started_without_the_code(monkeypatch, tmp_path):
    """All users of a machine see the command lines of its programs, and only this one may read the page."""
    from click.testing import CliRunner

    from prescreen.cli.main import main
    from prescreen.workflow import review

    launched = []

    def launch(place):
        page = Path(place)
        launched.append((place, page.read_text(), page.stat().st_mode & 0o077, page.parent.stat().st_mode & 0o077))

    monkeypatch.setattr("click.launch", launch)
    monkeypatch.setattr(review, "review", lambda *_, ready, **__: ready("http://127.0.0.1:1/?code=secret"))
    done = CliRunner().invoke(main, ["review", "scores.csv", "--baseline", "x=1"])
    assert done.exit_code == 0, done.output
    ((place, text, _, others),) = launched
    assert "secret" not in place
    assert 'content="0; url=http://127.0.0.1:1/?code=secret"' in text
    assert others == 0  # nobody else gets into its folder
    assert not Path(place).exists()  # it goes when the server ends


@pytest.mark.parametrize("path", ["/pictures/0", "/originals/0", "/decisions"])
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Cookie": f"token={TOKEN}"}])
def test_nothing_is_answered_without_the_token(client, path, header):
    assert client.get(path, headers=header).status_code == 403
    assert client.get(f"{path}?token={TOKEN}", headers=header).status_code == 403


def test_nothing_is_saved_without_the_token(client, saved):
    assert client.put("/decisions/0", json=KEEP).status_code == 403
    assert not saved.exists()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[::1]", ""])
def test_a_foreign_name_that_leads_here_is_refused(client, host):
    assert client.get(f"/?code={CODE}", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"http://{LOOPBACK}:9999", f"https://{LOOPBACK}:8123"]
)
def test_another_site_cannot_write(client, saved, origin):
    assert client.put("/decisions/0", json=KEEP, headers=HEADER | {"Origin": origin}).status_code == 403
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = client.options("/decisions/0", headers=preflight)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client.post("/decisions/0", json=KEEP, headers=HEADER).status_code == 405
    assert not saved.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/../passwords.txt", "/pictures/%2e%2e%2fpasswords.txt", "/originals/..%5c..%5cetc%5cpasswd",
        "/originals/passwords.txt", "/originals//etc/passwd", "/originals/-1", "/originals/3", "/originals/0/../1x",
        "/originals/99999999999999999999", "/pictures/0%00", "/passwords.txt",
    ],
)  # fmt: skip
def test_no_path_leads_out(client, path):
    answer = client.get(path, headers=HEADER)
    assert answer.status_code == 404
    assert "hunter2" not in answer.text


def test_pictures_leave_without_metadata_and_originals_as_they_are(client, folder):
    assert b"Secret Photographer" in (folder / "a.jpg").read_bytes()
    answer = client.get("/pictures/0", headers=HEADER)
    shown = Image.open(io.BytesIO(answer.content))
    assert shown.size == (640, 480)
    assert not shown.getexif()
    assert b"Secret" not in answer.content
    assert b"EXIF" not in answer.content
    assert answer.headers["content-type"] == "image/webp"
    original = client.get("/originals/1", headers=HEADER)
    assert original.content == (folder / "=b.jpg").read_bytes()
    assert original.headers["content-disposition"] == "attachment"
    assert client.get("/pictures/2", headers=HEADER).status_code == 404
    assert client.get("/originals/2", headers=HEADER).status_code == 404


def test_originals_that_were_exchanged_are_not_handed_out(client, folder):
    (folder / "a.jpg").write_bytes((folder / "passwords.txt").read_bytes())
    answer = client.get("/originals/0", headers=HEADER)
    assert answer.status_code == 404
    assert "no longer the picture that was scored" in answer.text
    assert client.get("/pictures/0", headers=HEADER).status_code == 404
    Image.new("RGB", (50, 50)).save(folder / "a.jpg", "JPEG")
    assert client.get("/originals/0", headers=HEADER).status_code == 404


def test_what_is_no_picture_is_not_handed_out_whatever_the_scores_say(folder, saved):
    text = folder / "passwords.txt"
    contents = {"a.jpg": content_hash(text.read_bytes())}
    files = {"a.jpg": ImageFile(text, "a.jpg")}
    server = ReviewServer("", files, Decisions(saved, ["a.jpg"]), TOKEN, CODE, lambda file: None, contents)
    client = TestClient(server.app(), base_url=f"http://{LOOPBACK}:8123", raise_server_exceptions=False)
    answer = client.get("/originals/0", headers=HEADER)
    assert answer.status_code == 404
    assert "hunter2" not in answer.text


def test_many_requests_at_once_are_answered_a_few_at_a_time(folder, saved):
    busy, most = [], []

    def draw(file):
        busy.append(file)
        most.append(len(busy))
        time.sleep(0.02)
        busy.pop()
        return b"RIFF"

    files = {"a.jpg": ImageFile(folder / "a.jpg", "a.jpg")}
    server = ReviewServer("", files, Decisions(saved, ["a.jpg"]), TOKEN, CODE, draw, {})
    client = TestClient(server.app(), base_url=f"http://{LOOPBACK}:8123")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get("/pictures/0", headers=HEADER).status_code, range(16)))
    assert answers == [200] * 16
    assert max(most) <= review_server.READERS


def test_every_answer_keeps_browsers_strict(client):
    for answer in (
        client.get("/"),
        enter(client),
        client.get("/nothing"),
        client.get("/", headers={"Host": "x"}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_decisions_are_saved_and_read_again(client, saved):
    assert client.put("/decisions/1", json=KEEP, headers=HEADER).status_code == 204
    assert client.put("/decisions/0", json={"decision": "reject", "tags": []}, headers=HEADER).status_code == 204
    assert read_table(saved)["image"].tolist() == ["=b.jpg", "a.jpg"]
    assert "'=b.jpg,keep,stage" in saved.read_text()
    again = Decisions(saved, NAMES).as_json()
    assert again == {"=b.jpg": {"decision": "keep", "tags": ["stage"]}, "a.jpg": {"decision": "reject", "tags": []}}
    assert client.get("/decisions", headers=HEADER).json() == again
    client.put("/decisions/0", json={"decision": "", "tags": []}, headers=HEADER)
    client.put("/decisions/1", json={"decision": "", "tags": []}, headers=HEADER)
    assert Decisions(saved, NAMES).as_json() == {}


def test_decisions_about_other_pictures_stay(saved):
    Decisions(saved, ["elsewhere.jpg"]).set(0, "keep", ["old", "007"])
    decisions = Decisions(saved, NAMES)
    decisions.set(0, "reject", [])
    assert read_table(saved)["image"].tolist() == ["a.jpg", "elsewhere.jpg"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'{"decision": "keep"}', b'{"decision": "drop", "tags": []}',
        b'{"decision": [], "tags": []}', b'{"decision": "keep", "tags": "x"}', b'{"decision": "keep", "tags": [1]}',
        b"[" * 8000, b"\xff", b'{"decision": "keep", "tags": ' + b'["x"' + b', "x"' * 20 + b"]}",
    ],
)  # fmt: skip
def test_what_is_no_decision_is_refused(client, saved, body):
    assert client.put("/decisions/0", content=body, headers=HEADER).status_code == 400
    assert not saved.exists()


def test_a_body_without_end_is_cut_off(client, saved):
    assert client.put("/decisions/0", content=b" " * 100_000, headers=HEADER).status_code == 413
    assert not saved.exists()


def test_tags_stay_apart_and_on_one_line(client, saved):
    tags = ["a,b", " x\ny ", "", "x", "x", "=1+1"]
    client.put("/decisions/0", json={"decision": "", "tags": tags}, headers=HEADER)
    assert Decisions(saved, NAMES).as_json()["a.jpg"]["tags"] == ["a b", "x\\ny", "x", "=1+1"]


def test_a_disk_that_takes_nothing_is_told(folder, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    server = ReviewServer("", {}, Decisions(blocked / "d.csv", NAMES), TOKEN, CODE, lambda file: None, {})
    client = TestClient(server.app(), base_url=f"http://{LOOPBACK}")
    answer = client.put("/decisions/0", json=KEEP, headers=HEADER)
    assert answer.status_code == 507
    assert "cannot be written" in answer.text


def test_a_table_without_decisions_is_refused(tmp_path):
    other = tmp_path / "scores.csv"
    other.write_text("image,score\na.jpg,3\n")
    with pytest.raises(PrescreenError, match="expected the columns image and decision"):
        Decisions(other, NAMES)


def test_two_decisions_at_once_are_both_saved(saved):
    names = [f"{i}.jpg" for i in range(20)]
    decisions = Decisions(saved, names)
    threads = [threading.Thread(target=decisions.set, args=(i, "keep", [])) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_table(saved, text={"image"})) == 20


def test_it_listens_to_this_machine_only():
    with listen(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(PrescreenError, match="give another one with --port"):
            listen(listener.getsockname()[1])
        with socket.create_connection(listener.getsockname(), timeout=5):
            pass


@pytest.mark.parametrize("row", ["9" * 5001, "-1", "1.0", "٣", "0x1", " 1", "1\n"])
@pytest.mark.parametrize("kind", ["pictures", "originals"])
def test_a_row_that_is_none_is_not_found(client, kind, row):
    assert client.get(f"/{kind}/{quote(row)}", headers=HEADER).status_code == 404
    assert client.get(f"/{kind}/{quote(row)}").status_code in (403, 404)


def asked(app, messages):
    """Return the status of the answer to a request whose body arrives like this; None where it stalls."""
    answers = []

    async def receive():
        if messages:
            return messages.pop(0)
        await asyncio.sleep(60)

    async def send(message):
        answers.append(message)

    head = [(b"host", f"{LOOPBACK}:8123".encode()), (b"authorization", HEADER["Authorization"].encode())]
    scope = {"type": "http", "method": "PUT", "path": "/decisions/0", "headers": head, "query_string": b""}
    with ThreadPoolExecutor(1) as pool:  # this thread may have a loop that another test left running
        pool.submit(asyncio.run, app(scope, receive, send)).result()
    return answers[0]["status"]


def test_a_body_that_stalls_is_given_up_and_one_that_is_cut_off_is_no_error(client, saved, monkeypatch):
    monkeypatch.setattr(local_server, "BODY_SECONDS", 0.05)
    first = {"type": "http.request", "body": b'{"decision"', "more_body": True}
    assert asked(client.app, [dict(first)]) == 408
    assert asked(client.app, [dict(first), {"type": "http.disconnect"}]) == 400
    assert not saved.exists()


def test_it_ends_soon_whatever_a_client_does():
    """A client that has sent half a request keeps neither a thread nor the process."""
    code = """
import os, signal, socket, sys, threading, time
from prescreen.reports import local_server, review_server
local_server.BODY_SECONDS = 60.0

async def app(scope, receive, send):
    await review_server._decision(review_server.Request(scope, receive))

listener = local_server.listen(0)
def stall():
    with socket.create_connection(listener.getsockname()) as client:
        client.sendall(b"PUT /decisions/0 HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 100\\r\\n\\r\\nhalf")
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
threading.Thread(target=stall, daemon=True).start()
try:
    local_server.serve(app, listener)
except KeyboardInterrupt:
    pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=40, check=False)
    assert (done.returncode, done.stderr) == (0, "")
