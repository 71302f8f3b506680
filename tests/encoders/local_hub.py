"""A server on this machine that plays the Hugging Face hub and the storage that the hub redirects to.

It answers as the hub does: commits, names of content, redirects of large files to another host, ranges. It can be told
to fail in the ways that networks and hubs fail.
"""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ONE_REPOSITORY = "a/b"


class LocalHub:
    """What the server has, how it fails, and what it was asked.

    Attributes
    ----------
    address : str
        For ``HF_ENDPOINT``.
    refusals : list of (int, dict)
        Status and headers that the next requests are answered with, one each; a last one with status 0 stays in
        force and repeats the one before.
    cuts : list of int
        Bytes after which each of the next downloads breaks off.
    stall_after : int or None
        Bytes after which downloads stop without an end.
    corrupt, ignore_ranges, redirect_wrongly, hide_sizes : bool
        Whether one byte of each download is another one; ranges are not looked at; redirects lead nowhere; no answer
        says how long it is.
    gone : set of str
        Commits that the author has removed.
    asked : list of (str, str)
        Method and path of each request, of both hosts.
    sent : int
        Bytes of files that were sent.
    pauses : list of float
        Seconds that the fixture ``local_hub`` let nobody wait for.
    """

    def __init__(self) -> None:
        self.address = self.storage = ""
        self.files: dict[str, dict[str, bytes]] = {}  # by commit and name
        self.main = ""
        self.refusals: list[tuple[int, dict[str, str]]] = []
        self.cuts: list[int] = []
        self.stall_after: int | None = None
        self.corrupt = self.ignore_ranges = self.redirect_wrongly = self.hide_sizes = False
        self.gone: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.tokens: list[str | None] = []  # that came with each request
        self.sent = 0
        self.pauses: list[float] = []
        self.ending = threading.Event()

    def commit(self, **files: bytes | Path) -> str:
        """Let main move to a new commit with these files, whose dots are written ``__``; return it."""
        self.main = hashlib.sha1(f"commit {len(self.files)}".encode()).hexdigest()
        self.files[self.main] = {
            name.replace("__", "."): data.read_bytes() if isinstance(data, Path) else data
            for name, data in files.items()
        }
        return self.main

    @property
    def downloads(self) -> list[str]:
        """The paths of the requests for content."""
        return [path for method, path in self.asked if method == "GET" and path.startswith("/storage/")]

    def environment(self, cache: Path) -> dict[str, str]:
        """Return what sends a process to this hub and to an empty cache."""
        return {"HF_ENDPOINT": self.address, "HF_HUB_CACHE": str(cache), "NO_PROXY": "127.0.0.1"}


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub

    def do_HEAD(self):  # noqa: N802
        self._answer(False)

    def do_GET(self):  # noqa: N802
        self._answer(True)

    def log_message(self, *_):
        pass

    def _answer(self, wanted):
        hub = self.hub
        hub.asked.append((self.command, self.path))
        hub.tokens.append(self.headers.get("Authorization"))
        if hub.refusals and not self.path.startswith("/storage/"):
            status, headers = hub.refusals.pop(0)
            if hub.refusals and hub.refusals[0][0] == 0:
                hub.refusals.insert(0, (status, headers))
            self._head(status, headers)
            return
        if self.path.startswith("/storage/"):
            contents = {hashlib.sha256(data).hexdigest(): data for each in hub.files.values() for data in each.values()}
            data = contents.get(self.path.removeprefix("/storage/"))
            if data is None:
                self._head(404, {})
            else:
                self._send(data, {}, wanted)
            return
        repository, _, rest = self.path.removeprefix("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        commit = hub.main if revision == "main" else revision
        if repository != ONE_REPOSITORY:
            self._head(404, {"X-Error-Code": "RepoNotFound"})
        elif commit in hub.gone or commit not in hub.files:
            self._head(404, {"X-Error-Code": "RevisionNotFound"})
        elif name not in hub.files[commit]:
            self._head(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        else:
            self._give(commit, name, wanted)

    def _give(self, commit, name, wanted):
        data, headers = self.hub.files[commit][name], {"X-Repo-Commit": commit}
        if not name.endswith((".safetensors", ".bin")):  # small files come from the hub itself
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            self._send(data, headers | {"ETag": f'"{blob}"'}, wanted)
            return
        digest = hashlib.sha256(data).hexdigest()
        place = "nowhere" if self.hub.redirect_wrongly else digest
        headers |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
        self._head(302, headers | {"Location": f"{self.hub.storage}/storage/{place}"})

    def _send(self, data, headers, wanted):
        hub, start = self.hub, 0
        if (asked := self.headers.get("Range")) and not hub.ignore_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            headers |= {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        if hub.corrupt:
            data = data[:-1] + bytes([data[-1] ^ 1])
        data = data[start:]
        self._head(206 if "Content-Range" in headers else 200, headers, len(data))
        if not wanted:
            return
        stop = hub.cuts.pop(0) if hub.cuts else hub.stall_after
        with contextlib.suppress(OSError):  # the other side may be killed
            hub.sent += len(data[:stop])  # before the other side can have it
            self.wfile.write(data[:stop])
            self.wfile.flush()
            if hub.stall_after is not None:
                hub.ending.wait(60)

    def _head(self, status, headers, length=0):
        self.send_response(status)
        headers = headers | {"Content-Length": str(length)}
        for name, value in headers.items():
            if not (self.hub.hide_sizes and name in ("Content-Length", "X-Linked-Size")):
                self.send_header(name, value)
        self.end_headers()


@contextlib.contextmanager
def serve() -> Iterator[LocalHub]:
    """Run a hub, empty at first, and its storage at another address."""
    hub = LocalHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as front,
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as storage,
    ):
        servers = front, storage
        hub.address, hub.storage = (f"http://127.0.0.1:{server.server_port}" for server in servers)
        for server in servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield hub
        finally:
            hub.ending.set()
            for server in servers:
                server.shutdown()
