"""The review page served to the person at this machine, with decisions saved beside the scores.

The pictures are private and the page can write a file, so access is restricted:

- the server listens on the loopback address only, and answers to no other name (a foreign name that resolves to this
  machine is refused);
- the printed address holds a code that works once: it is exchanged for a cookie that lasts as long as the browser
  runs, and for the page's own address, which without the cookie is worth nothing. So nothing that opens the page stays
  in the address bar, in the history or in the list of processes;
- the page holds a random token, and every other request shows it in a header, which no other site can send or read;
  writes from another origin are refused, too;
- pictures are requested by their row, never by a path, are drawn by `prescreen.embeddings.workers` and carry no
  metadata; only the export of the kept files hands out originals, and only those that are still what was scored.
"""

import asyncio
import json
import logging
import re
import secrets
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prescreen.embeddings.workers import shared_workers
from prescreen.errors import PictureError, PrescreenError
from prescreen.images.files import ImageFile, content_hash, read_bytes
from prescreen.reports.decisions import DECISIONS, Decisions
from prescreen.text import shown

LOOPBACK: Final = "127.0.0.1"
MAX_BODY: Final = 8192
MAX_TAGS: Final = 20
READERS: Final = 2
"""Pictures that are read at once; further requests wait."""
BODY_SECONDS: Final = 5.0
"""How long the body of a request may take to arrive."""

_COOKIE: Final = "prescreen"
_ROW: Final = re.compile("[0-9]{1,9}")
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # with the page's own policy, which is stricter
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(repr=False, eq=False)
class ReviewServer:
    """What the server answers.

    Parameters
    ----------
    page : str
        The review page, rendered with this token.
    files : mapping of str to ImageFile
        The available pictures, by name.
    decisions : Decisions
        Where decisions go; its names give the rows their numbers.
    token : str
        What every request of the page has to show.
    code : str
        Opens the page, once.
    draw : callable
        Turns a file into a WebP without metadata, or None if it cannot be read.
    contents : mapping of str to str
        SHA-256 of each picture when it was scored, by name.
    """

    page: str
    files: Mapping[str, ImageFile]
    decisions: Decisions
    token: str
    code: str
    draw: Callable[[ImageFile], bytes | None]
    contents: Mapping[str, str]

    def __post_init__(self) -> None:
        self._unused = threading.Lock()  # taken by the first who shows the code, and never released
        self._place = secrets.token_urlsafe(16)
        self._session = secrets.token_urlsafe(32)
        self._readers = threading.BoundedSemaphore(READERS)

    def app(self) -> Starlette:
        """Return the application to serve."""
        return Starlette(
            routes=[
                Route("/", self._enter),
                Route("/page/{place}/", self._index),
                Route("/pictures/{row}", self._picture),
                Route("/originals/{row}", self._original),
                Route("/decisions", self._listed),
                Route("/decisions/{row}", self._decide, methods=["PUT"]),
            ],
            middleware=[
                Middleware(_SecurityHeaders),
                Middleware(TrustedHostMiddleware, allowed_hosts=[LOOPBACK, "localhost"], www_redirect=False),
            ],
        )

    def _enter(self, request: Request) -> Response:
        _check(request.query_params.get("code", ""), self.code)
        if request.method == "HEAD":  # a look at the link, by a terminal or a scanner, does not use it up
            return Response()
        if not self._unused.acquire(blocking=False):
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                "this address was opened already; if not by you, end prescreen review and start it again, with "
                "--no-browser where it has opened another browser than yours",
            )
        # Cookies know no ports: with a path that nobody can guess, no other server of this machine ever gets it.
        answer = RedirectResponse(f"/page/{self._place}/", HTTPStatus.SEE_OTHER)
        answer.set_cookie(_COOKIE, self._session, path=f"/page/{self._place}/", httponly=True, samesite="lax")
        return answer

    def _index(self, request: Request) -> Response:
        _check(request.path_params["place"], self._place)
        _check(request.cookies.get(_COOKIE, ""), self._session)
        return HTMLResponse(self.page)

    def _picture(self, request: Request) -> Response:
        file = self._file(request)
        with self._readers:
            image = self.draw(file)
        if image is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "this picture cannot be read")
        return Response(image, media_type="image/webp")

    def _original(self, request: Request) -> Response:
        file = self._file(request)
        try:
            with self._readers:
                data = read_bytes(file)
                if content_hash(data) != self.contents.get(file.name):
                    raise PictureError("the file is no longer the picture that was scored")
                shared_workers().read_size(data)  # scores may be edited: what is no picture stays here
        except PictureError as error:
            raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from None
        return Response(data, media_type="application/octet-stream", headers={"Content-Disposition": "attachment"})

    def _listed(self, request: Request) -> Response:
        self._check_header(request)
        return JSONResponse(self.decisions.as_json())

    async def _decide(self, request: Request) -> Response:
        self._check_header(request)
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{request.headers['host']}":
            raise HTTPException(HTTPStatus.FORBIDDEN, "another site may not decide here")
        row = self._row(request)
        decision, tags = await _decision(request)
        try:
            await run_in_threadpool(self.decisions.set, row, decision, tags)
        except PrescreenError as error:
            raise HTTPException(HTTPStatus.INSUFFICIENT_STORAGE, str(error)) from None
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _check_header(self, request: Request) -> None:
        _check(request.headers.get("authorization", "").removeprefix("Bearer "), self.token)

    def _row(self, request: Request) -> int:
        text = request.path_params["row"]
        # Starlette's own converter takes any number of digits, which Python's int does not.
        row = int(text) if _ROW.fullmatch(text) else len(self.decisions.names)
        if row >= len(self.decisions.names):
            raise HTTPException(HTTPStatus.NOT_FOUND, "no such row")
        return row

    def _file(self, request: Request) -> ImageFile:
        self._check_header(request)
        file = self.files.get(self.decisions.names[self._row(request)])
        if file is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, "this picture is no longer where it was")
        return file


