"""The cells of a column as numbers, dates or categories: how they are written, and what is missing.

Cells are text, or have types already. Reading cells that have been read changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradlite.cli.tables import TableError
from gradlite.cli.terminal import nearest, plural

if TYPE_CHECKING:
    from pandas import DataFrame, Series

NUMBER, CATEGORY, DATE = "number", "category", "date"
# The kind of each column, and how it is written (the decimal mark of numbers, the format of dates,
# nothing for categories).
Kinds = dict[str, tuple[str, str]]

MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none")
UNITS = r"^[$€£]\s*|\s*[%$€£]$"
GROUPED = r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?"  # 1,234,567.8
SWAP = str.maketrans(",.", ".,")
LARGEST = 1e100  # squares of numbers must be finite, too


class Problem(NamedTuple):
    """A cell that cannot be read: its line or row, its column, and its content."""

    place: Any
    column: str
    cell: Any


def as_text(column: Series) -> Series:
    """Return cells as text without surrounding blanks; empty cells are missing.

    Examples
    --------
    >>> import pandas as pd
    >>> as_text(pd.Series([" red", "n/a", None])).tolist()
    ['red', <NA>, <NA>]
    """
    try:
        text = column.astype("string").str.strip()
    except UnicodeDecodeError as error:  # in Parquet, cells may be any bytes
        raise TableError(
            f"column {column.name!r} has cells of bytes that are not UTF-8 text: store it as text, "
            f"or leave it out with --ignore."
        ) from error
    return text.mask(text.str.lower().isin(MISSING))


def as_numbers(column: Series, decimal: str = ".") -> np.ndarray:
    """Return cells as float64, NaN where they are missing or not numbers.

    Parameters
    ----------
    column : Series, shape (n,)
        Text or numbers. Currency and per cent signs beside a number are dropped.
    decimal : str
        The decimal mark, ``'.'`` or ``','``. The other one may separate groups of three digits.

    Examples
    --------
    >>> import pandas as pd
    >>> as_numbers(pd.Series(["1,234.5", " 5 ", "$3", "many"])).tolist()
    [1234.5, 5.0, 3.0, nan]
    >>> as_numbers(pd.Series(["1.234,5"]), decimal=",").tolist()
    [1234.5]
    """
    import pandas as pd

    def floats(cells: Series) -> np.ndarray:
        numbers: np.ndarray = pd.to_numeric(cells, errors="coerce").to_numpy(float, na_value=np.nan)
        return numbers

    if pd.api.types.is_numeric_dtype(column):
        return floats(column)
    text = as_text(column)
    if decimal == ",":
        text = text.str.translate(SWAP)
    numbers = floats(text)
    odd = np.isnan(numbers) & text.notna().to_numpy()
    if odd.any():  # few columns have units or groups, and looking for them takes time
        plain = text[odd].str.replace(UNITS, "", regex=True)
        grouped = plain.str.fullmatch(GROUPED).fillna(False).astype(bool)
        numbers[odd] = floats(plain.mask(grouped, plain.str.replace(",", "")))
    return numbers


def as_dates(column: Series, form: str) -> Series:
    """Return cells as times, NaT where they are missing or not dates of this format.

    Times with a time zone are converted to UTC.
    """
    import pandas as pd

    if not pd.api.types.is_datetime64_any_dtype(column):
        column = as_text(column)
    dates = pd.to_datetime(column, format=form, errors="coerce", utc=True)
    return dates.dt.tz_localize(None)


def as_categories(column: Series) -> np.ndarray:
    """Return cells as an array of str objects, NaN where missing; equal ones are shared."""
    import pandas as pd

    codes, values = pd.factorize(as_text(column))
    shared = np.append(np.asarray(values, dtype=object), np.nan)
    cells: np.ndarray = shared[codes]  # a missing cell has the code -1
    return cells


def read_cells(frame: DataFrame, kinds: Kinds) -> tuple[DataFrame, list[Problem]]:
    """Read the known columns, and omit the others.

    Parameters
    ----------
    frame : DataFrame, shape (n, any)
        Raw cells, or cells that were read already.
    kinds : Kinds
        The known columns.

    Returns
    -------
    frame : DataFrame, shape (n, len(kinds))
        float64, objects that are str or NaN, and times.
    problems : list of Problem
        The cells that cannot be read, or are (nearly) infinite. They count as missing.

    Raises
    ------
    TableError
        If columns are missing.
    """
    import pandas as pd

    if lacking := misfit(kinds, frame.columns):
        raise TableError(f"The table does not fit: {lacking}")
    columns: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, (kind, form) in kinds.items():
        raw = frame[name]
        if kind == CATEGORY:
            columns[name] = as_categories(raw)
            continue
        if kind == NUMBER:
            read = as_numbers(raw, form)
            lost = ~(np.abs(read) < LARGEST)
            columns[name] = np.where(lost, np.nan, read)
        else:
            read = as_dates(raw, form)
            lost = read.isna().to_numpy()
            columns[name] = read.to_numpy()
        if lost.any():
            problems += unreadable(raw[lost])
    return pd.DataFrame(columns, index=frame.index), problems


def unreadable(cells: Series) -> Iterator[Problem]:
    """Yield a problem for each cell that is not empty, as it could not be read."""
    text = as_text(cells).dropna()
    for place, cell in text.items():
        yield Problem(place, str(cells.name), cell)


def misfit(known: Iterable[str], given: Iterable[str]) -> str:
    """Return which columns are missing, with similar names among the others; '' if none is.

    Examples
    --------
    >>> misfit(["size", "price"], ["Size", "price"])
    "it lacks 1 column, 'size' (is it 'Size'?)."
    """
    known, given = list(known), list(given)
    others = [name for name in given if name not in known]
    missing = []
    for name in known:
        if name not in given:
            near = nearest(name, others)
            missing.append(f"{name!r} (is it {near!r}?)" if near else repr(name))
    return f"it lacks {plural(len(missing), 'column')}, {', '.join(missing)}." if missing else ""
