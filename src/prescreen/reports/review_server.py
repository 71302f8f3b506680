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

import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from prescreen.embeddings.workers import shared_workers
from prescreen.errors import PictureError, PrescreenError
from prescreen.images.files import ImageFile, content_hash, read_bytes
from prescreen.reports.decisions import DECISIONS, Decisions
from prescreen.reports.local_server import LOOPBACK, SecurityHeaders, check_origin, check_secret, read_body
from prescreen.text import shown

MAX_BODY: Final = 8192
MAX_TAGS: Final = 20
READERS: Final = 2
"""Pictures that are read at once; further requests wait."""

_COOKIE: Final = "prescreen"
_ROW: Final = re.compile("[0-9]{1,9}")


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
                Middleware(SecurityHeaders),
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
        check_origin(request)
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
    check_secret(presented, secret, "open the address that prescreen review printed")


async def _decision(request: Request) -> tuple[str, list[str]]:
    body = await read_body(request, MAX_BODY)
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
