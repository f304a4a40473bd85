"""The columns of a table: the kind of each, and how a network sees it.

`learn_kinds` finds the kinds of the columns. `preparation` returns the scikit-learn pipeline that
turns a table, raw or read, into a matrix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gradlite.cli.cells import (
    CATEGORY,
    DATE,
    NUMBER,
    Kinds,
    as_dates,
    as_numbers,
    as_text,
    read_cells,
)
from gradlite.cli.tables import TableError
from gradlite.cli.terminal import plural, some

if TYPE_CHECKING:
    from pandas import DataFrame, Series

ORDINALS = re.compile(r"(.*[\W_])?(id|index|key|nr|no|number|row)|.*[a-z]I[dD]", re.IGNORECASE)
DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%d %b %Y", "%b %d, %Y",
        "%d-%b-%Y", "%d %B %Y", "%B %d, %Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y")  # fmt: skip
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
FORMATS = ("ISO8601", *(day + time for day in DAYS for time in CLOCKS))
READABLE = 0.95  # the fraction of cells that must be readable in a column of numbers or dates
SAMPLE = 1000  # cells from which the format of dates is found
MOST_CATEGORIES = 30
RARE_CATEGORY = 3  # rows that a category needs to be kept apart
DATE_FEATURES = ("days", "season sin", "season cos", "weekday sin", "weekday cos",
                 "time sin", "time cos")  # fmt: skip


# -- kinds --------------------------------------------------------------------------------------


def learn_kinds(frame: DataFrame) -> tuple[Kinds, list[str]]:
    """Find the kind of each column of a table, and the columns that carry no information.

    Parameters
    ----------
    frame : DataFrame
        The inputs, raw.

    Returns
    -------
    kinds : Kinds
        The columns that a network can learn from.
    notes : list of str
        A sentence for each column that was left out or may have been misread.

    Examples
    --------
    >>> import pandas as pd
    >>> kinds, notes = learn_kinds(pd.DataFrame({"size": ["1,5", "2"], "unit": ["m", "m"]}))
    >>> kinds
    {'size': ('number', ',')}
    >>> notes
    ["Column 'unit' is left out: every row has the same value, 'm'."]
    """
    kinds: Kinds = {}
    notes = []
    for name in frame.columns:
        reason = nothing_to_learn(frame[name])
        found = None if reason else kind_of(frame[name])
        if found is not None and found[0] == CATEGORY:
            reason = too_many_values(frame[name])
        if reason or found is None:
            notes.append(f"Column {name!r} is left out: {reason}.")
            continue
        kinds[name] = found
        notes += doubts(name, frame[name], found)
    return kinds, notes


def nothing_to_learn(column: Series) -> str:
    """Return the reason why a column carries no information, or ''."""
    text = as_text(column)
    values = text.dropna().unique()
    if not len(values):
        return "it is empty"
    if len(values) == 1 and not text.isna().any():
        return f"every row has the same value, {str(values[0])!r}"
    if len(values) == len(text) and is_ordinal(str(column.name), as_numbers(column)):
        return "it numbers the rows"
    return ""


def is_ordinal(name: str, numbers: np.ndarray) -> bool:
    """Return whether distinct numbers only identify rows: 1, 2, 3, or a column named like 'id'."""
    if not is_whole(numbers):
        return False
    ordered = np.sort(numbers)
    counted = ordered[0] in (0, 1) and bool(np.all(np.diff(ordered) == 1))
    return len(numbers) > 2 and (counted or ORDINALS.fullmatch(name) is not None)


def is_whole(numbers: np.ndarray) -> bool:
    """Return whether all numbers are integers, and none is missing."""
    return bool(np.all(np.isfinite(numbers))) and bool(np.all(numbers % 1 == 0))


def kind_of(column: Series) -> tuple[str, str]:
    """Return the kind of a column, and how it is written."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column):
        return CATEGORY, ""
    if pd.api.types.is_numeric_dtype(column):
        return NUMBER, "."
    if pd.api.types.is_datetime64_any_dtype(column):
        return DATE, "ISO8601"
    text = as_text(column).dropna()
    if not text.str.fullmatch(r"0\d+").any():  # leading zeros: codes rather than numbers
        marks = ".," if text.str.contains(",").any() else "."
        parts = {mark: readable(as_numbers(text, mark)) for mark in marks}
        decimal = max(parts, key=parts.__getitem__)
        if parts[decimal] >= READABLE:
            return NUMBER, decimal
    form = date_format(text)
    return (DATE, form) if form else (CATEGORY, "")


def readable(values: Any) -> float:
    """Return the fraction of values that are not missing."""
    import pandas as pd

    return float(pd.notna(values).mean())


