"""Files that somebody else may have made: plain files only, of bounded size, and tables of bounded extent.

Files that a user names, or that a stranger sent, are opened here. A pipe never ends, a device never stops, a file of a
megabyte can hold a table of many gigabytes: too much is refused before it is read, by the size of the file and by its
own metadata.
"""

import errno
import io
import os
import re
import stat
import zipfile
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Scores of a million pictures are 323 MB as CSV, twenty million votes about 1 GB.
MAX_TABLE_BYTES: Final = 2 << 30
# A JSON document needs about twenty times its size in memory; lines of JSON are a table.
MAX_JSON_BYTES: Final = 256 << 20
# A note or manifest repeats a command line of pictures, which has at most 2 MB.
MAX_NOTE_BYTES: Final = 16 << 20
# A predictor's arrays take 80 kB for each portrait with the bundled encoder: fifty thousand portraits.
MAX_ARRAYS_BYTES: Final = 4 << 30
# A million pictures with a hundred columns, or twenty million votes with five.
MAX_ROWS: Final = 20_000_000
MAX_COLUMNS: Final = 10_000
MAX_CELLS: Final = 100_000_000
MAX_ROW_GROUPS: Final = 20_000
# Texts of one Parquet column when each is stored separately: fifty bytes for each of `MAX_ROWS`.
MAX_TEXT_BYTES: Final = 1 << 30
# One text in a Parquet table, as one cell in a CSV.
MAX_CELL_BYTES: Final = 1 << 17
# Files in a zip archive.
MAX_MEMBERS: Final = 10_000

_SHEET: Final = re.compile(r"xl/worksheets/[^/]+\.xml")
_PLACE: Final = re.compile(rb"\br=[\"']([A-Z]{1,3})?([0-9]{1,12})[\"']")
_HEAD: Final = 4096
_NOT_PLAIN: Final = "not a plain file; save what it gives to one"
_FINE: Final = 64 << 20  # texts that cannot be more than this, however often one is repeated, are not measured


