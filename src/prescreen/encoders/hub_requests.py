"""Requests to the Hugging Face hub, or to a mirror of it; each failure is one line with its reason and its remedy.

References
----------
Hugging Face, "How-to download files", https://huggingface.co/docs/huggingface_hub/guides/download, and the headers that
its client reads (``X-Repo-Commit``, ``X-Linked-Etag``, ``X-Linked-Size``).
"""

import contextlib
import email.utils
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Final
from urllib.parse import urlsplit

import requests
import urllib3

from prescreen.text import shown

HUB_TIMEOUT: Final = 5.0
"""Seconds that the hub has to answer; its own client would try for many minutes."""
STALL_TIMEOUT: Final = 15.0
"""Seconds without a byte after which a download is taken up again."""
AGAIN: Final = "run the same command again: it goes on where it stopped"

_PIECE: Final = 1 << 16
_PASSING: Final = (408, 429, 500, 502, 503, 504)
_NAME: Final = re.compile(r'(?:W/)?"?([\w.-]+)"?', re.ASCII)
_MEANINGS: Final = {429: "too many requests", 502: "bad gateway", 503: "not available", 504: "no answer behind it"}


class RequestFailed(Exception):
    """A request that failed; the text is one line.

    Parameters
    ----------
    asked : str
        Address.
    what : str
        What came instead.
    remedy : str
        What to do about it.
    passing : bool
        Whether another try may help.
    wait : float, optional
        Seconds until then, where the server says so.
    """

    def __init__(self, asked: str, what: str, remedy: str, *, passing: bool = False, wait: float | None = None) -> None:
        self.asked = shown(asked)
        self.what = shown(" ".join(what.split()))
        self.passing = passing
        self.wait = wait
        super().__init__(f"{self.asked}: {self.what}; {remedy}")


class NoSuchFile(RequestFailed):
    """The repository has no file of that name."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository, as the hub describes it.

    Attributes
    ----------
    repository, name : str
        ``OWNER/NAME``, and the path of the file in it.
    commit : str
        The commit that it belongs to, 40 hexadecimal digits.
    etag : str
        What the hub's cache calls the content: its SHA-256 for large files, the hash of a Git blob for others.
    size : int or None
        Bytes, if known.
    """

    repository: str
    name: str
    commit: str
    etag: str
    size: int | None

    @property
    def host(self) -> str:
        """Whom it is fetched from."""
        return urlsplit(_address(self.repository, self.name, self.commit)).netloc


def describe(repository: str, name: str, revision: str = "") -> RemoteFile:
    """Ask the hub for a file in a revision, by default the latest.

    Raises
    ------
    NoSuchFile
        If the repository has none of that name.
    RequestFailed
        If the hub cannot be reached or does not give it.
    """
    url = _address(repository, name, revision)
    with _explained(url), _session() as session:
        last = session.head(url, headers=_headers(), allow_redirects=True, timeout=HUB_TIMEOUT)
    answers = [answer for answer in (*last.history, last) if answer.status_code < 400]
    commit, etag, size = (_first(answers, f"X-{header}") for header in ("Repo-Commit", "Linked-Etag", "Linked-Size"))
    if last.status_code < 400:
        etag, size = etag or last.headers.get("ETag", ""), size or last.headers.get("Content-Length", "")
    elif not (commit and etag):  # storages that the hub redirects to may not answer such requests
        raise _refusal(last, repository, name, revision)
    named = _NAME.fullmatch(etag)
    if not re.fullmatch("[0-9a-f]{40}", commit) or named is None or named[1].strip(".") == "":
        raise RequestFailed(
            url,
            "the answer is not that of a hub (X-Repo-Commit or ETag is missing)",
            "check HF_ENDPOINT, and that no proxy or login page is in between",
        )
    return RemoteFile(repository, name, commit, named[1], int(size) if size.isdigit() else None)


def receive(remote: RemoteFile, file: BinaryIO, have: int) -> Iterator[int]:
    """Write a file after the bytes that are there already.

    Parameters
    ----------
    remote : RemoteFile
        What to fetch.
    file : file
        Open for writing.
    have : int
        Bytes that are there.

    Yields
    ------
    int
        How many bytes are there now.

    Raises
    ------
    RequestFailed
        If the connection breaks off or the hub does not give the file.
    """
    url = _address(remote.repository, remote.name, remote.commit)
    headers = _headers() | ({"Range": f"bytes={have}-"} if have else {})
    with (
        _explained(url, passing=True),
        _session() as session,
        session.get(url, headers=headers, stream=True, timeout=(HUB_TIMEOUT, STALL_TIMEOUT)) as answer,
    ):
        if answer.status_code >= 400:
            raise _refusal(answer, remote.repository, remote.name, remote.commit)
        if answer.status_code != 206 or not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # the whole file comes
        file.seek(have)
        file.truncate()
        while piece := answer.raw.read1(_PIECE, decode_content=True):  # requests would lose what came before a cut
            file.write(piece)
            have += len(piece)
            yield have
            if remote.size is not None and have > remote.size:
                break
    if remote.size is not None and have != remote.size:
        raise RequestFailed(url, f"{have} bytes came, expected {remote.size}", AGAIN, passing=have < remote.size)


def page_of(repository: str) -> str:
    """Return the address of a repository's page."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{repository}"


def _address(repository: str, name: str, revision: str) -> str:
    import huggingface_hub

    try:
        return huggingface_hub.hf_hub_url(repository, name, revision=revision or None)
    except ValueError as error:  # the name of the repository is none
        raise RequestFailed(repository, f"no name of a repository ({error})", "expected OWNER/NAME") from error


def _headers() -> dict[str, str]:
    """Return what goes with each request; the client's own function for it may ask the hub for other things first."""
    import huggingface_hub
    from huggingface_hub import constants

    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else huggingface_hub.get_token()
    permission = {"Authorization": f"Bearer {token}"} if token else {}
    return {"User-Agent": "prescreen", "Accept-Encoding": "identity"} | permission  # a Range counts bytes as sent