def date_format(text: Series) -> str:
    """Return the format in which nearly all cells are dates, or ''."""
    sample = text.iloc[:: -(-len(text) // SAMPLE)]
    best = max(FORMATS, key=lambda form: readable(as_dates(sample, form)))
    return best if readable(as_dates(text, best)) >= READABLE else ""


def too_many_values(column: Series) -> str:
    """Return the reason why a column of text cannot be categories, or ''."""
    text = as_text(column).dropna()
    distinct = text.nunique()
    if distinct <= max(10, len(text) / 2):
        return ""
    return f"it is free text, or names the rows ({distinct:,} different values in {len(text):,})"


def doubts(name: str, column: Series, kind: tuple[str, str]) -> Iterator[str]:
    """Yield notes on how a column was read, if it is ambiguous."""
    if kind[0] == CATEGORY:
        distinct = as_text(column).nunique()
        if distinct > MOST_CATEGORIES:
            yield (
                f"Column {name!r} has {distinct:,} categories: the {MOST_CATEGORIES - 1} most "
                f"frequent are kept apart, the others are one."
            )
    if kind[0] == DATE and "%d/%m" in kind[1]:
        other = kind[1].replace("%d/%m", "%m/%d")
        if readable(as_dates(as_text(column).dropna(), other)) == 1:
            yield (
                f"Column {name!r} is read as day/month/year, but all dates are also valid as "
                f"month/day/year: write them as 2026-12-31 to be sure."
            )


def describe(kinds: Kinds) -> str:
    """Return the number of columns of each kind, as text.

    Examples
    --------
    >>> describe({"a": ("number", "."), "b": ("number", ","), "c": ("category", "")})
    '2 numbers, 1 category'
    """
    found = [kind for kind, _ in kinds.values()]
    return ", ".join(plural(found.count(kind), kind) for kind in dict.fromkeys(found))


# -- from a table to a matrix -------------------------------------------------------------------


def preparation(kinds: Kinds) -> Any:
    """Return the pipeline from a table, raw or read, to a matrix of standardized numbers.

    It is not fitted. Missing numbers and dates become the median, with an indicator column; missing
    categories become a category.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    def filled() -> Any:
        return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)

    calendar = FunctionTransformer(date_features, feature_names_out=date_feature_names)
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=RARE_CATEGORY,
        max_categories=MOST_CATEGORIES,
        sparse_output=False,
    )
    steps = {
        NUMBER: make_pipeline(filled(), StandardScaler()),
        CATEGORY: encoder,
        DATE: make_pipeline(calendar, filled(), StandardScaler()),
    }
    columns = {kind: [name for name in kinds if kinds[name][0] == kind] for kind in steps}
    transformer = ColumnTransformer(
        [(kind, step, columns[kind]) for kind, step in steps.items() if columns[kind]],
        verbose_feature_names_out=False,
    )
    reader = FunctionTransformer(
        read_table, kw_args={"kinds": kinds}, feature_names_out=known_names
    )
    return make_pipeline(reader, transformer)


def read_table(frame: DataFrame, kinds: Kinds) -> DataFrame:
    """Read a table as `read_cells` does; raise TableError if cells cannot be read."""
    read, problems = read_cells(frame.rename(columns=str), kinds)  # names in files are text
    if problems:
        cells = (f"{cell!r} in column {column!r}, row {at}" for at, column, cell in problems)
        raise TableError(f"Cells that cannot be read: {some(cells)}. Correct or empty them.")
    return read


def known_names(transformer: Any, names: Any) -> list[str]:
    """Return the names of the columns that `read_table` returns."""
    return list(transformer.kw_args["kinds"])


def date_features(frame: DataFrame) -> np.ndarray:
    """Return dates as numbers: days since 1970, and positions in the year, the week and the day.

    The positions are points on circles, so that December is next to January. From times, (n, k), to
    float64, (n, 7 k), with NaN where a time is missing.
    """
    columns = []
    for name in frame.columns:
        dates = frame[name]
        days = (dates - np.datetime64(0, "D")) / np.timedelta64(1, "D")
        columns.append(days.to_numpy(float))
        turns = (dates.dt.day_of_year / 365.25, dates.dt.day_of_week / 7, days % 1)
        for turn in turns:
            angle = 2 * np.pi * turn.to_numpy(float)
            columns += [np.sin(angle), np.cos(angle)]
    return np.stack(columns, axis=1)


def date_feature_names(transformer: Any, names: Any) -> list[str]:
    """Return the names of the columns that `date_features` returns."""
    return [f"{name} {feature}" for name in names for feature in DATE_FEATURES]