def open_plain(path: str | os.PathLike[str], limit: int | None = None) -> io.BufferedReader:
    """Open a plain file to read; links are followed, and what is checked is what was opened.

    Parameters
    ----------
    path : path
        The file.
    limit : int, optional
        Its largest size in bytes.

    Raises
    ------
    OSError
        If it cannot be opened, is a folder, a pipe or a device, or is larger; ``strerror`` says which.
    """
    # Without O_NONBLOCK a pipe would wait for its writer here already.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, _NOT_PLAIN, os.fspath(path))
        if limit is not None and status.st_size > limit:
            what = f"file too large: {status.st_size} bytes, at most {limit} are read"
            raise OSError(errno.EFBIG, what, os.fspath(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bounded(path: str | os.PathLike[str], limit: int = MAX_TABLE_BYTES) -> bytes:
    """Read a plain file of at most so many bytes.

    Raises
    ------
    OSError
        As from `open_plain`; and if it grows while it is read, or begins with nothing but zeros, as a file does that
        has a large size and no content.
    """
    with open_plain(path, limit) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(_HEAD)
        if len(head) == _HEAD and not any(head):
            raise OSError(errno.EINVAL, "it begins with zeros and nothing else", os.fspath(path))
        data = head + file.read(max(size - len(head), 0) + 1)
        if len(data) > size:
            what = "it grows while it is read" if size else _NOT_PLAIN  # files of /proc have no size
            raise OSError(errno.EBUSY, what, os.fspath(path))
        return data


def check_extent(rows: int, columns: int, cells: int | None = None) -> None:
    """Refuse a table that is too long or too wide, before it is read.

    Raises
    ------
    ValueError
        Says which.

    Examples
    --------
    >>> check_extent(rows=2, columns=20_000)
    Traceback (most recent call last):
    ValueError: 20000 columns, at most 10000 are read
    """
    cells = rows * columns if cells is None else cells
    limits = ((columns, MAX_COLUMNS, "columns"), (rows, MAX_ROWS, "rows"), (cells, MAX_CELLS, "cells"))
    for found, most, what in limits:
        if found > most:
            raise ValueError(f"{found} {what}, at most {most} are read")


def check_csv(data: bytes, separator: str = ",") -> None:
    """Refuse a CSV as `check_extent` does, by counting line ends, and separators in the first line."""
    ends = [place for place in (data.find(b"\n"), data.find(b"\r")) if place >= 0]
    columns = 1 + data.count(separator.encode(), 0, min(ends, default=len(data)))
    check_extent(max(data.count(b"\n"), data.count(b"\r")) + 1, columns)


def check_json(data: bytes) -> None:
    """Refuse a JSON document that is too large, with a `ValueError`."""
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(f"{len(data)} bytes of JSON, at most {MAX_JSON_BYTES} are read at once")


def check_json_lines(data: bytes) -> None:
    """Refuse JSON lines as `check_extent` does, by counting line ends and colons."""
    check_extent(data.count(b"\n") + 1, 1, data.count(b":"))


def check_parquet(data: bytes) -> None:
    """Refuse a Parquet file that becomes too large a table, by its metadata and its texts.

    Raises
    ------
    ValueError, OSError
        As from `check_extent`; for too many row groups, or texts too long; from pyarrow if it is no Parquet file.
    """
    file = pq.ParquetFile(io.BytesIO(data))
    about = file.metadata
    if about.num_row_groups > MAX_ROW_GROUPS:
        raise ValueError(f"{about.num_row_groups} row groups, at most {MAX_ROW_GROUPS} are read")
    check_extent(about.num_rows, about.num_columns)
    cells, size, doubtful = 0, 0, set[str]()
    for group in range(about.num_row_groups):
        part = about.row_group(group)
        for number in range(about.num_columns):
            column = part.column(number)
            cells += column.num_values
            size += column.total_uncompressed_size
            if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
                size += column.num_values * about.schema.column(number).length
            if column.physical_type == "BYTE_ARRAY" and column.num_values * column.total_uncompressed_size > _FINE:
                doubtful.add(column.path_in_schema)
    check_extent(about.num_rows, about.num_columns, cells)
    if size > MAX_TABLE_BYTES:
        raise ValueError(f"{size} bytes when unpacked, at most {MAX_TABLE_BYTES} are read")
    for name in sorted(doubtful):
        _check_texts(data, name)


def _check_texts(data: bytes, column: str) -> None:
    """Measure what repeated texts need when each is stored separately, without unpacking them."""
    needed = 0
    file = pq.ParquetFile(io.BytesIO(data), read_dictionary=[column])
    for batch in file.iter_batches(columns=[column]):
        for array in batch.columns:
            if not pa.types.is_dictionary(array.type):
                raise ValueError(f"lists or structures in {column!r}, expected one value a cell")
            lengths = pc.binary_length(array.dictionary)
            if (longest := pc.max(lengths).as_py() or 0) > MAX_CELL_BYTES:
                raise ValueError(f"a text of {longest} bytes in {column!r}, at most {MAX_CELL_BYTES} are read")
            needed += pc.sum(lengths.take(array.indices)).as_py() or 0
        if needed > MAX_TEXT_BYTES:
            raise ValueError(f"the texts of {column!r} are more than {MAX_TEXT_BYTES} bytes when unpacked")


def check_zip(archive: zipfile.ZipFile) -> None:
    """Refuse an archive that unpacks to too much with a `ValueError`, by its directory.

    No more is read of a member than the directory says.
    """
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"{len(members)} files in it, at most {MAX_MEMBERS} are read")
    size = sum(member.file_size for member in members)
    if size > MAX_TABLE_BYTES:
        raise ValueError(f"unpacks to {size} bytes, at most {MAX_TABLE_BYTES} are read")


def check_workbook(archive: zipfile.ZipFile) -> None:
    """Refuse an Excel workbook that unpacks to too much, or whose sheets are too long or too wide.

    One cell in the last row and column is enough for a sheet of seventeen thousand million cells.

    Raises
    ------
    ValueError
        As from `check_zip` and `check_extent`; or if a sheet is not in UTF-8.
    """
    check_zip(archive)
    for name in filter(_SHEET.fullmatch, archive.namelist()):
        sheet = archive.read(name)
        if b"\0" in sheet[:_HEAD]:
            raise ValueError(f"{name} is not in UTF-8")
        rows, columns = 0, 0
        for found in _PLACE.finditer(sheet):
            rows = max(rows, int(found[2]))
            columns = max(columns, _column(found[1] or b""))
        check_extent(rows, columns, max(rows * columns, sheet.count(b"<c")))


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + letter - ord("A") + 1
    return number
