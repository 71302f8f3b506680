"""Public data sets that prescreen can fetch; nothing of them is part of prescreen."""

import hashlib
import http.client
import json
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from prescreen.errors import PrescreenError, UsageError
from prescreen.progress import ProgressReporter
from prescreen.ratings.licences import LICENCES
from prescreen.storage.bounded_files import open_plain
from prescreen.text import shown

OMI_URL: Final = "https://github.com/jcpeterson/omi/archive/HEAD.zip"
"""The public repository of One Million Impressions, as an archive of its newest state."""

_WANTED: Final = re.compile(
    r"[^/]+/(LICENSE\.txt|README\.md|attribute_ratings\.zip|attribute_means\.csv|images/\w+\.jpg)"
)
_RATINGS: Final = ("attribute_ratings.zip", "attribute_means.csv")
_LARGEST: Final = 8 << 30  # bytes, of the archive and of what is in it
_PIECE: Final = 1 << 20
_PATIENCE: Final = 60.0  # seconds without an answer


@dataclass(frozen=True)
class Fetched:
    """What was fetched; written to the folder of the data as ``fetched.json``.

    Attributes
    ----------
    source : str
        URL or file of the archive.
    sha256 : str
        Of the archive, 64 hexadecimal digits.
    commit : str
        Of the repository, as the archive names it; empty if it does not.
    pictures : int
    """

    source: str
    sha256: str
    commit: str
    pictures: int


def fetch_omi(
    output: Path, *, accept_licence: bool, source: str = OMI_URL, sha256: str | None = None, reporter: ProgressReporter
) -> Fetched:
    """Fetch One Million Impressions into a folder that ``--ratings`` reads.

    The folder appears when all of it is there and every file has the checksum that the archive gives it.

    Parameters
    ----------
    output : Path
        Must not exist, or be empty.
    accept_licence : bool
        Whether the licence of the data set is accepted.
    source : str
        URL (``http``, ``https``) or file of the repository's ZIP archive.
    sha256 : str, optional
        What the archive must have.

    Raises
    ------
    UsageError
        If the licence is not accepted, or there is something in ``output``.
    PrescreenError
        If the archive cannot be fetched, redirects to an address that is not safe, or is not what it should be.

    References
    ----------
    J. Peterson, S. Uddenberg, T. Griffiths, A. Todorov, J. Suchow, Deep models of superficial face judgments, PNAS
    119(17) e2115228119, 2022.
    """
    if not accept_licence:
        raise UsageError(
            f"One Million Impressions has the licence {LICENCES['omi']}: no commercial use, and what is made from it is"
            " shared alike; give --accept-licence if you accept it"
        )
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UsageError(f"{shown(output)}: is there already; remove it, or choose another --output")
    with _parents(output), tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as place:
        archive, folder = Path(place) / "archive.zip", Path(place) / "data"
        found = _download(source, archive, reporter)
        if sha256 is not None and found != sha256.lower():
            raise PrescreenError(
                f"{shown(source)}: has SHA-256 {found}; expected {sha256.lower()}; fetch it again, or leave --sha256"
                " out if the data set was corrected since"
            )
        commit, pictures = _unpack(source, archive, folder, reporter)
        fetched = Fetched(source, found, commit, pictures)
        (folder / "fetched.json").write_text(json.dumps(asdict(fetched), indent=2) + "\n", "utf-8")
        os.replace(folder, output)
    return fetched


@contextmanager
def _parents(output: Path) -> Iterator[None]:
    """Make the folders above; if what follows fails, those that are new go again."""
    new = [folder for folder in output.parents if not folder.exists()]
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):  # somebody else put something there
                folder.rmdir()
        raise


def _download(source: str, archive: Path, reporter: ProgressReporter) -> str:
    """Copy the archive to this disk; returns its SHA-256."""
    digest = hashlib.sha256()
    try:
        with (
            _opened(source) as (stream, length),
            archive.open("wb") as file,
            reporter.progress("fetching, MB", length // _PIECE) as step,
        ):
            received = 0
            while piece := stream.read(_PIECE):
                received += len(piece)
                if received > _LARGEST:
                    raise PrescreenError(f"{shown(source)}: larger than {_LARGEST >> 30} GiB; expected the data set")
                digest.update(piece)
                file.write(piece)
                step()
            if received < length:
                raise PrescreenError(f"{shown(source)}: broke off after {received} of {length} bytes; try again")
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise PrescreenError(
            f"{shown(source)}: cannot be fetched ({error}); fetch the repository's ZIP archive in another way, and name"
            " the file with --source"
        ) from error
    return digest.hexdigest()


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but from an encrypted address to no other, and only to the web."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], *answer: Any
    ) -> urllib.request.Request | None:
        target = urllib.parse.urlsplit(answer[-1])
        if target.scheme not in ({"https"} if req.type == "https" else {"http", "https"}):
            fp.close()
            raise PrescreenError(
                f"{shown(req.full_url)}: redirects to {shown(answer[-1])}, which is not safe: anybody on the way could"
                " change the data; expected https; give the address of the archive, or a file, with --source"
            )
        return super().redirect_request(req, fp, *answer)


@contextmanager
def _opened(source: str) -> Iterator[tuple[BinaryIO, int]]:
    """Open a URL or a file; yields the stream and its length, 0 where it is not told."""
    if urllib.parse.urlsplit(source).scheme in ("http", "https"):
        try:
            answer = urllib.request.build_opener(_SafeRedirects).open(source, timeout=_PATIENCE)
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            raise
        with answer:
            yield answer, int(answer.headers.get("Content-Length") or 0)
    else:
        with open_plain(source, _LARGEST) as file:
            yield file, os.fstat(file.fileno()).st_size


def _unpack(source: str, archive: Path, folder: Path, reporter: ProgressReporter) -> tuple[str, int]:
    """Unpack what prescreen reads, and the licence; returns the commit and the number of pictures."""
    try:
        with zipfile.ZipFile(archive) as packed:
            members = {match[1]: info for info in packed.infolist() if (match := _WANTED.fullmatch(info.filename))}
            pictures = sum(name.startswith("images/") for name in members)
            missing = [] if "LICENSE.txt" in members else ["LICENSE.txt"]
            missing += [] if any(name in members for name in _RATINGS) else [" or ".join(_RATINGS)]
            missing += [] if pictures else ["images/*.jpg"]
            if missing:
                raise PrescreenError(
                    f"{shown(source)}: {', '.join(missing)} not in it; expected One Million Impressions"
                )
            if sum(info.file_size for info in members.values()) > _LARGEST:
                raise PrescreenError(f"{shown(source)}: unpacks to more than {_LARGEST >> 30} GiB; not the data set")
            (folder / "images").mkdir(parents=True)
            with reporter.progress("unpacking", len(members)) as step:
                for name, info in members.items():
                    with packed.open(info) as member, (folder / name).open("wb") as file:
                        shutil.copyfileobj(member, file)  # checks the CRC at the end
                    step()
            comment = packed.comment.decode("ascii", "replace")
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise PrescreenError(f"{shown(source)}: is not a sound ZIP archive ({error}); fetch it again") from error
    return comment if re.fullmatch("[0-9a-f]{40}", comment) else "", pictures
