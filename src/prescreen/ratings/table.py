"""The table in a file: its header, and rows that are read when the meanings of the columns are known.

Rows are numbered as a spreadsheet shows them: in CSV and Excel the header is row 1 (the line ``sep=;`` is not counted);
in the other files the first row of data is row 1. The number stays in the index of the data frame, through any
selection of rows.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from prescreen.errors import RatingsError
from prescreen.ratings.columns import categorical, counted, refuse
from prescreen.text import shown

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_DECIMAL_COMMA = re.compile(r"^\s*[+-]?\d+,\d+\s*$")
_THOUSANDS = re.compile(r"^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$")

Body = Callable[[Collection[str]], pd.DataFrame]


@dataclass(frozen=True)
class Table:
    """A table whose header was read and whose rows were not.

    Parameters
    ----------
    source : Path
        The file, for messages.
    header : tuple of str
        Names of the columns, without blanks around them; the empty text where a column has none.
    form : tuple of str
        What was understood of the file that is not the plain default: ``semicolons``, ``UTF-16``.
    ignored : tuple of str
        What was left out, with its number: ``2 empty rows``.
    body : callable
        Gets the columns that are text even if they look like numbers; returns the rows.
    sheet : str
        Name of the sheet of a workbook.
    comma_is_free : bool
        Whether commas do not separate the cells, so that a single one is enough to tell decimal commas.
    """

    source: Path
    header: tuple[str, ...]
    form: tuple[str, ...]
    ignored: tuple[str, ...]
    body: Body
    sheet: str = ""
    comma_is_free: bool = False

    def rows(
        self, text: Collection[str] = (), unstripped: Collection[str] = ()
    ) -> tuple[pd.DataFrame, list[str], list[str]]:
        """Read the rows.

        Parameters
        ----------
        text : collection of str
            Columns that are text even if they look like numbers; other columns become numbers where all cells are.
        unstripped : collection of str
            Text columns whose blanks at the ends of a cell belong to it: a file name may begin with one.

        Returns
        -------
        frame : DataFrame
            Text columns are categorical with ``str`` categories, the empty text where a cell is blank. Other columns
            are numbers where all cells are; otherwise text or objects. The index holds row numbers.
        form, ignored : list of str
            Those of the table, and what its rows add to them.

        Raises
        ------
        RatingsError
            If the rows do not fit the header, there are none, or two columns have the same name.
        """
        frame = self.body(text)
        form, ignored = list(self.form), list(self.ignored)
        filled = _filled_rows(frame)
        if not filled.all():
            ignored.append(counted(int((~filled).sum()), "empty row"))
            frame = frame[filled]
        frame = self._without_nameless(frame, ignored)
        twice = next((name for name in frame.columns if list(frame.columns).count(name) > 1), None)
        if twice is not None:
            raise RatingsError(f"{shown(self.source)}: two columns are named {twice!r}; give every column its own name")
        if len(frame) == 0:
            raise RatingsError(f"{shown(self.source)}: it has a header but no rows; expected ratings")
        frame = frame.copy(deep=False)
        commas = [_with_points(frame, name, sure=self.comma_is_free) for name in frame.columns if name not in text]
        if any(commas):
            form.append("decimal commas")
        for name in frame.columns.intersection(list(text)):
            frame[name] = self._text(frame, name, strip=name not in unstripped)
        return frame, form, ignored

    def _without_nameless(self, frame: pd.DataFrame, ignored: list[str]) -> pd.DataFrame:
        """Leave out columns without a name that hold nothing, or only number the rows."""
        kept, empty = np.ones(frame.shape[1], dtype=bool), 0
        for place, name in enumerate(frame.columns):
            cells = frame.iloc[:, place]
            if name == "" and not filled_cells(cells).any():
                kept[place] = False
                empty += 1
            elif place == 0 and name in ("", "Unnamed: 0") and _counts_rows(cells):
                kept[place] = False
                ignored.append("the first column, which only numbers the rows")
        if empty:
            ignored.append(counted(empty, "empty column"))
        return frame if kept.all() else frame.loc[:, kept]

    def _text(self, frame: pd.DataFrame, name: str, strip: bool) -> pd.Categorical:
        cells = frame[name]
        if cells.dtype == object:  # only JSON can hold half a character
            halves = [isinstance(cell, str) and _SURROGATE.search(cell) is not None for cell in cells]
            what = f"{name} {{}} is no Unicode text"
            fault = np.array(halves, dtype=bool)
            refuse(self.source, frame, fault, what, "rename the file, or correct it", cells)
        return categorical(cells, strip)


def header_name(cell: object) -> str:
    """Return the name in a cell of a header as one line; Excel's may have several."""
    return re.sub(r"\s*[\r\n\t\v\f]\s*", " ", str(cell).strip())


def filled_cells(cells: "pd.Series[Any]") -> npt.NDArray[np.bool_]:
    """Tell which cells of a column are not blank."""
    if pd.api.types.is_numeric_dtype(cells):
        return np.asarray(cells.notna())
    if cells.dtype == object:  # JSON may hold half a character, which Arrow does not take
        return np.array([str(cell).strip() != "" for cell in cells], dtype=bool) & cells.notna().to_numpy()
    return np.asarray(cells.notna() & (cells.astype(str).str.strip() != ""))


def _filled_rows(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    filled = np.zeros(len(frame), dtype=bool)
    for place in range(frame.shape[1]):
        filled[~filled] = filled_cells(frame.iloc[:, place][~filled])
        if filled.all():
            break
    return filled


def _counts_rows(cells: "pd.Series[Any]") -> bool:
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    return bool(len(numbers) and numbers[0] in (0, 1) and (np.diff(numbers) == 1).all())


def _with_points(frame: pd.DataFrame, name: str, *, sure: bool) -> bool:
    """Write decimal commas of a column as points, if it has no decimal points."""
    cells = frame[name]
    if pd.api.types.is_numeric_dtype(cells) or isinstance(cells.dtype, pd.CategoricalDtype):
        return False
    texts = cells.astype(object).where(cells.notna(), "").astype(str)
    commas = texts.str.match(_DECIMAL_COMMA)
    if commas.sum() < (1 if sure else 2):
        return False
    if not sure and texts[commas].str.match(_THOUSANDS).all():
        return False
    others = pd.to_numeric(texts[~commas], errors="coerce").notna()
    words = int((~others & (texts[~commas].str.strip() != "")).sum())
    if words > commas.sum() or (others & texts[~commas].str.contains(".", regex=False)).any():
        return False
    frame[name] = texts.str.replace(",", ".", regex=False).where(commas, cells.astype(object))
    return True
