"""``prescreen data omi`` against an archive of the same layout, made here, from a file and over HTTP."""

import email.message
import functools
import hashlib
import http.server
import io
import json
import threading
import urllib.request
import urllib.response
import zipfile

import pytest
from click.testing import CliRunner
from PIL import Image

from prescreen.cli.main import main
from prescreen.ratings.reading import read_ratings

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def archive(path, *, without="", extra=(), comment=COMMIT):
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(picture, "JPEG")
    votes = "rating,attribute,rating_type,stimulus\n" + "".join(
        f"{10 * face + vote},smart,normal,{face}\n" for face in (1, 2, 3) for vote in range(4)
    )
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        packed.writestr("attribute_ratings.csv", votes)
    files = {"LICENSE.txt": b"terms", "attribute_ratings.zip": inner.getvalue(), "validation_images/9.jpg": b"no"}
    files |= {f"images/{face}.jpg": picture.getvalue() for face in (1, 2, 3)}
    with zipfile.ZipFile(path, "w") as packed:
        packed.comment = comment.encode()
        for name, content in files.items():
            if not without or not name.startswith(without):
                packed.writestr(f"omi-{COMMIT}/{name}", content)
        for name in extra:
            packed.writestr(name, b"planted")
    return path


def fetch(tmp_path, source, *options):
    return CliRunner().invoke(
        main, ["data", "omi", "--output", str(tmp_path / "new" / "omi"), "--source", str(source), *options]
    )


@pytest.fixture
def served(tmp_path):
    (tmp_path / "served").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "served"))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield tmp_path / "served", f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_fetched_over_http_can_be_read_as_ratings(tmp_path, served):
    folder, url = served
    packed = archive(folder / "HEAD.zip", extra=("../outside.txt", "omi/images/../../outside.jpg"))
    done = fetch(tmp_path, f"{url}/HEAD.zip", "--accept-licence")
    assert done.exit_code == 0, done.output
    assert "3 pictures" in done.output
    assert f"next: prescreen train --ratings {tmp_path / 'new' / 'omi'} --traits competence=smart" in done.output
    omi = tmp_path / "new" / "omi"
    assert sorted(str(path.relative_to(omi)) for path in omi.rglob("*") if path.is_file()) == [
        "LICENSE.txt", "attribute_ratings.zip", "fetched.json", "images/1.jpg", "images/2.jpg", "images/3.jpg",
    ]  # fmt: skip
    note = json.loads((omi / "fetched.json").read_text())
    assert note["sha256"] == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert note["commit"] == COMMIT
    assert not list(tmp_path.rglob("outside*"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["omi"]
    assert len(read_ratings(omi, min_images=3).table) == 3


def test_without_the_licence_nothing_is_asked_for(tmp_path):
    done = fetch(tmp_path, "http://127.0.0.1:9/none.zip")
    assert done.exit_code == 2
    assert "--accept-licence" in done.output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("without", ["LICENSE.txt", "attribute_ratings.zip", "images/"])
def test_an_archive_that_lacks_something_is_refused(tmp_path, without):
    done = fetch(tmp_path, archive(tmp_path / "a.zip", without=without), "--accept-licence")
    assert done.exit_code == 1
    assert without in done.output
    assert not (tmp_path / "new" / "omi").exists()


def test_a_damaged_or_another_archive_is_refused(tmp_path):
    packed = archive(tmp_path / "a.zip")
    assert "expected " + 64 * "0" in fetch(tmp_path, packed, "--accept-licence", "--sha256", 64 * "0").output
    content = bytearray(packed.read_bytes())
    content[content.index(b"terms")] ^= 1
    packed.write_bytes(content)
    done = fetch(tmp_path, packed, "--accept-licence")
    assert done.exit_code == 1
    assert "not a sound ZIP archive" in done.output
    assert not (tmp_path / "new").exists()


def test_no_answer_and_no_file_say_what_to_do(tmp_path, served):
    for source in (f"{served[1]}/missing.zip", tmp_path / "missing.zip"):
        done = fetch(tmp_path, source, "--accept-licence")
        assert done.exit_code == 1
        assert "--source" in done.output
        assert not (tmp_path / "new").exists()


def test_a_folder_with_something_in_it_stays(tmp_path):
    (tmp_path / "new" / "omi").mkdir(parents=True)
    (tmp_path / "new" / "omi" / "mine.txt").write_text("mine")
    assert fetch(tmp_path, archive(tmp_path / "a.zip"), "--accept-licence").exit_code == 2
    assert (tmp_path / "new" / "omi" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("source", "target", "followed"),
    [
        ("https://one.test/a.zip", "https://two.test/a.zip", True),
        ("https://one.test/a.zip", "http://two.test/a.zip", False),
        ("https://one.test/a.zip", "ftp://two.test/a.zip", False),
        ("http://one.test/a.zip", "https://two.test/a.zip", True),
        ("http://one.test/a.zip", "ftp://two.test/a.zip", False),
    ],
)
def test_a_redirect_leads_to_no_less_safe_address(tmp_path, monkeypatch, source, target, followed):
    packed = archive(tmp_path / "a.zip").read_bytes()
    asked = []

    def answer(_, request):
        asked.append(request.full_url)
        headers = email.message.Message()
        redirects = request.full_url == source
        if redirects:
            headers["Location"] = target
        body = io.BytesIO(b"" if redirects else packed)
        response = urllib.response.addinfourl(body, headers, request.full_url, 302 if redirects else 200)
        response.msg = "Found" if redirects else "OK"
        return response

    for handler, scheme in (("HTTPHandler", "http"), ("HTTPSHandler", "https"), ("FTPHandler", "ftp")):
        monkeypatch.setattr(getattr(urllib.request, handler), f"{scheme}_open", answer)
    done = fetch(tmp_path, source, "--accept-licence")
    assert (done.exit_code == 0) is followed, done.output
    assert asked == ([source, target] if followed else [source])
    assert followed or f"redirects to {target}" in done.output
    assert (tmp_path / "new").exists() is followed
