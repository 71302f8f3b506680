"""Finds scored pictures again: their files by content, and their vectors in the cache or from the file.

A table of scores has the SHA-256 of each picture. So a picture that was moved is found, and another picture with its
name is not taken for it.

The note next to a table names the places of its pictures. A stranger may have written both. So nothing is fetched from
an address that only the note names, and in a folder that it names only pictures with a SHA-256 in the table count. What
the user names with ``--images`` is searched wherever it is.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from prescreen.embeddings.pipeline import EmbeddingCache, cached_vector, embed_images
from prescreen.encoders import Encoder
from prescreen.errors import PictureError, PrescreenError, UsageError
from prescreen.images.files import ImageFile, content_hash, file_key, find_images, read_bytes
from prescreen.progress import ProgressReporter
from prescreen.storage.provenance import ScoresMetadata
from prescreen.storage.remote import is_elsewhere, is_url
from prescreen.text import OK, shown


def places_to_search(
    note: ScoresMetadata | None, images: Sequence[str | Path], reporter: ProgressReporter
) -> list[str]:
    """Return the places to search for scored pictures, and report them.

    Parameters
    ----------
    note : ScoresMetadata or None
        The note next to the scores.
    images : sequence of str or Path
        Folders, files or a URL that the user named; they replace those in the note.
    reporter : ProgressReporter
        Receives which places of the note are searched, and which are not.

    Raises
    ------
    UsageError
        If the user named a folder that is not there.
    """
    for place in images:
        if not is_url(str(place)) and not os.path.exists(place):
            raise UsageError(f"--images {shown(str(place))}: no such file or folder")
    if images or note is None:
        return [str(place) for place in images]
    here = [place for place in note.inputs if not is_elsewhere(place)]
    if here:
        reporter.note(f"pictures   in {_listed(here)}, says the note beside the scores; --images names another place")
    if far := [place for place in note.inputs if is_elsewhere(place)]:
        reporter.note(f"pictures   were scored at {_listed(far)}: not fetched; --images {shown(far[0])} fetches them")
    return here


def _listed(places: Sequence[str]) -> str:
    more = f" and {len(places) - 1} more" if len(places) > 1 else ""
    return f"{shown(places[0])}{more}"


def find_candidates(
    note: ScoresMetadata | None,
    table: pd.DataFrame,
    images: Sequence[str | Path],
    cache: EmbeddingCache,
    reporter: ProgressReporter,
) -> list[ImageFile]:
    """Find the files of scored pictures in `places_to_search`.

    Raises
    ------
    UsageError
        If the user named a folder that is not there.
    """
    return find_scored(places_to_search(note, images, reporter), table, cache)


def find_scored(places: Sequence[str | Path], table: pd.DataFrame, cache: EmbeddingCache) -> list[ImageFile]:
    """Find the files of scored pictures, in the order of the table; those not found are left out.

    Parameters
    ----------
    places : sequence of str or Path
        What was scored: folders, files or a URL. Some may be gone.
    table : DataFrame
        With the columns ``image`` and ``status``. With ``content`` a picture that was moved within these places is
        found too, and a file that holds another picture is not taken; without it the names decide.
    cache : EmbeddingCache
        Knows the content of files that it has seen, so that they are not read again.
    """
    scored = table[table["status"] == OK]
    try:
        local = [place if is_url(place) else Path(place) for place in places]
        files = find_images(local, follow_links=True, gone_ok=True)  # as they may have been scored
    except PrescreenError:  # a storage that does not answer
        return []
    if "content" not in scored:
        named = {file.name: file for file in files}
        return [named[name] for name in scored["image"] if name in named]
    wanted = dict(zip(scored["image"], scored["content"], strict=True))
    contents = set(wanted.values())
    found: dict[str, ImageFile] = {}
    elsewhere: dict[str, ImageFile] = {}
    for file in files:
        content = _content(file, cache)
        if file.name in wanted and content in (wanted[file.name], None):
            found[file.name] = file
        elif content is not None and content in contents:
            elsewhere.setdefault(content, file)
    for name, content in wanted.items():
        if name not in found and content in elsewhere:
            found[name] = ImageFile(elsewhere[content].path, name)
    return [found[name] for name in wanted if name in found]


def _content(file: ImageFile, cache: EmbeddingCache) -> str | None:
    """Return the SHA-256 of a file; empty if unreadable, None for a remote one that the cache does not know."""
    key = file_key(file)
    known = cache.known_content(key) if key is not None else None
    if known is not None:
        return known
    if isinstance(file.path, str):
        return None
    try:
        content = content_hash(read_bytes(file))
    except PictureError:
        return ""
    if key is not None:
        cache.remember_files([(key, content)])
    return content


def scored_vectors(
    table: pd.DataFrame,
    files: Sequence[ImageFile],
    encoder: Encoder,
    cache: EmbeddingCache,
    advance: Callable[[], object],
) -> dict[str, NDArray[np.float16]]:
    """Return the vector, shape (d,), of each scored picture that is found.

    The cache finds vectors by content. Other pictures are embedded from their files, if these still hold the picture
    that was scored.
    """
    scored = table[table["status"] == OK]
    contents = dict(zip(scored["image"], scored["content"], strict=True))
    found = {}
    for name, content in contents.items():
        vector = cached_vector(content, encoder, cache)
        if vector is not None:
            found[name] = vector
            advance()
    rest = [file for file in files if file.name in contents and file.name not in found]
    for embedded in embed_images(rest, encoder, cache, tolerant=True, advance=advance):
        if embedded.vector is not None and embedded.content == contents[embedded.name]:
            found[embedded.name] = embedded.vector
    return found
