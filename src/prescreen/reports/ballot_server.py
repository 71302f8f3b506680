"""The ballot served to raters, on this machine or in the local network; their votes go into one table.

All addresses begin with a random token, which the raters get with the link: without it nothing is answered. Raters can
send votes under the name that they gave; nothing that others voted is shown, apart from the number of votes of each
picture. Pictures travel inside the page, drawn anew without metadata, so that no request names a file.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from prescreen.errors import PrescreenError
from prescreen.reports.collected_votes import CollectedVotes
from prescreen.reports.local_server import LOOPBACK, SecurityHeaders, check_origin, check_secret, read_body
from prescreen.text import shown

MAX_BODY: Final = 512 << 10
"""Bytes of a request: enough for the votes of one rater on ten thousand pictures."""
MAX_NAME: Final = 80
"""Characters of a rater's name."""
NOT_SAVED: Final = "not saved; tell the person who runs this page"
"""What raters learn of a table that cannot be written; its path is nothing for a network."""


class BallotServer:
    """What the server answers.

    Parameters
    ----------
    page : str
        The ballot, rendered for a server.
    votes : CollectedVotes
        Where votes go.
    token : str
        Begins every address.
    addresses : sequence of str
        Addresses of this machine, beside that for itself, under which it may be asked.
    warn : callable
        Receives why votes cannot be saved, each reason once.
    """

    def __init__(
        self,
        page: str,
        votes: CollectedVotes,
        token: str,
        addresses: Sequence[str] = (),
        warn: Callable[[str], object] = lambda message: None,
    ) -> None:
        self._page = page.encode()
        self._warn = cache(warn)
        self._votes = votes
        self._token = token
        self._hosts = [LOOPBACK, "localhost", *addresses]

    def app(self) -> Starlette:
        """Return the application to serve."""
        return Starlette(
            routes=[
                Route("/{token}/", self._index),
                Route("/{token}/counts", self._counts),
                Route("/{token}/votes", self._save, methods=["PUT"]),
            ],
            middleware=[
                Middleware(SecurityHeaders),
                Middleware(TrustedHostMiddleware, allowed_hosts=self._hosts, www_redirect=False),
            ],
        )

    def _index(self, request: Request) -> Response:
        self._check(request)
        return HTMLResponse(self._page)

    def _counts(self, request: Request) -> Response:
        self._check(request)
        return JSONResponse(self._votes.counts())

    async def _save(self, request: Request) -> Response:
        self._check(request)
        check_origin(request)
        rater, votes = self._read(await read_body(request, MAX_BODY))
        try:
            await run_in_threadpool(self._votes.save, rater, votes)
        except PrescreenError as error:
            self._warn(str(error))
            raise HTTPException(HTTPStatus.INSUFFICIENT_STORAGE, NOT_SAVED) from None
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _check(self, request: Request) -> None:
        check_secret(request.path_params["token"], self._token, "open the address that prescreen ballot printed")

    def _read(self, body: bytes) -> tuple[str, dict[str, dict[str, int]]]:
        try:
            content = json.loads(body)
            rater, votes = content["rater"], content["votes"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "expected JSON with rater and votes") from None
        if not isinstance(rater, str) or not rater.strip() or len(rater) > MAX_NAME or shown(rater) != rater:
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"rater: expected a name of at most {MAX_NAME} characters")
        if not isinstance(votes, dict) or not all(isinstance(by_trait, dict) for by_trait in votes.values()):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "votes: expected them by item and trait")
        given = [vote for by_trait in votes.values() for vote in by_trait.values()]
        highest = self._votes.kind.highest
        if not all(type(vote) is int and 0 <= vote <= highest for vote in given):
            raise HTTPException(HTTPStatus.BAD_REQUEST, f"votes: expected whole numbers from 0 to {highest}")
        return rater.strip(), votes