@contextlib.contextmanager
def _session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.verify = (
            os.environ.get("SSL_CERT_FILE") or True
        )  # as for the hub's client; requests has names of its own
        session.auth = lambda request: request  # else .netrc would take the place of the token
        session.hooks["response"].append(_stay_encrypted)
        yield session


def _stay_encrypted(answer: requests.Response, *_: object, **__: object) -> None:
    target = answer.headers.get("Location", "") if answer.is_redirect else ""
    if answer.url.startswith("https:") and target.lower().startswith("http:"):
        raise RequestFailed(
            answer.url,
            f"redirects to http://{urlsplit(target).netloc}, where anybody on the way could change the file",
            "expected https; check HF_ENDPOINT and the proxy",
        )


def _first(answers: list[requests.Response], header: str) -> str:
    return next((answer.headers[header] for answer in answers if answer.headers.get(header)), "")


@contextlib.contextmanager
def _explained(url: str, *, passing: bool = False) -> Iterator[None]:
    """Turn errors of the client into one line."""
    later = "check the network, try again later, or name a mirror with HF_ENDPOINT"
    try:
        yield
    except requests.exceptions.TooManyRedirects as error:
        raise RequestFailed(url, "redirects without end", "check HF_ENDPOINT and the proxy") from error
    except requests.exceptions.SSLError as error:
        remedy = "if a proxy has certificates of its own, name their file with SSL_CERT_FILE"
        raise RequestFailed(url, f"no safe connection ({_reason(error)})", remedy) from error
    except requests.exceptions.ProxyError as error:
        remedy = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
        raise RequestFailed(url, f"the proxy does not connect ({_reason(error)})", remedy, passing=passing) from error
    except requests.exceptions.Timeout as error:
        raise RequestFailed(url, f"no answer within {HUB_TIMEOUT:g} seconds", later, passing=passing) from error
    except requests.exceptions.ConnectionError as error:
        raise RequestFailed(url, f"cannot be reached ({_reason(error)})", later, passing=passing) from error
    except urllib3.exceptions.ReadTimeoutError as error:
        raise RequestFailed(url, f"nothing came for {STALL_TIMEOUT:g} seconds", later, passing=passing) from error
    except urllib3.exceptions.HTTPError as error:
        raise RequestFailed(url, "the connection broke off", later, passing=passing) from error
    except (requests.exceptions.RequestException, ValueError) as error:
        raise RequestFailed(url, f"cannot be asked for ({_reason(error)})", "check HF_ENDPOINT") from error


def _reason(error: BaseException) -> str:
    """Return the message at the bottom of an error: the client wraps that of the system several times."""
    wrapped = (getattr(error, "reason", None), *error.args, error.__cause__)
    for inner in wrapped:
        if isinstance(inner, BaseException):
            return _reason(inner)
    return shown(" ".join(str(getattr(error, "strerror", None) or error or type(error).__name__).split())[:160])


def _refusal(answer: requests.Response, repository: str, name: str, revision: str) -> RequestFailed:
    """Return the error for an answer that is none."""
    status, code, page = answer.status_code, answer.headers.get("X-Error-Code", ""), page_of(repository)
    first = answer.history[0] if answer.history else answer
    asked, host = first.url, urlsplit(answer.url).netloc
    if host != urlsplit(asked).netloc and not code and status not in _PASSING:
        remedy = "check that this address is not blocked, try again later, or name a mirror with HF_ENDPOINT"
        return RequestFailed(asked, f"redirects to {host}, which answers {status}", remedy)
    if status in (401, 403):
        if "Authorization" in first.request.headers:
            remedy = f"accept its licence at {page} with the account of your token, and check HF_TOKEN"
            return RequestFailed(asked, f"answers {status}: your token gives no access to it", remedy)
        remedy = f"look at {page}; accept its licence there, and set HF_TOKEN to a token of your account"
        return RequestFailed(asked, f"answers {status}: it needs a licence to be accepted, or does not exist", remedy)
    if status == 404 and code == "RepoNotFound":
        return RequestFailed(asked, f"there is no repository {repository} (404)", f"check the name at {page}")
    if status == 404 and code == "RevisionNotFound":
        remedy = "name a copy of the file, or train again with today's weights"
        return RequestFailed(asked, f"revision {revision} is gone (404), its author has removed it", remedy)
    if status == 404:
        return NoSuchFile(asked, f"there is no {name} (404)", f"{page} shows what there is")
    what, later = (
        f"answers {status} ({_MEANINGS.get(status, answer.reason or 'refused')})",
        "run the same command later",
    )
    return RequestFailed(asked, what, later, passing=status in _PASSING, wait=_wait(answer.headers))


def _wait(headers: Mapping[str, str]) -> float | None:
    """Return after how many seconds to ask again: ``Retry-After`` as a number or date, or the hub's ``RateLimit``."""
    told = headers.get("Retry-After", "").strip()
    if told.isdigit():
        return float(told)
    with contextlib.suppress(ValueError):
        return max(0.0, (email.utils.parsedate_to_datetime(told).astimezone(UTC) - datetime.now(UTC)).total_seconds())
    spent = re.search(r"\br=0\b.*?\bt=([0-9]{1,9})\b", headers.get("RateLimit", ""))
    return float(spent[1]) if spent else None
