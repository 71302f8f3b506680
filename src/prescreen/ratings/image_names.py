"""Finds the picture that a name means: the one of that name, or the only one that fits a looser comparison.

A name that fits exactly is taken. Otherwise the comparison ignores, in turn: case, Unicode form and Windows separators;
the ending; folders; both; the prefix ``1a2b3c4d-`` that Label Studio gives to uploads; and, of a name that is all
digits, leading zeros. The first comparison that any picture fits decides: one picture is a match, several are none. Of
an address (``https://...``) the last part of its path counts.
"""

import contextlib
import difflib
import os
import posixpath
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt

from prescreen.errors import UsageError
from prescreen.ratings.columns import counted, refuse
from prescreen.ratings.rows import Rows
from prescreen.text import shown

ENDINGS: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".png", ".apng", ".webp", ".gif", ".avif", ".avifs"}
    | {".heic", ".heif", ".hif", ".bmp", ".dib", ".tif", ".tiff", ".jp2", ".jxl"}
)
"""Endings of pictures, those of `prescreen.images.files.SUFFIXES`; only these can be left out of a name."""

_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
_ADDRESS = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SHOWN = 3


@dataclass(frozen=True)
class Match:
    """What a written name means.

    Parameters
    ----------
    name : str or None
        The picture; None if there is none, or several fit.
    how : str
        What had to be ignored to find it; the empty text if nothing.
    among : tuple of str
        The pictures, if several fit.
    """

    name: str | None
    how: str = ""
    among: tuple[str, ...] = ()


def match_names(
    names: Sequence[str], exact: Callable[[str], str | None], known: Callable[[], Iterable[str]]
) -> list[Match]:
    """Find the picture that each name means.

    Parameters
    ----------
    names : sequence of str
        Names as they were written.
    exact : callable
        Returns the picture that a name means exactly, or None.
    known : callable
        Returns all pictures there are, as POSIX paths; only called if a name fits none exactly.
    """
    found = [exact(name) for name in names]
    pictures = _Pictures(known()) if None in found else None
    return [
        pictures.find(written) if pictures and name is None else Match(name)
        for name, written in zip(found, names, strict=True)
    ]


def match_known(names: Sequence[str], known: Collection[str]) -> list[Match]:
    """Find the picture that each name means, of some whose names are known."""
    plain = {posixpath.normpath(name): name for name in known}
    return match_names(names, lambda name: plain.get(posixpath.normpath(name)), plain.values)


def match_files(names: Sequence[str], folder: Path) -> list[Match]:
    """Find the file in a folder, or below it, that each name means."""

    def exact(name: str) -> str | None:
        relative = relative_name(name, folder)
        return relative if is_picture(folder, relative) else None

    return match_names(names, exact, lambda: files_below(folder))


def named_pictures(
    rows: Rows,
    where: str,
    match: Callable[[Sequence[str]], list[Match]],
    known: Callable[[], Iterable[str]],
    remedy: str,
) -> tuple[npt.NDArray[np.object_], tuple[str, ...]]:
    """Return the picture that each row is about, and how many names were matched in which way, each with an example.

    Parameters
    ----------
    rows : Rows
    where : str
        What has the pictures, for messages.
    match : callable
        Finds the picture that each name means.
    known : callable
        Returns the pictures there are.
    remedy : str
        What to do about a picture that is not there.

    Raises
    ------
    RatingsError
        For a name that means no picture or several, with those that fit or the one that was probably meant; or for two
        names that mean one picture, not both exactly.
    """
    image = rows.frame["image"].cat.remove_unused_categories()
    codes, names = image.cat.codes.to_numpy(), [str(name) for name in image.cat.categories]
    matches = match(names)

    def check(fault: Sequence[bool], problem: str, remedy: str) -> None:
        refuse(rows.source, rows.frame, np.array(fault, dtype=bool)[codes], f"image {{}} {problem}", remedy, image)

    unknown = [found.name is None for found in matches]
    if any(unknown):
        first = int(codes[np.array(unknown)[codes]][0])
        if fitting := [shown(name) for name in matches[first].among]:
            rest = f" and {len(fitting) - _SHOWN} more" if len(fitting) > _SHOWN else ""
            cure = remedy.replace("correct the name", "write the whole name")
            check(unknown, f"fits several pictures in {where}", f"{', '.join(fitting[:_SHOWN])}{rest} fit it; {cure}")
        close = suggest(names[first], known())
        check(unknown, f"is not in {where}", f"did you mean '{shown(close)}'? {remedy}" if close else remedy)
    for name, (one, other) in _shared(matches, names).items():
        problem = f"fits {shown(name)} only, as does '{shown(one)}'"
        check([text == other for text in names], problem, f"write the names as {where} has them")
    return np.array([found.name for found in matches], dtype=object)[codes], _ways(matches, names)


def _ways(matches: Sequence[Match], names: Sequence[str]) -> tuple[str, ...]:
    lines = []
    for how in dict.fromkeys(match.how for match in matches if match.how):
        fitting = [
            f"{shown(written)} is {shown(match.name or '')}"
            for written, match in zip(names, matches, strict=True)
            if match.how == how
        ]
        lines.append(f"matched    {counted(len(fitting), 'picture')} by name {how}: {fitting[0]}")
    return tuple(lines)


