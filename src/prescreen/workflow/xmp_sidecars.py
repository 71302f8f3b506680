"""Scores as XMP sidecars: small files beside pictures, from which photo managers read stars and tags.

References
----------
Adobe, "XMP Specification Part 1" (ISO 16684-1), https://github.com/adobe/XMP-Toolkit-SDK/tree/main/docs
darktable, "sidecar files", https://docs.darktable.org/usermanual/stable/en/overview/sidecar-files/
PhotoPrism, ``internal/meta/xmp_document.go``, which reads keywords from an ordered list.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final
from xml.etree import ElementTree

from prescreen import __version__
from prescreen.errors import UsageError
from prescreen.storage.bounded_files import MAX_NOTE_BYTES, read_bounded
from prescreen.text import shown


@dataclass(frozen=True)
class Program:
    """How a photo manager names sidecars and lists keywords.

    Parameters
    ----------
    replaces_ending : bool
        Whether the sidecar of ``photo.jpg`` is ``photo.xmp``; otherwise it is ``photo.jpg.xmp``.
    subjects : str
        ``Bag``, which the standard asks for, or ``Seq``.
    """

    replaces_ending: bool = False
    subjects: str = "Bag"


PROGRAMS: Final[Mapping[str, Program]] = {
    "digikam": Program(),
    "lightroom": Program(replaces_ending=True),
    "photoprism": Program(subjects="Seq"),
}
"""Photo managers. What digiKam reads, darktable and Immich read, too."""

ROOT_TAG: Final = "prescreen"

_SPACES: Final = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "prescreen": "urn:prescreen:xmp:1.0/",
}
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SEPARATORS: Final = re.compile(r"[|/\\,;\s]+")
"""What separates tags, or levels of tags, in one of the programs."""
_MARK: Final = "<!-- Written by prescreen, and replaced by it while unchanged: "


def sidecar_name(picture: Path, program: Program) -> Path:
    """Return the name of a picture's sidecar.

    Examples
    --------
    >>> sidecar_name(Path("a/b.jpg"), PROGRAMS["digikam"]).as_posix()
    'a/b.jpg.xmp'
    >>> sidecar_name(Path("a/b.jpg"), PROGRAMS["lightroom"]).as_posix()
    'a/b.xmp'
    """
    return picture.with_suffix(".xmp") if program.replaces_ending else picture.with_name(f"{picture.name}.xmp")


def sidecar_paths(files: Mapping[str, Path | str], output: Path | None, program: Program) -> dict[str, Path]:
    """Return where the sidecar of each picture goes.

    Parameters
    ----------
    files : mapping of str to Path or str
        Path or URL of each picture, by its name in the table.
    output : Path or None
        Folder to write to, with the folders of the pictures' names; None for beside the pictures.
    program : Program

    Raises
    ------
    UsageError
        If a picture is at a URL and its sidecar should be beside it, a name leads out of the folder, or two pictures
        would get the same sidecar.
    """
    paths: dict[str, Path] = {}
    taken: dict[Path, str] = {}
    for name, place in files.items():
        if output is None and not isinstance(place, Path):
            raise UsageError(f"{shown(place)}: no sidecar can be written beside it; name a folder with --output")
        if output is not None and not _stays_within(name):
            raise UsageError(f"{shown(name)}: leads out of {shown(output)}; name the folder of the pictures: --images")
        picture = Path(place) if output is None else output / name
        path = paths[name] = sidecar_name(picture, program)
        if (other := taken.setdefault(path, name)) != name:
            raise UsageError(
                f"{shown(other)} and {shown(name)}: both would get the sidecar {shown(path.name)}; rename one of them"
            )
    return paths


def _stays_within(name: str) -> bool:
    parts = PurePosixPath(name)
    return not parts.is_absolute() and ".." not in parts.parts and bool(parts.name)


def stars(row: Mapping[Any, Any], traits: Sequence[str]) -> int:
    """Return how many stars a picture gets.

    Parameters
    ----------
    row : mapping
        A row of scores or of a shortlist.
    traits : sequence of str
        The scored traits.

    Returns
    -------
    int
        By the mean of the predicted scores: 1 below 2, 2 from 2, 3 from 4, 4 from 6 and 5 from 8. In a shortlist the
        pictures to send have 5, no other picture more than 4, and one that a check excluded has 1.

    Examples
    --------
    >>> stars({"warm": 8.6}, ["warm"]), stars({"warm": 5.1}, ["warm"])
    (5, 3)
    >>> stars({"warm": 8.6, "selected": False}, ["warm"]), stars({"warm": 5.1, "selected": True}, ["warm"])
    (4, 5)
    """
    by_score = 1 + min(4, int(sum(float(row[trait]) for trait in traits) / len(traits) / 2))
    if "selected" not in row:
        return by_score
    if row["selected"]:
        return 5
    return 1 if failed_checks(row) else min(by_score, 4)


def failed_checks(row: Mapping[Any, Any]) -> list[str]:
    """Return the names of the checks that excluded a picture."""
    return [check for check in str(row.get("gates") or "").split(",") if check]


def tags(row: Mapping[Any, Any], traits: Sequence[str], origin: str) -> list[str]:
    """Return the tags of a picture, each below the tag ``prescreen``.

    Examples
    --------
    >>> row = {"warm": 7.3, "selected": True}
    >>> tags(row, ["warm"], "predicted by mine (simulated votes)")
    ['shortlist', 'warm 7', 'predicted by mine (simulated votes)']
    """
    chosen = ["shortlist"] if row.get("selected") else []
    excluded = [f"excluded: {_plain(check)}" for check in failed_checks(row)]
    scores = [f"{_plain(trait)} {float(row[trait]):.0f}" for trait in traits]
    return [*chosen, *excluded, *scores, _plain(origin)]


def _plain(text: str) -> str:
    """Return a text without what separates tags in one of the programs."""
    return _SEPARATORS.sub(" ", text).strip()


def sidecar(rating: int, below: Sequence[str], facts: Mapping[str, str], program: Program) -> bytes:
    """Return a sidecar.

    Parameters
    ----------
    rating : int
        Stars, 0 to 5.
    below : sequence of str
        Tags below ``prescreen``.
    facts : mapping of str to str
        Properties of prescreen's own namespace, such as the predictor and the scores with their intervals.
    program : Program
    """
    for prefix, uri in _SPACES.items():
        ElementTree.register_namespace(prefix, uri)
    meta = ElementTree.Element(_name("x:xmpmeta"))
    rdf = ElementTree.SubElement(meta, _name("rdf:RDF"))
    about = ElementTree.SubElement(rdf, _name("rdf:Description"), {_name("rdf:about"): ""})
    ElementTree.SubElement(about, _name("xmp:CreatorTool")).text = f"prescreen {__version__}"
    ElementTree.SubElement(about, _name("xmp:Rating")).text = str(rating)
    for fact, value in facts.items():
        ElementTree.SubElement(about, _name(f"prescreen:{fact}")).text = _NOT_IN_XML.sub("", value)
    _list(about, "dc:subject", program.subjects, [ROOT_TAG, *below])
    _list(about, "lr:hierarchicalSubject", "Bag", [ROOT_TAG, *(f"{ROOT_TAG}|{tag}" for tag in below)])
    _list(about, "digiKam:TagsList", "Seq", [ROOT_TAG, *(f"{ROOT_TAG}/{tag}" for tag in below)])
    ElementTree.indent(meta, " ")
    content: bytes = ElementTree.tostring(meta, "utf-8", xml_declaration=True) + b"\n"
    return content + f"{_MARK}{hashlib.sha256(content).hexdigest()} -->\n".encode()


def _list(about: ElementTree.Element, name: str, kind: str, items: Iterable[str]) -> None:
    holder = ElementTree.SubElement(ElementTree.SubElement(about, _name(name)), _name(f"rdf:{kind}"))
    for item in items:
        ElementTree.SubElement(holder, _name("rdf:li")).text = _NOT_IN_XML.sub("", item)


def _name(short: str) -> str:
    prefix, _, local = short.partition(":")
    return f"{{{_SPACES[prefix]}}}{local}"


def belongs_to_others(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the paths where something is that prescreen did not write, or that somebody changed since."""
    for path in paths:
        if os.path.lexists(path) and not _is_own(path):
            yield path


def _is_own(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    try:
        content, mark, digest = read_bounded(path, MAX_NOTE_BYTES).rpartition(_MARK.encode())
    except OSError:
        return False
    return bool(mark) and digest == f"{hashlib.sha256(content).hexdigest()} -->\n".encode()