def _check(presented: str, secret: str) -> None:
    if not secrets.compare_digest(presented.encode("utf-8", "surrogateescape"), secret.encode()):
        raise HTTPException(HTTPStatus.FORBIDDEN, "open the address that prescreen review printed")


@contextmanager
def private_link(address: str) -> Iterator[Path]:
    """Make a page, for this user only, that leads to an address; it goes when the ``with`` statement ends.

    A browser is started with its path: all users of the machine can read the command lines of programs.
    """
    with tempfile.TemporaryDirectory(prefix="prescreen-", ignore_cleanup_errors=True) as folder:  # mode 0700
        page = Path(folder) / "review.html"
        page.write_text(
            '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
            f'<title>prescreen review</title><meta http-equiv="refresh" content="0; url={escape(address)}">'
            f'<p><a href="{escape(address)}">Open the review page</a>',
            "utf-8",
        )
        yield page


def serve(app: Starlette, listener: socket.socket) -> None:
    """Answer until interrupted."""
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,  # a client that does not finish its request does not keep it from ending
    )
    _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that reports nothing about requests that it cuts off when it ends."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def listen(port: int) -> socket.socket:
    """Open a port of the loopback address; 0 takes any that is free.

    Raises
    ------
    PrescreenError
        If the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PrescreenError(f"port {port} cannot be opened ({error.strerror}); give another one with --port") from None
    return listener


class _SecurityHeaders:
    """Gives every response, errors included, the headers that keep browsers strict."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = dict(message) | {"headers": [*message.get("headers", []), *extra]}
            await send(message)

        await self.app(scope, receive, strict)


async def _decision(request: Request) -> tuple[str, list[str]]:
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY} bytes")
    except TimeoutError:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, f"not complete after {BODY_SECONDS:g} s") from None
    except ClientDisconnect:  # nobody receives the answer
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the request was cut off") from None
    try:
        content = json.loads(body)
        decision, tags = content["decision"], content["tags"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "expected JSON with decision and tags") from None
    if not isinstance(decision, str) or decision not in DECISIONS:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "decision: expected keep, reject or nothing")
    if not isinstance(tags, list) or len(tags) > MAX_TAGS or not all(isinstance(tag, str) for tag in tags):
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"tags: expected at most {MAX_TAGS} texts")
    cleaned = [shown(tag.replace(",", " ").strip()) for tag in tags]
    return decision, [tag for tag in dict.fromkeys(cleaned) if tag]