def _shared(matches: Sequence[Match], names: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """Return pictures that two different names were taken for, not both exactly: {picture: two of the names}."""
    written: dict[str, tuple[str, str]] = {}
    found: dict[str, tuple[str, str]] = {}
    for name, match in zip(names, matches, strict=True):
        if match.name is None:
            continue
        other, how = written.setdefault(match.name, (name, match.how))
        if other != name and (how or match.how):
            found.setdefault(match.name, (other, name))
    return found


def suggest(name: str, known: Iterable[str]) -> str | None:
    """Return the known picture that was probably meant: of the same file name, else of the most similar name.

    Examples
    --------
    >>> suggest("stage/O28.jpg", ["formal/027.jpg", "stage/028.jpg"])
    'stage/028.jpg'
    """
    pictures = list(known)
    last = _basename(name)
    same = [other for other in pictures if posixpath.basename(other) == last]
    if same:
        return same[0]
    close = difflib.get_close_matches(name, pictures, n=1)
    if close:
        return close[0]
    by_last = {posixpath.basename(other): other for other in pictures}
    close = difflib.get_close_matches(last, by_last, n=1)
    return by_last[close[0]] if close else None


class _Pictures:
    """Pictures by what is left of their names at each comparison."""

    def __init__(self, known: Iterable[str]) -> None:
        self._by_key: list[dict[str, list[str]]] = [{} for _ in _COMPARISONS]
        for name in known:
            for keys, (_, key) in zip(self._by_key, _COMPARISONS, strict=True):
                keys.setdefault(key(_plain(name)), []).append(name)

    def find(self, written: str) -> Match:
        plain = _plain(written)
        for keys, (how, key) in zip(self._by_key, _COMPARISONS, strict=True):
            wanted = key(_UPLOAD.sub("", posixpath.basename(plain)) if how == _AS_UPLOADED else plain)
            fitting = keys.get(wanted, []) if wanted else []
            if len(fitting) > 1:
                ends = [_common_end(_stem(plain), _stem(_plain(name))) for name in fitting]
                fitting = [name for name, end in zip(fitting, ends, strict=True) if end == max(ends)]
            if len(fitting) == 1:
                return Match(fitting[0], how)
            if fitting:
                return Match(None, among=tuple(fitting))
        return Match(None)


def _plain(name: str) -> str:
    """Return a name with its parts divided by ``/``, in one Unicode form and in small letters."""
    if _ADDRESS.match(name):
        with contextlib.suppress(ValueError):
            name = unquote(urlsplit(name).path)
    return unicodedata.normalize("NFC", posixpath.normpath(name.strip().replace("\\", "/"))).casefold()


def _basename(name: str) -> str:
    return posixpath.basename(posixpath.normpath(name.strip().replace("\\", "/")))


def _stem(name: str) -> str:
    stem, ending = posixpath.splitext(name)
    return stem if ending in ENDINGS else name


def _without_both(name: str) -> str:
    return _stem(posixpath.basename(name))


def _number(name: str) -> str:
    stem = _without_both(name)
    return stem.lstrip("0") or "0" if stem.isascii() and stem.isdigit() else ""


_AS_UPLOADED: Final = "without Label Studio's prefix"
_COMPARISONS: Final[Sequence[tuple[str, Callable[[str], str]]]] = (
    ("in another spelling (case, blanks, separators, Unicode form)", lambda name: name),
    ("without its ending", _stem),
    ("without folder", posixpath.basename),
    ("without folder and ending", _without_both),
    (_AS_UPLOADED, _without_both),
    ("without zeros before the number", _number),
)


def _common_end(one: str, other: str) -> int:
    """Return how many parts at the end two paths have in common."""
    count = 0
    for left, right in zip(reversed(one.split("/")), reversed(other.split("/")), strict=False):
        if left != right:
            break
        count += 1
    return count


def files_below(folder: Path) -> list[str]:
    """Return the pictures in a folder and below it, by their endings, as POSIX paths relative to it."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(root).relative_to(folder)
        found += [(below / name).as_posix() for name in sorted(files) if posixpath.splitext(name.lower())[1] in ENDINGS]
    return found


def images_folder(names: Iterable[str], given: Path | None, candidates: Sequence[Path]) -> Path:
    """Return the folder that picture names are relative to.

    Parameters
    ----------
    names : iterable of str
        Names as they stand in the ratings.
    given : Path or None
        The folder that the user gave; taken as it is.
    candidates : sequence of Path
        Without one: the folder of these in which most names are found as they are, the first of equals; if none is, the
        last in which most are matched.

    Raises
    ------
    UsageError
        If the given folder does not exist.
    """
    if given is not None:
        if not given.is_dir():
            raise UsageError(f"{shown(given)}: no such folder of pictures; check --images")
        return given
    names = list(names)
    counts = []
    for folder in candidates:
        counts.append(sum(is_picture(folder, relative_name(name, folder)) for name in names))
        if counts[-1] == len(names):
            return folder
    if any(counts):
        return candidates[counts.index(max(counts))]
    there = [folder for folder in reversed(candidates) if folder.is_dir()]
    matched = [sum(match.name is not None for match in match_files(names, folder)) for folder in there]
    return there[matched.index(max(matched))] if any(matched) else candidates[0]


def relative_name(name: str, folder: Path) -> str | None:
    """Return a picture's name as a POSIX path relative to its folder; None if it lies outside or is empty.

    ``./a.jpg`` and the absolute path of ``a.jpg`` both become ``a.jpg``.
    """
    path = PurePath(name)
    if path.is_absolute():
        for base in (folder.absolute(), folder.resolve()):
            if path.is_relative_to(base):
                path = path.relative_to(base)
                break
        else:
            return None
    plain = posixpath.normpath(path.as_posix())
    outside = plain in ("", ".", "..") or plain.startswith(("../", "/"))
    return None if not name or outside else plain


def is_picture(folder: Path, name: str | None) -> bool:
    """Whether there is a file of this name in the folder; what is in it is not looked at."""
    try:
        return name is not None and os.path.isfile(folder / name)
    except ValueError:  # a name that no file system takes
        return False
