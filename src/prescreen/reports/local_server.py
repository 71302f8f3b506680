"""What all servers share: the ports they listen on, what they refuse, and the headers of their answers."""

import asyncio
import logging
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prescreen.errors import PrescreenError

LOOPBACK: Final = "127.0.0.1"
BODY_SECONDS: Final = 5.0
"""How long the body of a request may take to arrive."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # with the page's own policy, which is stricter
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def listen(port: int, address: str = LOOPBACK) -> socket.socket:
    """Open a port of an address of this machine; 0 takes any that is free.

    Raises
    ------
    PrescreenError
        If the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise PrescreenError(f"port {port} cannot be opened ({error.strerror}); give another one with --port") from None
    return listener


@contextmanager
def private_link(address: str) -> Iterator[Path]:
    """Make a page, for this user only, that leads to an address; it goes when the ``with`` statement ends.

    A browser is started with its path: all users of the machine can read the command lines of programs.
    """
    with tempfile.TemporaryDirectory(prefix="prescreen-", ignore_cleanup_errors=True) as folder:  # mode 0700
        page = Path(folder) / "page.html"
        page.write_text(
            '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
            f'<title>prescreen</title><meta http-equiv="refresh" content="0; url={escape(address)}">'
            f'<p><a href="{escape(address)}">Open the page</a>',
            "utf-8",
        )
        yield page


def check_secret(presented: str, secret: str, remedy: str) -> None:
    """Refuse a request that shows another secret; the answer names the remedy."""
    if not secrets.compare_digest(presented.encode("utf-8", "surrogateescape"), secret.encode()):
        raise HTTPException(HTTPStatus.FORBIDDEN, remedy)


def check_origin(request: Request) -> None:
    """Refuse a request that a page of another site sends."""
    origin = request.headers.get("origin")
    if origin is not None and origin != f"http://{request.headers['host']}":
        raise HTTPException(HTTPStatus.FORBIDDEN, "another site may not write here")


async def read_body(request: Request, most: int) -> bytes:
    """Return the body of a request; one of more than ``most`` bytes, or one that stalls, is refused."""
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {most} bytes")
    except TimeoutError:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, f"not complete after {BODY_SECONDS:g} s") from None
    except ClientDisconnect:  # nobody receives the answer
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the request was cut off") from None
    return body


def serve(app: Starlette, *listeners: socket.socket) -> None:
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
    _Server(config).run(sockets=list(listeners))


class _Server(uvicorn.Server):
    """A server that reports nothing about requests that it cuts off when it ends."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


class SecurityHeaders:
    """Gives every response, errors included, the headers that keep browsers strict."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, with the headers."""

        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message = dict(message) | {"headers": [*message.get("headers", []), *extra]}
            await send(message)

        await self.app(scope, receive, strict)
